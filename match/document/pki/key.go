package pki

import (
	"errors"
	"fmt"
	"math/big"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
)

// PublicKey is the content of a SubjectPublicKeyInfo: either RSA or a point
// on a named curve.
type PublicKey struct {
	N, E    *big.Int // RSA
	PSSOnly bool     // RSA key that may only make PSS signatures
	Curve   *ec.Curve
	Point   ec.Point
	bits    []byte // content of the bit string, for key identifiers
}

// String names the kind of key.
func (k *PublicKey) String() string {
	switch {
	case k == nil:
		return "no key"
	case k.N != nil:
		return fmt.Sprintf("RSA-%d", k.N.BitLen())
	case k.Curve != nil:
		return k.Curve.Name
	}
	return "no key"
}

// Equal says whether two keys are the same.
func (k *PublicKey) Equal(other *PublicKey) bool {
	switch {
	case k == nil || other == nil:
		return false
	case k.N != nil && other.N != nil:
		return k.N.Cmp(other.N) == 0 && k.E.Cmp(other.E) == 0
	case k.Curve != nil && other.Curve != nil:
		return k.Curve.Name == other.Curve.Name && k.Point.Equal(other.Point)
	}
	return false
}

// Bounds of an RSA key. Shorter ones can be factored, longer ones only cost
// time; ICAO 9303-12 section 4.1.6.1 wants 2048 bits and more, while keys of
// 1024 bits are still in the field for active authentication.
const (
	minRSABits = 1024
	maxRSABits = 16384
	maxRSAExp  = 512 // bits of the public exponent
)

// ParseKey reads a SubjectPublicKeyInfo (RFC 5280 section 4.1, RFC 3279
// section 2.3). A key of an unknown kind is ErrUnsupported.
func ParseKey(der []byte) (*PublicKey, error) {
	r := open(der, ber.Sequence)
	alg := r.expect(ber.Sequence)
	bits := r.expect(ber.BitString)
	if r.err != nil {
		return nil, fmt.Errorf("public key: %w", r.err)
	}
	oid, params, err := algorithm(alg.Raw)
	if err != nil {
		return nil, fmt.Errorf("public key algorithm: %w", err)
	}
	if len(bits.Value) < 2 || bits.Value[0] != 0 {
		return nil, errors.New("public key: malformed bit string")
	}
	key := bits.Value[1:]
	switch oid {
	case oidRSA, oidPSS:
		return parseRSA(key, oid == oidPSS)
	case oidECKey, "1.3.132.1.12": // id-ecPublicKey, id-ecDH (RFC 5480)
		return parseECKey(key, params)
	}
	return nil, fmt.Errorf("public key algorithm %s: %w", oid, ErrUnsupported)
}

func parseRSA(der []byte, pss bool) (*PublicKey, error) {
	r := open(der, ber.Sequence)
	n, e := r.expect(ber.Integer), r.expect(ber.Integer)
	if r.err != nil {
		return nil, fmt.Errorf("RSA key: %w", r.err)
	}
	// Some issuers leave out the leading zero of a modulus with its top bit
	// set; it cannot be negative, so it is read as unsigned.
	k := &PublicKey{N: new(big.Int).SetBytes(n.Value), E: new(big.Int).SetBytes(e.Value), PSSOnly: pss, bits: der}
	switch {
	case k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits:
		return nil, fmt.Errorf("RSA key of %d bits: %w", k.N.BitLen(), ErrUnsupported)
	case k.N.Bit(0) == 0 || k.E.Bit(0) == 0 || k.E.BitLen() < 2 || k.E.BitLen() > maxRSAExp:
		return nil, errors.New("RSA key: modulus or exponent is impossible")
	}
	return k, nil
}

func parseECKey(point, params []byte) (*PublicKey, error) {
	c, err := ParseCurve(params)
	if err != nil {
		return nil, err
	}
	p, err := decodePoint(c, point)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return &PublicKey{Curve: c, Point: p, bits: point}, nil
}

