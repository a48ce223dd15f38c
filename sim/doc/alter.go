package doc

import (
	"bytes"

	"gateagent/sim/chip"
)

// alter does to the finished chip what a forger does.
func (b *builder) alter() error {
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
	if a&WithholdDG14 != 0 {
		delete(card.Files, chip.FileDG(14))
	}
	if a&WithholdDG15 != 0 {
		delete(card.Files, chip.FileDG(15))
	}
	if a&HidePACE != 0 {
		card.PACE, card.BAC = nil, true
		delete(card.MasterFiles, chip.FileCardAccess)
	}
	if a&CloneMute != 0 {
		card.RefuseAA, card.RefuseCA = true, true
	}
	if a&Clone != 0 {
		return b.otherKeys()
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
