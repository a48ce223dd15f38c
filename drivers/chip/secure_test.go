package chip

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/sha1"
	"testing"

	"gateagent/gate"
	"gateagent/internal/ber"
	"gateagent/internal/mac"
)

// TestUnwrapStrict: objects in any other number, order or size than section
// 9.8.4 of ICAO 9303-11 knows are refused, even under a right MAC.
func TestUnwrapStrict(t *testing.T) {
	status := ber.Make(doStatus, []byte{0x90, 0})
	for u := suite3DES; u <= suiteAES256; u++ {
		fresh := func() *secure { return newSecure(u, []byte("secret"), nil) }
		seal := func(indicator []byte, plain []byte) []byte {
			m := fresh()
			m.count()
			enc := bytes.Clone(plain)
			cipher.NewCBCEncrypter(m.enc, m.iv()).CryptBlocks(enc, enc)
			return append(indicator, enc...)
		}
		n := u.blockSize()
		data := ber.Make(doPaddedEnc, seal([]byte{1}, pad([]byte("data"), n)))
		signed := func(parts ...[]byte) []byte {
			m := fresh()
			m.count()
			body := bytes.Join(parts, nil)
			return append(body, ber.Make(doMAC, m.sum(body))...)
		}
		for what, c := range map[string]struct {
			answer []byte
			err    error
		}{
			"data":                {signed(data, status), nil},
			"status alone":        {signed(status), nil},
			"odd instruction":     {signed(ber.Make(doPlainEnc, seal(nil, pad([]byte("data"), n))), status), nil},
			"no status":           {signed(data), errObjects},
			"no MAC":              {append(bytes.Clone(data), status...), errObjects},
			"nothing":             {nil, errObjects},
			"status first":        {signed(status, data), errObjects},
			"two statuses":        {signed(data, status, status), errObjects},
			"two cryptograms":     {signed(data, data, status), errObjects},
			"long status":         {signed(ber.Make(doStatus, []byte{0x90, 0, 0})), errObjects},
			"unknown object":      {signed(data, ber.Make(0x80, []byte{1}), status), errObjects},
			"after the MAC":       {append(signed(data, status), status...), errObjects},
			"bytes after the MAC": {append(signed(data, status), 0), errObjects},
			"short MAC":           {append(append(bytes.Clone(status), doMAC, 4), signed(status)[6:10]...), errObjects},
			"wrong MAC":           {append(signed(data, status)[:len(data)+6], make([]byte, 8)...), errMAC},
			"no indicator":        {signed(ber.Make(doPaddedEnc, seal(nil, pad([]byte("data"), n))), status), errCryptogram},
			"empty cryptogram":    {signed(ber.Make(doPaddedEnc, []byte{1}), status), errCryptogram},
			"empty object":        {signed(ber.Make(doPaddedEnc), status), errCryptogram},
			"part of a block":     {signed(ber.Make(doPaddedEnc, []byte{1, 2, 3}), status), errCryptogram},
			"no padding":          {signed(ber.Make(doPaddedEnc, seal([]byte{1}, make([]byte, n))), status), errCryptogram},
			"wrong padding":       {signed(ber.Make(doPaddedEnc, seal([]byte{1}, bytes.Repeat([]byte{7}, n))), status), errCryptogram},
			"padding block ahead": {signed(ber.Make(doPaddedEnc, seal([]byte{1}, append(pad(nil, n), make([]byte, n)...))), status), errCryptogram},
		} {
			got, err := fresh().unwrap(response{data: c.answer, sw: swOK})
			if err != c.err {
				t.Errorf("%s, %s: %v, want %v", u, what, err, c.err)
			}
			if err == nil && (got.sw != swOK || len(got.data) > 0 && string(got.data) != "data") {
				t.Errorf("%s, %s: %+v", u, what, got)
			}
		}
	}
}

