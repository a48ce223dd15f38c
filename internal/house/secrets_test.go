package house

import (
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/match/allowlist"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// people are two invented travellers whose names, numbers and dates occur
// nowhere else.
func people(t *testing.T, w *doc.World) (card, passport func(...doc.Option) *doc.Document) {
	citizen := doc.Person{
		Surname: "Đặngthử", Given: "Thị Quỳnhmẫu", Sex: "F", Nationality: "VNM", Place: "Xã Tưởngtượng",
		Birth: time.Date(1990, 7, 14, 0, 0, 0, 0, time.UTC),
	}
	foreigner := doc.Person{
		Surname: "Vanvoorbeeldhuizen", Given: "Wilhelmijntje", Sex: "F", Nationality: "NLD", Place: "Verzonnendam",
		Birth: time.Date(1986, 11, 23, 0, 0, 0, 0, time.UTC),
	}
	card = func(opts ...doc.Option) *doc.Document {
		opts = append([]doc.Option{doc.Numbered("079190739146"), func(f *doc.Profile) {
			f.OldNumber, f.Address = "271828182", "77 Phố Hưcấu, Phường Bịađặt"
		}}, opts...)
		return ok(w.VietnamID(citizen, opts...))(t)
	}
	passport = func(opts ...doc.Option) *doc.Document {
		return ok(w.Passport(foreigner, append([]doc.Option{doc.Numbered("NXQ84L1P7"), func(f *doc.Profile) { f.CAN = "586203" }}, opts...)...))(t)
	}
	return card, passport
}

// planted lists everything of a document that must stay in memory, in every
// form in which it could leak.
func planted(d *doc.Document) []needle {
	var out []needle
	add := func(what string, secrets ...string) {
		for _, s := range secrets {
			if s != "" {
				out = append(out, forms(what, []byte(s))...)
			}
		}
	}
	p, f := d.Person, d.Profile
	add("the card access number", d.CAN())
	add("the complete number", d.Number())
	add("the document number", f.Number)
	add("the old number", f.OldNumber)
	add("the surname", p.Surname)
	add("the name", p.Name())
	for _, word := range strings.Fields(p.Given) {
		if len(word) > 5 { // "Thị" is no secret
			add("a given name", word)
		}
	}
	add("the address", f.Address)
	add("the place of birth", p.Place)
	add("the date of birth", p.Birth.Format(time.DateOnly), p.Birth.Format("02012006"), p.Birth.Format("02/01/2006"))
	add("the MRZ information", string(d.MRZInfo()))
	for i, line := range d.MRZLines() {
		for _, w := range windows([]byte(line), 12, 3) {
			if n := strings.Count(string(w), "<"); n < 4 {
				add(fmt.Sprintf("a part of MRZ line %d", i+1), string(w))
			}
		}
		for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == '<' }) {
			if len(word) > 6 {
				add(fmt.Sprintf("a word of MRZ line %d", i+1), word)
			}
		}
	}
	for name, raw := range map[string][]byte{
		"DG1": d.File(chip.FileDG(1)), "the portrait": f.Image.Bytes, "DG2": d.File(chip.FileDG(2)),
		"DG14": d.File(chip.FileDG(14)), "DG15": d.File(chip.FileDG(15)), "the security object": d.File(chip.FileSOD),
	} {
		for _, w := range windows(raw, 16, max(16, len(raw)/24)) {
			out = append(out, forms("chip bytes of "+name, w)...)
		}
	}
	return out
}

// places gathers everything that outlives a transaction: the journal, every
// file below the state folder, every record and batch, every page.
func (l *lobby) places() map[string][]byte {
	l.t.Helper()
	l.mu.Lock()
	out := map[string][]byte{"the journal": l.journal.bytes(), "the pages": slices.Clone(l.views), "the records": slices.Clone(l.records)}
	l.mu.Unlock()
	err := filepath.WalkDir(l.state, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		out["the file "+strings.TrimPrefix(p, l.state+"/")] = b
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

// batches gives what the uplink would send, entry by entry and as a message.
func (l *lobby) batches() map[string][]byte {
	l.t.Helper()
	out := map[string][]byte{}
	epoch, entries, err := l.box.Pending(l.t.Context(), 0, wire.MaxBatchEntries, wire.BatchRoom)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		out[fmt.Sprintf("entry %d", e.Number)] = e.Body
	}
	b := ok(wire.NewBatch("sgn-g12", epoch, wire.ChainStart(), entries))(l.t)
	if err := b.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))); err != nil {
		l.t.Fatal(err)
	}
	out["the batch"] = ok(b.Encode())(l.t)
	return out
}

