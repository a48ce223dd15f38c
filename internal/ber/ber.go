// Package ber reads and writes BER-TLV (ITU-T X.690, ISO/IEC 7816-4 Annex E)
// with bounds: it never allocates by a declared length and never reads past
// its input. It accepts non-minimal lengths, as found on real cards and in
// real certificates, and indefinite length nowhere.
package ber

import (
	"errors"
	"fmt"
)

// Common universal tags, as they appear on the wire (one byte).
const (
	Boolean         = 0x01
	Integer         = 0x02
	BitString       = 0x03
	OctetString     = 0x04
	Null            = 0x05
	OID             = 0x06
	UTF8String      = 0x0C
	PrintableString = 0x13
	IA5String       = 0x16
	UTCTime         = 0x17
	GeneralizedTime = 0x18
	Sequence        = 0x30
	Set             = 0x31
)

// ErrTruncated: the input ends before the element does.
var ErrTruncated = errors.New("ber: truncated")

// TLV is one element. Tag holds the identifier octets as read, up to three
// (0x30, 0x7F49, 0x5F2E). Raw is the whole element, Value its content; both
// alias the input.
type TLV struct {
	Tag   uint32
	Value []byte
	Raw   []byte
}

// Constructed says whether the element holds elements.
func (t TLV) Constructed() bool {
	b := t.Tag
	for b > 0xFF {
		b >>= 8
	}
	return b&0x20 != 0
}

// Header reads identifier and length of the element at the start of b without
// needing its content: tag, header size and content length in bytes.
func Header(b []byte) (tag uint32, header, length int, err error) {
	if len(b) < 2 {
		return 0, 0, 0, ErrTruncated
	}
	tag, i := uint32(b[0]), 1
	if b[0]&0x1F == 0x1F {
		for {
			if i >= len(b) {
				return 0, 0, 0, ErrTruncated
			}
			if i > 2 {
				return 0, 0, 0, errors.New("ber: tag of more than three bytes")
			}
			tag = tag<<8 | uint32(b[i])
			i++
			if b[i-1]&0x80 == 0 {
				break
			}
		}
	}
	if i >= len(b) {
		return 0, 0, 0, ErrTruncated
	}
	l := int(b[i])
	i++
	if l < 0x80 {
		return tag, i, l, nil
	}
	n := l & 0x7F
	if n == 0 || n > 4 {
		return 0, 0, 0, fmt.Errorf("ber: length of %d bytes is not supported", n)
	}
	if i+n > len(b) {
		return 0, 0, 0, ErrTruncated
	}
	var v uint32
	for _, c := range b[i : i+n] {
		v = v<<8 | uint32(c)
	}
	if v > 1<<30 {
		return 0, 0, 0, errors.New("ber: declared length is absurd")
	}
	return tag, i + n, int(v), nil
}

// Next reads the element at the start of b and gives what follows it.
func Next(b []byte) (t TLV, rest []byte, err error) {
	tag, h, l, err := Header(b)
	if err != nil {
		return TLV{}, nil, err
	}
	if l > len(b)-h {
		return TLV{}, nil, ErrTruncated
	}
	return TLV{Tag: tag, Value: b[h : h+l], Raw: b[:h+l]}, b[h+l:], nil
}

// One reads exactly one element; trailing bytes are an error.
func One(b []byte) (TLV, error) {
	t, rest, err := Next(b)
	if err == nil && len(rest) != 0 {
		return TLV{}, fmt.Errorf("ber: %d bytes after the element", len(rest))
	}
	return t, err
}

// Expect reads exactly one element of the given tag and gives its value.
func Expect(b []byte, tag uint32) ([]byte, error) {
	t, err := One(b)
	if err != nil {
		return nil, err
	}
	if t.Tag != tag {
		return nil, fmt.Errorf("ber: tag %X where %X was expected", t.Tag, tag)
	}
	return t.Value, nil
}

// Take reads one element of the given tag off the front.
func Take(b []byte, tag uint32) (t TLV, rest []byte, err error) {
	t, rest, err = Next(b)
	if err == nil && t.Tag != tag {
		err = fmt.Errorf("element %X where %X was expected", t.Tag, tag)
	}
	return t, rest, err
}

// maxChildren bounds how many elements Children returns.
const maxChildren = 4096

// Children splits the content of a constructed element.
func Children(value []byte) ([]TLV, error) {
	var out []TLV
	for len(value) > 0 {
		if len(out) == maxChildren {
			return nil, errors.New("ber: too many elements")
		}
		t, rest, err := Next(value)
		if err != nil {
			return nil, err
		}
		out, value = append(out, t), rest
	}
	return out, nil
}

// Find gives the first element with the tag among the children of value.
func Find(value []byte, tag uint32) (TLV, bool) {
	for len(value) > 0 {
		t, rest, err := Next(value)
		if err != nil {
			return TLV{}, false
		}
		if t.Tag == tag {
			return t, true
		}
		value = rest
	}
	return TLV{}, false
}

// Make encodes one element in DER from the joined parts of its content.
func Make(tag uint32, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	out := make([]byte, 0, n+8)
	for shift := 16; shift > 0; shift -= 8 {
		if tag>>shift != 0 {
			out = append(out, byte(tag>>shift))
		}
	}
	out = append(out, byte(tag))
	switch {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	case n < 0x10000:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
