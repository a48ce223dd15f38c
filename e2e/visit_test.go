package e2e

import (
	"sync"
	"time"

	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
	"gateagent/sim/vpcd"
)

// field is a document in the reader's field. fault may change what the chip
// answers.
type field struct {
	*chip.Chip
	r    *rig
	link *vpcd.Link
	once sync.Once
}

// present lays a document on the reader.
func (r *rig) present(d *doc.Document, change func(*chip.Config)) *field {
	r.t.Helper()
	cfg := d.ChipConfig()
	if change != nil {
		change(&cfg)
	}
	f := &field{Chip: chip.New(cfg), r: r}
	var err error
	if f.link, err = r.Present(f.Chip); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(f.remove)
	return f
}

// remove takes it away.
func (f *field) remove() {
	f.once.Do(func() {
		f.Close() // a mute chip falls silent for good
		f.link.Remove()
		if !f.r.Daemon.AwaitEmpty(0) {
			f.r.t.Error("the PC/SC daemon does not notice that the card has gone")
		}
		time.Sleep(50 * time.Millisecond) // until the agent knows it, too
	})
}

// scan holds the document's QR code to the scanner.
func (r *rig) scan(d *doc.Document) {
	r.t.Helper()
	if err := r.Scanner.Scan(d.QR()); err != nil {
		r.t.Fatal(err)
	}
}

// begin has a traveller scan a document and gives the transaction, which waits
// for the card.
func (r *rig) begin(d *doc.Document) string {
	r.t.Helper()
	r.mark()
	r.await("the gate to be idle", soon, func(v view) bool { return v.Stage == gate.StageIdle })
	r.mark()
	before := r.now().Tx
	r.scan(d)
	return r.await("the kiosk to ask for the card", soon, func(v view) bool {
		return v.Stage == gate.StageNeedCard && v.Tx != before
	}).Tx
}

// visit sends one traveller through, up to the outcome, and for an admission
// up to the passage.
func (r *rig) visit(d *doc.Document, change func(*chip.Config)) view {
	r.t.Helper()
	tx := r.begin(d)
	f := r.present(d, change)
	defer f.remove()
	v := r.await("a decision", decideWithin, func(v view) bool { return v.Tx == tx && v.decided() })
	if v.Outcome == gate.Admit.String() {
		v = r.await("the passage", soon, func(v view) bool { return v.Tx == tx && v.Passage != "" })
	}
	return v
}

// admitted sends a traveller through who must walk through.
func (r *rig) admitted(d *doc.Document) view {
	r.t.Helper()
	v := r.visit(d, nil)
	if v.Outcome != gate.Admit.String() || v.Passage != string(gate.PassagePassed) {
		r.t.Fatalf("a genuine traveller on the list was not let through: %s", v.line())
	}
	return v
}

// slow makes a chip of ordinary speed; the others of these tests take no time.
func slow(c *chip.Config) { c.Model = chip.Slow() }
