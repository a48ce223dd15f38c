package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/mattn/go-sqlite3" // reads copies of the outbox

	"gateagent/central/ca"
	"gateagent/central/enrol"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/kiosk"
	"gateagent/sim/port"
)

// witness copies the kiosk's outbox at the moment at which the gate has just
// opened and the agent still waits for the board's answer.
type witness struct {
	outbox string // folder of the agent's database
	to     string

	mu     sync.Mutex
	copies int
	err    error
}

func (w *witness) opened() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.copies++
	dir := filepath.Join(w.to, fmt.Sprint(w.copies))
	if w.err = os.MkdirAll(dir, 0o700); w.err != nil {
		return
	}
	for _, name := range []string{"outbox.db", "outbox.db-wal"} {
		data, err := os.ReadFile(filepath.Join(w.outbox, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			w.err = err
		}
	}
}

// rows reads the records of an outbox's database file, which central can open
// and nobody else.
func rows(t testing.TB, c *kiosk.Central, file string) []wire.Record {
	t.Helper()
	authority, err := ca.Open(filepath.Join(c.Dir(), enrol.CAFolder))
	if err != nil {
		t.Fatal(err)
	}
	opener := authority.Opener()
	db, err := sql.Open("sqlite3", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := db.Query(`SELECT kiosk, epoch, number, prev, body FROM result, meta ORDER BY number`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	var out []wire.Record
	for found.Next() {
		var name, epoch string
		var e wire.Entry
		if err := found.Scan(&name, &epoch, &e.Number, &e.Prev, &e.Body); err != nil {
			t.Fatal(err)
		}
		if !wire.IsSealed(e.Body) {
			t.Errorf("result %d lies in clear on the kiosk's disk", e.Number)
		}
		plain, err := opener.Open(name, epoch, e.Number, e.Prev, e.Body)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := wire.DecodeRecord(plain)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, *rec)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOneTraveller: from a card in the field to an acknowledged record. When
// the gate opens, the decision is in the database already.
func TestOneTraveller(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 2)
	w := &witness{to: t.TempDir()}
	r := running(t, func(o *kiosk.Options) {
		o.Listed = guests
		o.Relay = &port.RelayOptions{OnOpen: w.opened}
		w.outbox = filepath.Join(o.Dir, "state", "outbox")
	})
	r.ready()
	for i, d := range guests {
		v := r.admitted(d)
		if !v.FaceOff {
			t.Error("the staff page does not say that no face was compared")
		}
		w.mu.Lock()
		copies, err := w.copies, w.err
		w.mu.Unlock()
		if copies != i+1 || err != nil {
			t.Fatalf("the gate opened %d times, expected %d (%v)", copies, i+1, err)
		}
		at := rows(t, central, filepath.Join(w.to, fmt.Sprint(copies), "outbox.db"))
		last := at[len(at)-1]
		if last.Kind != wire.KindDecision || last.Tx != v.Tx || last.Decision.Outcome != wire.OutcomeAdmit {
			t.Errorf("when the gate opened, the newest committed record was %s of %s, not the admission %s", last.Kind, last.Tx, v.Tx)
		}
	}
	all := r.balance(central, 2)
	if len(all) != 4 {
		t.Errorf("central holds %d records, expected 4", len(all))
	}
	rec := r.one(all, all[0].rec.Tx, wire.KindDecision)
	if d := rec.Decision; d.Face != gate.FaceOff.String() || d.Policy != "simulated" || d.List.Answer != "allow" || d.DocRef == "" || d.Issuer != "VNM" {
		t.Errorf("the decision record is %+v", d)
	}
	if p := r.one(all, rec.Tx, wire.KindPassage).Passage; p.Result != string(gate.PassagePassed) {
		t.Errorf("the passage is %q", p.Result)
	}
}
