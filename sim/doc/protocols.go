package doc

import (
	"fmt"
	"io"
	"math/big"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
	"gateagent/internal/modp"
	"gateagent/sim/chip"
)

// openings announces terminal authentication and PACE, where there is PACE.
func (b *builder) openings() error {
	if b.f.TerminalV1 {
		b.access = append(b.access, seq(oid(oidTA), smallInt(1)))
	}
	for _, p := range b.f.PACE {
		c, g, err := agreementDomain(p.Curve, p.Group)
		if err != nil {
			return err
		}
		cp := chip.PACE{Cipher: p.Cipher, Curve: c, Mapping: p.Mapping}
		if c != nil {
			cp.ID = c.ID
		} else {
			cp.Group, cp.ID = g.ID, g.ID
		}
		b.doc.card.PACE = append(b.doc.card.PACE, cp)
		b.access = append(b.access, paceInfo(cp))
	}
	b.infos = append(b.infos, b.access...)
	return nil
}

func (b *builder) chipAuth() error {
	for _, want := range b.f.ChipAuth {
		c, g, err := agreementDomain(want.Curve, want.Group)
		if err != nil {
			return err
		}
		d, err := agreementScalar(b.random, c, g)
		if err != nil {
			return err
		}
		k := chip.ChipKey{Cipher: want.Cipher, Curve: c, Group: g, Private: d, ID: want.KeyID, KAT: want.KAT}
		b.doc.card.ChipKeys = append(b.doc.card.ChipKeys, k)
		if !want.NoInfo {
			b.infos = append(b.infos, caInfo(k, 1))
			if b.f.TerminalV1 {
				// Vietnam's EF.CardAccess announces it; ICAO's lists PACE only.
				b.access = append(b.access, caInfo(k, 1))
			}
		}
		b.infos = append(b.infos, caPublicKey(k, want.Parameters))
	}
	return nil
}

// agreementScalar draws a private key of a curve or a group.
func agreementScalar(random io.Reader, c *ec.Curve, g *modp.Group) (*big.Int, error) {
	if c != nil {
		return scalar(random, c)
	}
	b := make([]byte, (g.Q.BitLen()+7)/8+8)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	one, d := big.NewInt(1), new(big.Int).SetBytes(b)
	d.Mod(d, new(big.Int).Sub(g.Q, one))
	return d.Add(d, one), nil
}

// mappingKeys gives each chip authentication mapping its static key, one for
// a curve, and states the public keys for EF.CardSecurity (ICAO 9303-11
// section 9.2.6).
func (b *builder) mappingKeys() error {
	keys := map[*ec.Curve]*big.Int{}
	for i := range b.doc.card.PACE {
		p := &b.doc.card.PACE[i]
		if p.Mapping != chip.ChipAuthMapping {
			continue
		}
		if p.Curve == nil || p.Cipher == chip.TripleDES {
			return fmt.Errorf("sim/doc: the chip authentication mapping goes with ECDH and AES only")
		}
		if keys[p.Curve] == nil {
			d, err := scalar(b.random, p.Curve)
			if err != nil {
				return err
			}
			keys[p.Curve] = d
			k := chip.ChipKey{Cipher: p.Cipher, Curve: p.Curve, Private: d, ID: b.mappingID(p.ID)}
			b.secure = append(b.secure, caPublicKey(k, StandardizedCurve))
		}
		p.Static = keys[p.Curve]
	}
	return nil
}

// mappingID numbers the keys where there are mappings on several curves.
func (b *builder) mappingID(id int) int {
	for _, p := range b.doc.card.PACE {
		if p.Mapping == chip.ChipAuthMapping && p.ID != id {
			return id
		}
	}
	return 0
}

func (b *builder) activeAuth() error {
	alg := b.f.ActiveAuth
	if alg.RSA == 0 && alg.Curve == "" {
		return nil
	}
	k, err := newKey(b.random, alg)
	if err != nil {
		return err
	}
	b.doc.card.Active = k.active(b.f)
	b.doc.groups[15] = ber.Make(0x6F, k.spki())
	if k.n == nil && !b.f.NoActiveInfo {
		info, err := aaInfo(alg.Hash)
		if err != nil {
			return err
		}
		b.infos = append(b.infos, info)
	}
	return nil
}

// active puts the key on a chip.
func (k *key) active(f *Profile) chip.ActiveKey {
	return chip.ActiveKey{N: k.n, D: k.d, Curve: k.curve, Hash: f.ActiveAuth.Hash, ActiveForm: f.ActiveForm}
}

// oidCardSecurity is the content type of EF.CardSecurity, id-SecurityObject
// of BSI TR-03110-3 appendix A.1.2.5 (ICAO 9303-11 section 9.2.11).
const oidCardSecurity = "0.4.0.127.0.7.3.2.1"

// cardSecurity writes EF.CardSecurity where there is a chip authentication
// mapping: the entries of EF.CardAccess and the static keys, signed.
func (b *builder) cardSecurity() error {
	if len(b.secure) == 0 {
		return nil
	}
	infos := set(append(append([][]byte(nil), b.access...), b.secure...)...)
	signer := b.signer
	if b.f.Alter&ForeignCardSecurity != 0 {
		signer = b.other
	}
	raw, err := signedData(oidCardSecurity, infos, signer, nil, b.f.CardSecurity)
	if err != nil {
		return fmt.Errorf("sim/doc: EF.CardSecurity: %w", err)
	}
	b.doc.card.MasterFiles[chip.FileCardSecurity] = raw
	return nil
}
