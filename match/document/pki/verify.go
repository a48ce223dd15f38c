package pki

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"gateagent/internal/ber"
)

// Verify checks a signature over message. An error wraps ErrSignature where
// the signature is wrong and ErrUnsupported where it cannot be judged.
func (k *PublicKey) Verify(a Algorithm, message, signature []byte) error {
	if k == nil || !a.Hash.Available() {
		return fmt.Errorf("signature without key or algorithm: %w", ErrUnsupported)
	}
	digest := Sum(a.Hash, message)
	switch a.Scheme {
	case SchemePKCS1, SchemePSS:
		if k.N == nil {
			return errors.New("an RSA signature under a key of another kind")
		}
		if a.Scheme == SchemePSS {
			return k.verifyPSS(a, digest, signature)
		}
		if k.PSSOnly {
			return errors.New("a PKCS#1 v1.5 signature under a key that is for PSS alone")
		}
		return k.verifyPKCS1(a.Hash, digest, signature)
	case SchemeECDSA, SchemeECDSAPlain:
		if k.Curve == nil {
			return errors.New("an ECDSA signature under a key of another kind")
		}
		return k.verifyECDSA(a.Scheme, digest, signature)
	}
	return fmt.Errorf("signature algorithm: %w", ErrUnsupported)
}

// VerifyECDSA checks an ECDSA signature over a digest, as DER or as r || s
// (BSI TR-03111 section 5.2: both are in use for active authentication).
func (k *PublicKey) VerifyECDSA(digest, signature []byte) error {
	if k == nil || k.Curve == nil {
		return errors.New("not an elliptic curve key")
	}
	if k.verifyECDSA(SchemeECDSAPlain, digest, signature) == nil {
		return nil
	}
	return k.verifyECDSA(SchemeECDSA, digest, signature)
}

func (k *PublicKey) verifyECDSA(s Scheme, digest, signature []byte) error {
	var x, y *big.Int
	if s == SchemeECDSAPlain {
		n := len(signature) / 2
		if n == 0 || n*2 != len(signature) || n > 2*k.Curve.Size() {
			return fmt.Errorf("ECDSA signature of odd length: %w", ErrSignature)
		}
		x, y = new(big.Int).SetBytes(signature[:n]), new(big.Int).SetBytes(signature[n:])
	} else {
		r := open(signature, ber.Sequence)
		x, y = signedInt(r.expect(ber.Integer).Value), signedInt(r.expect(ber.Integer).Value)
		if r.err != nil || len(r.rest) != 0 {
			return fmt.Errorf("malformed ECDSA signature: %w", ErrSignature)
		}
	}
	if !k.Curve.Verify(k.Point, digest, x, y) {
		return ErrSignature
	}
	return nil
}

// signedInt gives the value of an INTEGER's content; a negative one is 0,
// which no signature accepts.
func signedInt(v []byte) *big.Int {
	if len(v) == 0 || v[0]&0x80 != 0 {
		return new(big.Int)
	}
	return new(big.Int).SetBytes(v)
}

// Recover applies the RSA public key to a signature: s^e mod n with the width
// of the modulus (RSAVP1, RFC 8017 section 5.2.2).
func (k *PublicKey) Recover(signature []byte) ([]byte, error) {
	size := (k.N.BitLen() + 7) / 8
	s := new(big.Int).SetBytes(signature)
	if len(signature) != size || s.Cmp(k.N) >= 0 {
		return nil, fmt.Errorf("RSA signature of %d bytes under a key of %d: %w", len(signature), size, ErrSignature)
	}
	return s.Exp(s, k.E, k.N).FillBytes(make([]byte, size)), nil
}

// verifyPKCS1 rebuilds the encoded message and compares it whole (RFC 8017
// section 8.2.2), so that nothing is ever parsed out of a signature.
func (k *PublicKey) verifyPKCS1(h crypto.Hash, digest, signature []byte) error {
	em, err := k.Recover(signature)
	if err != nil {
		return err
	}
	oid := EncodeOID(HashOID(h))
	for _, params := range [][]byte{{ber.Null, 0}, nil} { // both forms are signed in the field
		info := ber.Make(ber.Sequence, ber.Make(ber.Sequence, oid, params), ber.Make(ber.OctetString, digest))
		pad := len(em) - 3 - len(info)
		if pad < 8 {
			return fmt.Errorf("RSA key too short for its hash: %w", ErrSignature)
		}
		want := append([]byte{0, 1}, bytes.Repeat([]byte{0xFF}, pad)...)
		want = append(append(want, 0), info...)
		if bytes.Equal(em, want) {
			return nil
		}
	}
	return ErrSignature
}

// verifyPSS is EMSA-PSS-VERIFY (RFC 8017 section 9.1.2). crypto/rsa has no
// way to give the mask generation function a hash of its own.
func (k *PublicKey) verifyPSS(a Algorithm, digest, signature []byte) error {
	whole, err := k.Recover(signature)
	if err != nil {
		return err
	}
	if !a.MGF.Available() {
		return fmt.Errorf("mask generation function: %w", ErrUnsupported)
	}
	bits := k.N.BitLen() - 1
	em := whole[len(whole)-(bits+7)/8:]
	hLen := a.Hash.Size()
	if len(em) < hLen+a.Salt+2 || em[len(em)-1] != 0xBC || len(em) < len(whole) && whole[0] != 0 {
		return ErrSignature
	}
	db := bytes.Clone(em[:len(em)-hLen-1])
	h := em[len(em)-hLen-1 : len(em)-1]
	top := byte(0xFF) >> (8*len(em) - bits)
	if db[0]&^top != 0 {
		return ErrSignature
	}
	mask(a.MGF, h, db)
	db[0] &= top
	zeros := len(db) - a.Salt - 1
	for _, b := range db[:zeros] {
		if b != 0 {
			return ErrSignature
		}
	}
	if db[zeros] != 1 || !bytes.Equal(h, Sum(a.Hash, make([]byte, 8), digest, db[zeros+1:])) {
		return ErrSignature
	}
	return nil
}

// mask XORs MGF1(seed) into out (RFC 8017 appendix B.2.1).
func mask(h crypto.Hash, seed, out []byte) {
	var counter [4]byte
	for i := 0; len(out) > 0; i++ {
		binary.BigEndian.PutUint32(counter[:], uint32(i))
		for _, b := range Sum(h, seed, counter[:]) {
			if len(out) == 0 {
				return
			}
			out[0] ^= b
			out = out[1:]
		}
	}
}