// leaks lists what was found where.
func leaks(needles []needle, places ...map[string][]byte) []string {
	var out []string
	for _, ps := range places {
		for where, hay := range ps {
			for _, n := range needles {
				if n.in(hay) {
					out = append(out, where+" holds "+n.what)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// Names, numbers, keys, zones and pictures of travellers stay in memory for
// one transaction: they reach no log at any level, no disk, no page and not
// the wire, whether the visit goes well or any way wrong.
func TestSecretsStayInMemory(t *testing.T) {
	w := doc.NewWorld(71)
	idCard, passport := people(t, w)
	citizen, foreigner := idCard(), passport()
	l := newLobby(t, w, allowlist.Document{Issuer: "VNM", Type: "ID", Number: citizen.Number()})
	l.visits(idCard, passport)

	secrets := append(planted(citizen), planted(foreigner)...)
	places, sent := l.places(), l.batches()
	if len(secrets) < 1000 || len(places["the journal"]) < 1000 || len(sent) < 10 || places["the file outbox/outbox.db-wal"] == nil {
		for name, b := range places {
			t.Logf("%s: %d bytes", name, len(b))
		}
		t.Fatalf("%d needles, %d entries: too little was looked at", len(secrets), len(sent))
	}
	for _, leak := range leaks(secrets, places, sent) {
		t.Error(leak)
	}
	if n, err := validRecords(recordSchema(t), string(places["the records"])); err != nil || n < 10 {
		t.Errorf("record %d does not fit docs/record.schema.json: %v", n+1, err)
	}
	l.control(secrets, citizen)
}

// visits plays travellers with every fate.
func (l *lobby) visits(idCard, passport func(...doc.Option) *doc.Document) {
	l.t.Helper()
	citizen, foreigner := idCard(), passport()
	qr, zone := l.scans(citizen.QR()), l.scans(strings.Join(foreigner.MRZLines(), ""))
	lies := foreigner.ChipConfig()
	lies.Fault = func(i int, _, resp []byte) ([]byte, bool) {
		if i < 4 {
			return resp, false
		}
		return append([]byte(citizen.Person.Name()+citizen.CAN()+citizen.MRZ()), 0x90, 0), false
	}
	for _, v := range []struct {
		what    string
		present func()
		card    *card
		outcome string
		reason  gate.Code
	}{
		{"genuine card by QR", qr, laid(citizen.ChipConfig()), wire.OutcomeAdmit, 0},
		{"genuine passport by MRZ, unlisted", zone, laid(foreigner.ChipConfig()), wire.OutcomeRefer, gate.CodeListNotFound},
		{"scan of another document", qr, laid(foreigner.ChipConfig()), wire.OutcomeAbort, gate.CodePasswordRejected},
		{"genuine card by keyed-in number", l.keys(citizen.CAN(), http.StatusNoContent), laid(citizen.ChipConfig()), wire.OutcomeAdmit, 0},
		{"DG1 altered", qr, laid(idCard(doc.With(doc.AlterDG1)).ChipConfig()), wire.OutcomeRefer, gate.CodeDGHash},
		{"DG2 altered", qr, laid(idCard(doc.With(doc.AlterDG2)).ChipConfig()), wire.OutcomeRefer, gate.CodeDGHash},
		{"signature forged", qr, laid(idCard(doc.With(doc.BreakSignature)).ChipConfig()), wire.OutcomeRefer, gate.CodeSODSignature},
		{"cloned chip", qr, laid(idCard(doc.With(doc.Clone)).ChipConfig()), wire.OutcomeRefer, gate.CodeProofWrong},
		{"unknown issuer", qr, laid(idCard(doc.With(doc.UnknownIssuer)).ChipConfig()), wire.OutcomeRefer, gate.CodeNoCSCA},
		{"chip that answers with somebody's data", zone, laid(lies), wire.OutcomeRefer, 0},
		{"torn out", qr, &card{c: chip.New(citizen.ChipConfig()), left: 10}, wire.OutcomeAbort, gate.CodeChipGone},
	} {
		d := l.visit(v.present, v.card).Decision
		if d.Outcome != v.outcome || v.reason != 0 && !slices.Contains(d.Reasons, uint32(v.reason)) {
			l.t.Errorf("%s: %s for %v", v.what, d.Outcome, d.Reasons)
		}
	}
	// Scans that nobody understands, numbers that are none, and help.
	l.keys(citizen.CAN()+"0", http.StatusBadRequest)()
	for _, text := range []string{
		citizen.MRZLines()[0], "X" + strings.Join(foreigner.MRZLines(), ""),
		strings.Replace(citizen.QR(), "|", "||||||||", 1), strings.Repeat(citizen.QR(), 8),
	} {
		l.scans(text)()
	}
	help := l.visit(func() {
		if err := l.lane.Help(l.t.Context()); err != nil {
			l.t.Fatal(err)
		}
	}, nil)
	if err := l.lane.Resolve(l.t.Context(), help.Tx, "Officer One", "sent_back", "other"); err != nil {
		l.t.Error(err)
	}
}

func laid(cfg chip.Config) *card { return &card{c: chip.New(cfg)} }

// control plants a secret in each place, to show that it would be found.
func (l *lobby) control(secrets []needle, d *doc.Document) {
	l.t.Helper()
	l.log.Debug("control", "name", d.Person.Name())
	l.log.Debug("control", "key", fmt.Sprintf("%x", d.MRZInfo()))
	rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindResolution, Tx: strings.Repeat("ab", 16), Gate: lobbyGate, At: time.Now().UTC(), BootID: "x",
		Resolution: &wire.Resolution{Operator: "Officer One", Outcome: "refused", Reason: d.CAN()}}
	if err := l.Append(l.t.Context(), rec); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.state, "planted"), d.File(chip.FileDG(2))[4000:5000], 0o600); err != nil {
		l.t.Fatal(err)
	}
	got := leaks(secrets, l.places(), l.batches())
	for _, want := range []string{
		"the journal holds the name", "the journal holds the MRZ information as hex",
		"the records holds the card access number", "the batch holds the card access number",
		"-wal holds the card access number", "the file planted holds chip bytes of the portrait",
	} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			l.t.Errorf("a planted secret was not found: %s; found %q", want, got)
		}
	}
}
