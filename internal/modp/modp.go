// Package modp does Diffie-Hellman in prime order subgroups of the integers
// modulo a prime: the standardized domain parameters 0 to 2 of ICAO 9303-11
// section 9.5.1 (RFC 5114), and the parameters that a passport states for its
// chip authentication key.
//
// The arithmetic is math/big's, which is not of constant time: use it for
// ephemeral keys and public values, as chip protocols do, not for keys that
// live long.
package modp

import (
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Group is the subgroup of order Q that G generates modulo the prime P.
// Values are shared: treat every field as read-only.
type Group struct {
	ID   int // number of the standardized domain parameters, -1 for none
	Name string
	P    *big.Int
	G    *big.Int
	Q    *big.Int // nil when unknown: PKCS #3 does not state it
}

// Bounds of parameters that are not numbered: fewer bits are no protection,
// more serve only to keep us busy.
const (
	minBits  = 1024
	maxBits  = 4096
	minOrder = 160
	maxOrder = 512
)

var (
	// ErrGroup: the domain parameters cannot be used.
	ErrGroup = errors.New("modp: unusable domain parameters")
	// ErrValue: the number is no public value of the group.
	ErrValue = errors.New("modp: not a public value of the group")
)

// New gives the group of explicit parameters, the numbered one where they are
// its; q may be nil. A q of more than 512 bits (of a safe prime, whose other
// subgroup has two elements) is dropped: to test against it costs more than it
// proves. Whether p is prime is not tested: use only parameters that their
// issuer has signed.
func New(p, g, q *big.Int) (*Group, error) {
	if known, ok := ByParameters(p, g, q); ok {
		return known, nil
	}
	if p == nil || g == nil || p.Sign() <= 0 || p.Bit(0) == 0 || p.BitLen() < minBits || p.BitLen() > maxBits {
		return nil, fmt.Errorf("%w: a modulus that is even or not of %d to %d bits", ErrGroup, minBits, maxBits)
	}
	if q != nil && (q.Sign() <= 0 || q.BitLen() < minOrder || q.Cmp(p) >= 0) {
		return nil, fmt.Errorf("%w: a subgroup of %d bits", ErrGroup, q.BitLen())
	}
	if q != nil && q.BitLen() > maxOrder {
		q = nil
	}
	k := &Group{ID: -1, Name: fmt.Sprintf("MODP-%d", p.BitLen()), P: p, G: g, Q: q}
	if !k.Valid(g) {
		return nil, fmt.Errorf("%w: the generator is not of the stated order", ErrGroup)
	}
	return k, nil
}

// Size is the length of a group element in bytes.
func (k *Group) Size() int { return (k.P.BitLen() + 7) / 8 }

// Valid says whether y can be a public value: 1 < y < p-1 and, where the order
// is known, y^q = 1 (NIST SP 800-56A section 5.6.2.3.1).
func (k *Group) Valid(y *big.Int) bool {
	if y == nil || y.Cmp(one()) <= 0 || y.Cmp(new(big.Int).Sub(k.P, one())) >= 0 {
		return false
	}
	return k.Q == nil || new(big.Int).Exp(y, k.Q, k.P).Cmp(one()) == 0
}

func one() *big.Int { return big.NewInt(1) }

// Exp gives y^x mod p.
func (k *Group) Exp(y, x *big.Int) *big.Int { return new(big.Int).Exp(y, x, k.P) }

// Mul gives a·b mod p.
func (k *Group) Mul(a, b *big.Int) *big.Int {
	v := new(big.Int).Mul(a, b)
	return v.Mod(v, k.P)
}

// WithGenerator gives the same group with generator g, as the mapping of PACE
// makes it (ICAO 9303-11 section 4.4.3.3). Check g with Valid before.
func (k *Group) WithGenerator(g *big.Int) *Group {
	m := *k
	m.G = g
	return &m
}

// GenerateKey draws a private key 0 < x < q from rand by rejection and gives
// it with its public value. The first draw reads as many bytes as the order
// has and is used unchanged when it fits. Where q is unknown, x has up to 512
// bits, twice the security of the largest group.
func (k *Group) GenerateKey(rand io.Reader) (x, y *big.Int, err error) {
	order := k.Q
	if order == nil {
		order = new(big.Int).Lsh(one(), maxOrder)
	}
	buf := make([]byte, (order.BitLen()+7)/8)
	defer clear(buf)
	// Half of all draws fit at worst: 128 in vain mean a broken source.
	for range 128 {
		if _, err := io.ReadFull(rand, buf); err != nil {
			return nil, nil, fmt.Errorf("modp: random source: %w", err)
		}
		if extra := len(buf)*8 - order.BitLen(); extra > 0 {
			buf[0] &= 0xFF >> extra
		}
		x := new(big.Int).SetBytes(buf)
		if y := k.Exp(k.G, x); x.Sign() > 0 && x.Cmp(order) < 0 && y.Cmp(one()) > 0 {
			return x, y, nil
		}
	}
	return nil, nil, errors.New("modp: random source gives no usable key")
}

// Shared is the Diffie-Hellman secret y^x, always Size() bytes wide: a key
// derivation must see leading zeros (PKCS #3 section 8).
func (k *Group) Shared(x, y *big.Int) ([]byte, error) {
	if x == nil || x.Sign() <= 0 {
		return nil, errors.New("modp: private key out of range")
	}
	if !k.Valid(y) {
		return nil, ErrValue
	}
	z := k.Exp(y, x)
	if z.Cmp(one()) <= 0 {
		return nil, ErrValue
	}
	return k.Marshal(z), nil
}

// Marshal encodes a group element with fixed width. A number that does not
// fit gives nil, which Unmarshal refuses.
func (k *Group) Marshal(y *big.Int) []byte {
	if y == nil || y.Sign() < 0 || y.BitLen() > 8*k.Size() {
		return nil
	}
	return y.FillBytes(make([]byte, k.Size()))
}

// Unmarshal decodes a public value of at most the group's width, leading
// zeros or not, and proves that it belongs to the group.
func (k *Group) Unmarshal(b []byte) (*big.Int, error) {
	if len(b) == 0 || len(b) > k.Size() {
		return nil, fmt.Errorf("%w: %d bytes where %s has %d", ErrValue, len(b), k.Name, k.Size())
	}
	y := new(big.Int).SetBytes(b)
	if !k.Valid(y) {
		return nil, ErrValue
	}
	return y, nil
}
