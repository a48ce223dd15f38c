package allowlist

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gateagent/gate"
)

func TestBuildAndFind(t *testing.T) {
	// None, one, around one page, more than one tree node, two bucket pages.
	t.Parallel()
	for _, n := range []int{0, 1, 127, 128, 129, 1000, 128 * 128, 33000} {
		rows := make([]Row, n)
		for i := range rows {
			rows[i] = row(vnm(i))
		}
		table := mustOpen(t, build(t, testConfig(1, 1), rows...), 1)
		if err := table.Verify(context.Background()); err != nil {
			t.Fatalf("%d entries: %v", n, err)
		}
		if got := table.Statement().Entries; got != uint64(n) {
			t.Fatalf("%d entries: statement says %d", n, got)
		}
		for i := 0; i < n; i += 1 + n/400 {
			found, err := table.Find(rows[i].Document)
			if err != nil || len(found) != 1 {
				t.Fatalf("%d entries: entry %d: %v, %v", n, i, found, err)
			}
			if e := found[0]; e.Answer != Allow || !e.From.Equal(rows[i].From) || !e.Until.Equal(rows[i].Until) || e.Gates[0] != "SGN-G12" {
				t.Fatalf("%d entries: entry %d is %+v", n, i, e)
			}
		}
		for i := n; i < n+300; i++ {
			if found, err := table.Find(vnm(i)); err != nil || len(found) != 0 {
				t.Fatalf("%d entries: stranger %d: %v, %v", n, i, found, err)
			}
		}
	}
}

