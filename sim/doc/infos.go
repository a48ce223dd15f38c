package doc

import (
	"crypto"
	"fmt"
	"math/big"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
	"gateagent/internal/modp"
	"gateagent/sim/chip"
)

// Object identifiers of ICAO 9303-11 section 9.2 and 9.5.1.
const (
	oidTA          = "0.4.0.127.0.7.2.2.2"
	oidPK          = "0.4.0.127.0.7.2.2.1" // 1 for DH, 2 for ECDH
	oidCA          = "0.4.0.127.0.7.2.2.3" // the same, then the cipher
	oidAA          = "2.23.136.1.1.5"
	oidStandardDPs = "0.4.0.127.0.7.1.2"
	oidPlainECDSA  = "0.4.0.127.0.7.1.1.4.1"
	oidDHPublic    = "1.2.840.10046.2.1"    // dhpublicnumber, RFC 3279 section 2.3.3
	oidDHAgreement = "1.2.840.113549.1.3.1" // dhKeyAgreement, PKCS #3
	oidECPublic    = "1.2.840.10045.2.1"
)

// paceInfo states one PACE (ICAO 9303-11 section 9.2.3).
func paceInfo(p chip.PACE) []byte {
	return seq(ber.Make(ber.OID, p.OID()), smallInt(2), smallInt(p.ID))
}

// kindOf is the arc of the key agreement: 1 for DH, 2 for ECDH.
func kindOf(k chip.ChipKey) int {
	if k.Curve == nil {
		return 1
	}
	return 2
}

func caInfo(k chip.ChipKey, version int) []byte {
	return withID(k.ID, oid(fmt.Sprintf("%s.%d.%d", oidCA, kindOf(k), k.Cipher)), smallInt(version))
}

// withID ends an entry by the number of its key, where it has one.
func withID(id int, parts ...[]byte) []byte {
	if id != 0 {
		parts = append(parts, smallInt(id))
	}
	return seq(parts...)
}

// Parameters says how the public key of chip authentication states its
// domain parameters.
type Parameters uint8

// Ways to state them.
const (
	ExplicitCurve     Parameters = iota // spelled out: ECParameters, or p, g and q of X9.42
	NamedCurve                          // object identifier of the curve; with DH p and g of PKCS #3
	StandardizedCurve                   // standardized domain parameters
)

func caPublicKey(k chip.ChipKey, how Parameters) []byte {
	algorithm, public := agreementKey(k, how)
	return withID(k.ID, oid(fmt.Sprintf("%s.%d", oidPK, kindOf(k))), seq(algorithm, bitString(public)))
}

// agreementKey gives algorithm and value of the public key (ICAO 9303-11
// section 9.2.6, RFC 3279 sections 2.3.3 and 2.3.5).
func agreementKey(k chip.ChipKey, how Parameters) (algorithm, public []byte) {
	if k.Curve != nil {
		public = k.Curve.Marshal(k.Curve.BaseMult(k.Private))
		switch how {
		case NamedCurve:
			return seq(oid(oidECPublic), oid(k.Curve.OID)), public
		case StandardizedCurve:
			return seq(oid(oidStandardDPs), smallInt(k.Curve.ID)), public
		}
		return seq(oid(oidECPublic), explicitParameters(k.Curve)), public
	}
	g := k.Group
	public = integer(new(big.Int).Exp(g.G, k.Private, g.P))
	switch how {
	case NamedCurve:
		return seq(oid(oidDHAgreement), seq(integer(g.P), integer(g.G))), public
	case StandardizedCurve:
		return seq(oid(oidStandardDPs), smallInt(g.ID)), public
	}
	return seq(oid(oidDHPublic), seq(integer(g.P), integer(g.G), integer(g.Q))), public
}

// aaInfo states the hash of ECDSA active authentication (ICAO 9303-11
// section 9.2.3).
func aaInfo(h crypto.Hash) ([]byte, error) {
	arc := map[crypto.Hash]int{crypto.SHA1: 1, crypto.SHA224: 2, crypto.SHA256: 3, crypto.SHA384: 4, crypto.SHA512: 5}[h]
	if arc == 0 {
		return nil, fmt.Errorf("sim/doc: no ECDSA with hash %v for active authentication", h)
	}
	return seq(oid(oidAA), smallInt(1), oid(fmt.Sprintf("%s.%d", oidPlainECDSA, arc))), nil
}

// curveFor finds a curve with its standardized domain parameter id.
func curveFor(name string) (*ec.Curve, error) {
	c, ok := ec.ByName(name)
	if !ok {
		return nil, fmt.Errorf("sim/doc: no curve is named %q", name)
	}
	return c, nil
}

// agreementDomain finds the curve, or the group where no curve is named.
func agreementDomain(curve string, group int) (*ec.Curve, *modp.Group, error) {
	if curve != "" {
		c, err := curveFor(curve)
		return c, nil, err
	}
	g, ok := modp.ByID(group)
	if !ok {
		return nil, nil, fmt.Errorf("sim/doc: no group has the number %d", group)
	}
	return nil, g, nil
}
