package document

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/mrz"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// world is shared by all tests of the package: making its keys takes longest.
var world = sync.OnceValue(func() *doc.World { return doc.NewWorld(7) })

var holder = doc.Person{Surname: "Trần", Given: "Thị Mẫu", Birth: day(1999, 8, 17), Sex: "F", Nationality: "VNM", Place: "Hà Nội"}

func traveller(state string) doc.Person {
	return doc.Person{Surname: "Muster", Given: "Nobody Real", Birth: day(1980, 2, 29), Sex: "M", Nationality: state, Place: "Nowhere"}
}

func day(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

var now = gate.TrustedTime{Now: day(2026, 6, 15).Add(9 * time.Hour), Trusted: true, Zone: time.FixedZone("ICT", 7*3600)}

// lines collects what is logged.
type lines struct{ strings.Builder }

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *lines) count() int { return strings.Count(l.String(), "\n") }

// trusting gives a judge that trusts the given states.
func trusting(t testing.TB, codes ...string) *Judge {
	t.Helper()
	dir := t.TempDir()
	if err := world().WriteTrust(dir, codes...); err != nil {
		t.Fatal(err)
	}
	return NewJudge(must[*Trust](t)(LoadTrust(dir, nil)))
}

// report is what one document came to.
type report map[gate.CheckID]gate.Check

func (r report) add(checks ...gate.Check) {
	for _, c := range checks {
		r[c.ID] = c
	}
}