// One document with many entries, so that equal indexes cross page borders,
// among enough others.
func TestEqualIndexesAcrossPages(t *testing.T) {
	const each = 50
	var rows []Row
	for doc := range 20 {
		for i := range each {
			r := row(vnm(doc))
			r.From = testIssued.Add(time.Duration(i) * time.Minute)
			rows = append(rows, r)
		}
	}
	table := mustOpen(t, build(t, testConfig(1, 1), rows...), 1)
	if table.geo.entries.pages < 5 {
		t.Fatal("the table is too small for this test")
	}
	for doc := range 20 {
		found, err := table.Find(vnm(doc))
		if err != nil || len(found) != each {
			t.Fatalf("document %d: %d entries, %v", doc, len(found), err)
		}
		seen := map[time.Time]bool{}
		for _, e := range found {
			seen[e.From] = true
		}
		if len(seen) != each {
			t.Errorf("document %d: %d different windows, want %d", doc, len(seen), each)
		}
	}
	if found, err := table.Find(vnm(20)); err != nil || len(found) != 0 {
		t.Errorf("stranger: %v, %v", found, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := build(t, testConfig(3, 9), row(vnm(1)))
	keys := []ed25519.PublicKey{testPublic}
	otherPublic := otherKey.Public().(ed25519.PublicKey)
	altered := func(name string, change func([]byte) []byte) string {
		dir := t.TempDir()
		for _, f := range []string{TableFile, StatementFile, SecretFile} {
			b, err := os.ReadFile(filepath.Join(good, f))
			if err != nil {
				t.Fatal(err)
			}
			if f == name {
				b = change(b)
			}
			if err := os.WriteFile(filepath.Join(dir, f), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	wrongSecret := testSecret(3)
	wrongSecret.value[31]++
	for _, c := range []struct {
		name   string
		dir    string
		keys   []ed25519.PublicKey
		secret *GenerationSecret
		want   error
	}{
		{"no keys", good, nil, testSecret(3), ErrUnsigned},
		{"another key", good, []ed25519.PublicKey{otherPublic}, testSecret(3), ErrUnsigned},
		{"secret of another generation", good, keys, testSecret(4), ErrSecret},
		{"wrong secret", good, keys, wrongSecret, ErrSecret},
		{"table cut short", altered(TableFile, func(b []byte) []byte { return b[:len(b)-pageSize] }), keys, testSecret(3), ErrDamaged},
		{"table with more", altered(TableFile, func(b []byte) []byte { return append(b, make([]byte, pageSize)...) }), keys, testSecret(3), ErrDamaged},
		{"statement cut short", altered(StatementFile, func(b []byte) []byte { return b[:len(b)-1] }), keys, testSecret(3), ErrDamaged},
		{"empty statement", altered(StatementFile, func(b []byte) []byte { return nil }), keys, testSecret(3), ErrDamaged},
		{"no such folder", filepath.Join(good, "absent"), keys, testSecret(3), os.ErrNotExist},
	} {
		table, err := Open(c.dir, c.keys, c.secret)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if table != nil {
			t.Errorf("%s: a table came back", c.name)
		}
	}
	// The signature of another list under the right key does not serve.
	other, err := os.ReadFile(filepath.Join(build(t, testConfig(3, 10), row(vnm(2))), StatementFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(altered(StatementFile, func([]byte) []byte { return other }), keys, testSecret(3)); !errors.Is(err, ErrDamaged) {
		t.Errorf("swapped statement: %v", err)
	}
}

// Every single byte of table and statement, altered, leads to a refusal or to
// an answer that is right or "damaged": never to another answer. Under the race
// detector, which has nothing to see here, every seventh: scripts/test runs it
// without.
func TestEveryByteFlipped(t *testing.T) {
	t.Parallel()
	var rows []Row
	for i := range 140 {
		r := row(vnm(i))
		r.Gates = []string{[]string{"SGN-G12", "SGN-G13"}[i%2]}
		rows = append(rows, r)
	}
	dir := build(t, testConfig(1, 1), rows...)
	keys := []ed25519.PublicKey{testPublic}
	raw, err := os.ReadFile(filepath.Join(dir, StatementFile))
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1 << (i % 8)
		if _, err := VerifyStatement(raw, keys); err == nil {
			t.Errorf("statement byte %d altered and accepted", i)
		}
		raw[i] ^= 1 << (i % 8)
	}
	st, err := VerifyStatement(raw, keys)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, TableFile))
	if err != nil {
		t.Fatal(err)
	}
	secret := testSecret(1)
	asked := [2][]int{{0, 140}, {1, 139}}
	noticed, tried := 0, 0
	for i := 0; i < len(file); i += everyByte {
		tried++
		file[i] ^= 1 << (i % 8)
		if flippedTable(t, st, file, secret, asked[i%2]) {
			noticed++
		}
		file[i] ^= 1 << (i % 8)
	}
	// Look-ups read few pages; most flips must be on those.
	if noticed < tried/3 {
		t.Errorf("only %d of %d flips were noticed: does the test read the pages?", noticed, tried)
	}
}

// flippedTable says whether the damage was noticed.
func flippedTable(t *testing.T, st Statement, file []byte, secret *GenerationSecret, asked []int) bool {
	table, err := newTable(st, memory(file), secret)
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("open: %v", err)
		}
		return true
	}
	defer table.Close()
	s := &Store{dir: "unused", log: quiet(), table: table}
	noticed := false
	for _, n := range asked {
		a := s.Lookup(ask(vnm(n)))
		want := gate.ListAllow
		switch {
		case n >= 140:
			want = gate.ListNotFound
		case n%2 == 1:
			want = gate.ListWrongGate
		}
		switch {
		case a.Verdict == gate.ListUnavailable && a.Code == gate.CodeListDamaged:
			noticed = true
		case a.Verdict != want:
			t.Fatalf("document %d: answer %v, want %v", n, a.Verdict, want)
		}
	}
	return noticed
}

// Every single bit of a kiosk's folder but the table's, altered, leads to a
// refusal or to right answers, and costs no list: with the bit as it was,
// everything is as it was.
func TestEveryBitOfTheFolder(t *testing.T) {
	t.Parallel()
	p := push(t)
	state := t.TempDir()
	s := mustStore(t, state)
	p.load(t, s)
	if err := s.ApplyDelta(t.Context(), p.st2, p.delta, at(testNow)); err != nil {
		t.Fatal(err)
	}
	if err := s.SetRevocations(t.Context(), revocations(t, &Revocations{}, vnm(1)).Marshal()); err != nil {
		t.Fatal(err)
	}
	folder := s.mark.path(state)
	for _, path := range []string{filepath.Join(folder, StatementFile), filepath.Join(folder, SecretFile),
		filepath.Join(state, markFile), filepath.Join(state, RevocationsFile)} {
		good, refused := mustFile(t, path), 0
		for i := range good {
			bad := slices.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := OpenStore(state, Options{Log: quiet()})
			if err != nil {
				refused++
				continue
			}
			if got := answers(s); got == [4]gate.ListVerdict{gate.ListUnavailable, gate.ListUnavailable, gate.ListUnavailable, gate.ListUnavailable} {
				refused++
			} else if got != revokedAnswers {
				t.Fatalf("%s, byte %d: answers %v", filepath.Base(path), i, got)
			}
			s.Close()
		}
		if refused < len(good)*2/3 {
			t.Errorf("%s: only %d of %d altered bits were refused", filepath.Base(path), refused, len(good))
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := answers(mustStore(t, state)); got != revokedAnswers {
			t.Fatalf("%s as it was: answers %v", filepath.Base(path), got)
		}
	}
}

// Verify notices every altered byte of the whole file; every seventh under the
// race detector.
func TestVerifyNoticesEveryByte(t *testing.T) {
	t.Parallel()
	dir := build(t, testConfig(1, 1), row(vnm(1)), row(vnm(2)))
	table := mustOpen(t, dir, 1)
	file, err := os.ReadFile(filepath.Join(dir, TableFile))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(file); i += everyByte {
		file[i] ^= 0x80
		altered, err := newTable(table.st, memory(file), nil)
		if err == nil {
			err = errors.Join(altered.Verify(context.Background()), altered.Close())
		}
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", i, err)
		}
		file[i] ^= 0x80
	}
}

// memory is a table file in memory.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return copy(p, m[off:]), nil
}

func (memory) Close() error { return nil }
