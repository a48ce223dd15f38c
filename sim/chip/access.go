package chip

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha1"
	"io"

	"gateagent/internal/ber"
)

// protocol splits an object identifier below a known arc into the kind of
// protocol and the cipher.
func protocol(oid, arc []byte) (kind byte, c Cipher, ok bool) {
	if len(oid) != len(arc)+2 || !bytes.Equal(oid[:len(arc)], arc) {
		return 0, 0, false
	}
	kind, c = oid[len(arc)], Cipher(oid[len(arc)+1])
	return kind, c, c >= TripleDES && c <= AES256
}

// manageSecurity is MSE:SET for PACE and chip authentication.
func (c *Chip) manageSecurity(cmd command) uint16 {
	objects, err := ber.Children(cmd.data)
	if err != nil {
		return swBadData
	}
	fields := map[uint32][]byte{}
	for _, o := range objects {
		fields[o.Tag] = o.Value
	}
	switch {
	case cmd.p1 == 0xC1 && cmd.p2 == 0xA4:
		return c.setPACE(fields)
	case cmd.p1 == 0x41 && cmd.p2 == 0xA4:
		return c.setChipAuth(fields)
	case cmd.p1 == 0x41 && cmd.p2 == 0xA6:
		return c.keyAgreementTemplate(fields)
	}
	return swBadP1P2
}

// getChallenge starts BAC (ICAO 9303-11 section 4.3).
func (c *Chip) getChallenge(cmd command) ([]byte, uint16) {
	if !c.cfg.BAC || c.state.session != nil {
		return nil, swConditions
	}
	if cmd.le != 8 {
		return nil, swLength
	}
	c.state.challenge = make([]byte, 8)
	if _, err := io.ReadFull(c.random, c.state.challenge); err != nil {
		return nil, swConditions
	}
	return c.state.challenge, swOK
}

// externalAuthenticate ends BAC.
func (c *Chip) externalAuthenticate(cmd command) ([]byte, uint16) {
	challenge := c.state.challenge
	c.state.challenge = nil
	if !c.cfg.BAC || !c.state.app || challenge == nil {
		return nil, swConditions
	}
	if len(cmd.data) != 40 {
		return nil, swLength
	}
	sum := sha1.Sum(c.cfg.MRZInfo)
	macKey := derive(TripleDES, sum[:16], 2)
	b, err := newBlock(TripleDES, derive(TripleDES, sum[:16], 1))
	if err != nil {
		return nil, swConditions
	}
	if !bytes.Equal(tag(TripleDES, macKey, pad(cmd.data[:32], 8)), cmd.data[32:]) {
		return nil, swRejected
	}
	in := make([]byte, 32)
	cipher.NewCBCDecrypter(b, make([]byte, 8)).CryptBlocks(in, cmd.data[:32])
	if !bytes.Equal(in[8:16], challenge) {
		return nil, swRejected
	}
	share := make([]byte, 16)
	if _, err := io.ReadFull(c.random, share); err != nil {
		return nil, swConditions
	}
	out := append(append(bytes.Clone(challenge), in[:8]...), share...)
	cipher.NewCBCEncrypter(b, make([]byte, 8)).CryptBlocks(out, out)
	for i := range share {
		share[i] ^= in[16+i]
	}
	s, err := newSession(TripleDES, share)
	if err != nil {
		return nil, swConditions
	}
	copy(s.ssc, challenge[4:])
	copy(s.ssc[4:], in[4:8])
	c.state.session, c.state.access = s, true
	return append(out, tag(TripleDES, macKey, pad(out, 8))...), swOK
}
