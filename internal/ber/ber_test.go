package ber

import (
	"bytes"
	"errors"
	"testing"
)

func TestNext(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 300)
	for name, c := range map[string]struct {
		in           []byte
		tag          uint32
		value, after []byte
	}{
		"short":             {[]byte{0x30, 2, 1, 2, 9}, 0x30, []byte{1, 2}, []byte{9}},
		"empty":             {[]byte{0x05, 0}, 0x05, nil, nil},
		"two byte tag":      {[]byte{0x5F, 0x1F, 1, 8}, 0x5F1F, []byte{8}, nil},
		"three byte tag":    {[]byte{0x7F, 0x81, 0x01, 1, 8}, 0x7F8101, []byte{8}, nil},
		"length of one":     {[]byte{0x04, 0x81, 1, 8}, 0x04, []byte{8}, nil},
		"length of two":     {append([]byte{0x04, 0x82, 1, 44}, long...), 0x04, long, nil},
		"length with zeros": {[]byte{0x04, 0x84, 0, 0, 0, 1, 8, 9}, 0x04, []byte{8}, []byte{9}},
	} {
		e, rest, err := Next(c.in)
		if err != nil || e.Tag != c.tag || !bytes.Equal(e.Value, c.value) || !bytes.Equal(rest, c.after) || len(e.Raw)+len(rest) != len(c.in) {
			t.Errorf("%s: %+v %X %v", name, e, rest, err)
		}
	}
	for name, in := range map[string][]byte{
		"nothing": nil, "a tag alone": {0x30}, "cut": {0x30, 2, 1}, "endless tag": {0x5F, 0x81, 0x81, 0x81, 1, 0}, "cut tag": {0x5F, 0x81}, "tag without length": {0x5F, 0x1F},
		"indefinite": {0x30, 0x80, 0, 0}, "length of five": {0x30, 0x85, 0, 0, 0, 0, 0}, "cut length": {0x30, 0x82, 1}, "absurd": {0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF}, "just too long": {0x30, 0x81, 200, 1},
	} {
		if _, _, err := Next(in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, _, err := Next([]byte{0x30, 2, 1}); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut: %v", err)
	}
}

func TestOneExpectFind(t *testing.T) {
	seq := Make(Sequence, Make(Integer, []byte{1}), Make(Null))
	if _, err := One(append(bytes.Clone(seq), 0)); err == nil {
		t.Error("a byte more passes for one element")
	}
	v, err := Expect(seq, Sequence)
	if err != nil || len(v) != 5 {
		t.Fatalf("%X %v", v, err)
	}
	if _, err := Expect(seq, Set); err == nil {
		t.Error("a sequence passes for a set")
	}
	if _, rest, err := Take(append(bytes.Clone(seq), 1, 2), Sequence); err != nil || !bytes.Equal(rest, []byte{1, 2}) {
		t.Errorf("Take left % X, %v", rest, err)
	}
	if _, _, err := Take(seq, Set); err == nil {
		t.Error("Take gave a sequence for a set")
	}
	if n, ok := Find(v, Null); !ok || n.Tag != Null {
		t.Error("not found")
	}
	if _, ok := Find(v, OID); ok {
		t.Error("found what is not there")
	}
	if _, err := Children(bytes.Repeat([]byte{5, 0}, maxChildren)); err != nil {
		t.Error(err)
	}
	if _, err := Children(bytes.Repeat([]byte{5, 0}, maxChildren+1)); err == nil {
		t.Error("no bound on the number of elements")
	}
	if !(TLV{Tag: 0x7F61}).Constructed() || (TLV{Tag: 0x5F2E}).Constructed() || !(TLV{Tag: 0x7F8101}).Constructed() {
		t.Error("constructed and primitive are mixed up")
	}
}

// FuzzTLV looks for elements that are not what was read.
func FuzzTLV(f *testing.F) {
	for _, s := range [][]byte{{0x30, 0x80, 0, 0}, {0x7F, 0x61, 0x03, 2, 1, 1}, {0x5F, 0x81, 0x01, 0}, Make(0x7F61, bytes.Repeat([]byte{1}, 300)), {0x30, 0x84, 0, 0, 0, 1, 5}} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tag, head, length, headErr := Header(b)
		e, rest, err := Next(b)
		if err != nil {
			if headErr == nil && length <= len(b)-head {
				t.Fatalf("%v, though the element is whole", err)
			}
			return
		}
		if e.Tag != tag || len(e.Value) != length || len(e.Raw) != head+length || !bytes.Equal(append(bytes.Clone(e.Raw), rest...), b) {
			t.Fatalf("%X of %d and %d bytes, header says %X, %d, %d", e.Tag, len(e.Value), len(e.Raw), tag, head, length)
		}
		again, err := One(Make(e.Tag, e.Value))
		if err != nil || again.Tag != e.Tag || !bytes.Equal(again.Value, e.Value) || len(again.Raw) > len(e.Raw) {
			t.Fatalf("written again: %v", err)
		}
		parts, err := Children(b)
		n := 0
		for _, p := range parts {
			n += len(p.Raw)
			if found, ok := Find(b, p.Tag); !ok || found.Tag != p.Tag {
				t.Fatalf("%X is among the children and not found", p.Tag)
			}
		}
		if err == nil && n != len(b) {
			t.Fatalf("children of %d bytes out of %d", n, len(b))
		}
	})
}
