package allowlist

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gateagent/gate"
)

func revocations(t testing.TB, base *Revocations, documents ...Document) *Revocations {
	t.Helper()
	r := &Revocations{Number: base.Number, Base: base.Base, gone: slices.Clone(base.gone)}
	for _, d := range documents {
		if err := r.Revoke(testSecret(1), d); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// Revocations come before the list in every look-up, at once and after a
// restart, until a list takes them into account.
func TestRevocations(t *testing.T) {
	p := push(t)
	state := t.TempDir()
	s := mustStore(t, state)
	one := revocations(t, &Revocations{}, vnm(1))
	if err := s.SetRevocations(t.Context(), one.Marshal()); err != nil { // before any list
		t.Fatal(err)
	}
	p.load(t, s)
	refused := func(n int) {
		t.Helper()
		if a := s.Lookup(ask(vnm(n))); a.Verdict != gate.ListRefuse || a.Code != gate.CodeListRevoked {
			t.Fatalf("document %d: %+v", n, a)
		}
	}
	refused(1)
	two := revocations(t, one, vnm(2))
	if err := s.SetRevocations(t.Context(), two.Marshal()); err != nil {
		t.Fatal(err)
	}
	refused(2)
	if st := s.Status(); st.Revocations != 2 || st.Revoked != 2 || st.Problem != "" {
		t.Errorf("status %+v", st)
	}
	s = mustStore(t, state)
	refused(1)
	refused(2)
	if err := s.SetRevocations(t.Context(), one.Marshal()); !errors.Is(err, ErrRegress) {
		t.Errorf("older revocations: %v", err)
	}
	// A newer file that says nothing of them is refused; one that begins after
	// them frees nobody.
	if err := s.SetRevocations(t.Context(), (&Revocations{Number: 7}).Marshal()); !errors.Is(err, ErrUnrevoked) {
		t.Errorf("a file without what is in force: %v", err)
	}
	if err := s.SetRevocations(t.Context(), (&Revocations{Number: 7, Base: 7}).Marshal()); err != nil {
		t.Fatal(err)
	}
	refused(1)
	refused(2)
	// A delta goes in under them; a list that takes the first into account
	// frees that one alone.
	if err := s.ApplyDelta(t.Context(), p.st2, p.delta, at(testNow)); err != nil {
		t.Fatal(err)
	}
	refused(1)
	refused(2)
	cfg := testConfig(1, 3)
	cfg.Revoked = 1
	if err := s.Load(t.Context(), build(t, cfg, row(vnm(1)), row(vnm(2))), at(testNow)); err != nil {
		t.Fatal(err)
	}
	allows(t, s, vnm(1), 3)
	refused(2)
	if err := s.Rollback(at(testNow)); err != nil {
		t.Fatal(err)
	}
	refused(1)
}

// A newer file must hold every key in force from after its base, with its
// change or a later one: else it is refused as what it is, by the file and after
// a restart, and what was in force stays.
func TestRevocationsAreCumulative(t *testing.T) {
	p := push(t)
	three := revocations(t, &Revocations{}, vnm(1), vnm(2), vnm(3))
	without := func(r *Revocations, change func(*revocation) bool) *Revocations {
		return &Revocations{Number: r.Number + 1, Base: r.Base, gone: slices.DeleteFunc(slices.Clone(r.gone), func(g revocation) bool { return change(&g) })}
	}
	earlier := revocations(t, three, vnm(4))
	for i := range earlier.gone {
		if earlier.gone[i].number == 3 {
			earlier.gone[i].number = 2 // a list that knows change 2 would free it
		}
	}
	forgot := revocations(t, three, vnm(4))
	forgot.Forget(2)
	for name, c := range map[string]struct {
		next *Revocations
		why  error
	}{
		"without the oldest": {without(three, func(g *revocation) bool { return g.number == 1 }), ErrUnrevoked},
		"without the newest": {without(three, func(g *revocation) bool { return g.number == 3 }), ErrUnrevoked},
		"without any":        {without(three, func(*revocation) bool { return true }), ErrUnrevoked},
		"one antedated":      {earlier, ErrUnrevoked},
		"older":              {revocations(t, &Revocations{}, vnm(1), vnm(2)), ErrRegress},
		"the same":           {three, nil},
		"another change":     {revocations(t, three, vnm(4)), nil},
		"revoked once more":  {revocations(t, three, vnm(1)), nil},
		"from a later base":  {forgot, nil},
	} {
		state := t.TempDir()
		s := mustStore(t, state)
		p.load(t, s)
		if err := s.SetRevocations(t.Context(), three.Marshal()); err != nil {
			t.Fatal(err)
		}
		before := mustFile(t, filepath.Join(state, RevocationsFile))
		for when := range 2 {
			if err := s.SetRevocations(t.Context(), c.next.Marshal()); !errors.Is(err, c.why) || (err == nil) != (c.why == nil) {
				t.Errorf("%s, %d: %v, want %v", name, when, err, c.why)
			}
			for i := range 3 {
				if a := s.Lookup(ask(vnm(i + 1))); a.Code != gate.CodeListRevoked {
					t.Errorf("%s, %d: document %d: %+v", name, when, i+1, a)
				}
			}
			if same := bytes.Equal(mustFile(t, filepath.Join(state, RevocationsFile)), before); !same && c.why != nil {
				t.Errorf("%s, %d: refused, and the file changed", name, when)
			}
			s = mustStore(t, state)
		}
	}
	// What lists take into account may be left out.
	if err := without(three, func(g *revocation) bool { return g.number < 3 }).Follows(three, 2); err != nil {
		t.Errorf("without what the list knows: %v", err)
	}
}

// A file of revocations that is damaged, gone or old admits nobody, until a
// whole one comes.
func TestRevocationsThatCannotBeBelieved(t *testing.T) {
	p := push(t)
	one := revocations(t, &Revocations{}, vnm(1))
	two := revocations(t, one, vnm(2))
	three := revocations(t, two, vnm(3))
	for name, spoil := range map[string]func(path string) error{
		"altered": func(path string) error {
			b := mustFile(t, path)
			b[50]++
			return os.WriteFile(path, b, 0o600)
		},
		"gone":  os.Remove,
		"older": func(path string) error { return os.WriteFile(path, one.Marshal(), 0o600) },
	} {
		state := t.TempDir()
		s := mustStore(t, state)
		p.load(t, s)
		if err := s.SetRevocations(t.Context(), two.Marshal()); err != nil {
			t.Fatal(err)
		}
		if err := spoil(filepath.Join(state, RevocationsFile)); err != nil {
			t.Fatal(err)
		}
		s = mustStore(t, state)
		for i := range 4 {
			if a := s.Lookup(ask(vnm(i + 1))); a.Verdict != gate.ListUnavailable || a.Code != gate.CodeListDamaged {
				t.Errorf("%s: document %d: %+v", name, i, a)
			}
		}
		if st := s.Status(); st.Problem == "" {
			t.Errorf("%s: status %+v", name, st)
		}
		late := &Revocations{Number: 3, Base: 2, gone: slices.Clone(three.gone)}
		late.Forget(2)
		if err := s.SetRevocations(t.Context(), late.Marshal()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: revocations with a gap: %v", name, err)
		}
		if err := s.SetRevocations(t.Context(), three.Marshal()); err != nil {
			t.Errorf("%s: whole revocations: %v", name, err)
		}
		if a := s.Lookup(ask(vnm(3))); a.Code != gate.CodeListRevoked {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// A gap between list and revocations is told, and nobody is freed by it.
func TestRevocationsWithAGap(t *testing.T) {
	p := push(t)
	state := t.TempDir()
	s := mustStore(t, state)
	p.load(t, s)
	one := revocations(t, &Revocations{}, vnm(1))
	if err := s.SetRevocations(t.Context(), one.Marshal()); err != nil {
		t.Fatal(err)
	}
	late := revocations(t, &Revocations{Number: 8, Base: 8}, vnm(3))
	if err := s.SetRevocations(t.Context(), late.Marshal()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if st := s.Status(); st.Problem == "" || st.Revocations != 9 {
			t.Errorf("status %+v", st)
		}
		for _, n := range []int{1, 3} {
			if a := s.Lookup(ask(vnm(n))); a.Code != gate.CodeListRevoked {
				t.Errorf("document %d: %+v", n, a)
			}
		}
		s = mustStore(t, state)
	}
}

// Every byte of the file, altered, is noticed; so is every shorter file.
func TestRevocationsNoticeEveryByte(t *testing.T) {
	r := revocations(t, &Revocations{}, vnm(1), vnm(2), vnm(3))
	b := r.Marshal()
	back, err := ParseRevocations(b)
	if err != nil || !bytes.Equal(back.Marshal(), b) {
		t.Fatalf("does not read back: %v", err)
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, err := ParseRevocations(b); !errors.Is(err, ErrDamaged) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
			b[i] ^= 1 << bit
		}
		if _, err := ParseRevocations(b[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// A revocation waits for no list that is on its way.
func TestRevocationDuringALoad(t *testing.T) {
	p := push(t)
	s := mustStore(t, t.TempDir())
	p.load(t, s)
	one := revocations(t, &Revocations{}, vnm(1))
	s.reached = func(step string) {
		if step == "files staged" {
			s.reached = nil
			if err := s.SetRevocations(t.Context(), one.Marshal()); err != nil {
				t.Error(err)
			}
		}
	}
	if err := s.ApplyDelta(t.Context(), p.st2, p.delta, at(testNow)); err != nil {
		t.Fatal(err)
	}
	want := secondAnswers
	want[0] = gate.ListRefuse
	if got := answers(s); got != want {
		t.Errorf("answers %v, want %v", got, want)
	}
	if s.mark.Revocations != 1 || s.mark.Version != 2 {
		t.Errorf("mark %+v", s.mark)
	}
}
