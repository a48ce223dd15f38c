package main

import (
	"crypto"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	reader "gateagent/drivers/chip"
	"gateagent/gate"
	"gateagent/gate/mrz"
	"gateagent/match/document"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// inspector judges documents of one world by the trust of all its countries.
type inspector struct {
	world *doc.World
	judge *document.Judge
}

func newInspector(t *testing.T, seed int64) inspector {
	t.Helper()
	w, dir := doc.NewWorld(seed), t.TempDir()
	if err := w.WriteTrust(dir, append(doc.StateCodes(), "SWE", "USA")...); err != nil {
		t.Fatal(err)
	}
	return inspector{w, document.NewJudge(must[*document.Trust](t)(document.LoadTrust(dir, slog.New(slog.DiscardHandler))))}
}

// scanFor is what the traveller shows: the card access number or the printed
// lines.
func scanFor(t *testing.T, d *doc.Document, byCAN bool) gate.Scan {
	t.Helper()
	if byCAN {
		return gate.Scan{Kind: gate.ScanCAN, Key: gate.AccessKey{CAN: gate.Secret(d.CAN())}}
	}
	lines := must[*mrz.Document](t)(mrz.Parse(d.MRZ()))
	return gate.Scan{Kind: gate.ScanMRZ, MRZ: lines, Key: gate.AccessKey{MRZInfo: gate.Secret(d.MRZInfo())}}
}

// inspect reads the document's chip and judges what it brings, as the lane
// does.
func (i inspector) inspect(t *testing.T, d *doc.Document, byCAN bool) *gate.Inspection {
	t.Helper()
	c := chip.New(d.ChipConfig())
	defer c.Close()
	s := reader.New(near{c}, reader.Options{})
	defer s.Close()
	at := gate.TrustedTime{Now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), Trusted: true}
	return gate.Inspect(t.Context(), s, i.judge.NewCase(at), scanFor(t, d, byCAN), gate.InspectOptions{})
}

// check inspects the document and compares the whole report with what the
// factory says of it; it gives the overall result.
func (i inspector) check(t *testing.T, name string, d *doc.Document, byCAN bool) gate.Result {
	t.Helper()
	in := i.inspect(t, d, byCAN)
	letters := map[gate.Result]byte{gate.Successful: 'S', gate.Failed: 'F', gate.Undetermined: 'U', gate.NotSupported: 'N', gate.Aborted: 'A'}
	want := d.Expected(byCAN)
	var wrong []string
	for _, c := range in.Report.Checks() {
		if got := letters[c.Result]; got != want[string(c.ID)] {
			wrong = append(wrong, fmt.Sprintf("%s is %c %d (%s), not %c", c.ID, got, c.Code, c.Detail, want[string(c.ID)]))
		}
		delete(want, string(c.ID))
	}
	if len(wrong) > 0 || len(want) > 0 {
		t.Errorf("%s: %s; not reported: %v; fault: %v", name, strings.Join(wrong, "; "), want, in.Fault)
	}
	return gate.DefaultProfile().Overall(&in.Report, "")
}

// verdictFor is what a gate must make of the document: no forgery passes,
// and nothing passes without proof of the chip.
func verdictFor(d *doc.Document, byCAN bool, a doc.Alteration) []gate.Result {
	want := d.Expected(byCAN)
	switch {
	case a != 0 && a != doc.UnknownIssuer:
		return forged(want)
	case a == 0 && want["chip"] == 'S':
		return []gate.Result{gate.Successful}
	}
	return []gate.Result{gate.Undetermined}
}

// forged: a forgery that shows nowhere in what was read (DG15 withheld where
// chip authentication was proof enough) is none; any other fails.
func forged(want map[string]byte) []gate.Result {
	for id, r := range want {
		if r == 'F' && id != "" {
			return []gate.Result{gate.Failed}
		}
	}
	if want["chip"] == 'S' {
		return []gate.Result{gate.Successful}
	}
	return []gate.Result{gate.Undetermined}
}

// together runs the work of many samples on all processors.
func together[T any](all []T, work func(T)) {
	jobs, group := make(chan T), sync.WaitGroup{}
	for range 3 {
		group.Go(func() {
			for j := range jobs {
				work(j)
			}
		})
	}
	for _, j := range all {
		jobs <- j
	}
	close(jobs)
	group.Wait()
}

// samePicture saves drawing it again.
func samePicture(d *doc.Document) doc.Option {
	return func(f *doc.Profile) { f.Image = d.Profile.Image }
}

// bySigner are the forgeries that show in the signer alone.
const bySigner = doc.ForgeSigner | doc.UnknownIssuer | doc.RevokedSigner | doc.ExpiredSigner | doc.ForeignSigner

