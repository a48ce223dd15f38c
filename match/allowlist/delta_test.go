package allowlist

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gateagent/gate"
)

// next builds the version after old from rows.
func next(t testing.TB, old *Table, rows ...Row) string {
	cfg := testConfig(1, old.st.Version+1)
	cfg.Base, cfg.Key = old, nil
	return build(t, cfg, rows...)
}

func openProven(t testing.TB, dir string) *Table {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, StatementFile))
	if err != nil {
		t.Fatal(err)
	}
	st, err := ParseStatement(raw)
	if err != nil {
		t.Fatal(err)
	}
	table, err := openTable(dir, st, testSecret(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func mustDiff(t testing.TB, old, next *Table) ([]byte, DeltaSummary) {
	t.Helper()
	var b bytes.Buffer
	sum, err := Diff(context.Background(), old, next, &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), sum
}

func mustFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever the two lists: the older one and the delta give the newer one byte
// for byte, and the delta says how many changes it holds.
func TestMergeGivesTheFullBuild(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 200).Draw(r, "old")
		old := openProven(t, build(t, testConfig(1, 1), rows...))
		later := slices.DeleteFunc(slices.Clone(rows), func(Row) bool { return rapid.IntRange(0, 4).Draw(r, "stays") == 0 })
		for i := range later {
			if rapid.IntRange(0, 4).Draw(r, "as it was") == 0 {
				later[i].Answer = Answer(rapid.IntRange(1, 3).Draw(r, "answer"))
			}
		}
		later = append(later, rapid.SliceOfN(rapid.Custom(drawRow), 0, 50).Draw(r, "more")...)
		dir := next(t, old, later...)
		whole := openProven(t, dir)
		delta, sum := mustDiff(t, old, whole)
		if whole.st.Entries != old.st.Entries+sum.Added-sum.Removed || whole.Sets() != old.Sets()+sum.Sets {
			r.Fatalf("%d entries and %d sets became %d and %d by %+v", old.st.Entries, old.Sets(), whole.st.Entries, whole.Sets(), sum)
		}
		out := filepath.Join(t.TempDir(), TableFile)
		if err := Merge(context.Background(), old, bytes.NewReader(delta), whole.st, out); err != nil {
			r.Fatal(err)
		}
		if !bytes.Equal(mustFile(t, out), mustFile(t, filepath.Join(dir, TableFile))) {
			r.Fatal("the merged table is another one")
		}
	})
}

