// Package ec does arithmetic on the elliptic curves of travel documents:
// short Weierstrass curves over prime fields, NIST and brainpool (the
// standardized domain parameters 8 to 18 of ICAO 9303-11 section 9.5.1).
//
// P-224, P-256, P-384 and P-521 are computed by crypto/elliptic in constant
// time. The rest is computed here with field arithmetic of constant time, but
// table look-ups, scalars and inversions are not: use it for ephemeral keys
// and public values, as chip protocols do, not for keys that live long.
package ec

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// Curve is y² = x³ + Ax + B over the field of P elements with a generator G
// of prime order N. Values are shared: treat every field as read-only.
type Curve struct {
	Name string
	OID  string // dotted
	ID   int    // number of the standardized domain parameters, -1 for none
	P    *big.Int
	A    *big.Int
	B    *big.Int
	N    *big.Int
	G    Point
	H    int // cofactor

	std    elliptic.Curve // does the arithmetic when set
	mapped bool           // G is not the standard generator
}

// Point is an affine point. The zero value is the point at infinity.
type Point struct{ X, Y *big.Int }

// Infinity says whether p is the point at infinity.
func (p Point) Infinity() bool { return p.X == nil || p.Y == nil }

// Equal says whether p and q are the same point.
func (p Point) Equal(q Point) bool {
	if p.Infinity() || q.Infinity() {
		return p.Infinity() == q.Infinity()
	}
	return p.X.Cmp(q.X) == 0 && p.Y.Cmp(q.Y) == 0
}

// Size is the length of a field element in bytes.
func (c *Curve) Size() int { return (c.P.BitLen() + 7) / 8 }

// OnCurve says whether p is an affine point of the curve with reduced
// coordinates. The point at infinity is not (BSI TR-03111 section 3.2: no
// party may accept it).
func (c *Curve) OnCurve(p Point) bool {
	if p.Infinity() || p.X.Sign() < 0 || p.Y.Sign() < 0 || p.X.Cmp(c.P) >= 0 || p.Y.Cmp(c.P) >= 0 {
		return false
	}
	rhs := new(big.Int).Mul(p.X, p.X)
	rhs.Add(rhs, c.A)
	rhs.Mul(rhs, p.X)
	rhs.Add(rhs, c.B)
	lhs := new(big.Int).Mul(p.Y, p.Y)
	return lhs.Sub(lhs, rhs).Mod(lhs, c.P).Sign() == 0
}

// Mult gives k·p. A point that is not on the curve gives infinity.
func (c *Curve) Mult(p Point, k *big.Int) Point {
	if k == nil || !c.OnCurve(p) {
		return Point{}
	}
	k = new(big.Int).Mod(k, c.N)
	if k.Sign() == 0 {
		return Point{}
	}
	if c.std != nil {
		//lint:ignore SA1019 crypto/ecdh hands out no y coordinate, which the generic mapping needs; p is checked above
		return fromStd(c.std.ScalarMult(p.X, p.Y, k.FillBytes(make([]byte, c.orderSize()))))
	}
	return c.mult(p, k)
}

// BaseMult gives k·G.
func (c *Curve) BaseMult(k *big.Int) Point {
	if k == nil {
		return Point{}
	}
	if c.std != nil && !c.mapped {
		k = new(big.Int).Mod(k, c.N)
		//lint:ignore SA1019 see Mult
		return fromStd(c.std.ScalarBaseMult(k.FillBytes(make([]byte, c.orderSize()))))
	}
	return c.Mult(c.G, k)
}

// Add gives p + q. A point that is not on the curve counts as infinity.
func (c *Curve) Add(p, q Point) Point {
	switch {
	case !c.OnCurve(p) && !c.OnCurve(q):
		return Point{}
	case !c.OnCurve(p):
		return q
	case !c.OnCurve(q):
		return p
	}
	if c.std != nil {
		//lint:ignore SA1019 see Mult
		return fromStd(c.std.Add(p.X, p.Y, q.X, q.Y))
	}
	g := newGroup(c)
	r, t := g.fromAffine(p), g.fromAffine(q)
	g.add(&r, &r, &t)
	return g.affine(&r)
}

