package doc

import (
	"encoding/binary"

	"gateagent/internal/ber"
)

// Image says how a picture is written into DG2.
type Image struct {
	Bytes         []byte
	JPEG2000      bool
	Width, Height int
	Form          FaceForm
	Faces         int  // how many portraits, each in a template of its own; 0: one
	InRecord      bool // several portraits in one record instead
}

// FaceForm is the standard that DG2 follows.
type FaceForm uint8

// Forms.
const (
	ISO19794 FaceForm = iota // ISO/IEC 19794-5:2005
	ISO39794                 // ISO/IEC 39794-5:2019, ICAO's application profile
)

// Tags of a biometric information template (ICAO 9303-10 section 4.7.2).
const (
	tagBIGroup     = 0x7F61
	tagBITemplate  = 0x7F60
	tagBDPrimitive = 0x5F2E
	tagBDBuilt     = 0x7F2E
)

// Format types of ISO/IEC JTC1/SC37 (owner 0101) in the CBEFF header.
const (
	formatFace19794 = 0x0008
	formatFace39794 = 0x0028
)

// template is one biometric information template: header and data.
func template(kind byte, format uint16, dataTag uint32, record []byte) []byte {
	header := ber.Make(0xA1,
		ber.Make(0x80, []byte{1, 1}),
		ber.Make(0x81, []byte{kind}),
		ber.Make(0x87, []byte{1, 1}),
		ber.Make(0x88, []byte{byte(format >> 8), byte(format)}))
	return ber.Make(tagBITemplate, header, ber.Make(dataTag, record))
}

// group is the group of templates that is a whole data group.
func templates(tag uint32, all ...[]byte) []byte {
	parts := append([][]byte{ber.Make(ber.Integer, []byte{byte(len(all))})}, all...)
	return ber.Make(tag, ber.Make(tagBIGroup, parts...))
}

// cbeff is a data group of one template with one record of the older kind.
func cbeff(tag uint32, kind, format byte, record []byte) []byte {
	return templates(tag, template(kind, uint16(format), tagBDPrimitive, record))
}

// dg2 writes the portraits.
func dg2(img Image, sex string) []byte {
	const face = 2 // biometric type
	faces := max(img.Faces, 1)
	if img.Form == ISO39794 {
		if img.InRecord {
			return templates(0x75, template(face, formatFace39794, tagBDBuilt, face39794(img, faces)))
		}
		return templates(0x75, repeated(faces, template(face, formatFace39794, tagBDBuilt, face39794(img, 1)))...)
	}
	if img.InRecord {
		return templates(0x75, template(face, formatFace19794, tagBDPrimitive, face19794(img, sex, faces)))
	}
	return templates(0x75, repeated(faces, template(face, formatFace19794, tagBDPrimitive, face19794(img, sex, 1)))...)
}

func repeated(n int, b []byte) [][]byte {
	var out [][]byte
	for range n {
		out = append(out, b)
	}
	return out
}

