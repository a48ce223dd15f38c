package doc

import (
	"math/big"
	"sort"
	"strconv"
	"strings"
	"time"

	"gateagent/internal/ber"
)

func seq(parts ...[]byte) []byte { return ber.Make(ber.Sequence, parts...) }

// set encodes SET OF in DER order (ITU-T X.690 section 11.6).
func set(parts ...[]byte) []byte {
	sorted := append([][]byte(nil), parts...)
	sort.Slice(sorted, func(i, j int) bool { return string(sorted[i]) < string(sorted[j]) })
	return ber.Make(ber.Set, sorted...)
}

// integer encodes an INTEGER; some issuers' serial numbers are negative.
func integer(v *big.Int) []byte {
	n := v.BitLen()/8 + 1
	if v.Sign() < 0 { // two's complement
		n = new(big.Int).Not(v).BitLen()/8 + 1
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	return ber.Make(ber.Integer, v.FillBytes(make([]byte, n)))
}

func smallInt(v int) []byte { return integer(big.NewInt(int64(v))) }

func bitString(b []byte) []byte { return ber.Make(ber.BitString, []byte{0}, b) }

func octets(b []byte) []byte { return ber.Make(ber.OctetString, b) }

func null() []byte { return []byte{ber.Null, 0} }

// oid encodes a dotted object identifier. The identifiers are constants of
// this package, so a malformed arc is encoded as zero and not reported.
func oid(dotted string) []byte {
	var arcs []int
	for _, s := range strings.Split(dotted, ".") {
		n, _ := strconv.Atoi(s)
		arcs = append(arcs, n)
	}
	out := []byte{byte(arcs[0]*40 + arcs[1])}
	for _, a := range arcs[2:] {
		tmp := []byte{byte(a & 0x7F)}
		for a >>= 7; a > 0; a >>= 7 {
			tmp = append([]byte{byte(a&0x7F) | 0x80}, tmp...)
		}
		out = append(out, tmp...)
	}
	return ber.Make(ber.OID, out)
}

// asn1Time encodes a certificate time: UTCTime to 2049, then GeneralizedTime
// (RFC 5280 section 4.1.2.5).
func asn1Time(t time.Time) []byte {
	t = t.UTC()
	if t.Year() < 2050 {
		return ber.Make(ber.UTCTime, []byte(t.Format("060102150405Z")))
	}
	return ber.Make(ber.GeneralizedTime, []byte(t.Format("20060102150405Z")))
}

// rdn is one relative distinguished name of a single attribute.
func rdn(attribute string, tag uint32, value string) []byte {
	return set(seq(oid(attribute), ber.Make(tag, []byte(value))))
}

// loosely writes the same name otherwise: in another type of string, in
// capitals and with doubled blanks, which ICAO 9303-12 section 7.1.1 and RFC
// 5280 section 7.1 take for the same.
func loosely(country, org, common string) []byte {
	loose := func(s string) []byte { return []byte(strings.ReplaceAll(strings.ToUpper(s), " ", "  ")) }
	return seq(
		rdn("2.5.4.6", ber.PrintableString, strings.ToLower(country)),
		rdn("2.5.4.10", ber.PrintableString, string(loose(org))),
		rdn("2.5.4.3", ber.PrintableString, string(loose(common))),
	)
}

// distinguishedName holds country, organisation and common name (ICAO
// 9303-12 section 7.1.1.1).
func distinguishedName(country, org, common string) []byte {
	return seq(
		rdn("2.5.4.6", ber.PrintableString, country),
		rdn("2.5.4.10", ber.UTF8String, org),
		rdn("2.5.4.3", ber.UTF8String, common),
	)
}
