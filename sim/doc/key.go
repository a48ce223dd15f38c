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

	NoNull   bool // algorithms without the NULL that RFC 4055 section 2.1 wants
	KeyPSS   bool // the RSA key itself is said to be for PSS alone (RFC 4055 section 1.2)
	Salt     int  // PSS: length of the salt; 0: that of the hash
	Trailer  bool // PSS: the default trailer field is written out
	Exponent int  // of RSA; 0: 65537
}

// exponent of RSA keys.
func (a Algorithm) exponent() int {
	if a.Exponent != 0 {
		return a.Exponent
	}
	return 65537
}

// key is a private key that signs deterministically.
type key struct {
	alg   Algorithm
	n, d  *big.Int // RSA modulus and exponent; d also the EC private key
	curve *ec.Curve
	q     ec.Point
}

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

// makeRSA multiplies two primes; keys of 1536 bits and more are made of
// primes of 256 bits (RFC 8017 section 3.1 allows more than two), which are
// found much sooner and make no difference to whoever verifies.
func (k *key) makeRSA(rand io.Reader) error {
	sizes, top := []int{k.alg.RSA / 2, k.alg.RSA - k.alg.RSA/2}, 2
	if k.alg.RSA >= 1536 {
		sizes, top = nil, 6
		for left := k.alg.RSA; left > 0; left -= 256 {
			sizes = append(sizes, min(left, 256))
		}
	}
	one, e := big.NewInt(1), big.NewInt(int64(k.alg.exponent()))
	for {
		n, phi, seen := big.NewInt(1), big.NewInt(1), map[string]bool{}
		for _, bits := range sizes {
			p := one
			for new(big.Int).Mod(p, e).Cmp(one) == 0 { // such a prime spoils the whole key
				var err error
				if p, err = prime(rand, bits, top); err != nil {
					return err
				}
			}
			seen[p.String()] = true
			n.Mul(n, p)
			phi.Mul(phi, new(big.Int).Sub(p, one))
		}
		k.n, k.d = n, new(big.Int).ModInverse(e, phi)
		if k.d != nil && len(seen) == len(sizes) && n.BitLen() == k.alg.RSA {
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

// prime draws a prime with so many top bits set. crypto/rand.Prime is not
// used because it promises nothing about the same stream giving the same
// prime.
func prime(rand io.Reader, bits, top int) (*big.Int, error) {
	b := make([]byte, (bits+7)/8)
	small := smallPrimes()
	for {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, err
		}
		p := new(big.Int).SetBytes(b)
		p.Rsh(p, uint(len(b)*8-bits))
		p.SetBit(p, 0, 1)
		for i := 1; i <= top; i++ {
			p.SetBit(p, bits-i, 1)
		}
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
		return seq(integer(k.n), smallInt(k.alg.exponent()))
	}
	return k.curve.Marshal(k.q)
}

func (k *key) keyAlgorithm() []byte {
	switch {
	case k.n != nil && k.alg.KeyPSS:
		return seq(oid(oidPSS))
	case k.n != nil:
		return k.alg.withNull(oidRSA)
	}
	params := oid(k.curve.OID)
	if k.alg.Explicit {
		params = explicitParameters(k.curve)
	}
	return seq(oid(oidECPublic), params)
}

// withNull is an AlgorithmIdentifier without parameters worth the name.
func (a Algorithm) withNull(id string) []byte {
	if a.NoNull {
		return seq(oid(id))
	}
	return seq(oid(id), null())
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
func hashAlgorithm(h crypto.Hash) ([]byte, error) { return Algorithm{Hash: h}.hashAlgorithm() }

// hashAlgorithm is that of the algorithm's hash.
func (a Algorithm) hashAlgorithm() ([]byte, error) {
	o, err := hashOID(a.Hash)
	if err != nil {
		return nil, err
	}
	return a.withNull(o.plain), nil
}

// saltLength of PSS signatures.
func (a Algorithm) saltLength() int {
	if a.Salt != 0 {
		return a.Salt
	}
	return a.Hash.Size()
}

// signatureAlgorithm encodes the AlgorithmIdentifier of the key's signatures
// (RFC 4055 section 3.1 for PSS: what equals the default is left out where
// that is SHA-1).
func (k *key) signatureAlgorithm() ([]byte, error) {
	o, err := hashOID(k.alg.Hash)
	if err != nil {
		return nil, err
	}
	switch {
	case k.n == nil:
		return seq(oid(o.ecdsa)), nil
	case !k.alg.PSS:
		return k.alg.withNull(o.rsa), nil
	}
	var params [][]byte
	if k.alg.Hash != crypto.SHA1 {
		h := k.alg.withNull(o.plain)
		params = append(params, ber.Make(0xA0, h), ber.Make(0xA1, seq(oid(oidMGF1), h)))
	}
	if n := k.alg.saltLength(); n != 20 {
		params = append(params, ber.Make(0xA2, smallInt(n)))
	}
	if k.alg.Trailer {
		params = append(params, ber.Make(0xA3, smallInt(1)))
	}
	return seq(oid(oidPSS), seq(params...)), nil
}