// Every document of the catalogue is found genuine, and every forgery of it
// is found, with exactly the results that the report's rules ask for.
func TestCatalogue(t *testing.T) {
	i := newInspector(t, 90)
	together(sampled(doc.Catalogue()), func(s doc.Sample) {
		genuine, err := s.Make(i.world)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			return
		}
		for n, a := range genuine.Forgeries(s.ByCAN) {
			if bySigner&a != 0 && genuine.CardSecurity() == nil && (n+len(s.Name))%4 != 0 {
				continue // these take turns: how the chip was read makes no difference to them
			}
			name := s.Name + ", " + a.String()
			d, err := s.Make(i.world, samePicture(genuine), doc.With(a))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got, want := i.check(t, name, d, s.ByCAN), verdictFor(d, s.ByCAN, a); got != want[0] {
				t.Errorf("%s: overall %s, not %s", name, got, want[0])
			}
		}
	})
}

// sampled is some of all, where the race detector watches: it makes these
// tests eight times slower, and what it could find each case does. All of them
// run without it (scripts/test).
func sampled[T any](all []T) []T {
	if !race {
		return all
	}
	const step = 5
	var some []T
	for i := 0; i < len(all); i += step {
		some = append(some, all[i])
	}
	return some
}

const noProof = "no proof"

// opening is one access protocol of the matrix, proof one proof of the chip.
type opening struct {
	name string
	opt  doc.Option
}

// openings are all access protocols: BAC, and PACE by every agreement,
// mapping and cipher.
func openings() []opening {
	out := []opening{{"BAC", func(f *doc.Profile) { f.PACE, f.BAC = nil, true }}}
	for m := chip.GenericMapping; m <= chip.ChipAuthMapping; m++ {
		for c := chip.TripleDES; c <= chip.AES256; c++ {
			name := fmt.Sprintf("mapping %d, cipher %d", m, c)
			if m != chip.ChipAuthMapping || c != chip.TripleDES {
				out = append(out, opening{name + ", ECDH", doc.PACEOffers(doc.PACE{Cipher: c, Curve: "P-256", Mapping: m})})
			}
			if m != chip.ChipAuthMapping {
				out = append(out, opening{name + ", DH", doc.PACEOffers(doc.PACE{Cipher: c, Mapping: m})})
			}
		}
	}
	return out
}

// proofs are all kinds of proof of the chip. Ciphers and hashes take turns, so
// that each meets every few access protocols.
func proofs(turn int) []opening {
	none := func(f *doc.Profile) { f.ChipAuth, f.ActiveAuth = nil, doc.Algorithm{} }
	out := []opening{{noProof, none}}
	for i := range 2 {
		c := chip.TripleDES + chip.Cipher((turn+2*i)%4)
		for kind, curve := range map[string]string{"ECDH": "P-256", "DH": ""} {
			key := doc.ChipAuth{Cipher: c, Curve: curve, KAT: c == chip.TripleDES}
			out = append(out, opening{fmt.Sprintf("CA by %s, cipher %d", kind, c), doc.ChipAuthWith(key)})
		}
	}
	hashes := []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
	other := turn%2 == 1
	form := chip.ActiveForm{Full: other, Padded: other, Lesser: turn%3 == 1, DER: other}
	for kind, a := range map[string]doc.Algorithm{"RSA": {RSA: 1024}, "ECDSA": {Curve: "P-256"}} {
		a.Hash = hashes[turn%len(hashes)]
		out = append(out, opening{fmt.Sprintf("AA by %s, %v", kind, a.Hash), func(f *doc.Profile) { none(f); f.ActiveAuth, f.ActiveForm = a, form }})
	}
	return append(out, opening{"CA and AA", func(f *doc.Profile) {
		f.ChipAuth = []doc.ChipAuth{{Cipher: chip.AES128, Curve: "P-256"}}
		f.ActiveAuth = doc.Algorithm{Curve: "P-256", Hash: crypto.SHA256}
	}})
}

// TestMatrix crosses every access protocol with every kind of proof of the chip, for
// a genuine, an altered and a cloned document, and holds the whole report to
// what the rules ask for.
func TestMatrix(t *testing.T) {
	i := newInspector(t, 91)
	holder := i.world.Foreigner(3)
	first := must[*doc.Document](t)(i.world.Passport(holder, doc.PortraitSize(3000)))
	type cell struct{ access, proof opening }
	var cells []cell
	for turn, a := range openings() {
		for _, p := range proofs(turn) {
			cells = append(cells, cell{a, p})
		}
	}
	count, guard := 0, sync.Mutex{}
	together(sampled(cells), func(c cell) {
		cases := []doc.Alteration{0, doc.AlterDG1, doc.Clone}
		if c.proof.name == noProof { // nothing that a clone could lack
			cases = cases[:2]
		}
		for _, a := range cases {
			name := fmt.Sprintf("%s, %s, %s", c.access.name, c.proof.name, a)
			d, err := i.world.Passport(holder, samePicture(first), c.access.opt, c.proof.opt, doc.With(a))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if got, want := i.check(t, name, d, false), verdictFor(d, false, a); got != want[0] {
				t.Errorf("%s: overall %s, not %s", name, got, want[0])
			}
			guard.Lock()
			count++
			guard.Unlock()
		}
	})
	t.Logf("%d inspections", count)
}
