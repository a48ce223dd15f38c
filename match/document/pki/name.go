package pki

import (
	"slices"
	"strings"
	"unicode/utf16"

	"gateagent/internal/ber"
)

// Name is a distinguished name in the form in which two are compared.
type Name struct {
	// Key is equal for two names exactly when they are the same by the
	// rules of ICAO 9303-12 section 7.1 and RFC 5280 section 7.1: letter
	// case, runs of space and the kind of string do not count.
	Key     string
	Country string // countryName in upper case, "" where there is none
	Common  string // commonName as written
}

// Attribute types (RFC 4519).
const (
	oidCountry    = "2.5.4.6"
	oidCommonName = "2.5.4.3"
)

// parseName reads a Name element. Attributes whose value is no string are
// compared byte by byte.
func parseName(raw []byte) (Name, error) {
	var n Name
	var key strings.Builder
	r := open(raw, ber.Sequence)
	for r.err == nil && len(r.rest) > 0 {
		set := &reader{rest: r.expect(ber.Set).Value}
		var parts []string
		for set.err == nil && len(set.rest) > 0 {
			a := &reader{rest: set.expect(ber.Sequence).Value}
			oid, err := OID(a.expect(ber.OID).Value)
			value := a.next()
			if a.err != nil {
				return Name{}, a.err
			}
			if err != nil {
				return Name{}, err
			}
			text := fold(value)
			parts = append(parts, oid+"="+text)
			switch {
			case oid == oidCountry && n.Country == "":
				n.Country = strings.ToUpper(text)
			case oid == oidCommonName:
				n.Common = decodeString(value)
			}
		}
		if set.err != nil {
			return Name{}, set.err
		}
		slices.Sort(parts) // the order within a set has no meaning
		key.WriteString(strings.Join(parts, "\x00"))
		key.WriteByte(1)
	}
	n.Key = key.String()
	return n, r.err
}

// fold brings an attribute value into the form for comparison.
func fold(v ber.TLV) string {
	return strings.Join(strings.Fields(strings.ToLower(decodeString(v))), " ")
}

// decodeString reads the string types of X.520. T61String is read as Latin 1,
// as everybody writes it.
func decodeString(v ber.TLV) string {
	switch v.Tag {
	case ber.UTF8String, ber.PrintableString, ber.IA5String, 0x12, 0x1A:
		return strings.ToValidUTF8(string(v.Value), "\uFFFD")
	case 0x14: // T61String
		out := make([]rune, len(v.Value))
		for i, b := range v.Value {
			out[i] = rune(b)
		}
		return string(out)
	case 0x1E: // BMPString
		units := make([]uint16, len(v.Value)/2)
		for i := range units {
			units[i] = uint16(v.Value[2*i])<<8 | uint16(v.Value[2*i+1])
		}
		return string(utf16.Decode(units))
	}
	return string(v.Raw)
}
