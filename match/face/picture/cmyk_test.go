package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"testing"
)

// packCMYK makes a JPEG with four components in one shade: Go's encoder gives
// the tables, each block is a difference of zero and an end of block (ITU-T
// T.81 Annex K: 00 and 1010).
func packCMYK(t *testing.T, side int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, side, side)), nil); err != nil {
		t.Fatal(err)
	}
	grey := b.Bytes()
	segment := func(marker byte) []byte {
		at := bytes.Index(grey, []byte{0xFF, marker})
		if at < 0 {
			t.Fatalf("no segment %X", marker)
		}
		return grey[at : at+2+int(binary.BigEndian.Uint16(grey[at+2:]))]
	}
	out := append([]byte{0xFF, 0xD8, 0xFF, 0xEE, 0, 14}, "Adobe\x00\x64\x00\x00\x00\x00\x00"...) // no transform: CMYK
	out = append(out, segment(0xDB)...)
	out = append(out, 0xFF, 0xC0, 0, 20, 8, byte(side>>8), byte(side), byte(side>>8), byte(side), 4)
	for c := byte(1); c <= 4; c++ {
		out = append(out, c, 0x11, 0)
	}
	out = append(out, segment(0xC4)...)
	out = append(out, 0xFF, 0xDA, 0, 14, 4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0)
	out = append(out, bytes.Repeat([]byte{0x28, 0xA2, 0x8A}, side/8*side/8)...)
	return append(out, 0xFF, 0xD9)
}

// Printers' colours are no fault of a portrait; they become red, green, blue.
func TestDecodeCMYK(t *testing.T) {
	raw := packCMYK(t, 64)
	p, err := Decode(raw, JPEG, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if p.Width != 64 || p.Height != 64 || len(p.Pix) != 3*64*64 {
		t.Fatalf("%d×%d, %d bytes", p.Width, p.Height, len(p.Pix))
	}
	for i, v := range p.Pix {
		if v != p.Pix[0] || v == 0 || v == 255 {
			t.Fatalf("sample %d is %d, the first %d", i, v, p.Pix[0])
		}
	}
	if _, err := Decode(append(raw[:2:2], raw[18:]...), JPEG, DefaultLimits()); !errors.Is(err, ErrTorn) {
		t.Errorf("four components that nobody named: %v", err)
	}
	if _, err := Decode(raw[:len(raw)/2], JPEG, DefaultLimits()); err == nil {
		t.Error("half of it was read")
	}
}
