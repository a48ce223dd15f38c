package store_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// otherBatch is the first result of a second kiosk, which it enrols.
func otherBatch(t *testing.T, s *store.Store) store.Batch {
	t.Helper()
	if err := s.AddKiosk(t.Context(), store.Kiosk{Name: "k2", Request: []byte("{}"), SigningKey: key, Added: time.Now()},
		store.Certificate{Serial: "bb", Kiosk: "k2", Issued: time.Now(), NotAfter: time.Now().Add(time.Hour)}, false); err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"n":1}`)
	b, err := wire.NewBatch("k2", epoch, wire.ChainStart(), []wire.Entry{{Number: 1, Prev: wire.ChainStart(), Hash: wire.BodyHash(body), Body: body}})
	if err != nil {
		t.Fatal(err)
	}
	return store.Batch{Batch: b, SigningKey: key, Received: time.Now()}
}

// Damage in one kiosk's rows keeps its own results out, and nobody else's that
// are stored with them. Nothing of a batch that failed stays.
func TestDamageOfOneKioskIsItsOwn(t *testing.T) {
	for name, damage := range map[string]string{
		"no number":     "UPDATE heads SET number = -9223372036854775807 WHERE kiosk = 'k1'",
		"another type":  "UPDATE heads SET number = 'x' WHERE kiosk = 'k1'",
		"head is gone":  "DELETE FROM heads WHERE kiosk = 'k1'",
		"head is older": "UPDATE heads SET number = 2, chain = (SELECT chain FROM results WHERE kiosk = 'k1' AND number = 2) WHERE kiosk = 'k1'",
	} {
		s, dir := open(t)
		first := batch(t, wire.ChainStart(), 1, 30, "a")
		ingest(t, s, first)
		db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, store.FileName))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = db.Exec(damage); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		next := batch(t, first.Chain, 31, 40, "a")
		v := ingest(t, s, first, otherBatch(t, s), next)
		if v[0].Err == nil || v[0].Ack || v[0].New != 0 {
			t.Errorf("%s: the kiosk with the damage: %+v", name, v[0])
		}
		if v[1].Err != nil || v[1].New != 1 || !v[1].Ack {
			t.Errorf("%s: the other kiosk: %+v", name, v[1])
		}
		if r, err := s.Results(t.Context(), "", 0, time.UnixMilli(0), 1000); err != nil || len(r) != 31 {
			t.Errorf("%s: %d results, %v", name, len(r), err)
		}
	}
}
