package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

const (
	kiosk = "k1"
	epoch = "000102030405060708090a0b0c0d0e0f"
)

var key = make([]byte, 32)

func open(t testing.TB) (*store.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.AddKiosk(context.Background(), store.Kiosk{Name: kiosk, Request: []byte("{}"), SigningKey: key, Added: time.Now()},
		store.Certificate{Serial: "aa", Kiosk: kiosk, Issued: time.Now(), NotAfter: time.Now().Add(time.Hour)}, false); err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// batch makes entries first to last whose bodies are their numbers and a mark.
func batch(t testing.TB, prev []byte, first, last uint64, mark string) store.Batch {
	t.Helper()
	var entries []wire.Entry
	chain := prev
	for n := first; n <= last; n++ {
		body := []byte(`{"n":"` + strings.Repeat("x", int(n%5)) + mark + `"}`)
		e := wire.Entry{Number: n, Prev: chain, Hash: wire.BodyHash(body), Body: body}
		entries = append(entries, e)
		var err error
		if chain, err = wire.ChainNext(kiosk, epoch, n, chain, e.Hash); err != nil {
			t.Fatal(err)
		}
	}
	b, err := wire.NewBatch(kiosk, epoch, prev, entries)
	if err != nil {
		t.Fatal(err)
	}
	return store.Batch{Batch: b, SigningKey: key, Received: time.Now()}
}

func ingest(t testing.TB, s *store.Store, b ...store.Batch) []store.Verdict {
	t.Helper()
	v, err := s.Ingest(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSeveralBatchesInOneTransaction(t *testing.T) {
	s, _ := open(t)
	a := batch(t, wire.ChainStart(), 1, 3, "a")
	b := batch(t, a.Chain, 4, 5, "a")
	v := ingest(t, s, a, b, a)
	if v[0].Number != 3 || v[1].Number != 5 || v[2].Number != 5 || v[2].Repeat != 3 || v[2].New != 0 || !v[2].Ack {
		t.Errorf("%+v", v)
	}
}

func TestConflictOnTheFirstAndInTheMiddle(t *testing.T) {
	s, _ := open(t)
	a := batch(t, wire.ChainStart(), 1, 4, "a")
	ingest(t, s, a)
	v := ingest(t, s, batch(t, wire.ChainStart(), 1, 6, "b"))[0]
	if v.Ack || v.New != 0 || v.Conflicts != 6 {
		t.Errorf("another history from the start: %+v", v)
	}
	// The first two are true, then it departs.
	x := batch(t, wire.ChainStart(), 1, 2, "a")
	y := batch(t, x.Chain, 3, 5, "b")
	z, err := wire.NewBatch(kiosk, epoch, wire.ChainStart(), append(x.Entries, y.Entries...))
	if err != nil {
		t.Fatal(err)
	}
	v = ingest(t, s, store.Batch{Batch: z, SigningKey: key, Received: time.Now()})[0]
	if v.Ack || v.New != 0 || v.Conflicts != 3 || v.Repeat != 2 {
		t.Errorf("it departs in the middle: %+v", v)
	}
	if n, err := s.Conflicts(t.Context(), kiosk); err != nil || n != 9 {
		t.Errorf("%d conflicts kept, %v", n, err)
	}
	if r, err := s.Results(t.Context(), kiosk, 0, time.UnixMilli(0), 100); err != nil || len(r) != 4 {
		t.Errorf("%d results, %v", len(r), err)
	}
	alarms, err := s.OpenAlarms(t.Context())
	if err != nil || len(alarms) != 1 || alarms[0].Count != 2 {
		t.Errorf("alarms: %+v, %v", alarms, err)
	}
	if err := s.SeeAlarm(t.Context(), alarms[0].ID, "admin", time.Now()); err != nil {
		t.Fatal(err)
	}
	ingest(t, s, batch(t, wire.ChainStart(), 1, 6, "b"))
	if alarms, err = s.OpenAlarms(t.Context()); err != nil || len(alarms) != 1 || alarms[0].Count != 1 {
		t.Errorf("a further one after it was seen: %+v, %v", alarms, err)
	}
}

func TestRevokedOrReplacedMeanwhile(t *testing.T) {
	s, _ := open(t)
	b := batch(t, wire.ChainStart(), 1, 1, "a")
	b.SigningKey = append([]byte{1}, key[1:]...)
	if v := ingest(t, s, b)[0]; !v.Revoked || v.Ack {
		t.Errorf("verified with a key that is no longer the kiosk's: %+v", v)
	}
	if err := s.RevokeKiosk(t.Context(), kiosk, "test", time.Now()); err != nil {
		t.Fatal(err)
	}
	if v := ingest(t, s, batch(t, wire.ChainStart(), 1, 1, "a"))[0]; !v.Revoked || v.Ack {
		t.Errorf("revoked after it was verified: %+v", v)
	}
}

func TestNewerSchemaIsLeftAlone(t *testing.T) {
	s, dir := open(t)
	_ = s
	db, err := sql.Open("sqlite3", filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "schema 99") {
		t.Errorf("a newer database: %v", err)
	}
}

func TestDamagedDatabaseSaysSo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, store.FileName)
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged database: %v", err)
	}
}

// BenchmarkIngest stores full batches in groups of 16, synced.
func BenchmarkIngest(b *testing.B) {
	s, _ := open(b)
	var all []store.Batch
	prev := wire.ChainStart()
	for n := uint64(1); n <= uint64(b.N); n += wire.MaxBatchEntries {
		x := batch(b, prev, n, n+wire.MaxBatchEntries-1, "bench")
		prev = x.Chain
		all = append(all, x)
	}
	b.ResetTimer()
	for i := 0; i < len(all); i += 16 {
		ingest(b, s, all[i:min(i+16, len(all))]...)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "results/s")
}
