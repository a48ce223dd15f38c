package main

import (
	"crypto"
	"encoding/csv"
	"fmt"
	"os"
	"strings"
	"time"

	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
	"gateagent/sim/port"
)

// window is when the allowlist lets a traveller through.
type window uint8

const (
	windowOpen window = iota
	windowEarly
	windowLate
	notListed
)

// event is what happens around a visit.
type event uint8

const (
	eventNone    event = iota
	eventTorn          // the document is taken away while it is read
	eventDown          // central is dead during the whole visit and comes back
	eventHelp          // the traveller asks for help instead
	eventRevoked       // just before, the traveller was taken off the list
)

// traveller is one member of the cast with what must happen.
type traveller struct {
	name    string
	card    *doc.Document // lies on the reader
	scanned *doc.Document // was scanned; nil: card
	byMRZ   bool
	model   chip.Model
	window  window
	event   event
	outcome gate.Outcome
	reasons []gate.Code
	figure  string // named in the summary's figures
	part    *part  // in the face step; nil where none is
}

// scan holds the document to the right scanner.
func (t *traveller) scan(codes, zones *port.Scanner) error {
	d := t.card
	if t.scanned != nil {
		d = t.scanned
	}
	if t.byMRZ {
		return zones.Scan(strings.Join(d.MRZLines(), "\r"))
	}
	return codes.Scan(d.QR())
}

// caster makes documents for the cast; the first error stays.
type caster struct {
	world *doc.World
	next  int
	cast  []*traveller
	err   error
}

// states are the countries whose CSCA the demo's trust folder holds.
func states() []string { return []string{"VNM", "D", "FRA", "NLD"} }

func (c *caster) keep(d *doc.Document, err error) *doc.Document {
	if err != nil && c.err == nil {
		c.err = err
	}
	return d
}

// citizen makes a Vietnamese card of somebody new.
func (c *caster) citizen(opts ...doc.Option) *doc.Document {
	c.next++
	return c.keep(c.world.VietnamID(c.world.Citizen(c.next), opts...))
}

// passport makes a passport of somebody new; the world invents foreigners of
// its states in turn, of which "UTO" is not used here.
func (c *caster) passport(state string, opts ...doc.Option) *doc.Document {
	for range 8 {
		c.next++
		if p := c.world.Foreigner(c.next); p.Nationality == state {
			return c.keep(c.world.Passport(p, opts...))
		}
	}
	return c.keep(nil, fmt.Errorf("nobody comes from %s", state))
}

func (c *caster) add(name string, card *doc.Document, change func(*traveller)) {
	t := &traveller{name: name, card: card, model: chip.Typical(), outcome: gate.Admit}
	if change != nil {
		change(t)
	}
	c.cast = append(c.cast, t)
}

func refer(codes ...gate.Code) func(*traveller) {
	return func(t *traveller) { t.outcome, t.reasons = gate.Refer, codes }
}

func byMRZ(t *traveller) { t.byMRZ = true }

// outside has the allowlist answer code to a genuine document.
func outside(w window, code gate.Code) func(*traveller) {
	return func(t *traveller) {
		t.window = w
		refer(gate.CodeListRefused, code)(t)
	}
}

