package ec

import "math/big"

// jacobian is the point (X/Z², Y/Z³); Z = 0 is infinity.
type jacobian struct{ x, y, z big.Int }

// field computes modulo p with scratch space, so that the inner loops do not
// allocate. It belongs to one computation.
type field struct {
	p, a    *big.Int
	minus3  bool // a = p-3 (NIST): the doubling saves three products
	q       big.Int
	t       [8]big.Int
	product big.Int
}

func newField(c *Curve) *field {
	f := &field{p: c.P, a: c.A}
	f.minus3 = new(big.Int).Sub(c.P, c.A).Cmp(big.NewInt(3)) == 0
	return f
}

func (f *field) mul(z, x, y *big.Int) {
	f.product.Mul(x, y)
	f.q.QuoRem(&f.product, f.p, z)
}

// sub and sum keep values in [0, p).
func (f *field) sub(z, x, y *big.Int) {
	z.Sub(x, y)
	if z.Sign() < 0 {
		z.Add(z, f.p)
	}
}

func (f *field) sum(z, x, y *big.Int) {
	z.Add(x, y)
	if z.Cmp(f.p) >= 0 {
		z.Sub(z, f.p)
	}
}

func (f *field) fromAffine(p Point) *jacobian {
	j := &jacobian{}
	if !p.Infinity() {
		j.x.Set(p.X)
		j.y.Set(p.Y)
		j.z.SetInt64(1)
	}
	return j
}

func (f *field) affine(j *jacobian) Point {
	if j.z.Sign() == 0 {
		return Point{}
	}
	zi := new(big.Int).ModInverse(&j.z, f.p)
	zz, x, y := new(big.Int), new(big.Int), new(big.Int)
	f.mul(zz, zi, zi)
	f.mul(x, &j.x, zz)
	f.mul(zz, zz, zi)
	f.mul(y, &j.y, zz)
	return Point{x, y}
}

// double sets r = 2p (r may be p), with the formulas "dbl-2007-bl" of the
// Explicit-Formulas Database for any a.
func (f *field) double(r, p *jacobian) {
	if p.z.Sign() == 0 || p.y.Sign() == 0 {
		r.z.SetInt64(0)
		return
	}
	yy, s, m, zz, u := &f.t[0], &f.t[1], &f.t[2], &f.t[3], &f.t[4]
	f.mul(yy, &p.y, &p.y)
	f.mul(zz, &p.z, &p.z)
	f.mul(s, &p.x, yy) // s = 4·x·y²
	f.sum(s, s, s)
	f.sum(s, s, s)
	if f.minus3 { // m = 3(x-z²)(x+z²)
		f.sub(u, &p.x, zz)
		f.sum(m, &p.x, zz)
		f.mul(u, u, m)
		f.sum(m, u, u)
		f.sum(m, m, u)
	} else { // m = 3x² + a·z⁴
		f.mul(u, &p.x, &p.x)
		f.sum(m, u, u)
		f.sum(m, m, u)
		f.mul(zz, zz, zz)
		f.mul(zz, zz, f.a)
		f.sum(m, m, zz)
	}
	f.mul(&r.z, &p.y, &p.z)
	f.sum(&r.z, &r.z, &r.z)
	f.mul(&r.x, m, m)
	f.sub(&r.x, &r.x, s)
	f.sub(&r.x, &r.x, s)
	f.mul(yy, yy, yy) // 8·y⁴
	f.sum(yy, yy, yy)
	f.sum(yy, yy, yy)
	f.sum(yy, yy, yy)
	f.sub(s, s, &r.x)
	f.mul(&r.y, m, s)
	f.sub(&r.y, &r.y, yy)
}

// add sets r = p + q (r may be p), with the formulas "add-2007-bl" and the
// cases that they leave out.
func (f *field) add(r, p, q *jacobian) {
	switch {
	case p.z.Sign() == 0:
		r.set(q)
		return
	case q.z.Sign() == 0:
		r.set(p)
		return
	}
	z1, z2, u1, u2 := &f.t[0], &f.t[1], &f.t[2], &f.t[3]
	s1, s2, h, v := &f.t[4], &f.t[5], &f.t[6], &f.t[7]
	f.mul(z1, &p.z, &p.z)
	f.mul(z2, &q.z, &q.z)
	f.mul(u1, &p.x, z2)
	f.mul(u2, &q.x, z1)
	f.mul(s1, &p.y, &q.z)
	f.mul(s1, s1, z2)
	f.mul(s2, &q.y, &p.z)
	f.mul(s2, s2, z1)
	f.sub(h, u2, u1)
	f.sub(s2, s2, s1)
	if h.Sign() == 0 {
		if s2.Sign() == 0 {
			f.double(r, p)
			return
		}
		r.z.SetInt64(0) // q = -p
		return
	}
	f.mul(&r.z, &p.z, &q.z)
	f.mul(&r.z, &r.z, h)
	f.mul(z1, h, h)  // h²
	f.mul(v, u1, z1) // u1·h²
	f.mul(z1, z1, h) // h³
	f.mul(&r.x, s2, s2)
	f.sub(&r.x, &r.x, z1)
	f.sub(&r.x, &r.x, v)
	f.sub(&r.x, &r.x, v)
	f.sub(v, v, &r.x)
	f.mul(v, v, s2)
	f.mul(s1, s1, z1)
	f.sub(&r.y, v, s1)
}

func (j *jacobian) set(q *jacobian) {
	if j != q {
		j.x.Set(&q.x)
		j.y.Set(&q.y)
		j.z.Set(&q.z)
	}
}

const window = 4 // bits; 16 multiples of 512-bit points pay for themselves

// mult computes k·p for 0 < k < N by a fixed window, most significant digit
// first.
func (c *Curve) mult(p Point, k *big.Int) Point {
	f := newField(c)
	var table [1 << window]*jacobian
	table[0], table[1] = &jacobian{}, f.fromAffine(p)
	for i := 2; i < len(table); i++ {
		table[i] = &jacobian{}
		f.add(table[i], table[i-1], table[1])
	}
	r := &jacobian{}
	digits := (k.BitLen() + window - 1) / window
	for i := digits - 1; i >= 0; i-- {
		for range window {
			f.double(r, r)
		}
		d := uint(0)
		for b := window - 1; b >= 0; b-- {
			d = d<<1 | k.Bit(i*window+b)
		}
		f.add(r, r, table[d])
	}
	return f.affine(r)
}
