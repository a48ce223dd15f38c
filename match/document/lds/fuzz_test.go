package lds

import (
	"bytes"
	"testing"

	"gateagent/internal/ber"
	"gateagent/match/document/pki"
)

// The fuzz targets look for panics and for results that break what callers
// rely on; seeds lie in testdata/fuzz.

func FuzzDG1(f *testing.F) {
	f.Add(published(f).DG1)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseMRZ(b)
		if err == nil && (d.Format == "" || len(d.Birth) != 6 || len(d.Expiry) != 6) {
			t.Errorf("%+v", d)
		}
	})
}

func FuzzDG2(f *testing.F) {
	f.Add(dg2(ber.Make(0x5F2E, faceRecordOf(jpeg(300, 400)))))
	f.Add(dg2(built39794(jp2(30, 40))))
	f.Add(groupOf(ber.Make(0x5F2E, facesOf(jpeg(30, 40), jp2(50, 60))), ber.Make(0x7F2E, faceRecordOf(codestream(70, 80)))))
	f.Add(dg2(ber.Make(0x5F2E, faceRecordOf(codestream(30, 40)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := ParseFace(b)
		if err == nil && (img.Format == "" || len(img.Data) > len(b) || img.Width < 1 || img.Width > maxSide || img.Height < 1 || img.Height > maxSide) {
			t.Errorf("%s of %d × %d in %d bytes", img.Format, img.Width, img.Height, len(img.Data))
		}
	})
}

func FuzzDG13(f *testing.F) {
	f.Add(dg13(field(1, text("001199123457")), field(6, text("skipped")), field(15)))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParseNational(b) })
}

func FuzzDG14(f *testing.F) {
	f.Add(ber.Make(0x6E, ber.Make(0x31, ber.Make(0x30, pki.EncodeOID("0.4.0.127.0.7.2.2.4.2.2"), ber.Make(2, []byte{2}), ber.Make(2, []byte{13})))))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = ParseDG14(b)
		_, _ = ParseSecurityInfos(b)
		_, _ = ParseDG15(b)
	})
}

func FuzzSecurityObject(f *testing.F) {
	f.Add(ber.Make(0x30, ber.Make(2, []byte{0}), ber.Make(0x30, pki.EncodeOID("1.3.14.3.2.26")), ber.Make(0x30, ber.Make(0x30, ber.Make(2, []byte{1}), ber.Make(4, make([]byte, 20))))))
	f.Add(published(f).COM)
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := ParseSecurityObject(b); err == nil && (len(o.Hashes) == 0 || o.HashErr == nil && !o.Hash.Available()) {
			t.Errorf("%+v", o)
		}
		if com, err := ParseCOM(b); err == nil && com.Groups[0] {
			t.Error("EF.COM lists a data group 0")
		}
		_, _ = SignedObject(b)
	})
}

// FuzzGroup looks at the groups of which only the form is judged.
func FuzzGroup(f *testing.F) {
	x := published(f)
	f.Add(uint8(11), x.DG11)
	f.Add(uint8(16), x.DG16)
	f.Add(uint8(11), dg11Several())
	f.Add(uint8(5), ber.Make(0x65, ber.Make(2, []byte{1}), ber.Make(0x5F40, jpeg(3, 4))))
	f.Add(uint8(7), ber.Make(0x67, ber.Make(2, []byte{1}), ber.Make(0x5F43, jpeg(3, 4))))
	f.Add(uint8(12), ber.Make(0x6C, ber.Make(0x5C, []byte{0x5F, 0x19}), ber.Make(0x5F19, []byte("Nowhere"))))
	f.Fuzz(func(t *testing.T, n uint8, b []byte) {
		err := CheckGroup(int(n), b)
		if err != nil {
			return
		}
		if whole, err := ber.One(b); err != nil || whole.Tag != Tag(int(n)) || len(whole.Value) == 0 {
			t.Errorf("DG%d of %d bytes conforms", n, len(b))
		}
		if CheckGroup(int(n), append(bytes.Clone(b), 0)) == nil {
			t.Errorf("DG%d conforms with a byte more", n)
		}
	})
}

// FuzzOffered reads what nobody signed: entries of EF.CardAccess.
func FuzzOffered(f *testing.F) {
	f.Add(dg14Full()[2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := OfferedInfos(b); s == nil || len(s.PACE) > maxSecurityInfo {
			t.Error("no bound")
		}
		if s, err := ParseSecurityInfos(b); err == nil && len(s.PACE) > len(OfferedInfos(b).PACE) {
			t.Error("read strictly, it offers more")
		}
	})
}

// FuzzImage reads the header of a picture, for which nobody vouches but the
// issuer.
func FuzzImage(f *testing.F) {
	for _, b := range [][]byte{jpeg(300, 400), jp2(300, 400), codestream(300, 400)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := ReadHeader(b)
		if err == nil && (img.Width < 1 || img.Width > maxSide || img.Height < 1 || img.Height > maxSide || len(img.Data) != len(b)) {
			t.Errorf("%d × %d of %d bytes", img.Width, img.Height, len(img.Data))
		}
	})
}