// decodePoint reads a point, also a compressed one (BSI TR-03111 section
// 3.2.2).
func decodePoint(c *ec.Curve, b []byte) (ec.Point, error) {
	if len(b) == 0 || b[0] != 2 && b[0] != 3 {
		return c.Unmarshal(b)
	}
	if len(b) != 1+c.Size() {
		return ec.Point{}, ec.ErrPoint
	}
	x := new(big.Int).SetBytes(b[1:])
	y := rootOf(x, c.P, c.A, c.B, uint(b[0]&1))
	p := ec.Point{X: x, Y: y}
	if y == nil || !c.OnCurve(p) {
		return ec.Point{}, ec.ErrPoint
	}
	return p, nil
}

// rootOf gives the y of the wanted parity with y² = x³ + ax + b, or nil.
func rootOf(x, p, a, b *big.Int, odd uint) *big.Int {
	v := new(big.Int).Mul(x, x)
	v.Add(v, a).Mul(v, x).Add(v, b).Mod(v, p)
	y := new(big.Int).ModSqrt(v, p)
	if y != nil && y.Bit(0) != odd && y.Sign() != 0 {
		y.Sub(p, y)
	}
	return y
}

// ParseCurve reads EcpkParameters (RFC 3279 section 2.3.5): a named curve, or
// explicit parameters that must be exactly those of a named curve.
func ParseCurve(params []byte) (*ec.Curve, error) {
	if params == nil {
		return nil, errors.New("elliptic curve key without parameters")
	}
	t, err := ber.One(params)
	if err != nil {
		return nil, fmt.Errorf("curve parameters: %w", err)
	}
	switch t.Tag {
	case ber.OID:
		oid, err := OID(t.Value)
		if err != nil {
			return nil, fmt.Errorf("curve: %w", err)
		}
		if c, ok := ec.ByOID(oid); ok {
			return c, nil
		}
		return nil, fmt.Errorf("curve %s: %w", oid, ErrUnsupported)
	case ber.Sequence:
		return parseExplicit(t.Value)
	}
	return nil, fmt.Errorf("curve parameters that are implied: %w", ErrUnsupported)
}

const oidPrimeField = "1.2.840.10045.1.1"

// parseExplicit reads ECParameters (ANSI X9.62, BSI TR-03111 section 2.1.2).
func parseExplicit(value []byte) (*ec.Curve, error) {
	r := &reader{rest: value}
	r.expect(ber.Integer)
	field := &reader{rest: r.expect(ber.Sequence).Value}
	curve := &reader{rest: r.expect(ber.Sequence).Value}
	base := r.expect(ber.OctetString).Value
	order := r.expect(ber.Integer).Value
	if r.err != nil {
		return nil, fmt.Errorf("explicit curve parameters: %w", r.err)
	}
	kind, err := OID(field.expect(ber.OID).Value)
	if err != nil || kind != oidPrimeField {
		return nil, fmt.Errorf("curve over field type %s: %w", kind, ErrUnsupported)
	}
	p := new(big.Int).SetBytes(field.expect(ber.Integer).Value)
	a := new(big.Int).SetBytes(curve.expect(ber.OctetString).Value)
	b := new(big.Int).SetBytes(curve.expect(ber.OctetString).Value)
	if field.err != nil || curve.err != nil {
		return nil, errors.New("explicit curve parameters are malformed")
	}
	x, y := splitBase(base, p, a, b)
	if c, ok := ec.ByParameters(p, a, b, x, y, new(big.Int).SetBytes(order)); ok {
		return c, nil
	}
	return nil, fmt.Errorf("explicit parameters of a curve of %d bits without a name: %w", p.BitLen(), ErrUnsupported)
}

// maxFieldBits bounds the prime for which a compressed base point is worked
// out; the largest named curve has 521.
const maxFieldBits = 528

func splitBase(base []byte, p, a, b *big.Int) (x, y *big.Int) {
	if len(base) < 2 {
		return nil, nil
	}
	switch n := len(base) - 1; {
	case base[0] == 4 && n%2 == 0:
		return new(big.Int).SetBytes(base[1 : 1+n/2]), new(big.Int).SetBytes(base[1+n/2:])
	case (base[0] == 2 || base[0] == 3) && p.Bit(0) == 1 && p.BitLen() <= maxFieldBits && p.ProbablyPrime(10):
		x = new(big.Int).SetBytes(base[1:])
		return x, rootOf(x, p, a, b, uint(base[0]&1))
	}
	return nil, nil
}
