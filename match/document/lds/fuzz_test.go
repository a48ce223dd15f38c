package lds

import (
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
	f.Add(dg2(ber.Make(0x7F2E, deep(jp2(30, 40), 5))))
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
		_, _ = ParseCOM(b)
		for n := 0; n <= 17; n++ {
			_ = CheckGroup(n, b)
		}
	})
}
