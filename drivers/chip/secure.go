package chip

import (
	"crypto/cipher"
	"errors"

	"gateagent/internal/ber"
)

// Data objects of secure messaging (ICAO 9303-11 section 9.8.4).
const (
	doPlainEnc   = 0x85 // cryptogram of plain BER-TLV, with odd instructions
	doPaddedEnc  = 0x87 // padding indicator and cryptogram
	doLe         = 0x97
	doStatus     = 0x99
	doMAC        = 0x8E
	claSecure    = 0x0C
	claChaining  = 0x10
	padIndicator = 0x01
)

var (
	errUnprotected = errors.New("an answer without secure messaging")
	errMAC         = errors.New("wrong MAC")
	errObjects     = errors.New("malformed secure messaging objects")
	errCryptogram  = errors.New("malformed cryptogram")
)

// secure is one secure messaging session (ICAO 9303-11 section 9.8).
type secure struct {
	suite  suite
	enc    cipher.Block
	encKey []byte
	macKey []byte
	ssc    []byte // send sequence counter, one block wide
	ready  *prepared
}

// newSecure starts a session with keys derived from a shared secret; the
// counter is zero (sections 9.8.6.3 and 9.8.7.3) unless ssc says otherwise, as with BAC.
func newSecure(u suite, secret, ssc []byte) *secure {
	m := &secure{suite: u, encKey: u.derive(secret, deriveEnc), macKey: u.derive(secret, deriveMAC), ssc: make([]byte, u.blockSize())}
	m.enc = u.block(m.encKey)
	copy(m.ssc, ssc)
	return m
}

// wipe overwrites the keys; the expanded key of the cipher is only released.
func (m *secure) wipe() {
	m.take()
	clear(m.encKey)
	clear(m.macKey)
	clear(m.ssc)
	m.enc = nil
}

// count steps the counter: before every command and every response.
func (m *secure) count() {
	for i := len(m.ssc) - 1; i >= 0; i-- {
		m.ssc[i]++
		if m.ssc[i] != 0 {
			return
		}
	}
}

// iv is zero for 3DES and the encrypted counter for AES (sections 9.8.6, 9.8.7).
func (m *secure) iv() []byte {
	iv := make([]byte, m.suite.blockSize())
	if m.suite != suite3DES {
		m.enc.Encrypt(iv, m.ssc)
	}
	return iv
}

// sum is the MAC over the counter and msg.
func (m *secure) sum(msg []byte) []byte {
	b := append(append(make([]byte, 0, len(m.ssc)+len(msg)+16), m.ssc...), msg...)
	if m.suite != suite3DES {
		b = pad(b, m.suite.blockSize())
	}
	return m.suite.mac8(m.macKey, b)
}

// wrap protects a command (section 9.8.4). Short length is kept as long as
// the protected answer fits into 256 bytes.
func (m *secure) wrap(c command) []byte {
	m.count()
	header := []byte{c.cla | claSecure, c.ins, c.p1, c.p2}
	var objects []byte
	if len(c.data) > 0 {
		enc := pad(c.data, m.suite.blockSize())
		cipher.NewCBCEncrypter(m.enc, m.iv()).CryptBlocks(enc, enc)
		if c.ins&1 == 0 {
			objects = ber.Make(doPaddedEnc, []byte{padIndicator}, enc)
		} else {
			objects = ber.Make(doPlainEnc, enc)
		}
	}
	if c.ne > 0 {
		le := []byte{byte(c.ne)}
		if c.ne > maxShortNe { // 65536 is 0000
			le = []byte{byte(c.ne >> 8), byte(c.ne)}
		}
		objects = append(objects, ber.Make(doLe, le)...)
	}
	msg := append(pad(header, m.suite.blockSize()), objects...)
	objects = append(objects, ber.Make(doMAC, m.sum(msg))...)
	out := command{cla: header[0], ins: c.ins, p1: c.p1, p2: c.p2, data: objects, ne: maxShortNe}
	if m.extended(c) || out.extended() {
		out.ne = maxNe
	}
	return out.encode(false)
}

// extended says whether the protected command needs extended length.
func (m *secure) extended(c command) bool { return c.ne > m.suite.shortRoom() && !c.short }

// maxProtectedShort is how many bytes of data a protected answer of 256 bytes
// can carry with any cipher: 3 bytes header, 1 padding indicator, 224
// cryptogram, 4 status, 10 MAC.
const maxProtectedShort = 223

// shortRoom is the same for one cipher: the cryptogram of 3DES has 232 bytes.
func (u suite) shortRoom() int {
	if u == suite3DES {
		return 231
	}
	return maxProtectedShort
}

// unwrap proves and opens a response. The protected status counts; the one
// outside may have been changed on the way.
func (m *secure) unwrap(r response) (response, error) {
	m.count()
	var data, status, sum *ber.TLV
	rest, proven := r.data, 0
	for len(rest) > 0 {
		t, after, err := ber.Next(rest)
		if err != nil || sum != nil {
			return response{}, errObjects
		}
		switch {
		case (t.Tag == doPaddedEnc || t.Tag == doPlainEnc) && data == nil && status == nil:
			data = &t
		case t.Tag == doStatus && status == nil && len(t.Value) == 2:
			status = &t
		case t.Tag == doMAC && len(t.Value) == 8:
			sum, proven = &t, len(r.data)-len(rest)
		default:
			return response{}, errObjects
		}
		rest = after
	}
	if status == nil || sum == nil {
		return response{}, errObjects
	}
	if !sameMAC(m.sum(r.data[:proven]), sum.Value) {
		return response{}, errMAC
	}
	out := response{sw: uint16(status.Value[0])<<8 | uint16(status.Value[1])}
	if data == nil {
		return out, nil
	}
	var err error
	out.data, err = m.open(data)
	return out, err
}

// open decrypts a proven cryptogram.
func (m *secure) open(t *ber.TLV) ([]byte, error) {
	enc := t.Value
	if t.Tag == doPaddedEnc {
		if len(enc) == 0 || enc[0] != padIndicator {
			return nil, errCryptogram
		}
		enc = enc[1:]
	}
	n := m.suite.blockSize()
	if len(enc) == 0 || len(enc)%n != 0 {
		return nil, errCryptogram
	}
	plain := make([]byte, len(enc))
	cipher.NewCBCDecrypter(m.enc, m.iv()).CryptBlocks(plain, enc)
	plain, ok := unpad(plain, n)
	if !ok {
		return nil, errCryptogram
	}
	return plain, nil
}
