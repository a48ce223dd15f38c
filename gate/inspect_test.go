package gate_test

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	reader "gateagent/drivers/chip"
	"gateagent/gate"
	"gateagent/match/document"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// The inspection runs here over the reader, the judge and the virtual chip as
// they ship; only the way between reader and chip is disturbed.

const (
	succ = gate.Successful
	fail = gate.Failed
	und  = gate.Undetermined
	none = gate.NotSupported
	abrt = gate.Aborted
)

// subject is one document with the trust it is judged by.
type subject struct {
	name  string
	doc   *doc.Document
	judge *document.Judge
	full  bool
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// subjects are a citizen card (PACE, chip authentication), a passport with BAC
// and active authentication by ECDSA, and the passport read in full.
func subjects(t *testing.T) []subject {
	t.Helper()
	made.Do(func() {
		w, dir := doc.NewWorld(5), t.TempDir()
		rsa := doc.Algorithm{RSA: 2048, Hash: crypto.SHA256} // quick to verify
		must[*doc.State](t)(w.AddState("VNM", doc.AuthorityConfig{Country: "VN", Name: "CSCA", CA: rsa, Signer: rsa}))
		if err := w.WriteTrust(dir, "VNM", "UTO"); err != nil {
			t.Fatal(err)
		}
		judge := document.NewJudge(must[*document.Trust](t)(document.LoadTrust(dir, slog.New(slog.DiscardHandler))))
		card := must[*doc.Document](t)(w.VietnamID(w.Citizen(1), doc.PortraitSize(3000),
			doc.PACEWith(chip.AES128, "P-256"), doc.ChipAuthWith(doc.ChipAuth{Cipher: chip.AES128, Curve: "P-256"})))
		passport := must[*doc.Document](t)(w.Passport(w.Foreigner(0), doc.PortraitSize(3000), doc.OnlyBAC(),
			doc.ActiveAuthWith(doc.Algorithm{Curve: "P-256", Hash: crypto.SHA256})))
		cast = []subject{
			{"card", card, judge, false}, {"passport", passport, judge, false}, {"passport in full", passport, judge, true},
		}
	})
	return cast
}

var (
	made sync.Once
	cast []subject
)

// scan opens the card by its number, the passport by its printed lines.
func (s subject) scan() gate.Scan {
	return gate.Scan{Kind: gate.ScanCAN, Key: gate.AccessKey{CAN: gate.Secret(s.doc.CAN()), MRZInfo: gate.Secret(s.doc.MRZInfo())}}
}

// exchange is one command as the undisturbed reading sends it.
type exchange struct {
	index int
	op    string // what the inspection asked for
	apdu  []byte
}

func (e exchange) protected() bool { return e.apdu[0]&0x0C == 0x0C }

// field lies between reader and chip. It disturbs one command.
type field struct {
	chip    *chip.Chip
	op      string
	sent    []exchange
	at      int // -1: never
	disturb func(answer []byte) ([]byte, error)
}

func (f *field) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	f.sent = append(f.sent, exchange{len(f.sent), f.op, slices.Clone(apdu)})
	answer := f.chip.Process(apdu)
	if len(f.sent)-1 == f.at {
		return f.disturb(answer)
	}
	return answer, nil
}

// watched notes which step the commands belong to, and may refuse one.
type watched struct {
	gate.Chip
	f      *field
	refuse map[string]*gate.ChipError
}

func (w watched) begin(op string) error {
	w.f.op = op
	if e := w.refuse[op]; e != nil {
		return e
	}
	return nil
}

func (w watched) Open(ctx context.Context, key gate.AccessKey) (gate.Access, error) {
	if err := w.begin("open"); err != nil {
		return gate.Access{}, err
	}
	return w.Chip.Open(ctx, key)
}

func (w watched) ReadFile(ctx context.Context, f gate.File) ([]byte, error) {
	if err := w.begin(f.String()); err != nil {
		return nil, err
	}
	return w.Chip.ReadFile(ctx, f)
}

func (w watched) ChipAuthenticate(ctx context.Context, dg14 []byte) (string, error) {
	if err := w.begin("CA"); err != nil {
		return "", err
	}
	return w.Chip.ChipAuthenticate(ctx, dg14)
}

func (w watched) ActiveAuthenticate(ctx context.Context, challenge []byte) ([]byte, error) {
	if err := w.begin("AA"); err != nil {
		return nil, err
	}
	return w.Chip.ActiveAuthenticate(ctx, challenge)
}