// TestProtectedStatusCounts: the status outside the MAC may be forged.
func TestProtectedStatusCounts(t *testing.T) {
	m := newSecure(suiteAES128, []byte("secret"), nil)
	m.count()
	body := ber.Make(doStatus, []byte{0x6A, 0x82})
	body = append(body, ber.Make(doMAC, m.sum(body))...)
	got, err := newSecure(suiteAES128, []byte("secret"), nil).unwrap(response{data: body, sw: swOK})
	if err != nil || got.sw != 0x6A82 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSuites: derived keys fit their ciphers; every block is one.
func TestSuites(t *testing.T) {
	for u := suite3DES; u <= suiteAES256; u++ {
		for _, counter := range []uint32{deriveEnc, deriveMAC, derivePassword} {
			key := u.derive([]byte("secret"), counter)
			if len(key) != []int{16, 16, 24, 32}[u-1] {
				t.Errorf("%s: %d bytes", u, len(key))
			}
			if u.block(key).BlockSize() != u.blockSize() || len(u.mac8(key, []byte("text"))) != 8 {
				t.Errorf("%s: wrong block or MAC", u)
			}
		}
	}
	if suite(0).valid() || suite(5).valid() {
		t.Error("an unknown suite is valid")
	}
}

// TestEncode: the forms of ISO/IEC 7816-4 section 5.2.
func TestEncode(t *testing.T) {
	long := bytes.Repeat([]byte{0xAA}, 256)
	for want, c := range map[string]command{
		"00A40000":                         {ins: insSelect},
		"00B0000000":                       {ins: insReadBinary, ne: 256},
		"00B0000000" + "0101":              {ins: insReadBinary, ne: 257},
		"00B0000000" + "0000":              {ins: insReadBinary, ne: 65536},
		"00A4040C02" + "3F00":              {ins: insSelect, p1: 4, p2: 12, data: []byte{0x3F, 0}},
		"00880000" + "02AABB" + "08":       {ins: insInternalAuth, data: []byte{0xAA, 0xBB}, ne: 8},
		"00880000" + "000002AABB" + "0200": {ins: insInternalAuth, data: []byte{0xAA, 0xBB}, ne: 512},
	} {
		wantBytes(t, "command", c.encode(false), want)
	}
	b := command{ins: insMSE, data: long}.encode(false)
	if len(b) != 4+3+256 || !bytes.Equal(b[:7], []byte{0, insMSE, 0, 0, 0, 1, 0}) {
		t.Errorf("%X…", b[:7])
	}
}

// TestBACEcho: a chip that knows the keys but answers to other challenges
// replays somebody else's run.
func TestBACEcho(t *testing.T) {
	const info = "L898902C<369080619406236"
	h := sha1.Sum([]byte(info))
	enc, macKey := suite3DES.derive(h[:16], deriveEnc), suite3DES.derive(h[:16], deriveMAC)
	rndIC := []byte("CHIP RND")
	for what, change := range map[string]int{"nothing": -1, "the chip's challenge": 0, "our challenge": 8} {
		s := New(transmitFunc(func(_ context.Context, apdu []byte) ([]byte, error) {
			if apdu[1] == insGetChallenge {
				return append(bytes.Clone(rndIC), 0x90, 0), nil
			}
			block := suite3DES.block(enc)
			msg := make([]byte, 32)
			cipher.NewCBCDecrypter(block, make([]byte, 8)).CryptBlocks(msg, apdu[5:37])
			answer := append(append(bytes.Clone(msg[8:16]), msg[:8]...), make([]byte, 16)...)
			if change >= 0 {
				answer[change] ^= 1
			}
			cipher.NewCBCEncrypter(block, make([]byte, 8)).CryptBlocks(answer, answer)
			answer = append(answer, mac.RetailMAC(macKey, pad(answer, 8))...)
			return append(answer, 0x90, 0), nil
		}), Options{})
		err := s.runBAC(context.Background(), []byte(info))
		if change < 0 {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantError(t, what, err, gate.ChipNonsense, gate.CodeWrongToken)
	}
}

// TestEmptyPieces: GET RESPONSE that brings nothing ends at once.
func TestEmptyPieces(t *testing.T) {
	n := 0
	s := New(transmitFunc(func(context.Context, []byte) ([]byte, error) { n++; return []byte{0x61, 0x10}, nil }), Options{})
	_, err := s.Open(context.Background(), byMRZ())
	wantError(t, "empty pieces", err, gate.ChipNonsense, gate.CodeChipNonsense)
	if n > 2 {
		t.Errorf("%d commands", n)
	}
}
