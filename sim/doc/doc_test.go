package doc

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/gate/mrz"
	"gateagent/internal/ber"
	"gateagent/sim/chip"
)

func date(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func mau() Person {
	return Person{Surname: "Trần", Given: "Thị Mẫu", Birth: date(1999, 8, 17), Sex: "F", Nationality: "VNM", Place: "Hà Nội"}
}

func TestVietnamCard(t *testing.T) {
	w := NewWorld(1)
	d := must[*Document](t)(w.VietnamID(mau(), Numbered("001199123457")))
	want := []string{"IDVNM1991234579001199123457<<0", "9908176F3908174VNM<<<<<<<<<<<0", "TRAN<<THI<MAU<<<<<<<<<<<<<<<<<"}
	if !slices.Equal(d.MRZLines(), want) {
		t.Errorf("MRZ %q", d.MRZLines())
	}
	if got := hex.EncodeToString(d.CardAccess()); got != "3134300d060804007f0007020202020101300f060a04007f000702020302020201013012060a04007f0007020204020202010202010d" {
		t.Errorf("EF.CardAccess %s", got)
	}
	if d.CAN() != "123457" || d.Number() != "001199123457" {
		t.Errorf("CAN %s of %s", d.CAN(), d.Number())
	}
	fields := strings.Split(d.QR(), "|")
	if len(fields) != 7 || fields[2] != "Trần Thị Mẫu" || fields[3] != "17081999" || fields[4] != "Nữ" || fields[6] != "01032024" {
		t.Errorf("QR %q", d.QR())
	}
	if tags, _ := ber.Find(d.File(chip.FileCOM)[2:], 0x5C); !bytes.Equal(tags.Value, []byte{0x61, 0x75, 0x63, 0x6D, 0x6E, 0x6F}) {
		t.Errorf("EF.COM lists %X", tags.Value)
	}
	if got := string(mrzInfo(&d.Profile, d.lines)); got != "199123457999081763908174" {
		t.Errorf("MRZ information %q", got)
	}
}

// The specimens of ICAO 9303-4, -5 and of BSI TR-03105-5.1.
func TestMRZ(t *testing.T) {
	for _, c := range []struct {
		p    Person
		f    Profile
		want string
	}{
		{Person{Surname: "Eriksson", Given: "Anna Maria", Birth: date(1974, 8, 12), Sex: "F", Nationality: "UTO"},
			Profile{Format: "TD3", Type: "PP", State: "UTO", Number: "L898902C3", Optional: "ZE184226B", Expires: date(2034, 4, 15)},
			"PPUTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F3404159ZE184226B<<<<<16"},
		{Person{Surname: "Mustermann", Given: "Erika", Birth: date(1996, 8, 12), Sex: "F", Nationality: "D"},
			Profile{Format: "TD3", Type: "P", State: "D", Number: "C11T002JM", Expires: date(2023, 10, 31)},
			"P<D<<MUSTERMANN<<ERIKA<<<<<<<<<<<<<<<<<<<<<<\nC11T002JM4D<<9608122F2310314<<<<<<<<<<<<<<<4"},
		{Person{Surname: "Stevenson", Given: "Peter John", Birth: date(1934, 7, 12), Sex: "M", Nationality: "UTO"},
			Profile{Format: "TD1", Type: "I", State: "UTO", Number: "D23145890734", Expires: date(1995, 7, 12)},
			"I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<"},
	} {
		lines, err := mrzLines(c.p, &c.f)
		if got := strings.Join(lines, "\n"); err != nil || got != c.want {
			t.Errorf("got %v\n%s\nwant\n%s", err, got, c.want)
		}
	}
	f := Profile{Format: "TD1", Type: "I", State: "UTO", Number: "D23145890734", Expires: date(1995, 7, 12)}
	p := Person{Surname: "X", Birth: date(1934, 7, 12), Sex: "M", Nationality: "UTO"}
	lines, _ := mrzLines(p, &f)
	if got := string(mrzInfo(&f, lines)); got != "D23145890734934071279507122" {
		t.Errorf("MRZ information %s (ICAO 9303-11 D.2)", got)
	}
	if got := machineName("Đặng-Müller O'Groß"); got != "DANG<MUELLER<OGROSS" {
		t.Errorf("name %s", got)
	}
}

// Go's own X.509 code judges the chains that it can read.
func TestCertificates(t *testing.T) {
	w := NewWorld(2)
	for _, code := range []string{"UTO", "FRA", "NLD"} {
		s := must[*State](t)(w.State(code))
		ca := must[*x509.Certificate](t)(x509.ParseCertificate(s.Authority.Certificate))
		ds := must[*x509.Certificate](t)(x509.ParseCertificate(s.Signer.Certificate))
		if err := ca.CheckSignatureFrom(ca); err != nil {
			t.Errorf("%s CSCA: %v", code, err)
		}
		if err := ds.CheckSignatureFrom(ca); err != nil {
			t.Errorf("%s DS: %v", code, err)
		}
		forged := must[*Signer](t)(w.signer(s, ForgeSigner))
		fake := must[*x509.Certificate](t)(x509.ParseCertificate(forged.Certificate))
		if fake.CheckSignatureFrom(ca) == nil || !bytes.Equal(fake.AuthorityKeyId, ca.SubjectKeyId) || !bytes.Equal(fake.RawIssuer, ca.RawSubject) {
			t.Errorf("%s: the forged signer is not a forgery", code)
		}
		crl := must[[]byte](t)(s.Authority.CRL(date(2026, 1, 1), date(2027, 1, 1), 3, ds.SerialNumber))
		list := must[*x509.RevocationList](t)(x509.ParseRevocationList(crl))
		if err := list.CheckSignatureFrom(ca); err != nil || len(list.RevokedCertificateEntries) != 1 {
			t.Errorf("%s CRL: %v", code, err)
		}
	}
	old := must[*State](t)(w.State("NLD")).Authority
	next := must[*Authority](t)(NewAuthority(3, AuthorityConfig{Country: "NL", Name: "Next", CA: old.Config.CA, Signer: old.Config.Signer}))
	link := must[*x509.Certificate](t)(x509.ParseCertificate(must[[]byte](t)(old.Link(next))))
	if err := link.CheckSignatureFrom(must[*x509.Certificate](t)(x509.ParseCertificate(old.Certificate))); err != nil {
		t.Errorf("link certificate: %v", err)
	}
}

// sodParts digs out what is signed: content, attributes and signature.
func sodParts(t *testing.T, sod []byte) (content, attrs, sig []byte) {
	t.Helper()
	node := func(b []byte, path ...int) ber.TLV {
		var e ber.TLV
		for _, i := range path {
			kids, err := ber.Children(b)
			if err != nil || i >= len(kids) {
				t.Fatalf("no element %d of %v: %v", i, path, err)
			}
			e, b = kids[i], kids[i].Value
		}
		return e
	}
	signed := node(sod, 0, 0, 1, 0).Value
	content = node(signed, 2, 1, 0).Value
	info := node(signed, 4, 0).Value
	attrs = bytes.Clone(node(info, 3).Raw)
	attrs[0] = 0x31
	return content, attrs, node(info, 5).Value
}

func TestSecurityObject(t *testing.T) {
	w := NewWorld(4)
	for _, a := range []Alteration{0, BreakSignature} {
		d := must[*Document](t)(w.VietnamID(w.Citizen(1), With(a)))
		content, attrs, sig := sodParts(t, d.File(chip.FileSOD))
		for n, raw := range d.groups {
			if !bytes.Contains(content, digest(crypto.SHA256, raw)) {
				t.Errorf("DG%d is not in the security object", n)
			}
		}
		if !bytes.Contains(attrs, digest(crypto.SHA256, content)) {
			t.Error("the attributes do not hold the content's digest")
		}
		k := must[*State](t)(w.State("VNM")).Signer.key
		rs := must[[]ber.TLV](t)(ber.Children(sig[2:]))
		ok := k.curve.Verify(k.q, digest(crypto.SHA256, attrs), bigInt(rs[0]), bigInt(rs[1]))
		if ok != (a == 0) {
			t.Errorf("alteration %b: signature verifies: %v", a, ok)
		}
	}
}

func TestPortraitSize(t *testing.T) {
	w := NewWorld(5)
	for _, n := range []int{1500, 15000, 15083, 100000} {
		d := must[*Document](t)(w.Passport(w.Foreigner(3), PortraitSize(n)))
		raw := d.File(chip.FileDG(2))
		img := raw[len(raw)-n:]
		if _, err := jpeg.Decode(bytes.NewReader(img)); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := w.Passport(w.Foreigner(3), PortraitSize(50)); err == nil {
		t.Error("a portrait of 50 bytes was drawn")
	}
}

func TestSameSeedSameWorld(t *testing.T) {
	p := NewWorld(7).Citizen(3)
	one := must[*Document](t)(NewWorld(7).VietnamID(p))
	two := must[*Document](t)(NewWorld(7).VietnamID(p))
	other := must[*Document](t)(NewWorld(8).VietnamID(p))
	for id, raw := range one.card.Files {
		if !bytes.Equal(raw, two.card.Files[id]) {
			t.Errorf("file %04X differs", id)
		}
	}
	if bytes.Equal(one.File(chip.FileSOD), other.File(chip.FileSOD)) {
		t.Error("another seed made the same document")
	}
}

func TestAlterations(t *testing.T) {
	w := NewWorld(9)
	p := w.Citizen(5)
	good := must[*Document](t)(w.VietnamID(p))
	changed := func(a Alteration) []uint16 {
		d := must[*Document](t)(w.VietnamID(p, With(a)))
		var ids []uint16
		for id, raw := range good.card.Files {
			if !bytes.Equal(raw, d.card.Files[id]) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return ids
	}
	for a, want := range map[Alteration][]uint16{
		AlterDG1: {0x101}, AlterDG2: {0x102}, BreakSignature: {0x11D}, ForgeSigner: {0x11D}, UnknownIssuer: {0x11D}, RevokedSigner: {0x11D},
		Clone: nil, CloneMute: nil, HidePACE: nil, WithholdDG14: {0x10E}, WithholdDG15: {0x10F},
	} {
		if got := changed(a); !slices.Equal(got, want) {
			t.Errorf("alteration %b changes %X, not %X", a, got, want)
		}
	}
	clone := must[*Document](t)(w.VietnamID(p, With(Clone)))
	if clone.card.ChipKeys[0].Private.Cmp(good.card.ChipKeys[0].Private) == 0 || clone.card.Active.N.Cmp(good.card.Active.N) == 0 {
		t.Error("the clone has the private keys")
	}
	if hidden := must[*Document](t)(w.VietnamID(p, With(HidePACE))); hidden.CardAccess() != nil || hidden.card.PACE != nil || !hidden.card.BAC {
		t.Error("PACE is still there")
	}
}

func TestTrustFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trust")
	if err := NewWorld(10).WriteTrust(dir, "VNM", "NLD"); err != nil {
		t.Fatal(err)
	}
	files := must[[]os.DirEntry](t)(os.ReadDir(dir))
	if len(files) != 4 {
		t.Errorf("%d files in the trust folder", len(files))
	}
	if _, err := NewWorld(10).State("XXX"); err == nil {
		t.Error("an unknown state was made")
	}
}

// The shipped transliteration and this one were written apart; they agree.
func TestNamesAgree(t *testing.T) {
	w := NewWorld(11)
	for i := range 60 {
		for _, p := range []Person{w.Citizen(i), w.Foreigner(i)} {
			if got, want := machineName(p.Name()), strings.Trim(mrz.Transliterate(p.Name()), "<"); got != want {
				t.Errorf("%s: %s here, %s there", p.Name(), got, want)
			}
		}
	}
}
