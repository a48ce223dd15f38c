package lds

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"gateagent/internal/ber"
	"gateagent/match/document/pki"
)

type examples struct {
	COM, DG1, DG11, DG16 []byte
	DG2Header, DG5Header []byte
	DG2Data, DG5Data     int
}

// published gives the worked examples of ICAO 9303-10 appendix A.
func published(t testing.TB) examples {
	t.Helper()
	b, err := os.ReadFile("testdata/examples.json")
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	get := func(k string) []byte {
		b, err := hex.DecodeString(m[k].(string))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return examples{
		COM: get("com"), DG1: get("dg1"), DG11: get("dg11"), DG16: get("dg16"),
		DG2Header: get("dg2_header"), DG5Header: get("dg5_header"),
		DG2Data: int(m["dg2_data"].(float64)), DG5Data: int(m["dg5_data"].(float64)),
	}
}

func TestPublished(t *testing.T) {
	x := published(t)
	com, err := ParseCOM(x.COM)
	if err != nil || len(com.Groups) != 4 || !com.Groups[1] || !com.Groups[2] || !com.Groups[4] || !com.Groups[12] {
		t.Errorf("EF.COM: %v %v", com, err)
	}
	d, err := ParseMRZ(x.DG1)
	if err != nil || d.Issuer != "NLD" || d.Number != "XI85935F8" {
		t.Errorf("DG1: %+v %v", d, err)
	}
	if err := CheckGroup(11, x.DG11); err != nil {
		t.Error(err)
	}
	if err := CheckGroup(16, x.DG16); err != nil {
		t.Error(err)
	}
	if err := CheckGroup(5, append(x.DG5Header, make([]byte, x.DG5Data)...)); err != nil {
		t.Error(err)
	}
	pic := jpeg(413, 531)
	record := append(faceRecordOf(pic), make([]byte, x.DG2Data)...)[:x.DG2Data]
	img, err := ParseFace(append(x.DG2Header, record...))
	if err != nil || img.Format != "jpeg" || img.Width != 413 || img.Height != 531 || !bytes.Equal(img.Data, pic) {
		t.Errorf("DG2: %+v %v", img, err)
	}
}

func TestMalformed(t *testing.T) {
	x := published(t)
	for name, err := range map[string]error{
		"DG1 as DG2":       second(ParseMRZ(append([]byte{0x75}, x.DG1[1:]...))),
		"DG1 cut":          second(ParseMRZ(x.DG1[:80])),
		"DG1 with more":    second(ParseMRZ(append(bytes.Clone(x.DG1), 0))),
		"DG1 of 81":        second(ParseMRZ(ber.Make(0x61, ber.Make(0x5F1F, bytes.Repeat([]byte("<"), 81))))),
		"DG1 with newline": second(ParseMRZ(ber.Make(0x61, ber.Make(0x5F1F, append(bytes.Repeat([]byte("A"), 89), '\n'))))),
		"DG1 empty":        second(ParseMRZ(nil)),
		"DG11 unlisted":    CheckGroup(11, ber.Make(0x6B, ber.Make(0x5C, []byte{0x5F, 0x0E}), ber.Make(0x5F2B, []byte("19990817")))),
		"DG11 no list":     CheckGroup(11, ber.Make(0x6B, ber.Make(0x5F0E, []byte("A")))),
		"DG11 bad list":    CheckGroup(11, ber.Make(0x6B, ber.Make(0x5C, []byte{0x5F}))),
		"DG7 empty":        CheckGroup(7, []byte{0x67, 0}),
		"no such group":    CheckGroup(17, []byte{0x67, 0}),
		"DG14 no set":      second(ParseDG14(ber.Make(0x6E, ber.Make(0x30)))),
		"DG14 no OID":      second(ParseDG14(ber.Make(0x6E, ber.Make(0x31, ber.Make(0x30, ber.Make(2, []byte{1}), ber.Make(2, []byte{1})))))),
		"DG15 noise":       second(ParseDG15(ber.Make(0x6F, []byte("noise")))),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestSecurityObject(t *testing.T) {
	alg := ber.Make(0x30, pki.EncodeOID("2.16.840.1.101.3.4.2.1"))
	entry := func(n byte, h string) []byte {
		return ber.Make(0x30, ber.Make(2, []byte{n}), ber.Make(4, []byte(h)))
	}
	object := func(version byte, alg []byte, entries ...[]byte) []byte {
		return ber.Make(0x30, ber.Make(2, []byte{version}), alg, ber.Make(0x30, entries...))
	}
	o, err := ParseSecurityObject(object(0, alg, entry(1, "a"), entry(2, "b")))
	if err != nil || len(o.Hashes) != 2 || string(o.Hashes[2]) != "b" || o.HashErr != nil {
		t.Errorf("%+v %v", o, err)
	}
	o, err = ParseSecurityObject(object(1, ber.Make(0x30, pki.EncodeOID("1.2.3")), entry(1, "a")))
	if err != nil || o.HashErr == nil {
		t.Errorf("unknown hash: %+v %v", o, err)
	}
	for name, raw := range map[string][]byte{
		"version 2": object(2, alg, entry(1, "a")), "no entries": object(0, alg), "group 17": object(0, alg, entry(17, "a")),
		"group 0": object(0, alg, entry(0, "a")), "twice": object(0, alg, entry(1, "a"), entry(1, "b")),
		"no list": ber.Make(0x30, ber.Make(2, []byte{0}), alg), "nothing": nil, "entry": object(0, alg, ber.Make(0x30)),
	} {
		if _, err := ParseSecurityObject(raw); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// dg13 builds the national group from numbered values.
func dg13(fields ...[]byte) []byte {
	return ber.Make(0x6D, ber.Make(0x30, ber.Make(2, []byte{1}), pki.EncodeOID("1.2.3"), ber.Make(0x31, fields...)))
}

func field(n byte, value ...[]byte) []byte {
	return ber.Make(0x30, append([][]byte{ber.Make(2, []byte{n})}, value...)...)
}

func text(s string) []byte { return ber.Make(ber.UTF8String, []byte(s)) }

func TestNational(t *testing.T) {
	all := dg13(field(1, text("001199123457")), field(2, text("Trần Thị Mẫu")), field(3, text("17/08/1999")), field(4, ber.Make(ber.PrintableString, []byte("Nu"))),
		field(5, text("Việt Nam")), field(6, text("ethnicity")), field(7, text("religion")), field(8, text("origin")), field(9, text("residence")),
		field(10, text("features")), field(11, text("01/03/2024")), field(12, text("17/08/2039")), field(13, ber.Make(0x30, text("father"))), field(14), field(15, text("012345678")), field(16, []byte{0x05, 0}))
	n, err := ParseNational(all)
	want := National{"001199123457", "Trần Thị Mẫu", "17/08/1999", "Nu", "Việt Nam", "01/03/2024", "17/08/2039", "012345678"}
	if err != nil || *n != want {
		t.Errorf("%+v %v", n, err)
	}
	if n, err := ParseNational(dg13(field(2, text("Only")), field(15), field(1, ber.Make(ber.Null)))); err != nil || *n != (National{Name: "Only"}) {
		t.Errorf("absent fields: %+v %v", n, err)
	}
	for name, raw := range map[string][]byte{
		"empty": nil, "another layout": ber.Make(0x6D, []byte("national")), "other version": ber.Make(0x6D, ber.Make(0x30, ber.Make(2, []byte{2}), pki.EncodeOID("1.2.3"), ber.Make(0x31))),
		"twice": dg13(field(1, text("a")), field(1, text("b"))), "number": dg13(field(1, ber.Make(2, []byte{7}))),
		"no text": dg13(field(2, ber.Make(ber.UTF8String, []byte{0xFF}))), "too long": dg13(field(2, text(strings.Repeat("A", maxNational+1)))),
		"no element": dg13(text("a")), "no number": dg13(ber.Make(0x30, text("a"))),
	} {
		if _, err := ParseNational(raw); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What is skipped must not be looked into: garbage there changes nothing.
func TestNationalSkips(t *testing.T) {
	for _, n := range []byte{6, 7, 8, 9, 10, 13, 14, 16, 99} {
		got, err := ParseNational(dg13(field(n, []byte{0xFF, 0xFF, 0xFF}), field(1, text("x"))))
		if err != nil || got.ID != "x" {
			t.Errorf("element %d: %v %v", n, got, err)
		}
	}
}

func jpeg(w, h int) []byte {
	b := []byte{0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xFF, 0xC0, 0, 17, 8}
	b = binary.BigEndian.AppendUint16(b, uint16(h))
	b = binary.BigEndian.AppendUint16(b, uint16(w))
	return append(b, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xFF, 0xDA, 0, 2, 1, 2, 3, 0xFF, 0xD9)
}

func codestream(w, h uint32) []byte {
	b := []byte{0xFF, 0x4F, 0xFF, 0x51, 0, 47, 0, 0}
	for _, v := range []uint32{w + 5, h + 7, 5, 7} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return append(b, make([]byte, 40)...)
}

func jp2Box(kind string, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(8+len(all))), kind...), all...)
}

func jp2(w, h uint32) []byte {
	head := binary.BigEndian.AppendUint32(nil, h)
	head = append(binary.BigEndian.AppendUint32(head, w), 0, 3, 7, 7, 0, 0)
	long := jp2Box("jp2c", codestream(w, h))
	return bytes.Join([][]byte{jp2Start, jp2Box("ftyp", []byte("jp2 \x00\x00\x00\x00jp2 ")), jp2Box("jp2h", jp2Box("ihdr", head)), long}, nil)
}

// faceRecordOf wraps a picture after ISO/IEC 19794-5 with one feature point.
func faceRecordOf(pic []byte) []byte {
	info := make([]byte, sizeFaceInfo+sizeFeature+sizeImageInfo)
	binary.BigEndian.PutUint32(info, uint32(len(info)+len(pic)))
	info[5] = 1
	head := append([]byte("FAC\x00010\x00"), make([]byte, 6)...)
	binary.BigEndian.PutUint32(head[8:], uint32(len(head)+len(info)+len(pic)))
	head[13] = 1
	return bytes.Join([][]byte{head, info, pic}, nil)
}

func dg2(data []byte) []byte {
	return ber.Make(0x75, ber.Make(0x7F61, ber.Make(2, []byte{1}), ber.Make(0x7F60, ber.Make(0xA1, ber.Make(0x80, []byte{1, 1})), data)))
}

func TestFace(t *testing.T) {
	built := func(pic []byte) []byte {
		return ber.Make(0x7F2E, ber.Make(0x65, ber.Make(0xA0, ber.Make(0x80, []byte{3})), ber.Make(0xA1, ber.Make(0x30, ber.Make(0xA1, ber.Make(0xA0, ber.Make(0x80, pic)))))))
	}
	for name, c := range map[string]struct {
		raw    []byte
		format string
		w, h   int
	}{
		"JPEG":            {dg2(ber.Make(0x5F2E, faceRecordOf(jpeg(300, 400)))), "jpeg", 300, 400},
		"JP2":             {dg2(ber.Make(0x5F2E, faceRecordOf(jp2(307, 413)))), "jp2", 307, 413},
		"codestream":      {dg2(ber.Make(0x5F2E, faceRecordOf(codestream(240, 320)))), "jp2", 240, 320},
		"7F2E":            {dg2(ber.Make(0x7F2E, faceRecordOf(jpeg(300, 400)))), "jpeg", 300, 400},
		"39794":           {dg2(built(jpeg(300, 400))), "jpeg", 300, 400},
		"39794, JP2":      {dg2(built(jp2(300, 400))), "jp2", 300, 400},
		"trailing filler": {dg2(ber.Make(0x5F2E, append(faceRecordOf(jpeg(300, 400)), 0, 0, 0))), "jpeg", 300, 400},
	} {
		img, err := ParseFace(c.raw)
		if err != nil || img.Format != c.format || img.Width != c.w || img.Height != c.h {
			t.Errorf("%s: %+v %v", name, img, err)
		}
	}
	lying := faceRecordOf(jpeg(300, 400))
	lying[14+4] = 0xFF // 65,000 feature points
	short := faceRecordOf(jpeg(300, 400))
	binary.BigEndian.PutUint32(short[8:], 1<<31)
	none := faceRecordOf(jpeg(300, 400))
	none[13] = 0
	for name, raw := range map[string][]byte{
		"empty": nil, "GIF": dg2(ber.Make(0x5F2E, faceRecordOf([]byte("GIF89a----------")))), "no data": dg2(nil),
		"bare picture": dg2(ber.Make(0x5F2E, jpeg(1, 1))), "feature points": dg2(ber.Make(0x5F2E, lying)), "length": dg2(ber.Make(0x5F2E, short)),
		"no face": dg2(ber.Make(0x5F2E, none)), "huge": dg2(ber.Make(0x5F2E, faceRecordOf(codestream(1<<30, 2)))), "flat": dg2(ber.Make(0x5F2E, faceRecordOf(jpeg(300, 0)))),
		"scan first": dg2(ber.Make(0x5F2E, faceRecordOf([]byte{0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 0, 0}))), "too deep": dg2(ber.Make(0x7F2E, deep(jpeg(1, 1), 40))),
		"no count": ber.Make(0x75, ber.Make(0x7F61, ber.Make(0x7F60))), "box in itself": dg2(ber.Make(0x5F2E, faceRecordOf(append(bytes.Clone(jp2Start), 0, 0, 0, 1, 'j', 'p', '2', 'h')))),
	} {
		if img, err := ParseFace(raw); err == nil {
			t.Errorf("%s: %+v", name, img)
		}
	}
}

func deep(b []byte, n int) []byte {
	b = ber.Make(0x80, b)
	for range n {
		b = ber.Make(0xA0, b)
	}
	return b
}

func TestSecurityInfos(t *testing.T) {
	info := func(oid string, rest ...[]byte) []byte {
		return ber.Make(0x30, append([][]byte{pki.EncodeOID(oid)}, rest...)...)
	}
	num := func(n byte) []byte { return ber.Make(2, []byte{n}) }
	s, err := ParseDG14(ber.Make(0x6E, ber.Make(0x31,
		info("0.4.0.127.0.7.2.2.4.2.2", num(2), num(13)), info("0.4.0.127.0.7.2.2.4.2", ber.Make(0x30)), info("0.4.0.127.0.7.2.2.4.1.1", num(2)),
		info("0.4.0.127.0.7.2.2.3.2.2", num(1)), info("0.4.0.127.0.7.2.2.1.2", ber.Make(0x30)), info("0.4.0.127.0.7.2.2.2", num(1)),
		info("2.23.136.1.1.5", num(1), pki.EncodeOID("0.4.0.127.0.7.1.1.4.1.3")), info("1.2.3.4", num(1)))))
	if err != nil || len(s.PACE) != 2 || s.PACE[0] != (PACEInfo{"0.4.0.127.0.7.2.2.4.2.2", 13}) || s.PACE[1].Parameter != noParameter ||
		s.ChipAuth != 1 || s.ChipAuthKeys != 1 || s.ActiveAuth != "0.4.0.127.0.7.1.1.4.1.3" {
		t.Errorf("%+v %v", s, err)
	}
}
