package chip

import (
	"math/big"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
	"gateagent/internal/modp"
)

// Algorithms of public keys and domain parameters (ICAO 9303-11 sections
// 9.5.1, 9.5.2 and 9.6).
const (
	oidStandard = "0.4.0.127.0.7.1.2"    // standardizedDomainParameters
	oidECKey    = "1.2.840.10045.2.1"    // id-ecPublicKey, RFC 5480
	oidECDH     = "1.3.132.1.12"         // id-ecDH, RFC 5480
	oidPrime    = "1.2.840.10045.1.1"    // prime-field, X9.62
	oidDHNumber = "1.2.840.10046.2.1"    // dhpublicnumber, X9.42
	oidDHKey    = "1.2.840.113549.1.3.1" // dhKeyAgreement, PKCS #3
)

// standardDomain is one of the standardized domain parameters; the zero
// domain where the number is none.
func standardDomain(id int) domain {
	c, _ := ec.ByID(id)
	g, _ := modp.ByID(id)
	return domain{curve: c, group: g}
}

// parseDomain reads the AlgorithmIdentifier of a key: by number, by name, or
// by explicit parameters (ICAO 9303-11 sections 9.5.1, 9.5.2; BSI TR-03111
// section 3.2.2). Explicit parameters of a curve must be those of a named one;
// those of a group modulo a prime need not where the file is signed. The zero
// domain means a curve or algorithm that we do not have.
func parseDomain(algorithm []byte, named bool) (domain, error) {
	f, err := ber.Children(algorithm)
	if err != nil || len(f) < 2 || f[0].Tag != ber.OID {
		return domain{}, errInfo
	}
	switch oid := dotted(f[0]); oid {
	case oidStandard:
		id, ok := smallInt(f[1])
		if !ok {
			return domain{}, errInfo
		}
		return standardDomain(id), nil
	case oidECKey, oidECDH:
		switch f[1].Tag {
		case ber.OID:
			c, _ := ec.ByOID(dotted(f[1]))
			return domain{curve: c}, nil
		case ber.Sequence:
			c, err := explicitCurve(f[1].Value)
			return domain{curve: c}, err
		}
	case oidDHNumber, oidDHKey:
		return explicitGroup(f[1], oid == oidDHNumber, named)
	}
	return domain{}, nil
}

// explicitCurve matches ECParameters of X9.62 (RFC 3279 section 2.3.5).
func explicitCurve(params []byte) (*ec.Curve, error) {
	f, err := ber.Children(params)
	if err != nil || len(f) < 5 || f[1].Tag != ber.Sequence || f[2].Tag != ber.Sequence || f[3].Tag != ber.OctetString || f[4].Tag != ber.Integer {
		return nil, errInfo
	}
	field, err := ber.Children(f[1].Value)
	if err != nil || len(field) != 2 || field[0].Tag != ber.OID {
		return nil, errInfo
	}
	if dotted(field[0]) != oidPrime || field[1].Tag != ber.Integer {
		return nil, nil
	}
	ab, err := ber.Children(f[2].Value)
	if err != nil || len(ab) < 2 || ab[0].Tag != ber.OctetString || ab[1].Tag != ber.OctetString {
		return nil, errInfo
	}
	g := f[3].Value
	if len(g)%2 != 1 || g[0] != 4 {
		return nil, nil
	}
	half := len(g) / 2
	num := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	c, _ := ec.ByParameters(num(field[1].Value), num(ab[0].Value), num(ab[1].Value), num(g[1:1+half]), num(g[1+half:]), num(f[4].Value))
	return c, nil
}

// explicitGroup reads DomainParameters of X9.42 (p, g, q; RFC 3279 section
// 2.3.3) or DHParameter of PKCS #3 (p, g). Parameters beyond our bounds give
// the zero domain.
func explicitGroup(params ber.TLV, x942, named bool) (domain, error) {
	f, err := ber.Children(params.Value)
	if err != nil || params.Tag != ber.Sequence || len(f) < 2 || x942 && len(f) < 3 {
		return domain{}, errInfo
	}
	p, errP := unsigned(f[0])
	g, errG := unsigned(f[1])
	if errP != nil || errG != nil {
		return domain{}, errInfo
	}
	var q *big.Int
	if x942 {
		if q, err = unsigned(f[2]); err != nil {
			return domain{}, err
		}
	}
	group, known := modp.ByParameters(p, g, q)
	if !known && !named {
		group, _ = modp.New(p, g, q)
	}
	return domain{group: group}, nil
}

// maxInteger bounds an INTEGER of domain parameters, in bytes: 4096 bits and
// a sign.
const maxInteger = 513

// unsigned reads an INTEGER that is not negative.
func unsigned(t ber.TLV) (*big.Int, error) {
	if t.Tag != ber.Integer || len(t.Value) == 0 || len(t.Value) > maxInteger || t.Value[0]&0x80 != 0 {
		return nil, errInfo
	}
	return new(big.Int).SetBytes(t.Value), nil
}

// parsePublicKey reads a SubjectPublicKeyInfo. The zero domain means a key
// that we cannot use; the key is proven to belong to its domain.
func parsePublicKey(spki ber.TLV) (domain, []byte, error) {
	f, err := ber.Children(spki.Value)
	if err != nil || spki.Tag != ber.Sequence || len(f) != 2 || f[0].Tag != ber.Sequence || f[1].Tag != ber.BitString {
		return domain{}, nil, errInfo
	}
	d, err := parseDomain(f[0].Value, false)
	if err != nil || !d.known() {
		return domain{}, nil, err
	}
	if len(f[1].Value) < 2 || f[1].Value[0] != 0 {
		return domain{}, nil, errInfo
	}
	public := f[1].Value[1:]
	if d.group != nil { // an INTEGER inside the bit string (RFC 3279 section 2.3.3)
		t, err := ber.One(public)
		if err != nil {
			return domain{}, nil, errInfo
		}
		y, err := unsigned(t)
		if err != nil {
			return domain{}, nil, err
		}
		public = y.Bytes()
	}
	return d, public, d.check(public)
}