// read judges a whole document as the lane would.
func read(c gate.Case, d *doc.Document, scan gate.Scan) report {
	r := report{}
	r.add(c.SecurityObject(clone(d.File(chip.FileSOD)))...)
	for n := 1; n <= 16; n++ {
		if raw := d.File(chip.FileDG(n)); raw != nil && n != 3 {
			r.add(c.DataGroup(n, clone(raw)))
		}
	}
	if com := d.File(chip.FileCOM); com != nil {
		r.add(c.COM(com))
	}
	r.add(c.Person(scan)...)
	return r
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// expect compares results; want reads "id=S id=F/1501 ...".
func (r report) expect(t *testing.T, want string) {
	t.Helper()
	for _, w := range strings.Fields(want) {
		id, rest, _ := strings.Cut(w, "=")
		got, ok := r[gate.CheckID(id)]
		if !ok {
			t.Errorf("%s is missing", id)
			continue
		}
		text := strings.ToUpper(got.Result.String()[:1])
		if got.Code != 0 {
			text += fmt.Sprintf("/%d", got.Code)
		}
		if text != rest {
			t.Errorf("%s is %s (%s), want %s", id, text, got.Detail, rest)
		}
	}
}

func vietnamScan(t *testing.T, d *doc.Document) gate.Scan {
	t.Helper()
	f := strings.Split(d.QR(), "|")
	b := must[time.Time](t)(time.Parse("02012006", f[3]))
	sex := map[string]string{"Nam": "M", "Nữ": "F"}[f[4]]
	return gate.Scan{Kind: gate.ScanVietnamID, Vietnam: &gate.VietnamQR{
		Number: f[0], OldNumber: f[1], Name: f[2], Birth: b.Format("2006-01-02"), Sex: sex,
	}}
}

func mrzScan(t *testing.T, text string) gate.Scan {
	t.Helper()
	return gate.Scan{Kind: gate.ScanMRZ, MRZ: must[*mrz.Document](t)(mrz.Parse(text))}
}

const genuine = "sod.hash=S sod.signature=S sod=S ds.signature=S ds.validity=S ds.revocation=S ds.trust=S ds=S " +
	"integrity.com=S integrity.dg1=S integrity.dg2=S issuer=S expiry=S mrz.dg1=S"

func TestGenuine(t *testing.T) {
	w, j := world(), trusting(t)
	card := must[*doc.Document](t)(w.VietnamID(holder))
	r := read(j.NewCase(now), card, vietnamScan(t, card))
	r.expect(t, genuine+" integrity.dg13=S integrity.dg14=S integrity.dg15=S")
	for _, state := range doc.StateCodes()[1:] {
		p := must[*doc.Document](t)(w.Passport(traveller(state)))
		r := read(j.NewCase(now), p, mrzScan(t, p.MRZ()))
		r.expect(t, genuine+" integrity.dg11=S integrity.dg12=S integrity.dg14=S")
		if t.Failed() {
			t.Fatalf("passport of %s", state)
		}
	}
}

// Every way of forging that the simulator knows, and every way in which a
// kiosk may not know enough.
func TestForgeries(t *testing.T) {
	w := world()
	all := trusting(t)
	untrusted := now
	untrusted.Trusted = false
	late := now
	late.Now = day(2099, 1, 1)
	sod := func(so doc.SecurityObject) doc.Option { return func(f *doc.Profile) { f.SOD = so } }
	for _, c := range []struct {
		name string
		at   gate.TrustedTime
		j    *Judge
		opt  doc.Option
		want string
	}{
		{"DG1 altered", now, all, doc.With(doc.AlterDG1), "sod=S ds=S integrity.dg1=F/1501 integrity.dg2=S issuer=U/1506 expiry=U/1506 mrz.dg1=U/1506"},
		{"DG2 altered", now, all, doc.With(doc.AlterDG2), "sod=S ds=S integrity.dg1=S integrity.dg2=F/1501 issuer=S expiry=S"},
		{"signature broken", now, all, doc.With(doc.BreakSignature), "sod.hash=S sod.signature=F/1303 sod=F/1303 ds.signature=S integrity.dg1=S issuer=U/1506 expiry=U/1506"},
		{"signer forged", now, all, doc.With(doc.ForgeSigner), "sod=S ds.signature=F/1402 ds.validity=S ds.trust=S ds=F/1402 integrity.dg1=S issuer=S"},
		{"issuer unknown", now, all, doc.With(doc.UnknownIssuer), "sod=S ds.signature=U/1401 ds.validity=U/1401 ds.revocation=U/1401 ds.trust=U/1401 ds=U/1401 integrity.dg1=S issuer=S"},
		{"nobody trusted", now, NewJudge(nil), nil, "sod=S ds.signature=U/1401 ds=U/1401 integrity.dg1=S issuer=S expiry=S"},
		{"signer revoked", now, all, doc.With(doc.RevokedSigner), "sod=S ds.signature=S ds.validity=S ds.revocation=F/1407 ds.trust=S ds=F/1407"},
		{"clock untrusted", untrusted, all, nil, "sod=S ds.signature=S ds.validity=U/1406 ds.revocation=U/1406 ds.trust=S ds=U/1406 issuer=S expiry=U/1406 mrz.dg1=S"},
		{"expired", now, all, doc.Expired(), "sod=S ds=S issuer=S expiry=F/1603 mrz.dg1=S"},
		{"signer expired", late, all, nil, "ds.signature=S ds.validity=F/1404 ds.revocation=U/1409 ds.trust=S ds=F/1404 expiry=F/1603"},
		{"wrong digest", now, all, sod(doc.SecurityObject{BadDigest: true}), "sod.hash=F/1302 sod.signature=S sod=F/1302"},
		{"wrong signature", now, all, sod(doc.SecurityObject{BadSign: true}), "sod.hash=S sod.signature=F/1303 sod=F/1303"},
		{"no signer inside", now, all, sod(doc.SecurityObject{NoSigner: true}), "sod.hash=S sod.signature=U/1305 sod=U/1305 ds.signature=U/1305 ds=U/1305 integrity.dg1=S issuer=U/1506"},
		{"signer by key", now, all, sod(doc.SecurityObject{ByKeyID: true, Version1: true, Hash: crypto.SHA512}), genuine},
		{"hidden group", now, all, func(f *doc.Profile) { f.Hidden = []int{11} }, "sod=S integrity.dg11=F/1504 integrity.com=S"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := []doc.Option{}
			if c.opt != nil {
				opts = append(opts, c.opt)
			}
			d := must[*doc.Document](t)(w.VietnamID(holder, opts...))
			k := c.j.NewCase(c.at)
			r := read(k, d, vietnamScan(t, d))
			r.expect(t, c.want)
			_, seen := k.Document()
			if want := r["sod"].Result != gate.Failed && r["ds.signature"].Result != gate.Failed && r["integrity.dg1"].Result == gate.Successful; seen != want {
				t.Errorf("document given: %v, want %v", seen, want)
			}
			_, seen = k.Portrait()
			if want := r["sod"].Result != gate.Failed && r["ds.signature"].Result != gate.Failed && r["integrity.dg2"].Result == gate.Successful; seen != want {
				t.Errorf("portrait given: %v, want %v", seen, want)
			}
		})
	}
}

