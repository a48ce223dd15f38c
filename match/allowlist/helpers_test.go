package allowlist

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"gateagent/gate"
)

// Everything in these tests is deterministic: keys, secret and times.
var (
	testKey    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	testPublic = testKey.Public().(ed25519.PublicKey)
	otherKey   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
	testIssued = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	testNow    = testIssued.Add(2 * time.Hour)
)

func testSecret(generation uint32) *GenerationSecret {
	s := &GenerationSecret{Generation: generation, Began: testIssued.Add(-24 * time.Hour)}
	for i := range s.value {
		s.value[i] = byte(i) ^ byte(generation)
	}
	return s
}

func testConfig(generation uint32, version uint64) BuildConfig {
	return BuildConfig{
		Secret: testSecret(generation), Key: testKey, Version: version,
		Issued: testIssued, Expires: testIssued.Add(72 * time.Hour), Specimens: true,
	}
}

// vnm is a made-up Vietnamese identity card.
func vnm(n int) Document { return Document{Issuer: "VNM", Type: "ID", Number: fmt.Sprintf("%012d", n)} }

// row allows a document at one gate around testNow.
func row(d Document) Row {
	return Row{
		Document: d, Set: Set{Flights: []string{"VN123"}, Gates: []string{"SGN-G12"}},
		From: testIssued, Until: testIssued.Add(24 * time.Hour), Answer: Allow,
	}
}

// build makes a list and gives its folder.
func build(t testing.TB, cfg BuildConfig, rows ...Row) string {
	t.Helper()
	dir, _ := buildSum(t, cfg, rows...)
	return dir
}

func buildSum(t testing.TB, cfg BuildConfig, rows ...Row) (string, Summary) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "list")
	b, err := NewBuilder(context.Background(), dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i, r := range rows {
		if err := b.Add(r, int64(i+1)); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
	sum, err := b.Finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return dir, sum
}

func mustOpen(t testing.TB, dir string, generation uint32) *Table {
	t.Helper()
	table, err := Open(dir, []ed25519.PublicKey{testPublic}, testSecret(generation))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func at(now time.Time) gate.TrustedTime { return gate.TrustedTime{Now: now, Trusted: true} }

func ask(d Document) gate.ListQuery {
	return gate.ListQuery{Issuer: d.Issuer, DocType: d.Type, Number: d.Number, Gate: "SGN-G12", At: at(testNow)}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func mustStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir, Options{Keys: []ed25519.PublicKey{testPublic}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
