package allowlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Sorting in many runs on disk gives the bytes of sorting in memory.
func TestManyRunsOnDisk(t *testing.T) {
	t.Parallel()
	var rows []Row
	for i := range 20000 {
		rows = append(rows, row(vnm(i%15000))) // the last 5000 repeat
	}
	small := testConfig(1, 1)
	small.Memory = 1
	small.Temp = t.TempDir()
	var reported int
	small.Report = func(i Issue) {
		if !i.Duplicate || i.Line <= 15000 {
			t.Errorf("reported %+v", i)
		}
		reported++
	}
	onDisk, sum := buildSum(t, small, rows...)
	if sum.Entries != 15000 || sum.Duplicates != 5000 || reported != 5000 {
		t.Errorf("summary %+v, %d reported", sum, reported)
	}
	if left, err := os.ReadDir(small.Temp); err != nil || len(left) != 0 {
		t.Errorf("sorting left %v, %v", left, err)
	}
	inMemory := build(t, testConfig(1, 1), rows...)
	for _, name := range []string{TableFile, StatementFile} {
		a, err := os.ReadFile(filepath.Join(onDisk, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(inMemory, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
	if table := mustOpen(t, onDisk, 1); table.Verify(context.Background()) != nil {
		t.Error("the table does not verify")
	}
}

// A caller may use the memory of one row for the next.
func TestSetsOfOneMemory(t *testing.T) {
	rows := []Row{row(vnm(0)), row(vnm(1)), row(vnm(2))}
	b, err := NewBuilder(t.Context(), filepath.Join(t.TempDir(), "list"), testConfig(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	gates := []string{""}
	for i, r := range rows {
		gates[0] = []string{"G1", "G2", "G1"}[i]
		r.Gates = gates
		if err := b.Add(r, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := []uint32{b.batch[0].body.set, b.batch[1].body.set, b.batch[2].body.set}; got[0] == got[1] || got[0] != got[2] {
		t.Errorf("sets %v", got)
	}
}

// Repeated rows can leave fewer entries than the bucket index was begun for.
func TestDuplicatesShrinkTheBucketIndex(t *testing.T) {
	var rows []Row
	for i := range 2000 {
		rows = append(rows, row(vnm(i%100)))
	}
	table := mustOpen(t, build(t, testConfig(1, 1), rows...), 1)
	if want := bucketBits(100); table.geo.bucketBits != want || bucketBits(2000) == want {
		t.Fatalf("%d bucket bits, want %d", table.geo.bucketBits, want)
	}
	if err := table.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	for i := range 100 {
		if found, err := table.Find(vnm(i)); err != nil || len(found) != 1 {
			t.Fatalf("document %d: %v %v", i, found, err)
		}
	}
}

// A document with too many entries is left out as a whole and reported line
// by line: to drop some could drop a refusal.
func TestTooManyEntriesOfOneDocument(t *testing.T) {
	var rows []Row
	for i := range maxPerKey {
		r := row(vnm(1))
		r.From = r.From.Add(time.Duration(i) * time.Second)
		rows = append(rows, r)
	}
	table := mustOpen(t, build(t, testConfig(1, 1), append(rows, row(vnm(2)))...), 1)
	if found, err := table.Find(vnm(1)); err != nil || len(found) != maxPerKey {
		t.Fatalf("at the bound: %d entries, %v", len(found), err)
	}
	extra := row(vnm(1))
	extra.Answer = Refuse
	cfg := testConfig(1, 1)
	lines := map[int64]bool{}
	cfg.Report = func(i Issue) { lines[i.Line] = true }
	dir, sum := buildSum(t, cfg, append(rows, extra, row(vnm(2)))...)
	if sum.Rejected != maxPerKey+1 || len(lines) != maxPerKey+1 || sum.Entries != 1 {
		t.Errorf("rejected %d, reported %d, entries %d", sum.Rejected, len(lines), sum.Entries)
	}
	if found, err := mustOpen(t, dir, 1).Find(vnm(1)); err != nil || len(found) != 0 {
		t.Errorf("above the bound: %v %v", found, err)
	}
}

func TestBuilderRefusesItsConfiguration(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "list")
	for name, change := range map[string]func(*BuildConfig){
		"no secret":               func(c *BuildConfig) { c.Secret = nil },
		"half a key":              func(c *BuildConfig) { c.Key = c.Key[:32] },
		"generation 0":            func(c *BuildConfig) { c.Secret.Generation = 0 },
		"version 0":               func(c *BuildConfig) { c.Version = 0 },
		"expires before issue":    func(c *BuildConfig) { c.Expires = c.Issued },
		"valid for 31 days":       func(c *BuildConfig) { c.Expires = c.Issued.Add(31 * 24 * time.Hour) },
		"generation of last year": func(c *BuildConfig) { c.Secret.Began = c.Issued.Add(-31 * 24 * time.Hour) },
		"no time":                 func(c *BuildConfig) { c.Issued = time.Time{} },
	} {
		cfg := testConfig(1, 1)
		change(&cfg)
		if b, err := NewBuilder(t.Context(), dir, cfg); err == nil {
			b.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// A build that ends early leaves nothing behind and the old list in place.
func TestInterruptedBuildLeavesTheOldList(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "list")
	attempt := func(ctx context.Context, version uint64) error {
		b, err := NewBuilder(ctx, dir, testConfig(1, version))
		if err != nil {
			return err
		}
		defer b.Close()
		for i := range 5000 {
			if err := b.Add(row(vnm(i)), int64(i)); err != nil {
				return err
			}
		}
		_, err = b.Finish(ctx)
		return err
	}
	if err := attempt(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := attempt(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if v := mustOpen(t, dir, 1).Statement().Version; v != 1 {
		t.Errorf("version %d in place, want 1", v)
	}
}

// The table alone names nobody: neither numbers nor flights of an entry can
// be tied together, and two generations share no index.
func TestTheTableNamesNobody(t *testing.T) {
	rows := []Row{row(vnm(1)), row(vnm(2))}
	one := mustOpen(t, build(t, testConfig(1, 1), rows...), 1)
	two := mustOpen(t, build(t, testConfig(2, 2), rows...), 2)
	pages := func(table *Table) (p page) {
		if err := table.readProven(table.geo.entries.first, &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := pages(one), pages(two)
	if bytes.Contains(a[:], []byte("000000000001")) {
		t.Error("a number stands in the table")
	}
	for i := range uint64(2) {
		for j := range uint64(2) {
			if bytes.Equal(indexAt(&a, i), indexAt(&b, j)) {
				t.Error("two generations share an index")
			}
		}
	}
	// The same row of two documents seals to different bodies.
	if bytes.Equal(a[indexSize:entrySize], a[entrySize+indexSize:2*entrySize]) {
		t.Error("two documents share a body")
	}
}

func TestSecretFileAndPrinting(t *testing.T) {
	path := filepath.Join(t.TempDir(), SecretFile)
	s := NewSecret(7, testIssued)
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	got, err := ReadSecret(path)
	if err != nil || *got != *s {
		t.Errorf("read back %v", err)
	}
	text := string(s.encode())
	hexed := strings.Fields(text[strings.Index(text, "\nsecret"):])[1]
	for _, printed := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s)} {
		if strings.Contains(printed, hexed[:8]) {
			t.Errorf("the secret prints as %q", printed)
		}
	}
	for _, bad := range []string{"", text + "\n", text[1:], strings.Replace(text, "generation 7", "generation 07", 1), strings.Replace(text, hexed, hexed[2:], 1)} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSecret(path); !errors.Is(err, ErrSecret) {
			t.Errorf("%q: %v", bad, err)
		} else if strings.Contains(err.Error(), hexed[:16]) {
			t.Error("the secret stands in an error")
		}
	}
}
