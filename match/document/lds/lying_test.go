package lds

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"gateagent/internal/ber"
	"gateagent/match/document/pki"
)

// sample is a file that conforms, and what reads it. parse gives an error or
// finds fault itself with what was read.
type sample struct {
	name  string
	raw   []byte
	parse func([]byte) error
}

func samples(t testing.TB) []sample {
	x := published(t)
	form := func(n int) func([]byte) error { return func(b []byte) error { return CheckGroup(n, b) } }
	zone := func(b []byte) error {
		d, err := ParseMRZ(b)
		if err == nil && (d.Format == "" || len(d.Birth) != 6 || len(d.Expiry) != 6) {
			t.Errorf("%d bytes conform as %q", len(b), d.Format)
		}
		return err
	}
	face := func(b []byte) error {
		img, err := ParseFace(b)
		if err == nil && (img.Width < 1 || img.Width > maxSide || img.Height < 1 || img.Height > maxSide || formatOf(img.Data) != img.Format || len(img.Data) >= len(b)) {
			t.Errorf("conforms as %s of %d × %d in %d bytes", img.Format, img.Width, img.Height, len(img.Data))
		}
		return err
	}
	rsa := ber.Make(ber.Sequence, ber.Make(ber.Sequence, pki.EncodeOID("1.2.840.113549.1.1.1"), ber.Make(ber.Null)),
		ber.Make(ber.BitString, []byte{0}, ber.Make(ber.Sequence, ber.Make(ber.Integer, append([]byte{0}, bytes.Repeat([]byte{0xC1}, 128)...)), ber.Make(ber.Integer, []byte{1, 0, 1}))))
	list := ber.Make(ber.Sequence, ber.Make(ber.Integer, []byte{1}), ber.Make(ber.Sequence, pki.EncodeOID("2.16.840.1.101.3.4.2.1"), ber.Make(ber.Null)),
		ber.Make(ber.Sequence, hashEntry(1), hashEntry(2), hashEntry(14)), ber.Make(ber.Sequence, ber.Make(ber.PrintableString, []byte("0108")), ber.Make(ber.PrintableString, []byte("040000"))))
	return []sample{
		{"EF.COM", x.COM, func(b []byte) error { return second(ParseCOM(b)) }},
		{"DG1 of TD1", dg1("I<UTOD231458907<<<<<<<<<<<<<<<7408122F1204159UTO<<<<<<<<<<<6ERIKSSON<<ANNA<MARIA<<<<<<<<<<"), zone},
		{"DG1 of TD2", dg1("I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<D231458907UTO7408122F1204159<<<<<<<6"), zone},
		{"DG1 of TD3", dg1("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<L898902C36UTO7408122F1204159ZE184226B<<<<<10"), zone},
		{"DG2", dg2(ber.Make(0x5F2E, faceRecordOf(jpeg(300, 400)))), face},
		{"DG2 of two", groupOf(ber.Make(0x5F2E, facesOf(jpeg(30, 40), jp2(50, 60))), ber.Make(0x7F2E, faceRecordOf(codestream(70, 80)))), face},
		{"DG2 in 39794", dg2(built39794(jp2(30, 40))), face},
		{"DG5", ber.Make(0x65, ber.Make(2, []byte{2}), ber.Make(0x5F40, jpeg(3, 4)), ber.Make(0x5F40, jpeg(3, 4))), form(5)},
		{"DG7", ber.Make(0x67, ber.Make(2, []byte{1}), ber.Make(0x5F43, jpeg(3, 4))), form(7)},
		{"DG11", dg11Several(), form(11)},
		{"DG12", ber.Make(0x6C, ber.Make(0x5C, []byte{0x5F, 0x19, 0x5F, 0x26}), ber.Make(0x5F19, []byte("Nowhere")), ber.Make(0x5F26, []byte("20240301"))), form(12)},
		{"DG13", dg13(field(1, text("001199123457")), field(6, text("skipped")), field(15)), func(b []byte) error { return second(ParseNational(b)) }},
		{"DG14", dg14Full(), func(b []byte) error { return second(ParseDG14(b)) }},
		{"DG15", ber.Make(0x6F, rsa), func(b []byte) error { return second(ParseDG15(b)) }},
		{"DG16", x.DG16, form(16)},
		{"security object", list, func(b []byte) error { return second(ParseSecurityObject(b)) }},
		{"EF.SOD", ber.Make(0x77, list), func(b []byte) error {
			der, err := SignedObject(b)
			if err == nil {
				_, err = ParseSecurityObject(der)
			}
			return err
		}},
	}
}

