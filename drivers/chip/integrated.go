package chip

import (
	"crypto/cipher"
	"io"
	"math/big"

	"gateagent/gate"
	"gateagent/internal/ec"
)

// Constants of the pseudo-random mapping (ICAO 9303-11 section 4.4.3.3.2) for
// nonces of 128 and of 256 bits.
const (
	mapC0Short = "\xa6\x68\x89\x2a\x7c\x41\xe3\xca\x73\x9f\x40\xb0\x57\xd8\x59\x04"
	mapC1Short = "\xa4\xe1\x36\xac\x72\x5f\x73\x8b\x01\xc1\xf6\x02\x17\xc1\x88\xad"
	mapC0Long  = "\xd4\x63\xd6\x52\x34\x12\x4e\xf7\x89\x70\x54\x98\x6d\xca\x0a\x17" +
		"\x4e\x28\xdf\x75\x8c\xba\xa0\x3f\x24\x06\x16\x41\x4d\x5a\x16\x76"
	mapC1Long = "\x54\xbd\x72\x55\xf0\xaa\xf8\x31\xbe\xc3\x42\x3f\xcf\x39\xd6\x9b" +
		"\x6c\xbf\x06\x66\x77\xd0\xfa\xae\x5a\xad\xd9\x9d\xf8\xe5\x35\x17"
)

// canIntegrate: the point encoding takes square roots by one exponentiation,
// which needs p = 3 modulo 4. Of the standardized curves P-224 alone has
// another p, and section 9.5.1 says that it cannot be used with this mapping.
// Modulo a prime, the order of the subgroup must be known.
func canIntegrate(d domain) bool {
	if d.group != nil {
		return d.group.Q != nil
	}
	return d.curve != nil && d.curve.P.Bit(0) == 1 && d.curve.P.Bit(1) == 1
}

// keySize is the length of the suite's cipher key as the integrated mapping
// counts it: 3DES as 128 bits.
func (u suite) keySize() int {
	if u == suite3DES {
		return 16
	}
	return 8 * int(u)
}

// mapIntegrated is the integrated mapping (section 4.4.3.3.2): a hash of both
// nonces into the group.
func (r paceRun) mapIntegrated(nonce []byte) (domain, error) {
	if len(nonce) != len(mapConstants(r.suite)[0]) {
		return domain{}, nonsense(stepPACE, "a nonce of %d bytes", len(nonce))
	}
	t := make([]byte, r.suite.keySize())
	if _, err := io.ReadFull(r.opts.Rand, t); err != nil {
		return domain{}, randomFault(stepPACE, err)
	}
	answer, err := r.exchange(0x81, t, 0x82)
	if err != nil {
		return domain{}, err
	}
	if len(answer) != 0 {
		return domain{}, nonsense(stepPACE, "mapping data of %d bytes where none belong", len(answer))
	}
	u := r.suite.pseudoRandom(nonce, t, r.domain.prime())
	defer wipeInt(u)
	mapped, err := r.domain.mapElement(u)
	if err != nil {
		return domain{}, fault(gate.ChipNonsense, gate.CodeChipNonsense, stepPACE, 0, err)
	}
	return mapped, nil
}

// mapElement maps a field element to a generator: by the point encoding, or
// by u^((p-1)/q).
func (d domain) mapElement(u *big.Int) (domain, error) {
	if d.curve != nil {
		g := encodePoint(d.curve, u)
		if !d.curve.OnCurve(g) {
			return domain{}, errGenerator
		}
		return domain{curve: d.curve.WithGenerator(g)}, nil
	}
	cofactor := new(big.Int).Sub(d.group.P, big.NewInt(1))
	cofactor.Quo(cofactor, d.group.Q)
	return d.withGenerator(d.group.Exp(u, cofactor))
}

func mapConstants(u suite) [2][]byte {
	if u >= suiteAES192 {
		return [2][]byte{[]byte(mapC0Long), []byte(mapC1Long)}
	}
	return [2][]byte{[]byte(mapC0Short), []byte(mapC1Short)}
}

// pseudoRandom is Rp(s, t): blocks x1, x2 … of the cipher run over two
// constants under ever new keys, as many as have 64 bits more than p, reduced
// modulo p (section 4.4.3.3.2, figure 2).
func (u suite) pseudoRandom(s, t []byte, p *big.Int) *big.Int {
	c := mapConstants(u)
	encrypt := func(key, text []byte) []byte {
		out := make([]byte, len(text))
		b := u.block(key[:u.keySize()])
		cipher.NewCBCEncrypter(b, make([]byte, b.BlockSize())).CryptBlocks(out, text)
		return out
	}
	key := encrypt(t, s)
	var x []byte
	defer func() { clear(x); clear(key) }()
	for len(x)*8 < p.BitLen()+64 {
		x = append(x, encrypt(key, c[1])...)
		key = encrypt(key, c[0])
	}
	n := new(big.Int).SetBytes(x)
	return n.Mod(n, p)
}

// encodePoint maps a field element to a point (ICAO 9303-11 appendix B.2,
// after Brier, Coron, Icart, Madore, Randriam, Tibouchi 2010). The result is
// not on the curve for the few elements that have no image (0 and ±1).
func encodePoint(c *ec.Curve, t *big.Int) ec.Point {
	p := c.P
	num := func() *big.Int { return new(big.Int) }
	mul := func(a, b *big.Int) *big.Int { v := num().Mul(a, b); return v.Mod(v, p) }
	add := func(a, b *big.Int) *big.Int { v := num().Add(a, b); return v.Mod(v, p) }
	curve := func(x *big.Int) *big.Int { return add(mul(add(mul(x, x), c.A), x), c.B) }

	alpha := num().Neg(mul(t, t))
	alpha.Mod(alpha, p)
	inverse := num().ModInverse(add(alpha, mul(alpha, alpha)), p)
	if inverse == nil {
		return ec.Point{}
	}
	x2 := mul(mul(c.B, num().ModInverse(c.A, p)), add(big.NewInt(1), inverse))
	x2.Sub(p, x2).Mod(x2, p)
	x3 := mul(alpha, x2)
	h2 := curve(x2)
	// a = h2^(p-1-(p+1)/4): its square times h2 is 1 when h2 is a square.
	e := num().Add(p, big.NewInt(1))
	e.Rsh(e, 2)
	e.Sub(num().Sub(p, big.NewInt(1)), e)
	a := num().Exp(h2, e, p)
	if mul(mul(a, a), h2).Cmp(big.NewInt(1)) == 0 {
		return ec.Point{X: x2, Y: mul(a, h2)}
	}
	return ec.Point{X: x3, Y: mul(a, mul(mul(mul(t, t), t), h2))}
}
