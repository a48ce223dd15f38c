package chip

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
)

// Object identifiers below bsi-de, as encoded (ICAO 9303-11 sections 9.2.3
// and 9.2.7).
var (
	oidPACE     = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x04} // .protocol.suite
	oidCA       = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x03} // .protocol.suite
	oidCAKey    = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x01} // .protocol
	oidStandard = "0.4.0.127.0.7.1.2"                                    // standardizedDomainParameters
	oidECKey    = "1.2.840.10045.2.1"                                    // id-ecPublicKey, RFC 5480
	oidECDH     = "1.3.132.1.12"                                         // id-ecDH, RFC 5480
	oidPrime    = "1.2.840.10045.1.1"                                    // prime-field, X9.62
)

var errInfo = errors.New("malformed security information")

// maxInfos bounds how many entries a chip may announce.
const maxInfos = 64

// info is one SecurityInfo: object identifier, required data and the optional
// rest (ICAO 9303-11 section 9.2).
type info struct {
	oid      []byte
	required ber.TLV
	optional []ber.TLV
}

// parseInfos reads SecurityInfos, a SET OF SecurityInfo.
func parseInfos(raw []byte) ([]info, error) {
	set, err := ber.Expect(raw, ber.Set)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInfo, err)
	}
	entries, err := ber.Children(set)
	if err != nil || len(entries) > maxInfos {
		return nil, errInfo
	}
	var out []info
	for _, e := range entries {
		if e.Tag != ber.Sequence {
			return nil, errInfo
		}
		f, err := ber.Children(e.Value)
		if err != nil || len(f) < 2 || f[0].Tag != ber.OID {
			return nil, errInfo
		}
		out = append(out, info{oid: f[0].Value, required: f[1], optional: f[2:]})
	}
	return out, nil
}

// smallInt reads an INTEGER of at most four bytes that is not negative.
func smallInt(t ber.TLV) (int, bool) {
	if t.Tag != ber.Integer || len(t.Value) == 0 || len(t.Value) > 4 || t.Value[0]&0x80 != 0 {
		return 0, false
	}
	n := 0
	for _, b := range t.Value {
		n = n<<8 | int(b)
	}
	return n, true
}

// integer is the optional INTEGER of an info; nil when it has none.
func (i info) integer() (*int, error) {
	if len(i.optional) == 0 {
		return nil, nil
	}
	n, ok := smallInt(i.optional[0])
	if !ok {
		return nil, errInfo
	}
	return &n, nil
}

// under splits an object identifier below prefix into its last arcs; nil when
// it does not lie below or has another number of arcs.
func under(oid, prefix []byte, arcs int) []byte {
	rest, ok := bytes.CutPrefix(oid, prefix)
	if !ok || len(rest) != arcs {
		return nil
	}
	return rest
}

func dotted(t ber.TLV) string {
	var o asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(t.Raw, &o); err != nil {
		return ""
	}
	return o.String()
}

// parseCurve reads the AlgorithmIdentifier of an elliptic curve key: by
// number, by name, or by explicit parameters that are those of a named curve
// (ICAO 9303-11 sections 9.5.1, 9.5.2; BSI TR-03111 section 3.2.2). Nil means
// a curve or algorithm that we do not have.
func parseCurve(algorithm []byte) (*ec.Curve, error) {
	f, err := ber.Children(algorithm)
	if err != nil || len(f) < 2 || f[0].Tag != ber.OID {
		return nil, errInfo
	}
	switch dotted(f[0]) {
	case oidStandard:
		id, ok := smallInt(f[1])
		if !ok {
			return nil, errInfo
		}
		c, _ := ec.ByID(id)
		return c, nil
	case oidECKey, oidECDH:
	default:
		return nil, nil
	}
	switch f[1].Tag {
	case ber.OID:
		c, _ := ec.ByOID(dotted(f[1]))
		return c, nil
	case ber.Sequence:
		return explicitCurve(f[1].Value)
	}
	return nil, nil
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