// Over several chunks, with changes at both ends and across their borders.
func TestMergeOfManyPages(t *testing.T) {
	t.Parallel()
	rows := make([]Row, 20000)
	for i := range rows {
		rows[i] = row(vnm(i))
	}
	old := openProven(t, build(t, testConfig(1, 1), rows...))
	later := slices.Clone(rows[1000:])
	for i := range 2500 {
		later[7*i].Gates = []string{"SGN-G13"}
		later = append(later, row(vnm(50000+i)))
	}
	dir := next(t, old, later...)
	whole := openProven(t, dir)
	delta, sum := mustDiff(t, old, whole)
	if sum != (DeltaSummary{From: 1, To: 2, Added: 2500, Changed: 2500, Removed: 1000, Sets: 1}) {
		t.Errorf("delta %+v", sum)
	}
	out := filepath.Join(t.TempDir(), TableFile)
	if err := Merge(t.Context(), old, bytes.NewReader(delta), whole.st, out); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(mustFile(t, out), mustFile(t, filepath.Join(dir, TableFile))) {
		t.Fatal("the merged table is another one")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Merge(ctx, old, bytes.NewReader(delta), whole.st, out+"2"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled merge: %v", err)
	}
}

// A body that changes is another point of its document's permutation, and no
// two documents share one: nothing is ever sealed under a keystream twice.
func TestNoKeystreamTwice(t *testing.T) {
	s := newSealer(must(testSecret(1).derive()))
	a, b := vnm(1).encode(), vnm(2).encode()
	was := body{from: 1, until: 2, set: 3, answer: Allow}
	is := body{from: 1, until: 2, set: 3, answer: Refuse}
	seals := map[[bodySize]byte]bool{}
	for _, e := range []*encoded{&a, &b} {
		x, y := must(s.seal(e, was)), must(s.seal(e, is))
		px, py := was.pack(), is.pack()
		same := true
		for i := range bodySize {
			same = same && x[indexSize+i]^y[indexSize+i] == px[i]^py[i]
		}
		if same {
			t.Error("two bodies of a document differ as their plain texts do")
		}
		seals[[bodySize]byte(x[indexSize:])], seals[[bodySize]byte(y[indexSize:])] = true, true
	}
	if len(seals) != 4 {
		t.Error("two documents seal a body alike")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// pushed is a list, its next version, and the delta between, on disk.
type pushed struct {
	first, second string // folders
	st1, st2      []byte // statements without signatures
	delta         string
}

func push(t testing.TB, more ...Row) pushed {
	t.Helper()
	rows := append(more, row(vnm(1)), row(vnm(2)), row(vnm(3)))
	cfg := testConfig(1, 1)
	cfg.Key = nil
	p := pushed{first: build(t, cfg, rows...), delta: filepath.Join(t.TempDir(), DeltaFile)}
	old := openProven(t, p.first)
	later := append(slices.Clone(rows[:len(rows)-1]), row(vnm(4)))
	later[len(rows)-2].Answer = Refer
	p.second = next(t, old, later...)
	whole := openProven(t, p.second)
	p.st1, p.st2 = old.st.Marshal(), whole.st.Marshal()
	delta, _ := mustDiff(t, old, whole)
	if err := os.WriteFile(p.delta, delta, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pushed) load(t testing.TB, s *Store) {
	t.Helper()
	if err := s.LoadProven(context.Background(), p.st1, filepath.Join(p.first, TableFile), testSecret(1), at(testNow)); err != nil {
		t.Fatal(err)
	}
}

// answers gives the verdicts on the documents 1 to 4.
func answers(s *Store) (out [4]gate.ListVerdict) {
	for i := range out {
		out[i] = s.Lookup(ask(vnm(i + 1))).Verdict
	}
	return out
}

var (
	firstAnswers  = [4]gate.ListVerdict{gate.ListAllow, gate.ListAllow, gate.ListAllow, gate.ListNotFound}
	secondAnswers = [4]gate.ListVerdict{gate.ListAllow, gate.ListRefer, gate.ListNotFound, gate.ListAllow}
	// the second list when the first document is revoked
	revokedAnswers = [4]gate.ListVerdict{gate.ListRefuse, gate.ListRefer, gate.ListNotFound, gate.ListAllow}
)

func TestApplyDeltaAndRollBack(t *testing.T) {
	p := push(t)
	state := t.TempDir()
	s := mustStore(t, state)
	if err := s.ApplyDelta(t.Context(), p.st2, p.delta, at(testNow)); !errors.Is(err, ErrBase) {
		t.Fatalf("delta without a list: %v", err)
	}
	p.load(t, s)
	if got := answers(s); got != firstAnswers {
		t.Fatalf("first list: %v", got)
	}
	if err := s.Rollback(at(testNow)); err == nil {
		t.Fatal("rolled back to nothing")
	}
	if err := s.ApplyDelta(t.Context(), p.st2, p.delta, at(testNow)); err != nil {
		t.Fatal(err)
	}
	if got := answers(s); got != secondAnswers {
		t.Fatalf("second list: %v", got)
	}
	if a, b := mustFile(t, filepath.Join(p.second, TableFile)), mustFile(t, filepath.Join(s.mark.path(state), TableFile)); !bytes.Equal(a, b) {
		t.Error("the kiosk's table is not central's")
	}
	s = mustStore(t, state) // as after a restart
	if got := answers(s); got != secondAnswers {
		t.Fatalf("second list after a restart: %v", got)
	}
	if err := s.Rollback(at(testNow)); err != nil {
		t.Fatal(err)
	}
	if got := answers(s); got != firstAnswers {
		t.Fatalf("rolled back: %v", got)
	}
	s = mustStore(t, state)
	if got := answers(s); got != firstAnswers {
		t.Fatalf("rolled back, after a restart: %v", got)
	}
	// What the kiosk was taken back from never comes in again, in no way.
	for name, err := range map[string]error{
		"delta": s.ApplyDelta(t.Context(), p.st2, p.delta, at(testNow)),
		"list":  s.LoadProven(t.Context(), p.st2, filepath.Join(p.second, TableFile), testSecret(1), at(testNow)),
	} {
		if !errors.Is(err, ErrRegress) {
			t.Errorf("%s after the rollback: %v", name, err)
		}
	}
}

// A delta that is not the one, or meets an altered table, changes nothing.
func TestWrongDeltas(t *testing.T) {
	t.Parallel()
	p := push(t)
	state := t.TempDir()
	s := mustStore(t, state)
	p.load(t, s)
	refused := func(name string, statement []byte, delta string, want error) {
		t.Helper()
		if err := s.ApplyDelta(t.Context(), statement, delta, at(testNow)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if got := answers(s); got != firstAnswers {
			t.Errorf("%s: answers %v", name, got)
		}
	}
	whole := mustFile(t, p.delta)
	altered := filepath.Join(t.TempDir(), "altered")
	for i := range whole {
		for name, b := range map[string][]byte{"cut": whole[:i], "bit": append(append(slices.Clone(whole[:i]), whole[i]^1), whole[i+1:]...)} {
			if i%7 == 0 && os.WriteFile(altered, b, 0o600) == nil {
				if err := s.ApplyDelta(t.Context(), p.st2, altered, at(testNow)); !errors.Is(err, ErrBase) && !errors.Is(err, ErrDamaged) {
					t.Fatalf("%s at byte %d: %v", name, i, err)
				}
			}
		}
	}
	other := push(t, row(vnm(9)))
	refused("a delta of another list", other.st2, other.delta, ErrBase)
	refused("a statement of another list", other.st2, p.delta, ErrDamaged)
	// One entry of the table in force rots.
	alter(t, filepath.Join(s.mark.path(state), TableFile), int64(s.table.geo.entries.first)*pageSize+40)
	if err := s.ApplyDelta(t.Context(), p.st2, p.delta, at(testNow)); !errors.Is(err, ErrBase) {
		t.Errorf("rotten table: %v", err)
	}
	if err := s.LoadProven(t.Context(), p.st2, filepath.Join(p.second, TableFile), nil, at(testNow)); err != nil {
		t.Errorf("the whole list: %v", err)
	}
	if got := answers(s); got != secondAnswers {
		t.Errorf("answers %v", got)
	}
}
