package chip

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha1"
	"io"
	"math/big"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
)

// Prefixes of protocol object identifiers without the cipher byte (ICAO
// 9303-11 sections 4.4.3 and 6.2): id-PACE-ECDH-GM and id-CA-ECDH.
func oidPACE() []byte { return []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x04, 0x02} }
func oidCA() []byte   { return []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x03, 0x02} }

// protocol splits an object identifier into a known prefix and a cipher.
func protocol(oid, prefix []byte) (Cipher, bool) {
	if len(oid) != len(prefix)+1 || !bytes.Equal(oid[:len(prefix)], prefix) {
		return 0, false
	}
	c := Cipher(oid[len(prefix)])
	return c, c >= TripleDES && c <= AES256
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

// paceRun is PACE between MSE:Set AT and the last GENERAL AUTHENTICATE
// (ICAO 9303-11 section 4.4).
type paceRun struct {
	PACE
	password []byte // key from CAN or MRZ
	step     int
	nonce    []byte
	mapped   *ec.Curve
	terminal ec.Point // ephemeral keys on the mapped generator
	chip     ec.Point
	session  *session
}

// passwordKey derives the key of a password (ICAO 9303-11 section 9.7.3).
func (c *Chip) passwordKey(ref []byte, s Cipher) ([]byte, bool) {
	switch {
	case bytes.Equal(ref, []byte{1}) && len(c.cfg.MRZInfo) > 0:
		sum := sha1.Sum(c.cfg.MRZInfo)
		return derive(s, sum[:], 3), true
	case bytes.Equal(ref, []byte{2}) && c.cfg.CAN != "":
		return derive(s, []byte(c.cfg.CAN), 3), true
	}
	return nil, false
}

func (c *Chip) setPACE(fields map[uint32][]byte) uint16 {
	c.state.pace = nil
	if c.state.session != nil {
		return swConditions
	}
	s, ok := protocol(fields[0x80], oidPACE())
	if !ok {
		return swBadData
	}
	var found []PACE
	for _, p := range c.cfg.PACE {
		id, given := fields[0x84]
		if p.Cipher == s && (!given || new(big.Int).SetBytes(id).Cmp(big.NewInt(int64(p.ID))) == 0) {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return swBadData
	}
	if len(found) > 1 {
		return swNoReference // the same protocol on several curves, and no id
	}
	password, ok := c.passwordKey(fields[0x83], s)
	if !ok {
		return swNoReference
	}
	c.state.pace = &paceRun{PACE: found[0], password: password}
	return swOK
}

// generalAuthenticate is GENERAL AUTHENTICATE, of PACE or of chip
// authentication, whichever was set last.
func (c *Chip) generalAuthenticate(cmd command) ([]byte, uint16) {
	value, err := ber.Expect(cmd.data, 0x7C)
	if err != nil {
		return nil, swBadData
	}
	objects, err := ber.Children(value)
	if err != nil || len(objects) > 1 {
		return nil, swBadData
	}
	var in ber.TLV
	if len(objects) == 1 {
		in = objects[0]
	}
	if c.state.chipKey != nil {
		return c.agreeChipAuth(in)
	}
	p := c.state.pace
	if p == nil {
		return nil, swConditions
	}
	last := cmd.cla&0x10 == 0
	if last != (p.step == 3) {
		c.state.pace = nil
		return nil, swChainLast
	}
	steps := []func(*paceRun, ber.TLV) ([]byte, uint16){c.paceNonce, c.paceMap, c.paceAgree, c.paceTokens}
	p.step++
	out, sw := steps[p.step-1](p, in)
	if sw != swOK || p.step == len(steps) {
		c.state.pace = nil
	}
	if sw != swOK {
		return nil, sw
	}
	return ber.Make(0x7C, out), sw
}

func (c *Chip) paceNonce(p *paceRun, in ber.TLV) ([]byte, uint16) {
	if in.Tag != 0 {
		return nil, swBadData
	}
	p.nonce = make([]byte, 16)
	if _, err := io.ReadFull(c.random, p.nonce); err != nil {
		return nil, swConditions
	}
	b, err := newBlock(p.Cipher, p.password)
	if err != nil {
		return nil, swConditions
	}
	z := make([]byte, len(p.nonce))
	cipher.NewCBCEncrypter(b, make([]byte, b.BlockSize())).CryptBlocks(z, p.nonce)
	return ber.Make(0x80, z), swOK
}

// paceMap is the generic mapping: G' = s*G + H (ICAO 9303-11 section
// 4.4.3.3.1).
func (c *Chip) paceMap(p *paceRun, in ber.TLV) ([]byte, uint16) {
	c.charge(2, c.cfg.Model.PACE/2)
	peer, err := p.Curve.Unmarshal(in.Value)
	if in.Tag != 0x81 || err != nil {
		return nil, swBadData
	}
	d, q, err := p.Curve.GenerateKey(c.random)
	if err != nil {
		return nil, swConditions
	}
	h := p.Curve.Mult(peer, d)
	g := p.Curve.Add(p.Curve.BaseMult(new(big.Int).SetBytes(p.nonce)), h)
	if g.X == nil {
		return nil, swBadData
	}
	p.mapped = p.Curve.WithGenerator(g)
	return ber.Make(0x82, p.Curve.Marshal(q)), swOK
}

func (c *Chip) paceAgree(p *paceRun, in ber.TLV) ([]byte, uint16) {
	c.charge(2, c.cfg.Model.PACE-c.cfg.Model.PACE/2)
	peer, err := p.mapped.Unmarshal(in.Value)
	if in.Tag != 0x83 || err != nil {
		return nil, swBadData
	}
	d, q, err := p.mapped.GenerateKey(c.random)
	if err != nil {
		return nil, swConditions
	}
	secret, err := p.mapped.SharedX(d, peer)
	if err != nil || p.mapped.Size() != len(secret) || samePoint(peer, q) {
		return nil, swBadData
	}
	p.terminal, p.chip = peer, q
	if p.session, err = newSession(p.Cipher, secret); err != nil {
		return nil, swConditions
	}
	return ber.Make(0x84, p.mapped.Marshal(q)), swOK
}

func samePoint(a, b ec.Point) bool { return a.X.Cmp(b.X) == 0 && a.Y.Cmp(b.Y) == 0 }

// token is the authentication token over one side's key (ICAO 9303-11
// section 4.4.3.4).
func (p *paceRun) token(q ec.Point) []byte {
	body := ber.Make(0x7F49, ber.Make(ber.OID, append(oidPACE(), byte(p.Cipher))), ber.Make(0x86, p.Curve.Marshal(q)))
	if p.Cipher == TripleDES {
		body = pad(body, 8)
	}
	return p.session.authenticate(body)
}

func (c *Chip) paceTokens(p *paceRun, in ber.TLV) ([]byte, uint16) {
	if in.Tag != 0x85 {
		return nil, swBadData
	}
	if !bytes.Equal(in.Value, p.token(p.chip)) {
		return nil, swRejected
	}
	c.state.session, c.state.access = p.session, true
	return ber.Make(0x86, p.token(p.terminal)), swOK
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
