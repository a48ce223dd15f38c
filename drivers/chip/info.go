package chip

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"

	"gateagent/internal/ber"
)

// Object identifiers below bsi-de, as encoded (ICAO 9303-11 sections 9.2.3
// and 9.2.7).
var (
	oidPACE  = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x04} // .protocol.suite
	oidCA    = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x03} // .protocol.suite
	oidCAKey = []byte{0x04, 0x00, 0x7F, 0x00, 0x07, 0x02, 0x02, 0x01} // .protocol
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
