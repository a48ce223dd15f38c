package doc_test

import (
	"crypto"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/document"
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

func now() gate.TrustedTime {
	return gate.TrustedTime{Now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), Trusted: true}
}

func judgeFor(t *testing.T, w *doc.World, codes ...string) *document.Judge {
	t.Helper()
	dir := t.TempDir()
	if err := w.WriteTrust(dir, codes...); err != nil {
		t.Fatal(err)
	}
	return document.NewJudge(must[*document.Trust](t)(document.LoadTrust(dir, slog.New(slog.DiscardHandler))))
}

// verdicts runs the files of a document through the judge that ships.
func verdicts(j *document.Judge, d *doc.Document) map[gate.CheckID]gate.Check {
	c := j.NewCase(now())
	checks := c.SecurityObject(d.File(chip.FileSOD))
	for n := 1; n <= 16; n++ {
		if raw := d.File(chip.FileDG(n)); raw != nil {
			checks = append(checks, c.DataGroup(n, raw))
		}
	}
	checks = append(checks, c.COM(d.File(chip.FileCOM)))
	checks = append(checks, c.Person(gate.Scan{})...)
	out := map[gate.CheckID]gate.Check{}
	for _, k := range checks {
		out[k.ID] = k
	}
	return out
}

// bad lists what is neither successful nor left out.
func bad(v map[gate.CheckID]gate.Check) map[gate.CheckID]gate.Result {
	out := map[gate.CheckID]gate.Result{}
	for id, k := range v {
		if k.Result != gate.Successful && k.Result != gate.NotSupported {
			out[id] = k.Result
		}
	}
	return out
}

func same(a, b map[gate.CheckID]gate.Result) bool {
	return fmt.Sprint(a) == fmt.Sprint(b) // maps print sorted
}