// fixedCast is everybody of --once, in the order of their appearance. Two
// interrupted readings never follow each other: the second would be referred.
func fixedCast(w *doc.World) ([]*traveller, error) {
	c := &caster{world: w}
	c.add("genuine Vietnamese card by QR", c.citizen(), func(t *traveller) { t.figure = "genuine card" })
	c.add("genuine passport by MRZ, PACE, CA", c.passport("D"), byMRZ)
	oldChip := doc.ActiveAuthWith(doc.Algorithm{RSA: 1024, Hash: crypto.SHA256})
	c.add("genuine passport by MRZ, BAC, AA", c.passport("FRA", doc.OnlyBAC(), oldChip), byMRZ)
	c.add("genuine card, slow chip", c.citizen(), func(t *traveller) {
		t.model, t.figure = chip.Slow(), "slow chip"
	})
	c.add("not on the list", c.citizen(), outside(notListed, gate.CodeListNotFound))
	c.add("flight window not yet open", c.citizen(), outside(windowEarly, gate.CodeListTooEarly))
	c.add("flight window over", c.citizen(), outside(windowLate, gate.CodeListTooLate))
	c.add("on the list, revoked a moment ago", c.citizen(), func(t *traveller) {
		outside(windowOpen, gate.CodeListRevoked)(t)
		t.event = eventRevoked
	})
	c.forgeries()
	c.add("scanned a card, presented another", c.citizen(), func(t *traveller) {
		t.scanned = c.citizen()
		t.outcome, t.reasons = gate.Abort, []gate.Code{gate.CodeDocumentAborted, gate.CodePasswordRejected}
	})
	c.add("help pressed, resolved by staff", nil, func(t *traveller) {
		refer(gate.CodeHelpAsked)(t)
		t.event = eventHelp
	})
	c.add("central dead, back after the visit", c.citizen(), func(t *traveller) { t.event = eventDown })
	c.add("card torn out while read", c.citizen(), func(t *traveller) {
		t.event, t.outcome, t.reasons = eventTorn, gate.Abort, []gate.Code{gate.CodeDocumentAborted, gate.CodeChipGone}
	})
	return c.cast, c.err
}

// forgeries are the documents that must not pass.
func (c *caster) forgeries() {
	failed := func(code gate.Code) func(*traveller) { return refer(gate.CodeDocumentFailed, code) }
	c.add("name on the chip altered (DG1)", c.citizen(doc.With(doc.AlterDG1)), failed(gate.CodeDGHash))
	c.add("portrait altered (DG2)", c.citizen(doc.With(doc.AlterDG2)), failed(gate.CodeDGHash))
	c.add("signature broken", c.citizen(doc.With(doc.BreakSignature)), failed(gate.CodeSODSignature))
	c.add("signed by a forged signer", c.passport("NLD", doc.With(doc.ForgeSigner)), func(t *traveller) {
		failed(gate.CodeDSSignature)(t)
		t.byMRZ = true
	})
	c.add("cloned chip, refuses the proofs", c.citizen(doc.With(doc.CloneMute)), failed(gate.CodeProofWithheld))
	c.add("cloned chip, other private keys", c.citizen(doc.With(doc.Clone)), failed(gate.CodeProofWrong))
	c.add("expired passport", c.passport("D", doc.Expired()), func(t *traveller) {
		failed(gate.CodeExpired)(t)
		t.byMRZ = true
	})
	c.add("issuer unknown", c.citizen(doc.With(doc.UnknownIssuer)), refer(gate.CodeDocumentUndetermined, gate.CodeNoCSCA))
}

// guests are genuine travellers for the demo that goes on.
func guests(w *doc.World, n int) ([]*traveller, error) {
	c := &caster{world: w, next: 1000}
	for i := range n {
		if i%3 == 2 {
			c.add("traveller by MRZ", c.passport(states()[1+i/3%3]), byMRZ)
			continue
		}
		c.add("traveller by QR", c.citizen(), nil)
	}
	return c.cast, c.err
}

// writeCSV writes the rows that the allowlist is built from.
func writeCSV(path string, cast []*traveller, now time.Time) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	out := csv.NewWriter(f)
	_ = out.Write([]string{"issuer", "type", "number", "flights", "gates", "from", "until", "flags"}) // Flush tells
	for _, t := range cast {
		from, until := now.Add(-time.Hour), now.Add(listValid)
		switch t.window {
		case windowEarly:
			from = now.Add(3 * time.Hour)
		case windowLate:
			from, until = now.Add(-listAge), now.Add(-time.Hour)
		case notListed:
			continue
		}
		for _, d := range []*doc.Document{t.card, t.scanned} {
			if d == nil {
				continue
			}
			_ = out.Write([]string{d.Profile.State, d.Profile.Type, d.Number(), "VN123", gateName,
				from.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339), "allow"})
		}
	}
	out.Flush()
	return out.Error()
}
