package doc

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"io"
	"math/big"
	"math/rand/v2"

	"gateagent/internal/ber"
)

// stream gives an endless reproducible stream of bytes for a purpose.
func stream(parts ...[]byte) io.Reader {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte{byte(len(p) >> 8), byte(len(p))})
		h.Write(p)
	}
	return rand.NewChaCha8([32]byte(h.Sum(nil)))
}

// sign gives the DER signature value over message. Salts and nonces come
// from key and message, so that the same world signs the same bytes.
func (k *key) sign(message []byte) ([]byte, error) {
	sum := digest(k.alg.Hash, message)
	salt := stream(k.d.Bytes(), message)
	if k.n == nil {
		r, s, err := k.curve.Sign(salt, k.d, sum)
		if err != nil {
			return nil, err
		}
		return seq(integer(r), integer(s)), nil
	}
	encode := k.encodePKCS1
	if k.alg.PSS {
		encode = k.encodePSS
	}
	em, err := encode(salt, sum)
	if err != nil {
		return nil, err
	}
	return k.rawRSA(em), nil
}

func (k *key) rawRSA(em []byte) []byte {
	s := new(big.Int).Exp(new(big.Int).SetBytes(em), k.d, k.n)
	return s.FillBytes(make([]byte, (k.n.BitLen()+7)/8))
}

var errKeyTooShort = errors.New("sim/doc: the RSA key is too short for its hash")

// encodePKCS1 is EMSA-PKCS1-v1_5 (RFC 8017 section 9.2).
func (k *key) encodePKCS1(_ io.Reader, sum []byte) ([]byte, error) {
	alg, err := hashAlgorithm(k.alg.Hash)
	if err != nil {
		return nil, err
	}
	info := seq(alg, octets(sum))
	em := make([]byte, (k.n.BitLen()+7)/8)
	pad := len(em) - len(info) - 3
	if pad < 8 {
		return nil, errKeyTooShort
	}
	em[1] = 1
	for i := 0; i < pad; i++ {
		em[2+i] = 0xFF
	}
	copy(em[3+pad:], info)
	return em, nil
}

// encodePSS is EMSA-PSS (RFC 8017 section 9.1.1).
func (k *key) encodePSS(random io.Reader, sum []byte) ([]byte, error) {
	h, bits := k.alg.Hash, k.n.BitLen()-1
	em := make([]byte, (bits+7)/8)
	salt := make([]byte, k.alg.saltLength())
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	dbLen := len(em) - h.Size() - 1
	if dbLen < len(salt)+1 {
		return nil, errKeyTooShort
	}
	hash := digest(h, make([]byte, 8), sum, salt)
	db := em[:dbLen]
	db[dbLen-len(salt)-1] = 1
	copy(db[dbLen-len(salt):], salt)
	for i, m := range mgf1(h, hash, dbLen) {
		db[i] ^= m
	}
	db[0] &= 0xFF >> (8*len(em) - bits)
	copy(em[dbLen:], hash)
	em[len(em)-1] = 0xBC
	return em, nil
}

// mgf1 is the mask generation function of RFC 8017 appendix B.2.1.
func mgf1(h crypto.Hash, seed []byte, n int) []byte {
	var out []byte
	for c := byte(0); len(out) < n; c++ {
		out = append(out, digest(h, seed, []byte{0, 0, 0, c})...)
	}
	return out[:n]
}

// signedStructure wraps a to-be-signed part with algorithm and signature, as
// certificates and revocation lists do.
func (k *key) signedStructure(tbs []byte) ([]byte, error) {
	alg, err := k.signatureAlgorithm()
	if err != nil {
		return nil, err
	}
	sig, err := k.sign(tbs)
	if err != nil {
		return nil, err
	}
	return ber.Make(ber.Sequence, tbs, alg, bitString(sig)), nil
}
