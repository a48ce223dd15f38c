package ec

import (
	"math/big"
	"math/bits"
)

// maxLimbs holds 521 bits and more.
const maxLimbs = 9

// element is a field element in Montgomery form, least significant limb
// first; the first field.n limbs are in use.
type element [maxLimbs]uint64

// field is arithmetic modulo an odd prime in Montgomery form: x stands for
// x·2^(64n). Its functions run the same instructions whatever the values.
type field struct {
	n   int
	p   element
	inv uint64  // -1/p modulo 2^64
	one element // 1 in Montgomery form
	r2  element // 2^(128n), which brings a number into Montgomery form
	mod *big.Int
}

func newField(p *big.Int) *field {
	f := &field{n: (p.BitLen() + 63) / 64, mod: p}
	f.p = f.limbs(p)
	// Five bits are right at first; every step of Newton's iteration doubles
	// them: 10, 20, 40, 80.
	x := f.p[0]*3 ^ 2
	for range 4 {
		x *= 2 - f.p[0]*x
	}
	f.inv = -x
	r := new(big.Int).Lsh(big.NewInt(1), uint(64*f.n))
	f.one = f.limbs(new(big.Int).Mod(r, p))
	r.Mul(r, r)
	f.r2 = f.limbs(r.Mod(r, p))
	return f
}

// limbs splits a number below 2^(64n).
func (f *field) limbs(v *big.Int) (e element) {
	var b [8 * maxLimbs]byte
	v.FillBytes(b[:])
	for i := range f.n {
		for _, c := range b[len(b)-8*i-8 : len(b)-8*i] {
			e[i] = e[i]<<8 | uint64(c)
		}
	}
	return e
}

// set brings a number below p into Montgomery form.
func (f *field) set(z *element, v *big.Int) {
	*z = f.limbs(v)
	f.mul(z, z, &f.r2)
}

// number is the way back.
func (f *field) number(x *element) *big.Int {
	unit := element{1}
	var z element
	f.mul(&z, x, &unit)
	b := make([]byte, 8*f.n)
	for i := range f.n {
		for j := range 8 {
			b[len(b)-1-8*i-j] = byte(z[i] >> (8 * j))
		}
	}
	return new(big.Int).SetBytes(b)
}

func (f *field) zero(x *element) bool {
	var v uint64
	for _, l := range x[:f.n] {
		v |= l
	}
	return v == 0
}

// mul is Montgomery multiplication, operands scanned coarsely (CIOS; Koç,
// Acar, Kaliski 1996). z may be x or y.
func (f *field) mul(z, x, y *element) {
	var t [maxLimbs + 2]uint64
	n := f.n
	xs, ps := x[:n], f.p[:n]
	for _, yi := range y[:n] {
		var carry, c uint64
		for j, xj := range xs {
			hi, lo := bits.Mul64(xj, yi)
			lo, c = bits.Add64(lo, t[j], 0)
			hi += c
			lo, c = bits.Add64(lo, carry, 0)
			t[j], carry = lo, hi+c
		}
		t[n], c = bits.Add64(t[n], carry, 0)
		t[n+1] = c

		m := t[0] * f.inv
		hi, lo := bits.Mul64(m, ps[0])
		_, c = bits.Add64(lo, t[0], 0)
		carry = hi + c
		for j := 1; j < n; j++ {
			hi, lo = bits.Mul64(m, ps[j])
			lo, c = bits.Add64(lo, t[j], 0)
			hi += c
			lo, c = bits.Add64(lo, carry, 0)
			t[j-1], carry = lo, hi+c
		}
		t[n-1], c = bits.Add64(t[n], carry, 0)
		t[n] = t[n+1] + c
	}
	f.reduce(z, t[:n], t[n])
}

// reduce subtracts p once from t and its carry, where that leaves no borrow.
func (f *field) reduce(z *element, t []uint64, carry uint64) {
	var d element
	var borrow uint64
	for i, l := range t {
		d[i], borrow = bits.Sub64(l, f.p[i], borrow)
	}
	_, borrow = bits.Sub64(carry, 0, borrow)
	keep := -borrow // all ones: t was below p
	for i, l := range t {
		z[i] = l&keep | d[i]&^keep
	}
}

func (f *field) sum(z, x, y *element) {
	var t element
	var carry uint64
	for i := range f.n {
		t[i], carry = bits.Add64(x[i], y[i], carry)
	}
	f.reduce(z, t[:f.n], carry)
}

func (f *field) sub(z, x, y *element) {
	var borrow, carry uint64
	for i := range f.n {
		z[i], borrow = bits.Sub64(x[i], y[i], borrow)
	}
	mask := -borrow
	for i := range f.n {
		z[i], carry = bits.Add64(z[i], f.p[i]&mask, carry)
	}
}