func hashEntry(n byte) []byte {
	return ber.Make(ber.Sequence, ber.Make(ber.Integer, []byte{n}), ber.Make(ber.OctetString, bytes.Repeat([]byte{n}, 32)))
}

func dg1(zone string) []byte { return ber.Make(0x61, ber.Make(0x5F1F, []byte(zone))) }

// groupOf builds DG2 of several templates.
func groupOf(data ...[]byte) []byte {
	all := [][]byte{ber.Make(2, []byte{byte(len(data))})}
	for _, d := range data {
		all = append(all, ber.Make(0x7F60, ber.Make(0xA1, ber.Make(0x80, []byte{1, 1})), d))
	}
	return ber.Make(0x75, ber.Make(0x7F61, all...))
}

// facesOf puts several pictures into one facial record.
func facesOf(pics ...[]byte) []byte {
	all := faceRecordOf(pics[0])
	for _, p := range pics[1:] {
		all = append(all, faceRecordOf(p)[sizeRecordHeader:]...)
	}
	all[8], all[9], all[10], all[11] = 0, 0, byte(len(all)>>8), byte(len(all))
	all[13] = byte(len(pics))
	return all
}

// built39794 is a FaceImageDataBlock of ISO/IEC 39794-5 as its ASN.1 module
// lays it out: version, one representation with identifier, picture, format,
// kind and size, and landmarks after it.
func built39794(pic []byte) []byte {
	num := func(tag uint32, n byte) []byte { return ber.Make(tag, []byte{n}) }
	code := func(tag uint32, n byte) []byte { return ber.Make(tag, num(0x80, n)) }
	info := ber.Make(0xA1, code(0xA0, 2), code(0xA1, 0), ber.Make(0xA7, ber.Make(0x80, []byte{1, 44}), ber.Make(0x81, []byte{1, 144})), code(0xA9, 2))
	picture := ber.Make(0xA0, ber.Make(0x80, pic), info)
	landmark := ber.Make(ber.Sequence, ber.Make(0xA0, code(0xA0, 9)), ber.Make(0xA1, ber.Make(0xA0, ber.Make(0xA0, num(0x80, 7), num(0x81, 9)))))
	block := ber.Make(ber.Sequence, num(0x80, 0), ber.Make(0xA1, ber.Make(0xA0, picture)), ber.Make(0xA9, landmark, landmark))
	return ber.Make(0x7F2E, ber.Make(0x65, ber.Make(0xA0, num(0x80, 3), ber.Make(0x81, []byte{7, 0xE3})), ber.Make(0xA1, block)))
}

func dg11Several() []byte {
	other := ber.Make(0xA0, ber.Make(2, []byte{2}), ber.Make(0x5F0F, []byte("ONE<<A")), ber.Make(0x5F0F, []byte("TWO<<B")))
	return ber.Make(0x6B, ber.Make(0x5C, []byte{0x5F, 0x0E, 0x5F, 0x0F, 0x5F, 0x11}), ber.Make(0x5F0E, []byte("MUSTER<<A")), other, ber.Make(0x5F11, []byte("NOWHERE")))
}

func dg14Full() []byte {
	info := func(oid string, rest ...[]byte) []byte {
		return ber.Make(0x30, append([][]byte{pki.EncodeOID(oid)}, rest...)...)
	}
	num := func(n byte) []byte { return ber.Make(2, []byte{n}) }
	return ber.Make(0x6E, ber.Make(0x31, info("0.4.0.127.0.7.2.2.4.2.2", num(2), num(13)), info("0.4.0.127.0.7.2.2.3.2.2", num(1)),
		info("0.4.0.127.0.7.2.2.1.2", ber.Make(0x30, ber.Make(0x30), ber.Make(3, []byte{0}))), info("2.23.136.1.1.5", num(1), pki.EncodeOID("0.4.0.127.0.7.1.1.4.1.3"))))
}

// lengthBytes lists where the length bytes of every element are, at every
// depth, also of elements inside octet strings that hold elements.
func lengthBytes(b []byte, at int, out *[]int) bool {
	for len(b) > 0 {
		tag, head, n, err := ber.Header(b)
		if err != nil || n > len(b)-head {
			return false
		}
		first := at + 1
		for t := tag >> 8; t != 0; t >>= 8 {
			first++
		}
		for i := first; i < at+head; i++ {
			*out = append(*out, i)
		}
		inner := []int{}
		if lengthBytes(b[head:head+n], at+head, &inner) {
			*out = append(*out, inner...)
		}
		b, at = b[head+n:], at+head+n
	}
	return true
}

