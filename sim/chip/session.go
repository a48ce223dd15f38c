package chip

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"math/bits"

	"gateagent/internal/ber"
	"gateagent/internal/mac"
)

// derive is the key derivation function of ICAO 9303-11 section 9.7.1:
// counter 1 for encryption, 2 for MAC, 3 for a PACE password.
func derive(c Cipher, secret []byte, counter byte) []byte {
	in := append(bytes.Clone(secret), 0, 0, 0, counter)
	switch c {
	case AES192:
		sum := sha256.Sum256(in)
		return sum[:24]
	case AES256:
		sum := sha256.Sum256(in)
		return sum[:]
	case TripleDES:
		sum := sha1.Sum(in)
		for i, b := range sum {
			sum[i] = b&0xFE | byte(1-bits.OnesCount8(b>>1)%2)
		}
		return sum[:16]
	}
	sum := sha1.Sum(in)
	return sum[:16]
}

func newBlock(c Cipher, key []byte) (cipher.Block, error) {
	if c == TripleDES {
		return des.NewTripleDESCipher(append(bytes.Clone(key), key[:8]...))
	}
	return aes.NewCipher(key)
}

// session is one run of secure messaging (ICAO 9303-11 section 9.8).
type session struct {
	cipher      Cipher
	block       cipher.Block
	macKey, ssc []byte
}

func newSession(c Cipher, secret []byte) (*session, error) {
	b, err := newBlock(c, derive(c, secret, 1))
	if err != nil {
		return nil, err
	}
	return &session{cipher: c, block: b, macKey: derive(c, secret, 2), ssc: make([]byte, b.BlockSize())}, nil
}

func (s *session) count() {
	for i := len(s.ssc) - 1; i >= 0; i-- {
		s.ssc[i]++
		if s.ssc[i] != 0 {
			return
		}
	}
}

// pad is padding method 2 of ISO/IEC 9797-1.
func pad(b []byte, size int) []byte {
	out := append(bytes.Clone(b), 0x80)
	return append(out, make([]byte, (size-len(out)%size)%size)...)
}

func unpad(b []byte) ([]byte, bool) {
	i := bytes.LastIndexByte(b, 0x80)
	if i < 0 || len(bytes.Trim(b[i+1:], "\x00")) != 0 {
		return nil, false
	}
	return b[:i], true
}

func (s *session) iv() []byte {
	iv := make([]byte, s.block.BlockSize())
	if s.cipher != TripleDES {
		s.block.Encrypt(iv, s.ssc)
	}
	return iv
}

func (s *session) encrypt(plain []byte) []byte {
	out := pad(plain, s.block.BlockSize())
	cipher.NewCBCEncrypter(s.block, s.iv()).CryptBlocks(out, out)
	return out
}

func (s *session) decrypt(b []byte) ([]byte, bool) {
	if len(b) == 0 || len(b)%s.block.BlockSize() != 0 {
		return nil, false
	}
	out := make([]byte, len(b))
	cipher.NewCBCDecrypter(s.block, s.iv()).CryptBlocks(out, b)
	return unpad(out)
}

// authenticate gives the eight bytes of DO 8E over whole blocks.
func (s *session) authenticate(padded []byte) []byte { return tag(s.cipher, s.macKey, padded) }

func tag(c Cipher, key, padded []byte) []byte {
	if c == TripleDES {
		return mac.RetailMAC(key, padded)
	}
	return mac.AESCMAC(key, padded)[:8]
}

// unwrap opens a protected command. The second value is the status word to
// answer in plain when that fails.
func (s *session) unwrap(c command) (command, uint16) {
	s.count()
	objects, err := ber.Children(c.data)
	if err != nil || len(objects) == 0 {
		return c, swNoSMObjects
	}
	plain := command{cla: c.cla &^ 0x0C, ins: c.ins, p1: c.p1, p2: c.p2, extended: c.extended}
	var signed, cryptogram, sum []byte
	for _, o := range objects {
		if sum != nil {
			return c, swBadSMObjects
		}
		switch o.Tag {
		case 0x85:
			cryptogram = o.Value
		case 0x87:
			if len(o.Value) == 0 || o.Value[0] != 1 {
				return c, swBadSMObjects
			}
			cryptogram = o.Value[1:]
		case 0x97:
			if plain.le = protectedLe(o.Value); plain.le == 0 {
				return c, swBadSMObjects
			}
		case 0x8E:
			sum = o.Value
			continue
		default:
			return c, swBadSMObjects
		}
		signed = append(signed, o.Raw...)
	}
	if sum == nil {
		return c, swNoSMObjects
	}
	n := append(bytes.Clone(s.ssc), pad([]byte{c.cla, c.ins, c.p1, c.p2}, s.block.BlockSize())...)
	if len(signed) > 0 {
		n = append(n, pad(signed, s.block.BlockSize())...)
	}
	if !bytes.Equal(s.authenticate(n), sum) {
		return c, swBadSMObjects
	}
	if cryptogram != nil {
		var ok bool
		if plain.data, ok = s.decrypt(cryptogram); !ok {
			return c, swBadSMObjects
		}
	}
	return plain, swOK
}

func protectedLe(b []byte) int {
	switch len(b) {
	case 1:
		return shortLe(b[0])
	case 2:
		return longLe(b)
	}
	return 0
}

// wrap protects an answer; odd says that the instruction was odd, whose data
// travel in DO 85 without padding indicator.
func (s *session) wrap(data []byte, sw uint16, odd bool) []byte {
	s.count()
	var body []byte
	if len(data) > 0 {
		if odd {
			body = ber.Make(0x85, s.encrypt(data))
		} else {
			body = ber.Make(0x87, []byte{1}, s.encrypt(data))
		}
	}
	body = append(body, ber.Make(0x99, []byte{byte(sw >> 8), byte(sw)})...)
	n := append(bytes.Clone(s.ssc), pad(body, s.block.BlockSize())...)
	return response(append(body, ber.Make(0x8E, s.authenticate(n))...), sw)
}

// room says how many bytes of data fit into a protected answer of at most n
// bytes.
func (s *session) room(n int) int {
	size := s.block.BlockSize()
	n -= 4 + 10 + 5 // DO 99, DO 8E, header of DO 87 with its indicator
	return n/size*size - 1
}
