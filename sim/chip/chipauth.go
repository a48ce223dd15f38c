package chip

import (
	"math/big"

	"gateagent/internal/ber"
)

// arcCA is id-CA (ICAO 9303-11 section 9.2.7): 1 for DH, 2 for ECDH.
func arcCA() []byte { return []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x03} }

// kind is the number of the key's protocol below id-CA.
func (k *ChipKey) kind() byte {
	if k.Curve == nil {
		return 1
	}
	return 2
}

// chooseKey finds the key for chip authentication by protocol and identifier;
// kind 0 takes any. Without identifier the only key of the protocol is meant,
// or the one that has none.
func (c *Chip) chooseKey(kind byte, s Cipher, id []byte, given bool) (*ChipKey, uint16) {
	var fit []*ChipKey
	for i := range c.cfg.ChipKeys {
		k := &c.cfg.ChipKeys[i]
		if k.Cipher != s || kind != 0 && k.kind() != kind {
			continue
		}
		fit = append(fit, k)
		if !given && k.ID == 0 || given && new(big.Int).SetBytes(id).Cmp(big.NewInt(int64(k.ID))) == 0 {
			return k, swOK
		}
	}
	if !given && len(fit) == 1 && len(c.cfg.ChipKeys) == 1 {
		return fit[0], swOK
	}
	if len(fit) == 0 {
		return nil, swBadData
	}
	return nil, swNoReference
}

// setChipAuth is MSE:Set AT of chip authentication (ICAO 9303-11 section
// 6.2.4.2).
func (c *Chip) setChipAuth(fields map[uint32][]byte) uint16 {
	c.state.chipKey = nil
	if !c.state.access {
		return swDenied
	}
	kind, s, ok := protocol(fields[0x80], arcCA())
	if !ok || c.cfg.RefuseCA {
		return swBadData
	}
	id, given := fields[0x84]
	k, sw := c.chooseKey(kind, s, id, given)
	if sw == swOK && k.KAT {
		return swBadData
	}
	c.state.chipKey = k
	return sw
}

// keyAgreementTemplate is MSE:Set KAT, chip authentication in one command
// with 3DES (ICAO 9303-11 section 6.2.4.1).
func (c *Chip) keyAgreementTemplate(fields map[uint32][]byte) uint16 {
	if !c.state.access {
		return swDenied
	}
	if c.cfg.RefuseCA {
		return swBadData
	}
	id, given := fields[0x84]
	k, sw := c.chooseKey(0, TripleDES, id, given)
	if sw != swOK {
		return sw
	}
	return c.agree(k, fields[0x91])
}

// agreeChipAuth is GENERAL AUTHENTICATE of chip authentication.
func (c *Chip) agreeChipAuth(in ber.TLV) ([]byte, uint16) {
	k := c.state.chipKey
	c.state.chipKey = nil
	if !c.state.access || in.Tag != 0x80 {
		return nil, swBadData
	}
	if sw := c.agree(k, in.Value); sw != swOK {
		return nil, sw
	}
	return ber.Make(0x7C), swOK
}

// agree computes the new session from the terminal's ephemeral key; it takes
// over when the answer is out.
func (c *Chip) agree(k *ChipKey, public []byte) uint16 {
	c.charge(1, c.cfg.Model.ChipAuth)
	d, err := newDomain(k.Curve, k.Group)
	if err != nil {
		return swConditions
	}
	secret, err := d.agree(k.Private, public)
	if err != nil {
		return swBadData
	}
	if c.state.next, err = newSession(k.Cipher, secret); err != nil {
		return swConditions
	}
	return swOK
}