// face19794 is the facial record of ISO/IEC 19794-5:2005 section 5.
func face19794(img Image, sex string, faces int) []byte {
	gender := map[string]byte{"M": 1, "F": 2}[sex]
	kind := byte(0)
	if img.JPEG2000 {
		kind = 1
	}
	const block = 20 + 12
	size := block + len(img.Bytes)
	rec := []byte("FAC\x00010\x00")
	rec = binary.BigEndian.AppendUint32(rec, uint32(14+faces*size))
	rec = append(rec, 0, byte(faces))
	for range faces {
		rec = binary.BigEndian.AppendUint32(rec, uint32(size))
		rec = append(rec, 0, 0, gender, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		rec = append(rec, 1, kind)
		rec = binary.BigEndian.AppendUint16(rec, uint16(img.Width))
		rec = binary.BigEndian.AppendUint16(rec, uint16(img.Height))
		rec = append(rec, 1, 2, 0, 0, 0, 0)
		rec = append(rec, img.Bytes...)
	}
	return rec
}

// face39794 is the FaceImageDataBlock of ISO/IEC 39794-5:2019 annex A, in
// DER with automatic tags: version, then representations of picture, format,
// kind and size.
func face39794(img Image, faces int) []byte {
	tag := func(n int) uint32 { return 0xA0 | uint32(n) }
	number := func(n, v int) []byte { return ber.Make(0x80|uint32(n), smallInt(v)[2:]) }
	format := 2 // jpeg
	if img.JPEG2000 {
		format = 3 // jpeg2000Lossy
	}
	information := ber.Make(tag(1),
		ber.Make(tag(0), number(0, format)),
		ber.Make(tag(1), number(0, 0)), // kind: MRTD
		ber.Make(tag(7), number(0, img.Width), number(1, img.Height)))
	picture := ber.Make(tag(0), ber.Make(0x80, img.Bytes), information)
	var representations [][]byte
	for i := range faces {
		representations = append(representations, seq(number(0, i), ber.Make(tag(1), ber.Make(tag(0), picture))))
	}
	return ber.Make(0x65, // APPLICATION 5
		ber.Make(tag(0), number(0, 3), number(1, 2019)),
		ber.Make(tag(1), representations...))
}

// JPEG2000 draws a grey picture of the given size as a JPEG 2000 file of
// exactly size bytes, or as a bare codestream.
func JPEG2000(width, height, size int, bare bool) []byte {
	wrap := func(stream []byte) []byte {
		if bare {
			return stream
		}
		box := func(kind string, parts ...[]byte) []byte {
			out := append(make([]byte, 4), kind...)
			for _, p := range parts {
				out = append(out, p...)
			}
			binary.BigEndian.PutUint32(out, uint32(len(out)))
			return out
		}
		ihdr := binary.BigEndian.AppendUint32(nil, uint32(height))
		ihdr = binary.BigEndian.AppendUint32(ihdr, uint32(width))
		ihdr = append(ihdr, 0, 1, 7, 7, 0, 0)
		out := box("jP  ", []byte("\r\n\x87\n"))
		out = append(out, box("ftyp", []byte("jp2 \x00\x00\x00\x00jp2 "))...)
		out = append(out, box("jp2h", box("ihdr", ihdr), box("colr", []byte{1, 0, 0, 0, 0, 0, 17}))...)
		return append(out, box("jp2c", stream)...)
	}
	bareSize := len(wrap(codestream(width, height, 0)))
	return wrap(codestream(width, height, max(size-bareSize, 0)))
}

// codestream is an empty picture, middle grey, of one tile, one component,
// no decomposition and one packet without content (ITU-T T.800 annex A),
// filled up by comment segments of so many bytes.
func codestream(width, height, fill int) []byte {
	segment := func(marker byte, body ...byte) []byte {
		out := []byte{0xFF, marker}
		out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
		return append(out, body...)
	}
	var siz []byte
	siz = binary.BigEndian.AppendUint16(siz, 0)
	for _, v := range []int{width, height, 0, 0, width, height, 0, 0} {
		siz = binary.BigEndian.AppendUint32(siz, uint32(v))
	}
	siz = append(siz, 0, 1, 7, 1, 1) // one component of 8 bits
	out := []byte{0xFF, 0x4F}
	out = append(out, segment(0x51, siz...)...)
	out = append(out, segment(0x52, 0, 0, 0, 1, 0, 0, 4, 4, 0, 1)...) // COD: one layer, blocks of 64, 5-3
	out = append(out, segment(0x5C, 0x40, 0x40)...)                   // QCD: none
	for fill > 0 {
		const least = 6 // marker, length, registration
		n := min(fill, 0xFFFF+2)
		if left := fill - n; left > 0 && left < least {
			n -= least
		}
		n = max(n, least)
		out = append(out, segment(0x64, make([]byte, n-4)...)...)
		fill -= n
	}
	out = append(out, segment(0x90, 0, 0, 0, 0, 0, 15, 0, 1)...) // SOT
	return append(out, 0xFF, 0x93, 0x00, 0xFF, 0xD9)
}
