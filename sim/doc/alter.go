package doc

import (
	"bytes"
	"math/big"
	"slices"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
	"gateagent/sim/chip"
)

// alter does to the finished chip what a forger does.
func (b *builder) alter() error {
	b.alterPeople()
	b.withhold()
	a := b.f.Alter
	for _, step := range []struct {
		when Alteration
		do   func() error
	}{
		{AlterDG14, b.ownDG14}, {AlterDG15, b.ownDG15}, {AlterCardSecurity, b.ownCardSecurity}, {Clone, b.otherKeys},
	} {
		if a&step.when != 0 {
			if err := step.do(); err != nil {
				return err
			}
		}
	}
	return nil
}

// alterPeople changes what is said of the holder.
func (b *builder) alterPeople() {
	card, a := &b.doc.card, b.f.Alter
	if a&AlterDG1 != 0 {
		raw := bytes.Clone(card.Files[chip.FileDG(1)])
		// The first letter of the name, which has no check digit.
		i := len(raw) - 30
		if b.f.Format == "TD3" {
			i = len(raw) - 83
		}
		raw[i] = 'A' + (raw[i]-'A'+1)%26
		card.Files[chip.FileDG(1)] = raw
	}
	if a&AlterDG2 != 0 {
		raw := bytes.Clone(card.Files[chip.FileDG(2)])
		raw[len(raw)-len(b.f.Image.Bytes)/4] ^= 0x01
		card.Files[chip.FileDG(2)] = raw
	}
}

// withhold takes away what would give the forger away.
func (b *builder) withhold() {
	card, a := &b.doc.card, b.f.Alter
	if a&WithholdDG14 != 0 {
		delete(card.Files, chip.FileDG(14))
	}
	if a&WithholdDG15 != 0 {
		delete(card.Files, chip.FileDG(15))
	}
	if a&WithholdCardSecurity != 0 {
		delete(card.MasterFiles, chip.FileCardSecurity)
	}
	if a&HidePACE != 0 {
		card.PACE, card.BAC = nil, true
		delete(card.MasterFiles, chip.FileCardAccess)
	}
	if a&HideStronger != 0 && len(card.PACE) > 1 {
		last := len(card.PACE) - 1
		for _, p := range card.PACE[:last] {
			b.access = slices.DeleteFunc(b.access, func(info []byte) bool { return bytes.Equal(info, paceInfo(p)) })
		}
		card.PACE = card.PACE[last:]
		card.MasterFiles[chip.FileCardAccess] = set(b.access...)
	}
	if a&CloneMute != 0 {
		card.RefuseAA, card.RefuseCA = true, true
	}
	if a&NoMappingProof != 0 {
		card.Quirks.NoMappingProof = true
	}
}

// ownDG14 states new keys for chip authentication; without any, one byte of
// the file is changed.
func (b *builder) ownDG14() error {
	card := &b.doc.card
	raw := bytes.Clone(card.Files[chip.FileDG(14)])
	if len(card.ChipKeys) == 0 {
		raw[len(raw)-1] ^= 1
	}
	infos := slices.Clone(b.infos)
	for i := range card.ChipKeys {
		k, how := &card.ChipKeys[i], b.f.ChipAuth[i].Parameters
		before := caPublicKey(*k, how)
		d, err := agreementScalar(b.random, k.Curve, k.Group)
		if err != nil {
			return err
		}
		k.Private = d
		for j := range infos {
			if bytes.Equal(infos[j], before) {
				infos[j] = caPublicKey(*k, how)
			}
		}
		raw = ber.Make(0x6E, set(infos...))
	}
	card.Files[chip.FileDG(14)] = raw
	return nil
}

// ownDG15 states a new key for active authentication.
func (b *builder) ownDG15() error {
	k, err := newKey(b.random, b.f.ActiveAuth)
	if err != nil {
		return err
	}
	b.doc.card.Active = k.active(b.f)
	b.doc.card.Files[chip.FileDG(15)] = ber.Make(0x6F, k.spki())
	return nil
}

// ownCardSecurity states new keys for the mapping.
func (b *builder) ownCardSecurity() error {
	card, own := &b.doc.card, map[*ec.Curve]*big.Int{}
	for i := range card.PACE {
		p := &card.PACE[i]
		if p.Static == nil {
			continue
		}
		d := own[p.Curve]
		if d == nil {
			var err error
			if d, err = scalar(b.random, p.Curve); err != nil {
				return err
			}
			own[p.Curve] = d
		}
		before, after := p.Curve.Marshal(p.Curve.BaseMult(p.Static)), p.Curve.Marshal(p.Curve.BaseMult(d))
		card.MasterFiles[chip.FileCardSecurity] = bytes.ReplaceAll(card.MasterFiles[chip.FileCardSecurity], before, after)
		p.Static = d
	}
	return nil
}

// otherKeys gives the chip keys of the right kind that are not the right
// ones.
func (b *builder) otherKeys() error {
	card := &b.doc.card
	for i := range card.ChipKeys {
		k := &card.ChipKeys[i]
		d, err := agreementScalar(b.random, k.Curve, k.Group)
		if err != nil {
			return err
		}
		k.Private = d
	}
	for i := range card.PACE {
		p := &card.PACE[i]
		if p.Static == nil {
			continue
		}
		d, err := scalar(b.random, p.Curve)
		if err != nil {
			return err
		}
		p.Static = d
	}
	if b.f.ActiveAuth == (Algorithm{}) {
		return nil
	}
	k, err := newKey(b.random, b.f.ActiveAuth)
	if err != nil {
		return err
	}
	card.Active = k.active(b.f)
	return nil
}
