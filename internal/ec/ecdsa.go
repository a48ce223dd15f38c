package ec

import (
	"errors"
	"io"
	"math/big"
)

// hashInt turns a digest into an integer of at most the order's bits (FIPS
// 186-5 section 6.4.1, step 2).
func (c *Curve) hashInt(digest []byte) *big.Int {
	if n := c.orderSize(); len(digest) > n {
		digest = digest[:n]
	}
	e := new(big.Int).SetBytes(digest)
	if extra := len(digest)*8 - c.N.BitLen(); extra > 0 {
		e.Rsh(e, uint(extra))
	}
	return e
}

// Sign makes an ECDSA signature over digest (FIPS 186-5 section 6.4.1).
func (c *Curve) Sign(rand io.Reader, d *big.Int, digest []byte) (r, s *big.Int, err error) {
	if d == nil || d.Sign() <= 0 || d.Cmp(c.N) >= 0 {
		return nil, nil, errors.New("ec: private key out of range")
	}
	e := c.hashInt(digest)
	for range 128 {
		k, q, err := c.GenerateKey(rand)
		if err != nil {
			return nil, nil, err
		}
		r = new(big.Int).Mod(q.X, c.N)
		s = new(big.Int).Mul(r, d)
		s.Add(s, e)
		s.Mul(s, new(big.Int).ModInverse(k, c.N))
		s.Mod(s, c.N)
		if r.Sign() != 0 && s.Sign() != 0 {
			return r, s, nil
		}
	}
	return nil, nil, errors.New("ec: no signature found")
}

// Verify checks an ECDSA signature over digest (FIPS 186-5 section 6.4.2).
func (c *Curve) Verify(q Point, digest []byte, r, s *big.Int) bool {
	for _, v := range []*big.Int{r, s} {
		if v == nil || v.Sign() <= 0 || v.Cmp(c.N) >= 0 {
			return false
		}
	}
	if !c.OnCurve(q) {
		return false
	}
	w := new(big.Int).ModInverse(s, c.N)
	u1 := new(big.Int).Mul(c.hashInt(digest), w)
	u2 := w.Mul(w, r)
	p := c.Add(c.BaseMult(u1), c.Mult(q, u2))
	if p.Infinity() {
		return false
	}
	return new(big.Int).Mod(p.X, c.N).Cmp(r) == 0
}