// inspect reads the subject once. change, when given, prepares the chip's
// wrapper.
func (s subject) inspect(f *field, change func(*watched)) *gate.Inspection {
	f.chip = s.chip()
	defer f.chip.Close()
	session := reader.New(f, reader.Options{})
	defer session.Close()
	w := watched{Chip: session, f: f}
	if change != nil {
		change(&w)
	}
	return gate.Inspect(context.Background(), w, s.kase(), s.scan(), gate.InspectOptions{Full: s.full})
}

func (s subject) chip() *chip.Chip { return chip.New(s.doc.ChipConfig()) }

func (s subject) kase() gate.Case {
	return s.judge.NewCase(gate.TrustedTime{Now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), Trusted: true})
}

// complete checks what every report must fulfil, whatever happened.
func complete(t *testing.T, in *gate.Inspection) {
	t.Helper()
	got := in.Report.Checks()
	if len(got) != 39 {
		t.Errorf("%d checks, not 39", len(got))
	}
	withoutN := []gate.CheckID{"sod.hash", "sod.signature", "sod", "ds.signature", "ds.validity", "ds.revocation", "ds.trust", "ds", "integrity", "issuer", "expiry"}
	withoutU := []gate.CheckID{"mrz.check_digits", "access.pace", "access.bac", "integrity.com"}
	for _, c := range got {
		if c.Result == none && slices.Contains(withoutN, c.ID) || c.Result == und && (slices.Contains(withoutN, c.ID) && c.Code == 0 || slices.Contains(withoutU, c.ID)) {
			t.Errorf("%s is %s, code %d", c.ID, c.Result, c.Code)
		}
		if other := c.ID == gate.CheckPACE || c.ID == gate.CheckBAC; c.Code == 0 && c.Result != succ && !other {
			t.Errorf("%s is %s without a code", c.ID, c.Result)
		}
	}
	for id, want := range rolledUp(in.Report.Result) {
		if r := in.Report.Result(id); r != want {
			t.Errorf("%s is %s, its parts give %s", id, r, want)
		}
	}
	if in.HasDocument && in.Report.Result("integrity.dg1") != succ || in.HasPortrait && in.Report.Result("integrity.dg2") != succ {
		t.Error("holder or portrait are given out and not proven")
	}
}

// first finds the first of some results in an order of letters.
func first(order []gate.Result, parts ...gate.Result) gate.Result {
	for _, r := range order {
		if slices.Contains(parts, r) {
			return r
		}
	}
	return none
}

// rolledUp says what the groups come to, straight from the contract's words.
func rolledUp(r func(gate.CheckID) gate.Result) map[gate.CheckID]gate.Result {
	usual := []gate.Result{fail, abrt, und, succ}
	out := map[gate.CheckID]gate.Result{
		"chip": first([]gate.Result{fail, succ, abrt, und}, r("chip.chip_auth"), r("chip.active_auth"), r("chip.pace_cam")),
		"ds":   first(usual, r("ds.signature"), r("ds.validity"), r("ds.revocation"), r("ds.trust")),
	}
	var groups []gate.Result
	for n := 1; n <= 16; n++ {
		groups = append(groups, r(gate.CheckDG(n)))
	}
	all := first([]gate.Result{fail, abrt}, groups...)
	if all == none {
		all = und
		if r("integrity.dg1") == succ && r("integrity.dg2") == succ {
			all = succ
		}
	}
	out["integrity"] = all
	return out
}

// steps is the forward pass; the checks that a step decides stand behind it.
var steps = []struct {
	op     string
	checks string
}{
	{"open", "access"},
	{"EF.SOD", "sod.hash sod.signature sod ds.signature ds.validity ds.revocation ds.trust ds"},
	{"DG14", "integrity.dg14"}, {"CA", "chip.chip_auth"},
	{"DG15", "integrity.dg15"}, {"AA", "chip.active_auth"},
	{"DG1", "integrity.dg1 issuer expiry"}, {"DG2", "integrity.dg2"},
	{"EF.COM", "integrity.com"}, {"DG11", "integrity.dg11"}, {"DG12", "integrity.dg12"},
}

