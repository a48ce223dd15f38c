package doc

import (
	"crypto"
	_ "crypto/sha1" // for the hashes of older documents
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"io"
	"math/big"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
)

// Algorithm names a kind of key and how it signs. RSA counts modulus bits;
// where it is 0, Curve names the curve and the signature is ECDSA.
type Algorithm struct {
	RSA      int
	PSS      bool
	Curve    string // "P-256", "brainpoolP256r1"
	Explicit bool   // EC parameters spelled out instead of named
	Hash     crypto.Hash
}

// key is a private key that signs deterministically.
type key struct {
	alg   Algorithm
	n, d  *big.Int // RSA modulus and exponent; d also the EC private key
	curve *ec.Curve
	q     ec.Point
}

const rsaExponent = 65537

// newKey makes a key from the given stream of bytes and from nothing else,
// so that a world can be made again from its seed.
func newKey(rand io.Reader, alg Algorithm) (*key, error) {
	k := &key{alg: alg}
	if alg.RSA > 0 {
		return k, k.makeRSA(rand)
	}
	c, ok := ec.ByName(alg.Curve)
	if !ok {
		return nil, fmt.Errorf("sim/doc: no curve is named %q", alg.Curve)
	}
	d, err := scalar(rand, c)
	if err != nil {
		return nil, err
	}
	k.curve, k.d, k.q = c, d, c.BaseMult(d)
	return k, nil
}

// scalar draws a private key: eight bytes more than the order has, reduced
// (FIPS 186-5 appendix A.2.1).
func scalar(rand io.Reader, c *ec.Curve) (*big.Int, error) {
	b := make([]byte, (c.N.BitLen()+7)/8+8)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, err
	}
	one := big.NewInt(1)
	d := new(big.Int).SetBytes(b)
	d.Mod(d, new(big.Int).Sub(c.N, one))
	return d.Add(d, one), nil
}

func (k *key) makeRSA(rand io.Reader) error {
	e, one := big.NewInt(rsaExponent), big.NewInt(1)
	for {
		p, err := prime(rand, k.alg.RSA/2)
		if err != nil {
			return err
		}
		q, err := prime(rand, k.alg.RSA-k.alg.RSA/2)
		if err != nil {
			return err
		}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		k.n, k.d = new(big.Int).Mul(p, q), new(big.Int).ModInverse(e, phi)
		if k.d != nil && p.Cmp(q) != 0 {
			return nil
		}
	}
}

// smallPrimes are tried as divisors before the costly test.
func smallPrimes() []uint64 {
	var out []uint64
next:
	for n := uint64(3); n < 2000; n += 2 {
		for _, p := range out {
			if n%p == 0 {
				continue next
			}
		}
		out = append(out, n)
	}
	return out
}

// prime draws a prime with the two top bits set. crypto/rand.Prime is not
// used because it promises nothing about the same stream giving the same
// prime.
func prime(rand io.Reader, bits int) (*big.Int, error) {
	b := make([]byte, (bits+7)/8)
	small := smallPrimes()
	for {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, err
		}
		p := new(big.Int).SetBytes(b)
		p.Rsh(p, uint(len(b)*8-bits))
		p.SetBit(p, bits-1, 1).SetBit(p, bits-2, 1).SetBit(p, 0, 1)
		rest := make([]uint64, len(small))
		for i, s := range small {
			rest[i] = new(big.Int).Mod(p, new(big.Int).SetUint64(s)).Uint64()
		}
	next:
		for delta := uint64(0); delta < 1<<16; delta += 2 {
			for i, s := range small {
				if (rest[i]+delta)%s == 0 {
					continue next
				}
			}
			c := new(big.Int).Add(p, new(big.Int).SetUint64(delta))
			if c.BitLen() == bits && c.ProbablyPrime(8) {
				return c, nil
			}
		}
	}
}

// spki encodes SubjectPublicKeyInfo (RFC 5280 section 4.1, RFC 3279 section
// 2.3).
func (k *key) spki() []byte {
	return seq(k.keyAlgorithm(), bitString(k.publicBits()))
}

func (k *key) publicBits() []byte {
	if k.n != nil {
		return seq(integer(k.n), smallInt(rsaExponent))
	}
	return k.curve.Marshal(k.q)
}

func (k *key) keyAlgorithm() []byte {
	if k.n != nil {
		return seq(oid(oidRSA), null())
	}
	params := oid(k.curve.OID)
	if k.alg.Explicit {
		params = explicitParameters(k.curve)
	}
	return seq(oid("1.2.840.10045.2.1"), params)
}

// explicitParameters spells a prime curve out (RFC 3279 section 2.3.5).
func explicitParameters(c *ec.Curve) []byte {
	field := func(v *big.Int) []byte { return octets(v.FillBytes(make([]byte, c.Size()))) }
	return seq(
		smallInt(1),
		seq(oid("1.2.840.10045.1.1"), integer(c.P)),
		seq(field(c.A), field(c.B)),
		octets(c.Marshal(c.G)),
		integer(c.N),
		smallInt(c.H),
	)
}

// keyID is the SHA-1 of the public key bits (RFC 5280 section 4.2.1.2).
func (k *key) keyID() []byte { return digest(crypto.SHA1, k.publicBits()) }

func digest(h crypto.Hash, parts ...[]byte) []byte {
	w := h.New()
	for _, p := range parts {
		w.Write(p)
	}
	return w.Sum(nil)
}

// Object identifiers of signatures and hashes (RFC 3279, 4055, 5758).
const (
	oidRSA  = "1.2.840.113549.1.1.1"
	oidPSS  = "1.2.840.113549.1.1.10"
	oidMGF1 = "1.2.840.113549.1.1.8"
)

type hashOIDs struct{ plain, rsa, ecdsa string }

func hashOID(h crypto.Hash) (hashOIDs, error) {
	switch h {
	case crypto.SHA1:
		return hashOIDs{"1.3.14.3.2.26", "1.2.840.113549.1.1.5", "1.2.840.10045.4.1"}, nil
	case crypto.SHA224:
		return hashOIDs{"2.16.840.1.101.3.4.2.4", "1.2.840.113549.1.1.14", "1.2.840.10045.4.3.1"}, nil
	case crypto.SHA256:
		return hashOIDs{"2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2"}, nil
	case crypto.SHA384:
		return hashOIDs{"2.16.840.1.101.3.4.2.2", "1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3"}, nil
	case crypto.SHA512:
		return hashOIDs{"2.16.840.1.101.3.4.2.3", "1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4"}, nil
	}
	return hashOIDs{}, fmt.Errorf("sim/doc: hash %v is not one that documents use", h)
}

// hashAlgorithm encodes the AlgorithmIdentifier of a hash.
func hashAlgorithm(h crypto.Hash) ([]byte, error) {
	o, err := hashOID(h)
	if err != nil {
		return nil, err
	}
	return seq(oid(o.plain), null()), nil
}

// signatureAlgorithm encodes the AlgorithmIdentifier of the key's signatures.
func (k *key) signatureAlgorithm() ([]byte, error) {
	o, err := hashOID(k.alg.Hash)
	if err != nil {
		return nil, err
	}
	switch {
	case k.n == nil:
		return seq(oid(o.ecdsa)), nil
	case !k.alg.PSS:
		return seq(oid(o.rsa), null()), nil
	}
	h := seq(oid(o.plain), null())
	return seq(oid(oidPSS), seq(
		ber.Make(0xA0, h),
		ber.Make(0xA1, seq(oid(oidMGF1), h)),
		ber.Make(0xA2, smallInt(k.alg.Hash.Size())),
	)), nil
}