// fromStd turns crypto/elliptic's (0, 0) into our infinity.
func fromStd(x, y *big.Int) Point {
	if x.Sign() == 0 && y.Sign() == 0 {
		return Point{}
	}
	return Point{x, y}
}

func (c *Curve) orderSize() int { return (c.N.BitLen() + 7) / 8 }

// Marshal encodes p uncompressed with fixed width (BSI TR-03111 section
// 3.2.1): 04 || X || Y. Infinity is the single byte 00, which Unmarshal
// refuses.
func (c *Curve) Marshal(p Point) []byte {
	if p.Infinity() || p.X.BitLen() > c.P.BitLen() || p.Y.BitLen() > c.P.BitLen() {
		return []byte{0}
	}
	n := c.Size()
	b := make([]byte, 1+2*n)
	b[0] = 4
	p.X.FillBytes(b[1 : 1+n])
	p.Y.FillBytes(b[1+n:])
	return b
}

// ErrPoint: the bytes are not a point of the curve.
var ErrPoint = errors.New("ec: not a point of the curve")

// Unmarshal decodes an uncompressed point of exact width and proves that it
// lies on the curve.
func (c *Curve) Unmarshal(b []byte) (Point, error) {
	n := c.Size()
	if len(b) != 1+2*n || b[0] != 4 {
		return Point{}, fmt.Errorf("%w: %d bytes where an uncompressed point of %s has %d", ErrPoint, len(b), c.Name, 1+2*n)
	}
	p := Point{new(big.Int).SetBytes(b[1 : 1+n]), new(big.Int).SetBytes(b[1+n:])}
	if !c.OnCurve(p) {
		return Point{}, ErrPoint
	}
	return p, nil
}

// GenerateKey draws a private key 0 < d < N from rand by rejection and gives
// it with its public point. The first draw reads as many bytes as N has and
// is used unchanged when it fits.
func (c *Curve) GenerateKey(rand io.Reader) (*big.Int, Point, error) {
	d, err := c.scalar(rand)
	if err != nil {
		return nil, Point{}, err
	}
	return d, c.BaseMult(d), nil
}

// scalar draws 0 < d < N (BSI TR-03111 section 4.1.1).
func (c *Curve) scalar(rand io.Reader) (*big.Int, error) {
	buf := make([]byte, c.orderSize())
	defer clear(buf)
	// Half of all draws fit at worst: 128 in vain mean a broken source.
	for range 128 {
		if _, err := io.ReadFull(rand, buf); err != nil {
			return nil, fmt.Errorf("ec: random source: %w", err)
		}
		if extra := len(buf)*8 - c.N.BitLen(); extra > 0 {
			buf[0] &= 0xFF >> extra
		}
		d := new(big.Int).SetBytes(buf)
		if d.Sign() > 0 && d.Cmp(c.N) < 0 {
			return d, nil
		}
	}
	return nil, errors.New("ec: random source gives no usable key")
}

// SharedX is the Diffie-Hellman secret, the x coordinate of d·q, always
// Size() bytes wide: a key derivation must see leading zeros (BSI TR-03111
// section 3.1.3).
func (c *Curve) SharedX(d *big.Int, q Point) ([]byte, error) {
	if d == nil || d.Sign() <= 0 || d.Cmp(c.N) >= 0 {
		return nil, errors.New("ec: private key out of range")
	}
	if !c.OnCurve(q) {
		return nil, ErrPoint
	}
	s := c.Mult(q, d)
	if s.Infinity() {
		return nil, ErrPoint
	}
	return s.X.FillBytes(make([]byte, c.Size())), nil
}

// WithGenerator gives the same curve with generator g, as the mapping of
// PACE makes it (ICAO 9303-11 section 4.4.3.3). g must be a point of the
// curve: check with OnCurve before.
func (c *Curve) WithGenerator(g Point) *Curve {
	m := *c
	m.G, m.mapped = g, true
	return &m
}
