package pki

import (
	"errors"
	"strconv"
	"strings"

	"gateagent/internal/ber"
)

// maxOID bounds the encoded length of an object identifier.
const maxOID = 64

// OID gives the dotted form of the content octets of an object identifier
// (ITU-T X.690 section 8.19).
func OID(value []byte) (string, error) {
	if len(value) == 0 || len(value) > maxOID || value[len(value)-1]&0x80 != 0 {
		return "", errors.New("malformed object identifier")
	}
	var b strings.Builder
	var arc uint64
	first := true
	for _, c := range value {
		if arc > 1<<56 {
			return "", errors.New("object identifier with an absurd arc")
		}
		arc = arc<<7 | uint64(c&0x7F)
		if c&0x80 != 0 {
			continue
		}
		if first {
			root := min(arc/40, 2)
			b.WriteString(strconv.FormatUint(root, 10))
			arc -= root * 40
			first = false
		}
		b.WriteByte('.')
		b.WriteString(strconv.FormatUint(arc, 10))
		arc = 0
	}
	return b.String(), nil
}

// EncodeOID encodes a dotted object identifier as a complete element. It is
// nil when the text is none.
func EncodeOID(dotted string) []byte {
	parts := strings.Split(dotted, ".")
	if len(parts) < 2 {
		return nil
	}
	arcs := make([]uint64, len(parts))
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 56)
		if err != nil {
			return nil
		}
		arcs[i] = v
	}
	if arcs[0] > 2 || arcs[0] < 2 && arcs[1] >= 40 {
		return nil
	}
	out := appendArc(nil, arcs[0]*40+arcs[1])
	for _, a := range arcs[2:] {
		out = appendArc(out, a)
	}
	return ber.Make(ber.OID, out)
}

func appendArc(out []byte, v uint64) []byte {
	n := 1
	for x := v >> 7; x > 0; x >>= 7 {
		n++
	}
	for n--; n > 0; n-- {
		out = append(out, byte(v>>(7*n))|0x80)
	}
	return append(out, byte(v&0x7F))
}

// reader walks the elements of one constructed value in order.
type reader struct {
	rest []byte
	err  error
}

// peek gives the tag of the next element, 0 at the end.
func (r *reader) peek() uint32 {
	if r.err != nil || len(r.rest) == 0 {
		return 0
	}
	tag, _, _, err := ber.Header(r.rest)
	if err != nil {
		return 0
	}
	return tag
}

// next takes the next element whatever it is.
func (r *reader) next() ber.TLV {
	if r.err != nil {
		return ber.TLV{}
	}
	t, rest, err := ber.Next(r.rest)
	if err != nil {
		r.err = err
		return ber.TLV{}
	}
	r.rest = rest
	return t
}

// expect takes the next element, which must have the tag.
func (r *reader) expect(tag uint32) ber.TLV {
	if r.err != nil {
		return ber.TLV{}
	}
	t, rest, err := ber.Take(r.rest, tag)
	r.err = err
	if err == nil {
		r.rest = rest
	}
	return t
}

// optional takes the next element if it has the tag.
func (r *reader) optional(tag uint32) (ber.TLV, bool) {
	if r.peek() != tag {
		return ber.TLV{}, false
	}
	t := r.next()
	return t, r.err == nil
}

// open starts to read the one constructed element in b.
func open(b []byte, tag uint32) *reader {
	v, err := ber.Expect(b, tag)
	return &reader{rest: v, err: err}
}
