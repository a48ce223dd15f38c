package chip

import (
	"errors"
	"io"
	"math/big"

	"gateagent/internal/ec"
	"gateagent/internal/modp"
)

// domain is where keys are agreed on: an elliptic curve, or the integers
// modulo a prime (ICAO 9303-11 section 9.6). One of the two is set; the zero
// value is no domain at all.
type domain struct {
	curve *ec.Curve
	group *modp.Group
}

var (
	errDomain    = errors.New("no domain parameters")
	errGenerator = errors.New("the nonces map to no generator")
)

func (d domain) known() bool { return d.curve != nil || d.group != nil }

// kind is how the protocols' names call it.
func (d domain) kind() string {
	if d.group != nil {
		return "DH"
	}
	return "ECDH"
}

func (d domain) name() string {
	if d.group != nil {
		return d.group.Name
	}
	return d.curve.Name
}

// same says whether both are the same curve or group, whatever the generator.
func (d domain) same(e domain) bool {
	return d.known() && e.known() && d.name() == e.name() && d.prime().Cmp(e.prime()) == 0
}

func (d domain) prime() *big.Int {
	if d.group != nil {
		return d.group.P
	}
	return d.curve.P
}

// strength is the security in bits (NIST SP 800-57 part 1 table 2): half of
// the order's, and modulo a prime what index calculus leaves.
func (d domain) strength() int {
	if d.group == nil {
		return d.curve.N.BitLen() / 2
	}
	bits := d.group.P.BitLen()
	if d.group.Q != nil {
		bits = d.group.Q.BitLen() / 2
	}
	switch n := d.group.P.BitLen(); {
	case n < 2048:
		return min(bits, 80)
	case n < 3072:
		return min(bits, 112)
	}
	return min(bits, 128)
}

// tag is that of a public value inside a public key data object (section
// 9.4.3 table 10, section 9.4.4 table 11).
func (d domain) tag() uint32 {
	if d.group != nil {
		return 0x84
	}
	return 0x86
}

// answerNe is how much an answer with a public value may have.
func (d domain) answerNe() int {
	if n := (d.prime().BitLen()+7)/8 + 16; d.group != nil && n > maxShortNe {
		return n
	}
	return maxShortNe
}

// keyPair is a private key and its public value as it is sent.
type keyPair struct {
	domain
	private *big.Int
	public  []byte
}

func (k keyPair) wipe() { wipeInt(k.private) }

// generate makes a key pair over the domain's generator. Unsigned integers
// are sent without leading zeros (section 9.4.1), which not every chip knows:
// a value that has some is thrown away, one in 256.
func (d domain) generate(rand io.Reader) (keyPair, error) {
	if d.curve != nil {
		x, p, err := d.curve.GenerateKey(rand)
		if err != nil {
			return keyPair{}, err
		}
		return keyPair{d, x, d.curve.Marshal(p)}, nil
	}
	if d.group == nil {
		return keyPair{}, errDomain
	}
	for range 64 {
		x, y, err := d.group.GenerateKey(rand)
		if err != nil {
			return keyPair{}, err
		}
		if public := d.group.Marshal(y); public[0] != 0 {
			return keyPair{d, x, public}, nil
		}
	}
	return keyPair{}, errors.New("the random source gives no usable key")
}

// check proves that b is a public value of the domain. Values of DH may have
// leading zeros or not.
func (d domain) check(b []byte) error {
	var err error
	switch {
	case d.curve != nil:
		_, err = d.curve.Unmarshal(b)
	case d.group != nil:
		_, err = d.group.Unmarshal(b)
	default:
		err = errDomain
	}
	return err
}

// equal says whether two public values are the same; what is no value equals
// none. With curves, a point and its negative count as the same: they share
// their secrets.
func (d domain) equal(a, b []byte) bool {
	if d.curve != nil {
		p, errP := d.curve.Unmarshal(a)
		q, errQ := d.curve.Unmarshal(b)
		return errP == nil && errQ == nil && p.X.Cmp(q.X) == 0
	}
	return new(big.Int).SetBytes(a).Cmp(new(big.Int).SetBytes(b)) == 0
}

// secret is the shared secret with the owner of a public value, of fixed
// width (section 9.7.1; BSI TR-03111 section 3.1.3, PKCS #3 section 8).
func (k keyPair) secret(other []byte) ([]byte, error) {
	if k.curve != nil {
		p, err := k.curve.Unmarshal(other)
		if err != nil {
			return nil, err
		}
		return k.curve.SharedX(k.private, p)
	}
	if len(other) > k.group.Size() {
		return nil, modp.ErrValue
	}
	return k.group.Shared(k.private, new(big.Int).SetBytes(other)) // proves that it belongs to the group
}

// mapGeneric is the generic mapping (section 4.4.3.3.1): s·G + H, or g^s·h,
// with H or h from a key agreement.
func (k keyPair) mapGeneric(other []byte, s *big.Int) (domain, error) {
	if k.curve != nil {
		p, err := k.curve.Unmarshal(other)
		if err != nil {
			return domain{}, err
		}
		h := k.curve.Mult(p, k.private)
		g := k.curve.Add(k.curve.BaseMult(s), h)
		if h.Infinity() || g.Infinity() {
			return domain{}, errGenerator
		}
		return domain{curve: k.curve.WithGenerator(g)}, nil
	}
	y, err := k.group.Unmarshal(other)
	if err != nil {
		return domain{}, err
	}
	h := k.group.Exp(y, k.private)
	g := k.group.Mul(k.group.Exp(k.group.G, s), h)
	return domain{group: k.group}.withGenerator(g)
}

// withGenerator is the group with another generator.
func (d domain) withGenerator(g *big.Int) (domain, error) {
	if !d.group.Valid(g) {
		return domain{}, errGenerator
	}
	return domain{group: d.group.WithGenerator(g)}, nil
}
