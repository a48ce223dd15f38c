package chip

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha1"
	"io"
	"math/big"

	"gateagent/internal/ber"
	"gateagent/internal/modp"
)

// arcPACE is id-PACE (ICAO 9303-11 section 9.2.3).
func arcPACE() []byte { return []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x04} }

// OID is the object identifier of the protocol, value only: id-PACE, key
// agreement and mapping in one number, cipher (ICAO 9303-11 section 9.2.3).
func (p PACE) OID() []byte {
	kind := byte(1) // DH with generic mapping
	switch {
	case p.Mapping == ChipAuthMapping:
		kind = 6
	case p.Mapping == IntegratedMapping:
		kind = 3
	}
	if p.Curve != nil && p.Mapping != ChipAuthMapping {
		kind++
	}
	return append(arcPACE(), kind, byte(p.Cipher))
}

// domain gives the parameters, and refuses what no chip can do.
func (p PACE) domain() (domain, bool) {
	var g *modp.Group
	if p.Curve == nil {
		found, ok := modp.ByID(p.Group)
		if !ok || p.Mapping == ChipAuthMapping {
			return domain{}, false
		}
		g = found
	}
	d, err := newDomain(p.Curve, g)
	return d, err == nil && (p.Curve == nil || p.Mapping != IntegratedMapping || integrable(p.Curve)) &&
		(p.Mapping != ChipAuthMapping || p.Cipher != TripleDES && p.Static != nil)
}

// paceRun is PACE between MSE:Set AT and the last GENERAL AUTHENTICATE
// (ICAO 9303-11 section 4.4).
type paceRun struct {
	PACE
	static   domain
	password []byte // key from CAN or MRZ
	step     int
	nonce    []byte
	mapKey   *big.Int // of the generic mapping
	mapped   domain
	terminal []byte // ephemeral keys over the mapped generator, as sent
	chip     []byte
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
	var found []PACE
	for _, p := range c.cfg.PACE {
		id, given := fields[0x84]
		if bytes.Equal(p.OID(), fields[0x80]) && (!given || new(big.Int).SetBytes(id).Cmp(big.NewInt(int64(p.ID))) == 0) {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return swBadData
	}
	if len(found) > 1 {
		return swNoReference // the same protocol with several parameters, and no id
	}
	d, ok := found[0].domain()
	if !ok {
		return swBadData
	}
	password, ok := c.passwordKey(fields[0x83], found[0].Cipher)
	if !ok {
		return swNoReference
	}
	status := c.triesLeft()
	if status == swNoTries {
		return status
	}
	c.state.pace = &paceRun{PACE: found[0], static: d, password: password}
	return status
}

// swNoTries says that the password is suspended (BSI TR-03110-3 appendix
// B.14.1: 63Cx with no tries left).
const swNoTries = 0x63C0

// triesLeft is what MSE:Set AT answers: 63Cx once a password was wrong.
func (c *Chip) triesLeft() uint16 {
	q := c.cfg.Quirks
	if q.Tries == 0 || c.wrong == 0 {
		return swOK
	}
	return swNoTries | uint16(max(q.Tries-c.wrong, 0)&0x0F)
}

// rejected is what a wrong token is answered by.
func (c *Chip) rejected() uint16 {
	c.wrong++
	switch q := c.cfg.Quirks; {
	case q.Tries > 0:
		return c.triesLeft()
	case q.RejectStatus != 0:
		return q.RejectStatus
	}
	return swRejected
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

// paceNonce: for the integrated mapping the nonce has the smallest number of
// whole blocks that the key fits into, for the others two or one will do (ICAO
// 9303-11 section 4.4.3.3).
func (c *Chip) paceNonce(p *paceRun, in ber.TLV) ([]byte, uint16) {
	if in.Tag != 0 {
		return nil, swBadData
	}
	size := 16
	if p.Mapping == IntegratedMapping {
		c0, _ := mapConstants(p.Cipher)
		size = len(c0)
	}
	p.nonce = make([]byte, size)
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

// paceMap agrees on a generator.
func (c *Chip) paceMap(p *paceRun, in ber.TLV) ([]byte, uint16) {
	if in.Tag != 0x81 {
		return nil, swBadData
	}
	var err error
	if p.Mapping == IntegratedMapping {
		c.charge(1, c.cfg.Model.PACE/2)
		if len(in.Value) != keyLength(p.Cipher) {
			return nil, swBadData
		}
		if p.mapped, err = p.static.integrated(p.Cipher, p.nonce, in.Value); err != nil {
			return nil, swBadData
		}
		return ber.Make(0x82), swOK
	}
	c.charge(2, c.cfg.Model.PACE/2)
	k, public, err := p.static.generate(c.random)
	if err != nil {
		return nil, swConditions
	}
	p.mapKey = k
	if p.mapped, err = p.static.generic(p.nonce, k, in.Value); err != nil {
		return nil, swBadData
	}
	return ber.Make(0x82, c.encoded(p.static, public)), swOK
}

// encoded drops leading zeros of a number where the chip has that habit.
func (c *Chip) encoded(d domain, public []byte) []byte {
	if c.cfg.Quirks.ShortIntegers && d.curve == nil {
		return bytes.TrimLeft(public, "\x00")
	}
	return public
}

func (c *Chip) paceAgree(p *paceRun, in ber.TLV) ([]byte, uint16) {
	c.charge(2, c.cfg.Model.PACE-c.cfg.Model.PACE/2)
	if in.Tag != 0x83 {
		return nil, swBadData
	}
	k, public, err := p.mapped.generate(c.random)
	if err != nil {
		return nil, swConditions
	}
	secret, err := p.mapped.agree(k, in.Value)
	if err != nil || same(in.Value, public) {
		return nil, swBadData
	}
	p.terminal, p.chip = bytes.Clone(in.Value), c.encoded(p.mapped, public)
	if p.session, err = newSession(p.Cipher, secret); err != nil {
		return nil, swConditions
	}
	return ber.Make(0x84, p.chip), swOK
}

// token is the authentication token over one side's key as it was sent (ICAO
// 9303-11 section 4.4.3.4).
func (p *paceRun) token(public []byte) []byte {
	body := ber.Make(0x7F49, ber.Make(ber.OID, p.OID()), ber.Make(p.static.keyTag(), public))
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
		return nil, c.rejected()
	}
	c.wrong = 0
	out := ber.Make(0x86, p.token(p.terminal))
	if p.Mapping == ChipAuthMapping && !c.cfg.Quirks.NoMappingProof {
		proof, ok := p.mappingProof()
		if !ok {
			return nil, swConditions
		}
		c.charge(1, 0)
		out = append(out, ber.Make(0x8A, proof)...)
	}
	c.state.session, c.state.access = p.session, true
	return out, swOK
}

// mappingProof is the encrypted chip authentication data: the key of the
// mapping divided by the static key, modulo the order, in the width of the
// order (ICAO 9303-11 sections 4.4.3.5.1, 4.4.3.5.4 and 4.4.5.6).
func (p *paceRun) mappingProof() ([]byte, bool) {
	n := p.Curve.N
	inverse := new(big.Int).ModInverse(p.Static, n)
	if inverse == nil {
		return nil, false
	}
	v := inverse.Mul(inverse, p.mapKey)
	b := p.session.block
	out := pad(v.Mod(v, n).FillBytes(make([]byte, (n.BitLen()+7)/8)), b.BlockSize())
	iv := bytes.Repeat([]byte{0xFF}, b.BlockSize())
	b.Encrypt(iv, iv)
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(out, out)
	return out, true
}
