package lds

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestReadHeader(t *testing.T) {
	sof := func(marker byte, w, h uint16) []byte {
		b := binary.BigEndian.AppendUint16([]byte{0xFF, marker, 0, 11, 8}, h)
		return append(binary.BigEndian.AppendUint16(b, w), 1, 1, 0x11, 0)
	}
	pic := func(parts ...[]byte) []byte { return append([]byte{0xFF, 0xD8}, bytes.Join(parts, nil)...) }
	stream := codestream(240, 320)
	ihdr := jp2Box("jp2h", jp2Box("colr", make([]byte, 7)), jp2Box("ihdr", []byte{0, 0, 1, 64, 0, 0, 0, 240, 0, 3, 7, 7, 0, 0}))
	file := func(parts ...[]byte) []byte { return append(bytes.Clone(jp2Start), bytes.Join(parts, nil)...) }
	long := append([]byte{0, 0, 0, 1, 'u', 'u', 'i', 'd'}, append(binary.BigEndian.AppendUint64(nil, 20), 1, 2, 3, 4)...)
	last := append([]byte{0, 0, 0, 0}, "jp2c"...)
	for name, b := range map[string][]byte{
		"baseline": pic(sof(0xC0, 240, 320)), "progressive": pic([]byte{0xFF, 0xE1, 0, 4, 1, 2}, sof(0xC2, 240, 320)), "arithmetic": pic(sof(0xC9, 240, 320)),
		"fill bytes": pic([]byte{0xFF, 0xFF, 0xFF}, sof(0xC0, 240, 320)), "tables first": pic([]byte{0xFF, 0xC4, 0, 3, 9, 0xFF, 0xDB, 0, 2, 0xFF, 0xCC, 0, 2}, sof(0xC1, 240, 320)),
		"markers without length": pic([]byte{0xFF, 0x01, 0xFF, 0xD0}, sof(0xC0, 240, 320)),
		"codestream":             stream, "file": file(ihdr, last, stream), "long box before": file(long, ihdr), "header last": file(jp2Box("ftyp", nil), append([]byte{0, 0, 0, 0}, ihdr[4:]...)),
	} {
		img, err := ReadHeader(b)
		if err != nil || img.Width != 240 || img.Height != 320 || len(img.Data) != len(b) {
			t.Errorf("%s: %+v %v", name, img, err)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "PNG": []byte("\x89PNG\r\n\x1a\n"), "start alone": {0xFF, 0xD8, 0xFF}, "end first": pic([]byte{0xFF, 0xD9, 0, 2}), "scan first": pic([]byte{0xFF, 0xDA, 0, 2}, sof(0xC0, 1, 1)),
		"segment of 1": pic([]byte{0xFF, 0xE0, 0, 1}, sof(0xC0, 1, 1)), "segment too long": pic([]byte{0xFF, 0xE0, 0x7F, 0xFF}, sof(0xC0, 1, 1)), "no marker": pic([]byte{0xFF, 0xE0, 0, 2, 0x12, 0x34, 0, 2}),
		"short frame": pic([]byte{0xFF, 0xC0, 0, 7, 8, 0, 1, 0, 1}), "no width": pic(sof(0xC0, 0, 9)), "no height": pic(sof(0xC0, 9, 0)), "too wide": pic(sof(0xC0, maxSide+1, 9)), "only tables": pic([]byte{0xFF, 0xC4, 0, 2}),
		"short codestream": stream[:23], "offset beyond": append(append(bytes.Clone(stream[:16]), 0xFF, 0xFF, 0xFF, 0xFF), stream[20:]...), "huge codestream": codestream(1<<31, 9),
		"no boxes": file(), "no header": file(last, stream), "empty header": file(jp2Box("jp2h")), "short ihdr": file(jp2Box("jp2h", jp2Box("ihdr", make([]byte, 7)))), "huge ihdr": file(jp2Box("jp2h", jp2Box("ihdr", bytes.Repeat([]byte{0x7F}, 14)))),
		"box of 7": file([]byte{0, 0, 0, 7, 'f', 'r', 'e', 'e'}, ihdr), "box beyond": file([]byte{0x7F, 0, 0, 0, 'f', 'r', 'e', 'e'}, ihdr), "long box cut": file([]byte{0, 0, 0, 1, 'u', 'u', 'i', 'd', 0, 0}), "long box of 0": file([]byte{0, 0, 0, 1, 'u', 'u', 'i', 'd', 0, 0, 0, 0, 0, 0, 0, 0}, ihdr),
	} {
		if img, err := ReadHeader(b); err == nil {
			t.Errorf("%s: %d × %d", name, img.Width, img.Height)
		}
	}
}