// Genuine documents of every state and shape are found genuine.
func TestGenuineDocuments(t *testing.T) {
	w := doc.NewWorld(31)
	j := judgeFor(t, w)
	check := func(name string, d *doc.Document) {
		if got := bad(verdicts(j, d)); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	for i := range 4 {
		check("VNM", must[*doc.Document](t)(w.VietnamID(w.Citizen(i))))
		p := w.Foreigner(i)
		check(p.Nationality, must[*doc.Document](t)(w.Passport(p)))
		check(p.Nationality+" card", must[*doc.Document](t)(w.Card(p)))
	}
	for name, so := range map[string]doc.SecurityObject{
		"version 1": {Version1: true}, "SHA-512": {Hash: crypto.SHA512}, "SHA-1": {Hash: crypto.SHA1}, "by key": {ByKeyID: true}, "plain RSA": {PlainRSA: true},
	} {
		check(name, must[*doc.Document](t)(w.Passport(w.Foreigner(0), func(f *doc.Profile) { f.SOD = so })))
	}
}

// Every family of certificate algorithms.
func TestAlgorithms(t *testing.T) {
	w := doc.NewWorld(32)
	var codes []string
	small := doc.Algorithm{Curve: "P-256", Hash: crypto.SHA256}
	for i, a := range []doc.Algorithm{
		{RSA: 3072, Hash: crypto.SHA256}, {RSA: 2048, Hash: crypto.SHA512}, {RSA: 2048, Hash: crypto.SHA1}, {RSA: 2048, PSS: true, Hash: crypto.SHA384},
		{Curve: "P-521", Hash: crypto.SHA512}, {Curve: "P-256", Explicit: true, Hash: crypto.SHA256}, {Curve: "brainpoolP512r1", Explicit: true, Hash: crypto.SHA512},
		{Curve: "brainpoolP320r1", Hash: crypto.SHA384}, {Curve: "brainpoolP224r1", Explicit: true, Hash: crypto.SHA224},
	} {
		code := []string{"AUT", "BEL", "CHE", "DNK", "ESP", "FIN", "GRC", "HUN", "ITA"}[i]
		country := []string{"AT", "BE", "CH", "DK", "ES", "FI", "GR", "HU", "IT"}[i]
		signer := a
		if a.RSA > 0 {
			signer = small // making RSA keys takes the time of this test
		}
		must[*doc.State](t)(w.AddState(code, doc.AuthorityConfig{Country: country, Name: "Simulated CSCA " + code, CA: a, Signer: signer}))
		codes = append(codes, code)
	}
	j := judgeFor(t, w, codes...)
	for _, code := range codes {
		p := w.Foreigner(0)
		p.Nationality = code
		if got := bad(verdicts(j, must[*doc.Document](t)(w.Passport(p)))); len(got) != 0 {
			t.Errorf("%s: %v", code, got)
		}
	}
}

// Every alteration is found, and nothing but its consequences.
func TestAlterations(t *testing.T) {
	const f, u = gate.Failed, gate.Undetermined
	type results = map[gate.CheckID]gate.Result
	w := doc.NewWorld(33)
	j := judgeFor(t, w, "VNM")
	p := w.Citizen(1)
	for name, c := range map[string]struct {
		opt  doc.Option
		want results
	}{
		"DG1":       {doc.With(doc.AlterDG1), results{"integrity.dg1": f, "issuer": u, "expiry": u}},
		"DG2":       {doc.With(doc.AlterDG2), results{"integrity.dg2": f}},
		"signature": {doc.With(doc.BreakSignature), results{"sod.signature": f, "sod": f}},
		"forger":    {doc.With(doc.ForgeSigner), results{"ds.signature": f, "ds": f}},
		"unknown":   {doc.With(doc.UnknownIssuer), results{"ds.signature": u, "ds.validity": u, "ds.revocation": u, "ds.trust": u, "ds": u}},
		"revoked":   {doc.With(doc.RevokedSigner), results{"ds.revocation": f, "ds": f}},
		"expired":   {doc.Expired(), results{"expiry": f}},
	} {
		got := bad(verdicts(j, must[*doc.Document](t)(w.VietnamID(p, c.opt))))
		for id := range got {
			// Without a proven security object nothing is proven; which of the
			// files then are undetermined is not the point here.
			if _, ok := c.want[id]; !ok && got[id] == u && name == "signature" {
				delete(got, id)
			}
		}
		if !same(got, c.want) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

// The proof of active authentication holds for every algorithm, and fails
// from a clone.
func TestActiveAuthentication(t *testing.T) {
	w := doc.NewWorld(34)
	j := judgeFor(t, w, "NLD")
	challenge := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	for name, a := range map[string]doc.Algorithm{
		"RSA SHA-1": {RSA: 1024, Hash: crypto.SHA1}, "RSA SHA-256": {RSA: 1280, Hash: crypto.SHA256},
		"RSA SHA-512": {RSA: 1024, Hash: crypto.SHA512},
		"ECDSA P-256": {Curve: "P-256", Hash: crypto.SHA256}, "ECDSA brainpool, explicit": {Curve: "brainpoolP384r1", Explicit: true, Hash: crypto.SHA384},
		"ECDSA SHA-224 on P-256": {Curve: "P-256", Hash: crypto.SHA224},
	} {
		for _, alter := range []doc.Alteration{0, doc.Clone} {
			d := must[*doc.Document](t)(w.Passport(w.Foreigner(3), doc.ActiveAuthWith(a), doc.With(alter)))
			cfg := d.ChipConfig()
			cfg.PACE, cfg.BAC = nil, false // so that it answers in plain
			out := chip.New(cfg).Process(append([]byte{0, 0x88, 0, 0, 8}, append(challenge, 0)...))
			c := j.NewCase(now())
			c.SecurityObject(d.File(chip.FileSOD))
			c.DataGroup(14, d.File(chip.FileDG(14)))
			c.DataGroup(15, d.File(chip.FileDG(15)))
			want := gate.Successful
			if alter == doc.Clone {
				want = gate.Failed
			}
			if got := c.ActiveAuth(challenge, out[:len(out)-2]); got.Result != want || !c.OffersActiveAuth() {
				t.Errorf("%s, clone %v: %+v", name, alter == doc.Clone, got)
			}
		}
	}
}

// A chip that hides PACE is given away by its signed DG14.
func TestHiddenPACE(t *testing.T) {
	w := doc.NewWorld(35)
	j := judgeFor(t, w, "NLD")
	for _, alter := range []doc.Alteration{0, doc.HidePACE} {
		d := must[*doc.Document](t)(w.Passport(w.Foreigner(3), doc.With(alter)))
		c := j.NewCase(now())
		c.SecurityObject(d.File(chip.FileSOD))
		c.DataGroup(14, d.File(chip.FileDG(14)))
		if got := c.PromisesPACE(d.CardAccess()); got != (alter != 0) {
			t.Errorf("alteration %b: downgrade seen: %v", alter, got)
		}
	}
}

// Vietnam's DG13 is read as far as it may be.
func TestNationalData(t *testing.T) {
	w := doc.NewWorld(36)
	j := judgeFor(t, w, "VNM")
	d := must[*doc.Document](t)(w.VietnamID(w.Citizen(4)))
	c := j.NewCase(now())
	c.SecurityObject(d.File(chip.FileSOD))
	c.DataGroup(1, d.File(chip.FileDG(1)))
	c.DataGroup(13, d.File(chip.FileDG(13)))
	scan := gate.Scan{Kind: gate.ScanVietnamID, Vietnam: &gate.VietnamQR{
		Number: d.Number(), Name: d.Person.Name(), Birth: d.Person.Birth.Format("2006-01-02"), Sex: d.Person.Sex,
	}}
	for _, k := range c.Person(scan) {
		if k.Result != gate.Successful {
			t.Errorf("%+v", k)
		}
	}
	got, ok := c.Document()
	if !ok || got.National == nil || got.National.ID != d.Number() || got.National.Name != d.Person.Name() || got.MatchNumber != d.Number() {
		t.Errorf("document %v %+v", ok, got.National)
	}
}

// Trust also comes by master list and by link certificate.
func TestMasterListAndLink(t *testing.T) {
	w := doc.NewWorld(37)
	ecdsa := doc.Algorithm{Curve: "P-256", Hash: crypto.SHA256}
	old := must[*doc.Authority](t)(doc.NewAuthority(37, doc.AuthorityConfig{Country: "NL", Name: "Older CSCA", CA: ecdsa, Signer: ecdsa}))
	nl, de := must[*doc.State](t)(w.State("NLD")), must[*doc.State](t)(w.State("D"))
	for name, files := range map[string]map[string][]byte{
		"link":        {"old.cer": old.Certificate, "link.cer": must[[]byte](t)(old.Link(nl.Authority))},
		"master list": {"de.ml": must[[]byte](t)(de.Authority.MasterList(de.Authority.Certificate, nl.Authority.Certificate))},
	} {
		dir := t.TempDir()
		for file, raw := range files {
			if err := os.WriteFile(filepath.Join(dir, file), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j := document.NewJudge(must[*document.Trust](t)(document.LoadTrust(dir, slog.New(slog.DiscardHandler))))
		d := must[*doc.Document](t)(w.Passport(w.Foreigner(3)))
		if got := verdicts(j, d)[gate.CheckDSSignature]; got.Result != gate.Successful {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
