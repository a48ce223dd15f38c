package chip

import (
	"bytes"
	"errors"
	"io"
	"math/big"

	"gateagent/internal/ec"
	"gateagent/internal/modp"
)

// domain is where keys are agreed: an elliptic curve, or a subgroup of prime
// order q of the numbers modulo p (ICAO 9303-11 section 9.5).
type domain struct {
	curve   *ec.Curve // nil: modulo p
	p, q, g *big.Int
}

var errDomain = errors.New("sim/chip: no such domain parameters")

// newDomain takes the curve, or the group where there is none.
func newDomain(c *ec.Curve, g *modp.Group) (domain, error) {
	switch {
	case c != nil:
		return domain{curve: c}, nil
	case g != nil:
		return domain{p: g.P, q: g.Q, g: g.G}, nil
	}
	return domain{}, errDomain
}

// size is the length of an element of the field.
func (d domain) size() int {
	if d.curve != nil {
		return d.curve.Size()
	}
	return (d.p.BitLen() + 7) / 8
}

// keyTag is the tag of a public key in its data object (section 9.4): a point
// or an unsigned integer.
func (d domain) keyTag() uint32 {
	if d.curve != nil {
		return 0x86
	}
	return 0x84
}

// generate draws a key pair over the present generator.
func (d domain) generate(random io.Reader) (*big.Int, []byte, error) {
	if d.curve != nil {
		k, q, err := d.curve.GenerateKey(random)
		if err != nil {
			return nil, nil, err
		}
		return k, d.curve.Marshal(q), nil
	}
	b := make([]byte, (d.q.BitLen()+7)/8+8)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, nil, err
	}
	k := new(big.Int).SetBytes(b)
	k.Mod(k, new(big.Int).Sub(d.q, big.NewInt(1))).Add(k, big.NewInt(1))
	return k, d.number(d.power(d.g, k)), nil
}

func (d domain) power(b, e *big.Int) *big.Int { return new(big.Int).Exp(b, e, d.p) }

// number encodes an element modulo p in full width.
func (d domain) number(v *big.Int) []byte { return v.FillBytes(make([]byte, d.size())) }

// element reads a public value modulo p and checks that it is of order q
// (RFC 2631 section 2.1.5).
func (d domain) element(b []byte) (*big.Int, error) {
	one, y := big.NewInt(1), new(big.Int).SetBytes(b)
	if len(b) > d.size() || y.Cmp(one) <= 0 || y.Cmp(d.p) >= 0 || d.power(y, d.q).Cmp(one) != 0 {
		return nil, errDomain
	}
	return y, nil
}

// agree gives the shared secret as a field element in full width.
func (d domain) agree(k *big.Int, peer []byte) ([]byte, error) {
	if d.curve != nil {
		q, err := d.curve.Unmarshal(peer)
		if err != nil {
			return nil, err
		}
		return d.curve.SharedX(k, q)
	}
	y, err := d.element(peer)
	if err != nil {
		return nil, err
	}
	return d.number(d.power(y, k)), nil
}

// generic is the generic mapping: s·G + H or g^s·h, with H or h from the
// agreement of k and the peer's key (ICAO 9303-11 section 4.4.3.3.1).
func (d domain) generic(nonce []byte, k *big.Int, peer []byte) (domain, error) {
	s := new(big.Int).SetBytes(nonce)
	if d.curve != nil {
		q, err := d.curve.Unmarshal(peer)
		if err != nil {
			return d, err
		}
		g := d.curve.Add(d.curve.BaseMult(s), d.curve.Mult(q, k))
		if g.Infinity() {
			return d, errDomain
		}
		return domain{curve: d.curve.WithGenerator(g)}, nil
	}
	y, err := d.element(peer)
	if err != nil {
		return d, err
	}
	g := new(big.Int).Mul(d.power(d.g, s), d.power(y, k))
	return d.generated(g.Mod(g, d.p))
}

func (d domain) generated(g *big.Int) (domain, error) {
	if g.Cmp(big.NewInt(1)) <= 0 {
		return d, errDomain
	}
	d.g = g
	return d, nil
}

// same says whether two public values are one.
func same(a, b []byte) bool { return bytes.Equal(bytes.TrimLeft(a, "\x00"), bytes.TrimLeft(b, "\x00")) }
