package chip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"math/bits"

	"gateagent/internal/mac"
)

// suite is one of the four cipher suites of ICAO 9303-11 (sections 4.4.4 and
// 6.2), numbered as in the last arc of the object identifiers.
type suite byte

const (
	suite3DES   suite = 1
	suiteAES128 suite = 2
	suiteAES192 suite = 3
	suiteAES256 suite = 4
)

func (u suite) valid() bool { return u >= suite3DES && u <= suiteAES256 }

// String names the suite as in the object identifiers.
func (u suite) String() string {
	return [...]string{"3DES-CBC-CBC", "AES-CBC-CMAC-128", "AES-CBC-CMAC-192", "AES-CBC-CMAC-256"}[u-1]
}

// strength is the security of the suite in bits (BSI TR-02102-1; two-key
// 3DES has at most 112).
func (u suite) strength() int { return [...]int{112, 128, 192, 256}[u-1] }

func (u suite) blockSize() int {
	if u == suite3DES {
		return des.BlockSize
	}
	return aes.BlockSize
}

// Counters of the key derivation (ICAO 9303-11 section 9.7.1).
const (
	deriveEnc      = 1
	deriveMAC      = 2
	derivePassword = 3
)

// derive is the key derivation function of ICAO 9303-11 section 9.7.1: the
// hash over secret and counter, SHA-1 for 3DES and AES-128, SHA-256 beyond.
func (u suite) derive(secret []byte, counter uint32) []byte {
	in := binary.BigEndian.AppendUint32(append(make([]byte, 0, len(secret)+4), secret...), counter)
	defer clear(in)
	switch u {
	case suiteAES192, suiteAES256:
		h := sha256.Sum256(in)
		return h[:8*int(u)]
	}
	h := sha1.Sum(in)
	k := h[:16]
	if u == suite3DES {
		for i, b := range k {
			b &^= 1
			k[i] = b | byte(^bits.OnesCount8(b)&1) // odd parity
		}
	}
	return k
}

// block makes the block cipher for a derived key.
func (u suite) block(key []byte) cipher.Block {
	// The only error is a wrong key length, and keys come from derive alone,
	// whose lengths fit (TestSuites).
	if u == suite3DES {
		b, _ := des.NewTripleDESCipher(append(append(make([]byte, 0, 24), key...), key[:8]...))
		return b
	}
	b, _ := aes.NewCipher(key)
	return b
}

// mac8 is the 8-byte MAC of the suite over msg, padded where 3DES wants it
// (ICAO 9303-11 sections 9.8.6 and 9.8.7).
func (u suite) mac8(key, msg []byte) []byte {
	if u == suite3DES {
		return mac.RetailMAC(key, pad(msg, des.BlockSize))
	}
	return mac.AESCMAC(key, msg)[:8]
}

// pad appends 80 00… up to a whole block (ISO/IEC 9797-1 method 2) in a new
// slice.
func pad(b []byte, block int) []byte {
	n := block - len(b)%block
	out := make([]byte, len(b)+n)
	copy(out, b)
	out[len(b)] = 0x80
	return out
}

// unpad removes that padding; false when there is none.
func unpad(b []byte, block int) ([]byte, bool) {
	for i := len(b) - 1; i >= 0 && i >= len(b)-block; i-- {
		switch b[i] {
		case 0:
		case 0x80:
			return b[:i], true
		default:
			return nil, false
		}
	}
	return nil, false
}

func sameMAC(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