// A CSCA of one state must not vouch for a document of another.
func TestIssuerMismatch(t *testing.T) {
	w := doc.NewWorld(8)
	for _, code := range []string{"NLD", "D"} {
		if _, err := w.State(code); err != nil {
			t.Fatal(err)
		}
	}
	// A Dutch passport whose keys are Germany's.
	german := must[*doc.State](t)(w.State("D"))
	if _, err := w.AddState("NLD", german.Authority.Config); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := w.WriteTrust(dir, "D", "NLD"); err != nil {
		t.Fatal(err)
	}
	j := NewJudge(must[*Trust](t)(LoadTrust(dir, nil)))
	p := must[*doc.Document](t)(w.Passport(traveller("NLD")))
	read(j.NewCase(now), p, gate.Scan{}).expect(t, "sod=S ds.signature=S issuer=F/1601 mrz.dg1=N/1704")
}

// lastOctets gives the SHA-256 of the OCTET STRING that ends a file: the
// signature, in a security object with one signer (RFC 5652 section 5.3).
func lastOctets(b []byte) [sha256.Size]byte {
	for n := 64; n < 128; n++ {
		if at := len(b) - n; b[at-2] == 4 && b[at-1] == byte(n) && b[at] == 0x30 {
			return sha256.Sum256(b[at:])
		}
	}
	return [sha256.Size]byte{}
}

