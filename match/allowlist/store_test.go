package allowlist

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateagent/gate"
)

// allows fails unless the store lets the document through from that version.
func allows(t *testing.T, s *Store, d Document, version uint64) {
	t.Helper()
	if a := s.Lookup(ask(d)); a.Verdict != gate.ListAllow || a.Version != version {
		t.Fatalf("answer %v from version %d, want allow from %d", a.Verdict, a.Version, version)
	}
}

func alter(t *testing.T, path string, offset int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[offset] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever is wrong with a new list, the old one stays, now and after a
// restart, and the status says why.
func TestRefusedListLeavesTheOld(t *testing.T) {
	state := t.TempDir()
	s := mustStore(t, state)
	if err := s.Load(t.Context(), build(t, testConfig(2, 10), row(vnm(1))), at(testNow)); err != nil {
		t.Fatal(err)
	}
	config := func(change func(*BuildConfig)) BuildConfig {
		cfg := testConfig(2, 11)
		change(&cfg)
		return cfg
	}
	damaged := build(t, testConfig(2, 11), row(vnm(2)))
	alter(t, filepath.Join(damaged, TableFile), 3*pageSize+5)
	foreign := build(t, testConfig(2, 11), row(vnm(2)))
	if err := testSecret(3).Write(filepath.Join(foreign, SecretFile)); err != nil {
		t.Fatal(err)
	}
	halfCopied := build(t, testConfig(2, 11), row(vnm(2)))
	if err := os.Remove(filepath.Join(halfCopied, TableFile)); err != nil {
		t.Fatal(err)
	}
	oversize := build(t, testConfig(2, 11), row(vnm(2)))
	if err := os.Truncate(filepath.Join(oversize, TableFile), 1<<40); err != nil { // a hole: takes no room
		t.Fatal(err)
	}
	pipe := build(t, testConfig(2, 11), row(vnm(2)))
	if err := errors.Join(os.Remove(filepath.Join(pipe, SecretFile)), syscall.Mkfifo(filepath.Join(pipe, SecretFile), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		dir  string
		at   gate.TrustedTime
		want error
		text string
	}{
		{"older version", build(t, testConfig(2, 9), row(vnm(2))), at(testNow), ErrRegress, "version 9"},
		{"older generation with a higher version", build(t, testConfig(1, 12), row(vnm(2))), at(testNow), ErrRegress, "generation 1"},
		{"same version, other content", build(t, testConfig(2, 10), row(vnm(2))), at(testNow), ErrRegress, "another content"},
		{"expired", build(t, config(func(c *BuildConfig) { c.Expires = testIssued.Add(time.Hour) }), row(vnm(2))), at(testNow), ErrExpired, "2026-03-01T09:00:00Z"},
		{"not yet issued", build(t, testConfig(2, 11), row(vnm(2))), at(testIssued.Add(-time.Hour)), ErrTooNew, "clock"},
		{"another signer", build(t, config(func(c *BuildConfig) { c.Key = otherKey }), row(vnm(2))), at(testNow), ErrUnsigned, "key"},
		{"untrusted clock", build(t, testConfig(2, 11), row(vnm(2))), gate.TrustedTime{Now: testNow}, ErrClock, "time synchronisation"},
		{"a damaged page", damaged, at(testNow), ErrDamaged, "page 3"},
		{"another secret", foreign, at(testNow), ErrSecret, "list.key"},
		{"half copied", halfCopied, at(testNow), os.ErrNotExist, "list.gal"},
		{"an enormous table", oversize, at(testNow), ErrDamaged, "1099511627776 bytes"},
		{"a pipe for a secret", pipe, at(testNow), nil, "no regular file"},
		{"no list at all", t.TempDir(), at(testNow), os.ErrNotExist, "list.sig"},
	} {
		err := s.Load(t.Context(), c.dir, c.at)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.want, c.text)
			continue
		}
		allows(t, s, vnm(1), 10)
		if st := s.Status(); !st.Present || st.Version != 10 || !strings.Contains(st.Problem, c.text) {
			t.Errorf("%s: status %+v", c.name, st)
		}
		again := mustStore(t, state)
		allows(t, again, vnm(1), 10)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// A good one goes in, clears the problem, and nothing else is left behind.
	if err := s.Load(t.Context(), build(t, testConfig(3, 11), row(vnm(2))), at(testNow)); err != nil {
		t.Fatal(err)
	}
	allows(t, s, vnm(2), 11)
	if st := s.Status(); st.Problem != "" || st.Generation != 3 || st.Entries != 1 {
		t.Errorf("status %+v", st)
	}
	entries, err := os.ReadDir(state)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 {
		t.Errorf("the folder holds %v, want the mark, the list in force and the one before", entries)
	}
}

// The newest version is remembered even when its list is lost.
func TestRollbackAcrossRestart(t *testing.T) {
	state := t.TempDir()
	old := build(t, testConfig(1, 1), row(vnm(1)))
	current := build(t, testConfig(1, 2), row(vnm(2)))
	s := mustStore(t, state)
	for _, dir := range []string{old, current} {
		if err := s.Load(t.Context(), dir, at(testNow)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	folder := s.mark.path(state)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	s = mustStore(t, state)
	if a := s.Lookup(ask(vnm(2))); a.Verdict != gate.ListUnavailable || a.Code != gate.CodeListAbsent {
		t.Errorf("lost list: %+v", a)
	}
	if st := s.Status(); st.Present || st.Problem == "" {
		t.Errorf("lost list: status %+v", st)
	}
	if err := s.Load(t.Context(), old, at(testNow)); !errors.Is(err, ErrRegress) {
		t.Errorf("old list after restart: %v", err)
	}
	// The same list again repairs it.
	if err := s.Load(t.Context(), current, at(testNow)); err != nil {
		t.Fatal(err)
	}
	allows(t, s, vnm(2), 2)
}

// An unreadable mark could hide a newer list: nothing is opened.
func TestUnreadableMark(t *testing.T) {
	for _, content := range []string{"", "{", `{"generation":1,"version":2,"root":"00"}`, `{"generation":1,"more":2}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, markFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenStore(dir, Options{Log: quiet()}); err == nil || !strings.Contains(err.Error(), "load the list again") {
			t.Errorf("mark %q: %v", content, err)
		}
	}
}

// A page that rots under a running store: documents on it are referred, the
// status says so, and the same list can be loaded again.
func TestRotUnderARunningStore(t *testing.T) {
	var rows []Row
	for i := range 1000 {
		rows = append(rows, row(vnm(i)))
	}
	dir := build(t, testConfig(1, 1), rows...)
	state := t.TempDir()
	var logged bytes.Buffer
	s, err := OpenStore(state, Options{Keys: []ed25519.PublicKey{testPublic}, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Load(t.Context(), dir, at(testNow)); err != nil {
		t.Fatal(err)
	}
	alter(t, filepath.Join(s.mark.path(state), TableFile), int64(s.table.geo.entries.first+2)*pageSize+17)
	count := map[gate.ListVerdict]int{}
	for i := range 1000 {
		a := s.Lookup(ask(vnm(i)))
		count[a.Verdict]++
		if a.Verdict == gate.ListUnavailable && a.Code != gate.CodeListDamaged {
			t.Fatalf("document %d: %+v", i, a)
		}
	}
	if count[gate.ListUnavailable] < perPage || count[gate.ListAllow]+count[gate.ListUnavailable] != 1000 {
		t.Errorf("answers %v: want one page damaged, the rest allowed", count)
	}
	if st := s.Status(); !st.Present || !strings.Contains(st.Problem, "does not fit the signed root") {
		t.Errorf("status %+v", st)
	}
	if n := strings.Count(logged.String(), "list in force is damaged"); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
	if strings.Contains(logged.String(), vnm(1).Number[3:]) {
		t.Error("a document number was logged")
	}
	if err := s.Load(t.Context(), dir, at(testNow)); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		allows(t, s, vnm(i), 1)
	}
}

// Lists change under look-ups: every answer comes whole from one version.
func TestSwapUnderLookups(t *testing.T) {
	t.Parallel()
	const versions = 12
	state := t.TempDir()
	s := mustStore(t, state)
	// Version v allows the documents v and 1000+v at flight VNv.
	dirs := make([]string, versions+1)
	for v := 1; v <= versions; v++ {
		var rows []Row
		for i := range 300 {
			r := row(vnm(i))
			r.Answer = []Answer{Refer, Allow}[v%2]
			rows = append(rows, r)
		}
		dirs[v] = build(t, testConfig(1, uint64(v)), rows...)
	}
	if err := s.Load(t.Context(), dirs[1], at(testNow)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			var last uint64
			for i := g; ctx.Err() == nil; i++ {
				a := s.Lookup(ask(vnm(i % 300)))
				want := gate.ListRefer
				if a.Version%2 == 1 {
					want = gate.ListAllow
				}
				if a.Verdict != want || a.Version < last {
					t.Errorf("answer %v from version %d after %d", a.Verdict, a.Version, last)
					return
				}
				last = a.Version
				s.Status()
			}
		})
	}
	for v := 2; v <= versions; v++ {
		if err := s.Load(t.Context(), dirs[v], at(testNow)); err != nil {
			t.Error(err)
		}
	}
	stop()
	group.Wait()
}

func TestLoadHeedsItsContext(t *testing.T) {
	s := mustStore(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Load(ctx, build(t, testConfig(1, 1), row(vnm(1))), at(testNow)); !errors.Is(err, context.Canceled) {
		t.Errorf("load: %v", err)
	}
}

func TestFollow(t *testing.T) {
	s := mustStore(t, t.TempDir())
	drop := filepath.Join(t.TempDir(), "drop")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Follow(ctx, drop, 5*time.Millisecond, func() gate.TrustedTime { return at(testNow) })
	}()
	wait := func(what string, ok func(gate.ListStatus) bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(s.Status()); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: status %+v", what, s.Status())
			}
		}
	}
	deliver := func(from string) {
		if err := os.RemoveAll(drop); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(from, drop); err != nil {
			t.Fatal(err)
		}
	}
	deliver(build(t, testConfig(1, 1), row(vnm(1))))
	wait("first list", func(st gate.ListStatus) bool { return st.Version == 1 })
	deliver(build(t, testConfig(1, 2), row(vnm(1))))
	wait("second list", func(st gate.ListStatus) bool { return st.Version == 2 })
	deliver(build(t, testConfig(1, 1), row(vnm(1))))
	wait("older list", func(st gate.ListStatus) bool { return st.Version == 2 && st.Problem != "" })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What does not fit on the disk is refused before a byte of it is written.
func TestNoRoomForTheList(t *testing.T) {
	p, s := push(t), mustStore(t, t.TempDir())
	p.load(t, s)
	st, err := ParseProven(p.st2)
	if err != nil {
		t.Fatal(err)
	}
	st.DataPages = 1 << 40 / pageSize * 64           // 64 TiB
	elsewhere := filepath.Join(t.TempDir(), "table") // what is no plain file of this disk is copied
	if err := os.Symlink(filepath.Join(p.second, TableFile), elsewhere); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"list":  s.LoadProven(t.Context(), st.Marshal(), elsewhere, nil, at(testNow)),
		"delta": s.ApplyDelta(t.Context(), st.Marshal(), p.delta, at(testNow)),
	} {
		if !errors.Is(err, ErrSpace) || !strings.Contains(err.Error(), "make room") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := answers(s); got != firstAnswers {
		t.Errorf("answers %v", got)
	}
}
