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

// trailer ends the representative of ISO/IEC 9796-2: BC alone for SHA-1, else
// the hash identifier of ISO/IEC 10118-3 and CC.
func (k *ActiveKey) trailer() []byte {
	switch k.Hash {
	case crypto.SHA224:
		return []byte{0x38, 0xCC}
	case crypto.SHA256:
		return []byte{0x34, 0xCC}
	case crypto.SHA384:
		return []byte{0x36, 0xCC}
	case crypto.SHA512:
		return []byte{0x35, 0xCC}
	}
	if k.Explicit {
		return []byte{0x33, 0xCC}
	}
	return []byte{0xBC}
}

var errBadKey = errors.New("sim/chip: hash unknown or key too short for it")

// shortNonce is how long the chip's part of a padded message is.
const shortNonce = 16

// signRSA is digital signature scheme 1 of ISO/IEC 9796-2. With partial
// recovery the representative is 6A || M1 || H(M1 || challenge) || trailer
// (ICAO 9303-11 section 6.1.2.2); with full recovery the header is 4A and the
// challenge stands behind M1 inside as well.
func (k *ActiveKey) signRSA(random io.Reader, challenge []byte) ([]byte, error) {
	size, t := (k.N.BitLen()+7)/8, k.trailer()
	room := size - 1 - len(t) - k.Hash.Size() // for padding and recovered message
	inside := 0
	if k.Full {
		inside = len(challenge)
	}
	if !k.Hash.Available() || room <= inside || k.Padded && room <= inside+shortNonce {
		return nil, errBadKey
	}
	m1 := make([]byte, room-inside)
	var fill []byte
	if k.Padded {
		m1 = m1[:shortNonce]
		// Nibbles B, the last one A: the low nibble of the header begins them.
		fill = bytes.Repeat([]byte{0xBB}, room-inside-shortNonce)
		fill[len(fill)-1] = 0xBA
	}
	if _, err := io.ReadFull(random, m1); err != nil {
		return nil, err
	}
	h := k.Hash.New()
	h.Write(m1)
	h.Write(challenge)
	head := byte(0x6A)
	if k.Full {
		head, m1 = 0x4A, append(m1, challenge...)
	}
	if k.Padded {
		head++
	}
	f := bytes.Join([][]byte{{head}, fill, m1, h.Sum(nil), t}, nil)
	s := new(big.Int).Exp(new(big.Int).SetBytes(f), k.D, k.N)
	if other := new(big.Int).Sub(k.N, s); k.Lesser && other.Cmp(s) < 0 {
		s = other
	}
	return s.FillBytes(make([]byte, size)), nil
}

// signECDSA gives r || s in fixed width (BSI TR-03111 section 5.2.1), or both
// as DER (section 5.2.2), as some chips do.
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
	if k.DER {
		return ber.Make(ber.Sequence, integer(r), integer(s)), nil
	}
	size := (k.Curve.N.BitLen() + 7) / 8
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
}

// integer is a positive INTEGER in DER.
func integer(v *big.Int) []byte {
	return ber.Make(ber.Integer, v.FillBytes(make([]byte, v.BitLen()/8+1)))
}