// afterLoss is the oracle for a reading that ended at a command: what the
// steps before had decided stays; the running step has the result ran; all
// the rest was not reached: A where the document left, else N, or U where the
// column has no N.
func afterLoss(base *gate.Report, e exchange, plan []exchange, ran gate.Result, left bool) map[gate.CheckID]gate.Result {
	want := map[gate.CheckID]gate.Result{}
	for _, c := range base.Checks() {
		want[c.ID] = c.Result
	}
	lost := func(id gate.CheckID) gate.Result {
		switch {
		case left:
			return abrt
		case strings.HasPrefix(string(id), "sod"), strings.HasPrefix(string(id), "ds"), id == "issuer", id == "expiry":
			return und
		}
		return none
	}
	if e.op == "open" {
		lostAccess(want, base, e, plan, ran, lost)
	}
	over := false
	for _, s := range steps {
		for _, name := range strings.Fields(s.checks) {
			id := gate.CheckID(name)
			c, _ := base.Get(id)
			listed := e.op == "open" || c.Code != gate.CodeNotListed
			byPolicy := c.Code == gate.CodeNotReadByPolicy && (id != "integrity.dg15" || over && e.op != "CA" && e.op != "DG14")
			if (over || s.op == e.op) && listed && !byPolicy {
				want[id] = lost(id)
			}
		}
		over = over || s.op == e.op
	}
	if e.op == "open" || e.op == "EF.SOD" { // no list of groups yet
		for n := 1; n <= 16; n++ {
			want[gate.CheckDG(n)] = lost(gate.CheckDG(n))
		}
	}
	want[running(e.op)] = ran
	if e.op == "EF.SOD" {
		want["sod"] = ran
	}
	for id, r := range rolledUp(func(id gate.CheckID) gate.Result { return want[id] }) {
		want[id] = r
	}
	return want
}

// running is the check that a step's own fault falls on.
func running(op string) gate.CheckID {
	if n, ok := strings.CutPrefix(op, "DG"); ok {
		return gate.CheckID("integrity.dg" + n)
	}
	return map[string]gate.CheckID{
		"open": "access", "EF.SOD": "sod.hash", "CA": "chip.chip_auth", "AA": "chip.active_auth", "EF.COM": "integrity.com",
	}[op]
}

// lostAccess: before the protocol has begun `access` itself is the running
// step, then the protocol, after it the selection of the application.
func lostAccess(want map[gate.CheckID]gate.Result, base *gate.Report, e exchange, plan []exchange, ran gate.Result, lost func(gate.CheckID) gate.Result) {
	used := gate.CheckPACE
	if base.Result(gate.CheckBAC) == succ {
		used = gate.CheckBAC
	}
	unknown := []gate.CheckID{"chip.pace_cam", "chip.card_security"}
	begins := slices.IndexFunc(plan, func(x exchange) bool { return x.apdu[1] == 0x22 || x.apdu[1] == 0x84 })
	switch {
	case e.index < begins:
		unknown = append(unknown, gate.CheckPACE, gate.CheckBAC)
		if atrInfo := e.apdu[1] == 0xB0 && e.apdu[2] == 0x81; !atrInfo || base.Result(gate.CheckTerminalAuth) == none {
			unknown = append(unknown, gate.CheckTerminalAuth) // EF.CardAccess, which announces it, comes before EF.ATR/INFO
		}
	case e.protected():
		unknown = nil
	default:
		want[used] = ran
		if base.Result(gate.CheckTerminalAuth) == none { // EF.CardAccess announced none, DG14 might have
			unknown = append(unknown, gate.CheckTerminalAuth)
		}
	}
	for _, id := range unknown {
		want[id] = lost(id)
	}
}

func differences(r *gate.Report, want map[gate.CheckID]gate.Result) string {
	var out []string
	for _, c := range r.Checks() {
		if c.Result != want[c.ID] {
			out = append(out, fmt.Sprintf("%s is %s %d, not %s", c.ID, c.Result, c.Code, want[c.ID]))
		}
	}
	return strings.Join(out, "; ")
}

// The link breaks at every single command: torn card, dead reader, deadline.
func TestInspectLoss(t *testing.T) {
	for _, s := range subjects(t) {
		plan := &field{at: -1}
		base := s.inspect(plan, nil)
		complete(t, base)
		if got := gate.DefaultProfile().Overall(&base.Report, ""); got != succ || base.Fault != nil {
			t.Fatalf("%s: undisturbed %s, %v", s.name, got, base.Fault)
		}
		var group sync.WaitGroup
		for name, err := range map[string]error{"torn": gate.ErrCardGone, "reader": gate.ErrReaderFault, "deadline": context.DeadlineExceeded} {
			group.Go(func() {
				for i, e := range plan.sent {
					f := &field{at: i, disturb: func([]byte) ([]byte, error) { return nil, fmt.Errorf("disturbed: %w", err) }}
					in := s.inspect(f, nil)
					complete(t, in)
					where := fmt.Sprintf("%s, %s at command %d (%s)", s.name, name, i, e.op)
					if d := differences(&in.Report, afterLoss(&base.Report, e, plan.sent, abrt, name == "torn")); d != "" {
						t.Errorf("%s: %s", where, d)
					}
					overall := gate.DefaultProfile().Overall(&in.Report, "")
					if needed := e.op != "EF.COM"; overall == fail || overall == succ && needed {
						t.Errorf("%s: overall %s", where, overall)
					}
				}
			})
		}
		group.Wait()
		t.Logf("%s: %d commands", s.name, len(plan.sent))
	}
}