func TestFields(t *testing.T) {
	w, j := world(), trusting(t)
	d := must[*doc.Document](t)(w.VietnamID(holder, doc.Numbered("001199123457"), doc.Expiring(day(2039, 8, 17))))
	k := j.NewCase(now)
	if _, ok := k.Document(); ok {
		t.Fatal("a document before anything was read")
	}
	read(k, d, gate.Scan{})
	got, ok := k.Document()
	if !ok {
		t.Fatal("no document")
	}
	nat := got.National
	got.National = nil
	want := gate.Document{
		Type: "ID", Issuer: "VNM", Number: "199123457", Optional: "001199123457<<0", Name: "TRAN<<THI MAU",
		Birth: "1999-08-17", Expiry: "2039-08-17", Sex: "F", Nationality: "VNM", MatchNumber: "001199123457",
		BirthDate: got.BirthDate, Signature: lastOctets(d.File(chip.FileSOD)),
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.BirthDate.Format("2006-01-02") != "1999-08-17" {
		t.Errorf("birth date %v", got.BirthDate)
	}
	if nat == nil || nat.ID != "001199123457" || nat.Name != "Trần Thị Mẫu" || nat.Sex != "Nữ" || nat.Birth == "" || nat.Nationality == "" || nat.Issue == "" || nat.Expiry == "" {
		t.Errorf("national %+v", nat)
	}
	pic, ok := k.Portrait()
	if !ok || pic.Format != "jpeg" || pic.Bytes != len(pic.Image) || pic.Bytes < 10000 || pic.Width == 0 || pic.Height == 0 {
		t.Errorf("portrait %+v", pic)
	}
	img := pic.Image
	k.Wipe()
	for _, b := range img {
		if b != 0 {
			t.Fatal("the portrait survived Wipe")
		}
	}
	if _, ok := k.Document(); ok {
		t.Error("the document survived Wipe")
	}
	if k.Lists(1) || k.OffersActiveAuth() || k.OffersChipAuth() {
		t.Error("the case still says something after Wipe")
	}
}

func TestPromises(t *testing.T) {
	w, j := world(), trusting(t)
	d := must[*doc.Document](t)(w.VietnamID(holder))
	k := j.NewCase(now)
	if k.PromisesPACE(nil) || k.OffersChipAuth() || k.OffersActiveAuth() {
		t.Error("promises before anything is proven")
	}
	if k.WantsTerminalAuth(nil) || !k.WantsTerminalAuth(d.CardAccess()) {
		t.Error("before DG14, EF.CardAccess alone says whether terminal authentication is wanted")
	}
	read(k, d, gate.Scan{})
	if !k.Lists(1) || !k.Lists(3) || k.Lists(11) || k.Lists(0) || k.Lists(17) {
		t.Error("wrong groups listed")
	}
	if k.PromisesPACE(d.CardAccess()) || !k.PromisesPACE(nil) || !k.PromisesPACE([]byte{0x31, 0}) || !k.PromisesPACE([]byte("nonsense")) {
		t.Error("a downgrade is not told apart")
	}
	padded := append(clone(d.CardAccess()), 0, 0, 0)
	if k.PromisesPACE(padded) {
		t.Error("padding after EF.CardAccess counts as a downgrade")
	}
	weaker := clone(d.CardAccess())
	weaker[len(weaker)-1] = 12 // another curve than the signed one
	if !k.PromisesPACE(weaker) {
		t.Error("other domain parameters are no downgrade")
	}
	if !k.OffersChipAuth() || !k.OffersActiveAuth() || !k.WantsTerminalAuth(nil) {
		t.Error("proofs are not seen")
	}
	forged := must[*doc.Document](t)(w.VietnamID(holder, doc.With(doc.BreakSignature)))
	k = j.NewCase(now)
	read(k, forged, gate.Scan{})
	if k.PromisesPACE(nil) || k.OffersChipAuth() || k.OffersActiveAuth() || k.WantsTerminalAuth(nil) {
		t.Error("promises under a broken signature")
	}
}

func TestBadSecurityObject(t *testing.T) {
	j := trusting(t, "VNM")
	d := must[*doc.Document](t)(world().VietnamID(holder))
	sod := d.File(chip.FileSOD)
	for name, raw := range map[string][]byte{
		"nil": nil, "empty": {0x77, 0}, "wrong tag": append([]byte{0x78}, sod[1:]...), "cut": sod[:len(sod)-1],
		"more": append(clone(sod), 0), "noise": []byte("\x77\x03abc"), "endless": {0x77, 0x02, 0x30, 0x80},
	} {
		k := j.NewCase(now)
		r := report{}
		r.add(k.SecurityObject(raw)...)
		r.add(k.DataGroup(1, d.File(chip.FileDG(1))), k.COM(d.File(chip.FileCOM)), k.ActiveAuth(make([]byte, 8), nil))
		r.add(k.Person(gate.Scan{})...)
		r.expect(t, "sod.hash=U/1301 sod.signature=U/1301 sod=F/1301 ds.signature=U/1305 ds.validity=U/1305 ds.revocation=U/1305 ds.trust=U/1305 ds=U/1305 "+
			"integrity.dg1=U/1506 integrity.com=N/1506 issuer=U/1506 expiry=U/1506 mrz.dg1=N/1704 chip.active_auth=U/1203")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestOrderOfChecks(t *testing.T) {
	d := must[*doc.Document](t)(world().VietnamID(holder))
	var got []string
	for _, raw := range [][]byte{d.File(chip.FileSOD), nil} {
		for _, c := range NewJudge(nil).NewCase(now).SecurityObject(raw) {
			got = append(got, string(c.ID))
		}
	}
	one := "sod.hash sod.signature sod ds.signature ds.validity ds.revocation ds.trust ds"
	if s := strings.Join(got, " "); s != one+" "+one {
		t.Error(s)
	}
}

func TestCOM(t *testing.T) {
	d := must[*doc.Document](t)(world().VietnamID(holder))
	k := NewJudge(nil).NewCase(now)
	k.SecurityObject(d.File(chip.FileSOD))
	com := d.File(chip.FileCOM)
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"as it is":  {com, "integrity.com=S"},
		"one less":  {[]byte("\x60\x16\x5F\x01\x040107\x5F\x36\x06040000\x5C\x04\x61\x75\x63\x6D"), "integrity.com=F/1507"},
		"another":   {[]byte(strings.Replace(string(com), "\x75", "\x6B", 1)), "integrity.com=F/1507"},
		"no such":   {[]byte(strings.Replace(string(com), "\x75", "\x44", 1)), "integrity.com=F/1507"},
		"nothing":   {nil, "integrity.com=F/1507"},
		"cut short": {com[:len(com)-1], "integrity.com=F/1507"},
	} {
		r := report{}
		r.add(k.COM(c.raw))
		r.expect(t, c.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func writeFile(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What judging costs on the way to the decision, once the trust is warm.
func BenchmarkJudge(b *testing.B) {
	j := trusting(b, "VNM")
	d := must[*doc.Document](b)(world().VietnamID(holder))
	for b.Loop() {
		k := j.NewCase(now)
		read(k, d, gate.Scan{})
	}
}