// Whatever a length says, a parser gives an error or something that conforms,
// and takes no memory by it: 16 MiB are the bound for a whole document, and
// all lies about one file together stay below it many times over.
func TestLyingLengths(t *testing.T) {
	for _, s := range samples(t) {
		if err := s.parse(s.raw); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		var places []int
		lengthBytes(s.raw, 0, &places)
		if len(places) < 2 {
			t.Fatalf("%s: %d length bytes", s.name, len(places))
		}
		b, refused := bytes.Clone(s.raw), 0
		for _, at := range places {
			used := allocated(func() {
				for v := range 256 {
					b[at] = byte(v)
					if s.parse(b) != nil {
						refused++
					}
				}
			})
			b[at] = s.raw[at]
			if used > 256*64<<10 {
				t.Errorf("%s: lies at byte %d take %d bytes each", s.name, at, used/256)
			}
		}
		if refused < len(places)*128 {
			t.Errorf("%s: only %d of %d lies are refused", s.name, refused, len(places)*256)
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Cut anywhere, or with bytes after it, no file conforms.
func TestCutAndLonger(t *testing.T) {
	for _, s := range samples(t) {
		for n := range s.raw {
			if s.parse(s.raw[:n]) == nil {
				t.Errorf("%s of %d bytes conforms cut to %d", s.name, len(s.raw), n)
			}
		}
		if s.parse(append(bytes.Clone(s.raw), 0)) == nil {
			t.Errorf("%s conforms with a byte after it", s.name)
		}
	}
}

// Large files, filled with what costs most. The bound is
// generous in time, and exact enough to notice anything but linear cost.
func TestLargestFiles(t *testing.T) {
	const large = 96 << 10
	fill := func(b []byte) []byte { return bytes.Repeat(b, large/len(b)) }
	deepest := []byte{}
	for len(deepest) < 60<<10 {
		deepest = ber.Make(0xA0, deepest)
	}
	for name, raw := range map[string][]byte{
		"empty elements": fill([]byte{0x30, 0}), "tags": ber.Make(0x5C, fill([]byte{0x5F, 0x0E})), "nested": deepest, "zeros": make([]byte, large),
		"markers": append([]byte{0xFF, 0xD8}, fill([]byte{0xFF})...), "segments": append([]byte{0xFF, 0xD8, 0xFF}, fill([]byte{0xE0, 0, 2, 0xFF})...),
		"boxes": append(bytes.Clone(jp2Start), fill([]byte{0, 0, 0, 8, 'f', 'r', 'e', 'e'})...), "sets": ber.Make(0x31, fill([]byte{0x30, 4, 6, 1, 1, 5})),
		"many faces": append([]byte("FAC\x00010\x00\x00\x04\x00\x00\xFF\xFF"), fill([]byte{0, 0, 0, 33})...), "records": fill(faceRecordOf(jpeg(1, 1))[sizeRecordHeader:]),
	} {
		for i, wrap := range wraps(raw) {
			used := allocated(func() {
				for n := 1; n <= 16; n++ {
					wrap[0] = byte(Tag(n))
					parseAll(n, wrap)
				}
			})
			if used > 16<<20 { // in all its parses together
				t.Errorf("%s, wrapped by %d: %d KiB", name, i, used>>10)
			}
		}
	}
}

// wraps puts content where the parsers of data groups look for it.
func wraps(raw []byte) [][]byte {
	one := ber.Make(2, []byte{1})
	return [][]byte{
		ber.Make(0x61, raw), ber.Make(0x61, one, raw), ber.Make(0x61, ber.Make(0x5F1F, raw)), ber.Make(0x61, ber.Make(0x31, raw)),
		ber.Make(0x61, ber.Make(0x7F61, one, ber.Make(0x7F60, ber.Make(0x7F2E, raw)))), ber.Make(0x61, ber.Make(0x7F61, raw)),
		ber.Make(0x61, ber.Make(0x7F61, one, ber.Make(0x7F60, ber.Make(0x5F2E, faceRecordOf(raw))))),
		ber.Make(0x61, ber.Make(0x5C, []byte{0x5F, 0x0E}), raw), ber.Make(0x61, one, ber.Make(0xA1, raw)), ber.Make(0x61, ber.Make(0x30, one, pki.EncodeOID("1.2.3"), ber.Make(0x31, raw))),
	}
}

// parseAll runs whatever reads data group n.
func parseAll(n int, raw []byte) {
	_, _ = ParseMRZ(raw)
	_, _ = ParseFace(raw)
	_, _ = ParseNational(raw)
	_, _ = ParseDG14(raw)
	_, _ = ParseDG15(raw)
	_ = CheckGroup(n, raw)
}

func TestGroupForms(t *testing.T) {
	num := func(n byte) []byte { return ber.Make(2, []byte{n}) }
	pic := ber.Make(0x5F40, jpeg(1, 1))
	list := ber.Make(0x5C, []byte{0x5F, 0x0E})
	for name, err := range map[string]error{
		"DG5 of none": CheckGroup(5, ber.Make(0x65, num(0))), "DG5, one announced": CheckGroup(5, ber.Make(0x65, num(1), pic, pic)), "DG5, two announced": CheckGroup(5, ber.Make(0x65, num(2), pic)),
		"DG5 with a signature": CheckGroup(5, ber.Make(0x65, num(1), ber.Make(0x5F43, jpeg(1, 1)))), "DG5, empty picture": CheckGroup(5, ber.Make(0x65, num(1), ber.Make(0x5F40))), "DG5, no number": CheckGroup(5, ber.Make(0x65, pic)),
		"DG7 with a portrait": CheckGroup(7, ber.Make(0x67, num(1), pic)), "DG11, empty list of names": CheckGroup(11, ber.Make(0x6B, list, ber.Make(0xA0, num(0)))),
		"DG11, mixed list": CheckGroup(11, ber.Make(0x6B, list, ber.Make(0xA0, num(2), ber.Make(0x5F0F), ber.Make(0x5F10)))), "DG11, list without number": CheckGroup(11, ber.Make(0x6B, list, ber.Make(0xA0, ber.Make(0x5F0F)))),
		"DG16 of none": CheckGroup(16, ber.Make(0x70, num(0))), "DG16, wrong person": CheckGroup(16, ber.Make(0x70, num(1), ber.Make(0xA2, ber.Make(0x5F51)))), "DG16, empty person": CheckGroup(16, ber.Make(0x70, num(1), ber.Make(0xA1))),
		"DG8 noise": CheckGroup(8, ber.Make(0x68, []byte("noise"))), "DG2, two announced": second(ParseFace(ber.Make(0x75, ber.Make(0x7F61, num(2), ber.Make(0x7F60, ber.Make(0x5F2E, faceRecordOf(jpeg(1, 1)))))))),
		"DG2, no template": second(ParseFace(ber.Make(0x75, ber.Make(0x7F61, num(1), ber.Make(0x7F62, ber.Make(0x5F2E, faceRecordOf(jpeg(1, 1)))))))), "DG2, second face is none": second(ParseFace(dg2(ber.Make(0x5F2E, facesOf(jpeg(1, 1), []byte("GIF89a")))))),
		"DG2, a face missing": second(ParseFace(dg2(ber.Make(0x5F2E, append([]byte("FAC\x00010\x00\x00\x00\x00\x10\x00\x02"), 0, 0))))), "DG2, second template is none": second(ParseFace(groupOf(ber.Make(0x5F2E, faceRecordOf(jpeg(1, 1))), ber.Make(0x5F2E, []byte("noise"))))),
		"DG2, 39794 cut inside": second(ParseFace(dg2(ber.Make(0x7F2E, ber.Make(0x65, ber.Make(0x80, jpeg(3, 4)), []byte{0xA1, 5, 0x80}))))), "DG2, 39794 without picture": second(ParseFace(dg2(ber.Make(0x7F2E, ber.Make(0x65, ber.Make(0xA0, ber.Make(0x80, []byte{3}))))))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	block, _ := ber.Expect(built39794(jp2(11, 12)), 0x7F2E)
	for name, raw := range map[string][]byte{
		"two templates": groupOf(ber.Make(0x5F2E, faceRecordOf(jp2(11, 12))), ber.Make(0x5F2E, faceRecordOf(jpeg(3, 4)))), "two faces": dg2(ber.Make(0x5F2E, facesOf(jp2(11, 12), jpeg(3, 4)))),
		"39794": dg2(ber.Make(0x7F2E, block)), "39794 wrapped": dg2(ber.Make(0x7F2E, ber.Make(0xA1, block))), "39794 as a string": dg2(ber.Make(0x5F2E, block)),
	} {
		if img, err := ParseFace(raw); err != nil || img.Format != "jp2" || fmt.Sprint(img.Width, img.Height) != "11 12" || !bytes.Equal(img.Data, jp2(11, 12)) {
			t.Errorf("%s: %+v %v", name, img, err)
		}
	}
}
