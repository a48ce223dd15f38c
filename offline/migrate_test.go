package offline

import (
	"slices"
	"testing"
)

// A database of schema version 1 goes on as it is: results, and what awaits a
// second record, in its order, also what an earlier damage had carried over.
func TestSchemaVersion1(t *testing.T) {
	o := open(t, Config{})
	appendAll(t, o, admit(1), admit(2), record("decision", 3, "refer"), admit(4))
	if _, err := o.db.ExecContext(t.Context(), `
		ALTER TABLE open_tx RENAME TO present;
		CREATE TABLE open_tx (tx TEXT PRIMARY KEY, kind TEXT NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
		CREATE INDEX open_by_kind ON open_tx (kind, number);
		INSERT INTO open_tx SELECT tx, kind, iif(number > 2, number, 0), body FROM present ORDER BY number;
		DROP TABLE present;
		PRAGMA user_version=1`); err != nil {
		t.Fatal(err)
	}
	epoch := o.Queue().Epoch
	o = reopen(t, o)
	if q := o.Queue(); q.Epoch != epoch || q.Last != 4 {
		t.Fatalf("%+v", q)
	}
	open, err := o.OpenAdmissions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var txs []string
	for _, rec := range open {
		txs = append(txs, rec.Tx)
	}
	slices.Sort(txs[:2]) // what was carried over had one number
	if !slices.Equal(txs, []string{tx(1), tx(2), tx(4)}) {
		t.Fatalf("open are %v", txs)
	}
	appendAll(t, o, record("passage", 1, "passed"), record("passage", 2, "passed"), record("passage", 4, "passed"), record("resolution", 3, "refused"))
	if len(o.opened) != 0 || o.referrals != 0 {
		t.Errorf("%d are still open", len(o.opened))
	}
	o = reopen(t, o)
	if left, err := o.OpenReferrals(t.Context()); err != nil || len(left) != 0 || len(o.opened) != 0 {
		t.Errorf("%d are still open after a restart: %v", len(left), err)
	}
	if got := all(t, o, 0); len(got) != 8 {
		t.Errorf("%d results, want 8", len(got))
	}
}
