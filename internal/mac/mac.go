// Package mac holds the two message authentication codes of secure
// messaging: AES-CMAC (NIST SP 800-38B) and the retail MAC (ISO/IEC 9797-1
// MAC algorithm 3), which the standard library does not have.
package mac

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
)

// AESCMAC gives the 16-byte CMAC of msg (NIST SP 800-38B section 6.2). A key
// that is no AES key gives nil, which equals no MAC.
func AESCMAC(key, msg []byte) []byte {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	var k1, k2 [aes.BlockSize]byte
	b.Encrypt(k1[:], k1[:])
	shift(&k1)
	k2 = k1
	shift(&k2)

	// All blocks but the last, which is masked with K1 when it is whole and
	// with K2 when it has to be padded.
	n := max((len(msg)+aes.BlockSize-1)/aes.BlockSize, 1)
	sum := make([]byte, aes.BlockSize)
	for i := range n - 1 {
		xor(sum, msg[i*aes.BlockSize:(i+1)*aes.BlockSize])
		b.Encrypt(sum, sum)
	}
	last := msg[(n-1)*aes.BlockSize:]
	xor(sum, last)
	if len(last) == aes.BlockSize {
		xor(sum, k1[:])
	} else {
		sum[len(last)] ^= 0x80
		xor(sum, k2[:])
	}
	b.Encrypt(sum, sum)
	return sum
}

// shift doubles a value in GF(2^128) (SP 800-38B section 6.1).
func shift(k *[aes.BlockSize]byte) {
	carry := byte(0)
	for i := len(k) - 1; i >= 0; i-- {
		next := k[i] >> 7
		k[i] = k[i]<<1 | carry
		carry = next
	}
	k[len(k)-1] ^= 0x87 & -carry
}

// RetailMAC gives the 8-byte MAC of ISO/IEC 9797-1, algorithm 3 with DES, of
// a message that the caller has padded to whole blocks (ICAO 9303-11 section
// 9.8.6.2 uses padding method 2). The key has 16 bytes. A wrong key length or
// an unpadded message gives nil, which equals no MAC.
func RetailMAC(key, msgPadded []byte) []byte {
	if len(key) != 16 || len(msgPadded) == 0 || len(msgPadded)%des.BlockSize != 0 {
		return nil
	}
	a, err := des.NewCipher(key[:8])
	if err != nil {
		return nil
	}
	b, err := des.NewCipher(key[8:])
	if err != nil {
		return nil
	}
	sum := make([]byte, des.BlockSize)
	chain(a, sum, msgPadded)
	b.Decrypt(sum, sum)
	a.Encrypt(sum, sum)
	return sum
}

func chain(b cipher.Block, sum, msg []byte) {
	for ; len(msg) > 0; msg = msg[len(sum):] {
		xor(sum, msg[:len(sum)])
		b.Encrypt(sum, sum)
	}
}

func xor(dst, src []byte) {
	for i := range src {
		dst[i] ^= src[i]
	}
}
