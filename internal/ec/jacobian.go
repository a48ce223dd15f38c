package ec

import "math/big"

// jacobian is the point (X/Z², Y/Z³); Z = 0 is infinity.
type jacobian struct{ x, y, z element }

// group is the arithmetic of one curve.
type group struct {
	*field
	a      element
	minus3 bool // a = p-3 (NIST): the doubling saves two products
}

func newGroup(c *Curve) *group {
	g := &group{field: newField(c.P)}
	g.set(&g.a, c.A)
	g.minus3 = new(big.Int).Sub(c.P, c.A).Cmp(big.NewInt(3)) == 0
	return g
}

func (g *group) fromAffine(p Point) (j jacobian) {
	if !p.Infinity() {
		g.set(&j.x, p.X)
		g.set(&j.y, p.Y)
		j.z = g.one
	}
	return j
}

func (g *group) affine(j *jacobian) Point {
	if g.zero(&j.z) {
		return Point{}
	}
	var zi, zz, x, y element
	g.set(&zi, new(big.Int).ModInverse(g.number(&j.z), g.mod))
	g.mul(&zz, &zi, &zi)
	g.mul(&x, &j.x, &zz)
	g.mul(&zz, &zz, &zi)
	g.mul(&y, &j.y, &zz)
	return Point{g.number(&x), g.number(&y)}
}

// double sets r = 2p (r may be p) by M = 3X²+aZ⁴, S = 4XY² (Cohen, Miyaji,
// Ono 1998). Infinity stays infinity, as Z is a factor of the new Z; points
// with Y = 0 do not exist on curves of odd order.
func (g *group) double(r, p *jacobian) {
	var yy, s, m, zz, u element
	g.mul(&yy, &p.y, &p.y)
	g.mul(&zz, &p.z, &p.z)
	g.mul(&s, &p.x, &yy) // s = 4·x·y²
	g.sum(&s, &s, &s)
	g.sum(&s, &s, &s)
	if g.minus3 { // m = 3(x-z²)(x+z²)
		g.sub(&u, &p.x, &zz)
		g.sum(&m, &p.x, &zz)
		g.mul(&u, &u, &m)
		g.sum(&m, &u, &u)
		g.sum(&m, &m, &u)
	} else { // m = 3x² + a·z⁴
		g.mul(&u, &p.x, &p.x)
		g.sum(&m, &u, &u)
		g.sum(&m, &m, &u)
		g.mul(&zz, &zz, &zz)
		g.mul(&zz, &zz, &g.a)
		g.sum(&m, &m, &zz)
	}
	g.mul(&r.z, &p.y, &p.z)
	g.sum(&r.z, &r.z, &r.z)
	g.mul(&r.x, &m, &m)
	g.sub(&r.x, &r.x, &s)
	g.sub(&r.x, &r.x, &s)
	g.mul(&yy, &yy, &yy) // 8·y⁴
	g.sum(&yy, &yy, &yy)
	g.sum(&yy, &yy, &yy)
	g.sum(&yy, &yy, &yy)
	g.sub(&s, &s, &r.x)
	g.mul(&r.y, &m, &s)
	g.sub(&r.y, &r.y, &yy)
}

// add sets r = p + q (r may be p) by U1 = X1·Z2², S1 = Y1·Z2³, H = U2-U1,
// R = S2-S1, and the cases that these leave out.
func (g *group) add(r, p, q *jacobian) {
	switch {
	case g.zero(&p.z):
		*r = *q
		return
	case g.zero(&q.z):
		*r = *p
		return
	}
	var z1, z2, u1, u2, s1, s2, h, v element
	g.mul(&z1, &p.z, &p.z)
	g.mul(&z2, &q.z, &q.z)
	g.mul(&u1, &p.x, &z2)
	g.mul(&u2, &q.x, &z1)
	g.mul(&s1, &p.y, &q.z)
	g.mul(&s1, &s1, &z2)
	g.mul(&s2, &q.y, &p.z)
	g.mul(&s2, &s2, &z1)
	g.sub(&h, &u2, &u1)
	g.sub(&s2, &s2, &s1)
	if g.zero(&h) {
		if g.zero(&s2) {
			g.double(r, p)
			return
		}
		*r = jacobian{} // q = -p
		return
	}
	g.mul(&r.z, &p.z, &q.z)
	g.mul(&r.z, &r.z, &h)
	g.mul(&z1, &h, &h)  // h²
	g.mul(&v, &u1, &z1) // u1·h²
	g.mul(&z1, &z1, &h) // h³
	g.mul(&r.x, &s2, &s2)
	g.sub(&r.x, &r.x, &z1)
	g.sub(&r.x, &r.x, &v)
	g.sub(&r.x, &r.x, &v)
	g.sub(&v, &v, &r.x)
	g.mul(&v, &v, &s2)
	g.mul(&s1, &s1, &z1)
	g.sub(&r.y, &v, &s1)
}

const window = 4 // bits; 16 multiples of 512-bit points pay for themselves

// mult computes k·p for 0 < k < N by a fixed window, most significant digit
// first.
func (c *Curve) mult(p Point, k *big.Int) Point {
	g := newGroup(c)
	var table [1 << window]jacobian
	table[1] = g.fromAffine(p)
	for i := 2; i < len(table); i++ {
		g.add(&table[i], &table[i-1], &table[1])
	}
	var r jacobian
	digits := (k.BitLen() + window - 1) / window
	for i := digits - 1; i >= 0; i-- {
		for range window {
			g.double(&r, &r)
		}
		d := uint(0)
		for b := window - 1; b >= 0; b-- {
			d = d<<1 | k.Bit(i*window+b)
		}
		g.add(&r, &r, &table[d])
	}
	return g.affine(&r)
}
