package chip

import (
	"crypto/cipher"
	"encoding/hex"
	"math/big"

	"gateagent/internal/ec"
)

// mapConstants are c0 and c1 of the pseudo-random number mapping, for nonces
// of 128 bits and of 256 (ICAO 9303-11 section 4.4.3.3.2).
func mapConstants(c Cipher) (c0, c1 []byte) {
	words := [2]string{"a668892a7c41e3ca739f40b057d85904", "a4e136ac725f738b01c1f60217c188ad"}
	if c == AES192 || c == AES256 {
		words = [2]string{
			"d463d65234124ef7897054986dca0a174e28df758cbaa03f240616414d5a1676",
			"54bd7255f0aaf831bec3423fcf39d69b6cbf066677d0faae5aadd99df8e53517",
		}
	}
	c0, _ = hex.DecodeString(words[0]) // constants: TestIntegratedMapping reads them all
	c1, _ = hex.DecodeString(words[1])
	return c0, c1
}

// keyLength is k of the mapping in bytes; 3DES counts as 128 bits.
func keyLength(c Cipher) int {
	switch c {
	case AES192:
		return 24
	case AES256:
		return 32
	}
	return 16
}

// pseudoRandom is Rp(s, t) modulo p: as many rounds as give 64 bits more than
// p has (ICAO 9303-11 section 4.4.3.3.2).
func pseudoRandom(c Cipher, s, t []byte, p *big.Int) (*big.Int, error) {
	cbc := func(key, text []byte) ([]byte, error) {
		b, err := newBlock(c, key[:keyLength(c)])
		if err != nil {
			return nil, err
		}
		out := make([]byte, len(text))
		cipher.NewCBCEncrypter(b, make([]byte, b.BlockSize())).CryptBlocks(out, text)
		return out, nil
	}
	c0, c1 := mapConstants(c)
	k, err := cbc(t, s)
	if err != nil {
		return nil, err
	}
	var x []byte
	for len(x)*8 < p.BitLen()+64 {
		part, err := cbc(k, c1)
		if err != nil {
			return nil, err
		}
		x = append(x, part...)
		if k, err = cbc(k, c0); err != nil {
			return nil, err
		}
	}
	v := new(big.Int).SetBytes(x)
	return v.Mod(v, p), nil
}

// integrated is the integrated mapping of both nonces onto a generator.
func (d domain) integrated(c Cipher, s, t []byte) (domain, error) {
	if d.curve == nil {
		u, err := pseudoRandom(c, s, t, d.p)
		if err != nil {
			return d, err
		}
		cofactor := new(big.Int).Sub(d.p, big.NewInt(1))
		return d.generated(d.power(u, cofactor.Div(cofactor, d.q)))
	}
	u, err := pseudoRandom(c, s, t, d.curve.P)
	if err != nil {
		return d, err
	}
	g, ok := pointFor(d.curve, u)
	if !ok {
		return d, errDomain
	}
	return domain{curve: d.curve.WithGenerator(g)}, nil
}

// integrable: the encoding takes square roots by one power, which needs p = 3
// modulo 4 (ICAO 9303-11 appendix B); P-224 is the exception.
func integrable(c *ec.Curve) bool { return c.P.Bit(0) == 1 && c.P.Bit(1) == 1 }

// pointFor is the point encoding of ICAO 9303-11 appendix B in other words:
// of two abscissas X2 and -u²·X2 one has a square on the right side of the
// curve's equation. The root by the power (p+1)/4 is Y of the first; for the
// second, where that power of a non-square comes out, -u³ times it.
func pointFor(c *ec.Curve, u *big.Int) (ec.Point, bool) {
	mod := func(v *big.Int) *big.Int { return v.Mod(v, c.P) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	square := mul(u, u)
	alpha := mod(new(big.Int).Neg(square))
	sum := mod(new(big.Int).Add(alpha, mul(alpha, alpha)))
	inverse, inverseA := new(big.Int).ModInverse(sum, c.P), new(big.Int).ModInverse(c.A, c.P)
	if inverse == nil || inverseA == nil {
		return ec.Point{}, false
	}
	x := mul(mul(mod(new(big.Int).Neg(c.B)), inverseA), inverse.Add(inverse, big.NewInt(1)))
	right := mul(mul(x, x), x)
	right = mod(right.Add(right, mul(c.A, x)).Add(right, c.B))
	quarter := new(big.Int).Add(c.P, big.NewInt(1))
	root := new(big.Int).Exp(right, quarter.Rsh(quarter, 2), c.P)
	p := ec.Point{X: x, Y: root}
	if mul(root, root).Cmp(right) != 0 {
		p = ec.Point{X: mul(alpha, x), Y: mod(new(big.Int).Neg(mul(mul(square, u), root)))}
	}
	return p, c.OnCurve(p)
}
