package chip

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"math/big"

	_ "crypto/sha512" // for active authentication with SHA-384 and SHA-512

	"gateagent/internal/ber"
)

// chooseKey finds the key for chip authentication by cipher and identifier.
func (c *Chip) chooseKey(s Cipher, id []byte, given bool) (*ChipKey, uint16) {
	for i := range c.cfg.ChipKeys {
		k := &c.cfg.ChipKeys[i]
		if k.Cipher == s && (!given && k.ID == 0 || given && new(big.Int).SetBytes(id).Cmp(big.NewInt(int64(k.ID))) == 0) {
			return k, swOK
		}
	}
	// A single key needs no identifier.
	if !given && len(c.cfg.ChipKeys) == 1 && c.cfg.ChipKeys[0].Cipher == s {
		return &c.cfg.ChipKeys[0], swOK
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
	s, ok := protocol(fields[0x80], oidCA())
	if !ok || c.cfg.RefuseCA {
		return swBadData
	}
	id, given := fields[0x84]
	k, sw := c.chooseKey(s, id, given)
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
	k, sw := c.chooseKey(TripleDES, id, given)
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
	peer, err := k.Curve.Unmarshal(public)
	if err != nil {
		return swBadData
	}
	secret, err := k.Curve.SharedX(k.Private, peer)
	if err != nil {
		return swBadData
	}
	if c.state.next, err = newSession(k.Cipher, secret); err != nil {
		return swConditions
	}
	return swOK
}

// internalAuthenticate is active authentication (ICAO 9303-11 section 6.1).
func (c *Chip) internalAuthenticate(cmd command) ([]byte, uint16) {
	k := &c.cfg.Active
	if k.N == nil && k.Curve == nil || c.cfg.RefuseAA {
		return nil, swNoIns
	}
	if !c.open() {
		return nil, swDenied
	}
	if len(cmd.data) != 8 {
		return nil, swLength
	}
	c.charge(1, 0)
	var out []byte
	var err error
	if k.N != nil {
		out, err = k.signRSA(c.random, cmd.data)
	} else {
		out, err = k.signECDSA(c.random, cmd.data)
	}
	if err != nil {
		return nil, swConditions
	}
	if n := c.cfg.Quirks.AAPart; n > 0 && n < len(out) && cmd.le <= 256 {
		out = out[:n]
	}
	return out, swOK
}

// trailers of ISO/IEC 9796-2 by hash: BC alone for SHA-1, else the hash
// identifier of ISO/IEC 10118 and CC.
func trailer(h crypto.Hash) []byte {
	switch h {
	case crypto.SHA224:
		return []byte{0x38, 0xCC}
	case crypto.SHA256:
		return []byte{0x34, 0xCC}
	case crypto.SHA384:
		return []byte{0x36, 0xCC}
	case crypto.SHA512:
		return []byte{0x35, 0xCC}
	}
	return []byte{0xBC}
}

var errBadKey = errors.New("sim/chip: hash unknown or key too short for it")

// signRSA is digital signature scheme 1 of ISO/IEC 9796-2 with partial
// recovery: 6A || M1 || H(M1 || challenge) || trailer.
func (k *ActiveKey) signRSA(random io.Reader, challenge []byte) ([]byte, error) {
	size := (k.N.BitLen() + 7) / 8
	t := trailer(k.Hash)
	if !k.Hash.Available() || size < 2+k.Hash.Size()+len(t) {
		return nil, errBadKey
	}
	m1 := make([]byte, size-1-k.Hash.Size()-len(t))
	if _, err := io.ReadFull(random, m1); err != nil {
		return nil, err
	}
	h := k.Hash.New()
	h.Write(m1)
	h.Write(challenge)
	f := bytes.Join([][]byte{{0x6A}, m1, h.Sum(nil), t}, nil)
	s := new(big.Int).Exp(new(big.Int).SetBytes(f), k.D, k.N)
	return s.FillBytes(make([]byte, size)), nil
}

// signECDSA gives r || s in fixed width (BSI TR-03111 section 5.2.1).
func (k *ActiveKey) signECDSA(random io.Reader, challenge []byte) ([]byte, error) {
	if !k.Hash.Available() {
		return nil, errBadKey
	}
	h := k.Hash.New()
	h.Write(challenge)
	r, s, err := k.Curve.Sign(random, k.D, h.Sum(nil))
	if err != nil {
		return nil, err
	}
	size := (k.Curve.N.BitLen() + 7) / 8
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
}
