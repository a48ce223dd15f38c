package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/central/repo"
	"gateagent/central/repo/repotest"
	"gateagent/config"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
	"gateagent/match/allowlist"
	"gateagent/update"
)

// offline starts without any mirror.
func (w *pushWorld) offline() (stop func()) {
	had := w.c.Update.Mirrors
	w.c.Update.Mirrors = nil
	defer func() { w.c.Update.Mirrors = had }()
	return w.start()
}

// newKey gives the airport another key; what the old one signed is signed
// anew.
func (w *pushWorld) newKey() {
	w.t.Helper()
	role := "airport-SGN"
	old := w.repo.Keys[role][0]
	next := repotest.Key(w.t)
	w.repo.Keys[role] = []ed25519.PrivateKey{next}
	id := must[string](w.t)(repo.KeyID(old.Public()))
	must[[]string](w.t)(w.repo.Repo.RevokeKey(id, next.Public(), w.now))
}

// A start opens the list in force by what the update folder proves: also while
// its successor cannot be had, but never one that only lies there. A list whose
// key is taken away is out of force while the agent runs, and after a start.
func TestListIsProven(t *testing.T) {
	w := newPushWorld(t)
	w.publishList(1, 50, true)
	w.repo.Publish(w.now)
	stop := w.start()
	w.await("the list", func() bool { return w.ask(1).Verdict == gate.ListAllow })
	// The next list is named, and its table is nowhere.
	next := w.build(2, 60)
	w.add(wire.ListPath("SGN"), wire.KindList, 2, 0, next.statement)
	w.push()
	w.await("its refusal", func() bool { return len(w.updates.Notices()) > 0 })
	stop()

	check := func(what string, verdict gate.ListVerdict, problem string) {
		t.Helper()
		if got, st := w.ask(1), w.store.Status(); got.Verdict != verdict || !strings.Contains(st.Problem, problem) {
			t.Errorf("%s: %+v, %q", what, got, st.Problem)
		}
	}
	stop = w.offline()
	check("the list in force, whose successor cannot be had", gate.ListAllow, "")
	stop()
	lists := w.statePath("list")
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(lists)); err != nil {
		t.Fatal(err)
	}

	// Somebody puts a list of his own there, mark and all.
	forged := w.build(3, 60)
	s := must[*allowlist.Store](t)(allowlist.OpenStore(lists, allowlist.Options{Log: slog.New(slog.DiscardHandler)}))
	if err := s.LoadProven(t.Context(), forged.statement, forged.table, w.secret, w.trusted()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stop = w.offline()
	check("a list that nobody signed", gate.ListUnavailable, "does not vouch")
	stop()

	if err := os.RemoveAll(lists); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(lists, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	stop = w.start()
	check("the true one again", gate.ListAllow, "")
	w.newKey()
	w.push()
	w.await("the new key", func() bool { return w.ask(1).Verdict != gate.ListAllow })
	check("a list whose key was taken away", gate.ListUnavailable, "does not vouch")
	for _, in := range w.updates.InForce() {
		if in.Role == "airport-SGN" {
			t.Errorf("central is told that %+v is in force", in)
		}
	}
	stop()
	stop = w.offline()
	check("the same after a start", gate.ListUnavailable, "does not vouch")
	stop()
	stop = w.start()
	w.publishList(3, 60, true)
	w.push()
	w.await("a list under the new key", func() bool { return w.ask(1).Version == 3 })
	stop()
}

// Staff can go back to the list before; the one that they gave up never comes
// in again, a newer one does, and whoever was revoked stays so.
func TestGoBack(t *testing.T) {
	w := newPushWorld(t)
	w.publishList(1, 50, true)
	w.repo.Publish(w.now)
	stop := w.start()
	w.await("the list", func() bool { return w.ask(40).Verdict == gate.ListAllow })
	back := func() error {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		v, err := update.Return(ctx, w.statePath(pushFolder))
		if err != nil {
			t.Fatal(err)
		}
		if v.Taken == (v.Problem != "") {
			t.Errorf("%+v", v)
		}
		if !v.Taken {
			return os.ErrInvalid
		}
		return nil
	}
	if back() == nil {
		t.Error("it went back although there is nothing to go back to")
	}
	w.revoke(7)
	w.publishList(2, 10, true)
	w.push()
	w.await("the short list", func() bool { return w.ask(40).Verdict == gate.ListNotFound })
	if err := back(); err != nil {
		t.Fatal(err)
	}
	right := func(when string) {
		t.Helper()
		if got := w.ask(40); got.Verdict != gate.ListAllow || got.Version != 1 {
			t.Errorf("%s: %+v", when, got)
		}
		if got := w.ask(7); got.Code != gate.CodeListRevoked {
			t.Errorf("%s, somebody revoked: %+v", when, got)
		}
	}
	right("after the return")
	if back() == nil {
		t.Error("it went back twice")
	}
	w.repo.Publish(w.now)
	stop()
	stop = w.start()
	defer func() { stop() }()
	w.await("the refusal of what was given up", func() bool { return len(w.updates.Notices()) > 0 })
	right("after a restart")
	w.publishList(3, 60, true)
	w.push()
	w.await("a newer list", func() bool { return w.ask(55).Version == 3 })
	// The key of lists 1 to 3 is taken away: there is nothing to go back to.
	w.newKey()
	w.publishList(4, 20, true)
	w.push()
	w.await("the list under the new key", func() bool { return w.ask(1).Version == 4 })
	if back() == nil {
		t.Error("it went back to a list whose key was taken away")
	}
	if got := w.ask(1); got.Verdict != gate.ListAllow || got.Version != 4 {
		t.Errorf("after a return that was refused: %+v", got)
	}
}

// spoil changes a byte in every line of a file's memory, so that every page of
// it is damaged.
func spoil(t *testing.T, path string) {
	t.Helper()
	b := must[[]byte](t)(os.ReadFile(path))
	for i := 100; i < len(b); i += 64 {
		b[i] ^= 0x40
	}
	f := must[*os.File](t)(os.OpenFile(path, os.O_WRONLY, 0))
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// The table of a list lies once on the disk under two names. When the disk
// spoils it, nobody is admitted by it, and it is fetched anew, while the agent
// runs and at the next start.
func TestTableLiesOnce(t *testing.T) {
	w := newPushWorld(t)
	w.publishList(1, 5000, true)
	w.repo.Publish(w.now)
	stop := w.start()
	defer func() { stop() }()
	w.await("the list", func() bool { return w.ask(1).Verdict == gate.ListAllow })
	inForce := filepath.Join(w.statePath("list"), "list-1-1", allowlist.TableFile)
	once := func() {
		t.Helper()
		var names, bytes int64
		seen := map[uint64]bool{}
		size := must[os.FileInfo](t)(os.Stat(inForce)).Size()
		err := filepath.WalkDir(w.c.State.Dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if st := info.Sys().(*syscall.Stat_t); !seen[st.Ino] {
				seen[st.Ino] = true
				bytes += info.Size()
			}
			if info.Size() == size {
				names++
			}
			return nil
		})
		if err != nil || names != 2 || bytes > size+size/4 {
			t.Errorf("a table of %d bytes has %d names, all takes %d bytes (%v)", size, names, bytes, err)
		}
	}
	once()
	spoil(t, inForce)
	// Whoever asks finds the damage; the next pass over the repository mends it.
	for n := 0; w.store.Sound() && n < 5000; n++ {
		if got := w.ask(n); got.Verdict == gate.ListAllow && n > 4000 {
			t.Fatal("nobody notices the damage")
		}
	}
	w.revoke(1)
	w.push()
	w.await("the list to be mended", func() bool { return w.store.Sound() && w.ask(2).Verdict == gate.ListAllow })
	once()
	stop()
	spoil(t, inForce)
	stop = w.start()
	w.await("the list to be mended after a start", func() bool { return w.ask(2).Verdict == gate.ListAllow })
	once()
	if got := w.ask(1); got.Code != gate.CodeListRevoked {
		t.Errorf("somebody who was revoked meanwhile: %+v", got)
	}
}

// A kept table that is too large to be read at each start, and turns out to be
// damaged, is dropped and fetched once more, not refused for good.
func TestDamagedTableIsDropped(t *testing.T) {
	w := newPushWorld(t)
	good := w.build(1, 5000)
	bad := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(bad, must[[]byte](t)(os.ReadFile(good.table)), 0o600); err != nil {
		t.Fatal(err)
	}
	spoil(t, bad)
	store := must[*allowlist.Store](t)(allowlist.OpenStore(t.TempDir(), allowlist.Options{Log: slog.New(slog.DiscardHandler)}))
	statement := filepath.Join(t.TempDir(), "statement")
	if err := os.WriteFile(statement, good.statement, 0o600); err != nil {
		t.Fatal(err)
	}
	tables, dropped := []string{bad, good.table}, 0
	p := update.Push{At: w.trusted(), Targets: []update.Target{{Path: wire.ListPath("SGN")}, {Path: wire.TablePath("SGN", 1)}},
		Fetch: func(_ context.Context, t update.Target) (string, error) {
			if t.Path == wire.ListPath("SGN") {
				return statement, nil
			}
			return tables[min(dropped, 1)], nil
		},
		Drop: func(update.Target) error { dropped++; return nil }}
	l := &lists{store, "SGN", w.c.List.Dir, w.trusted}
	if _, err := l.Apply(t.Context(), p); err != nil || dropped != 1 || !l.Sound() {
		t.Errorf("dropped %d times, %v", dropped, err)
	}
	// What is in force costs no second transfer because another was refused.
	if err := store.Load(t.Context(), t.TempDir(), w.trusted()); err == nil || store.Status().Problem == "" {
		t.Fatalf("an empty folder was loaded: %v", err)
	}
	again := p
	again.Fetch = func(ctx context.Context, t update.Target) (string, error) {
		if t.Path == wire.TablePath("SGN", 1) {
			return "", errors.New("the table is asked for again")
		}
		return p.Fetch(ctx, t)
	}
	if _, err := l.Apply(t.Context(), again); err != nil {
		t.Error(err)
	}
	tables[1] = bad
	l.store = must[*allowlist.Store](t)(allowlist.OpenStore(t.TempDir(), allowlist.Options{Log: slog.New(slog.DiscardHandler)}))
	dropped = 0
	if _, err := l.Apply(t.Context(), p); !errors.Is(err, update.ErrFinal) || dropped != 1 {
		t.Errorf("a table that is published damaged: dropped %d times, %v", dropped, err)
	}
}

// killedAt is set where this process is a kiosk that dies between the moment at
// which revocations lie synced on its disk and that at which they are in force.
const killedAt = "GATEAGENT_TEST_DIES_BEFORE_FORCE"

// dies is the applier of revocations of such a kiosk.
type dies struct {
	update.Applier
	spare string // the content for which it does its work
}

func (d dies) Apply(ctx context.Context, p update.Push) (update.InForce, error) {
	for _, t := range p.Targets {
		if path, err := p.Fetch(ctx, t); err != nil || filepath.Base(path) != d.spare {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	return d.Applier.Apply(ctx, p)
}

// dieBeforeForce is the kiosk with its state in a folder, the repository's root
// and a mirror with its certificate; it never returns.
func dieBeforeForce(text string) {
	arg := strings.Split(text, "|")
	b := &builder{log: slog.New(slog.DiscardHandler), clock: &clock.Clock{Source: clock.Assume}, c: &config.Config{
		State: config.State{Dir: arg[0]}, Update: config.Update{Root: arg[1], Airport: "SGN", Mirrors: arg[2:3], CA: arg[3]}}}
	root, err := os.ReadFile(arg[1])
	if err == nil {
		err = b.list(context.Background())
	}
	sources, bad := b.mirrors()
	if err != nil || bad != nil {
		os.Exit(4)
	}
	u, err := update.New(update.Config{Dir: b.statePath(pushFolder), Root: root, Airport: "SGN", Sources: sources, Time: b.trusted,
		Appliers: []update.Applier{dies{&revocations{b.store, "SGN"}, arg[4]}}})
	if err != nil {
		os.Exit(5)
	}
	u.Start(context.Background())
	_, _ = os.Stdout.WriteString("started\n")
	_ = u.Run(context.Background())
	os.Exit(6)
}

// Revocations that lay on the disk when the power went are in force when the
// kiosk is ready again, without network.
func TestKilledBeforeForce(t *testing.T) {
	w := newPushWorld(t)
	w.publishList(1, 50, true)
	w.revoke(1)
	w.repo.Publish(w.now)
	stop := w.start()
	w.await("list and revocation", func() bool { return w.ask(1).Code == gate.CodeListRevoked && w.ask(2).Verdict == gate.ListAllow })
	stop()
	spare := filepath.Base(must[[]string](t)(filepath.Glob(filepath.Join(w.repo.Dir, "targets/revocations/*.SGN")))[0])
	w.revoke(2)
	w.repo.Publish(time.Now().UTC().Truncate(time.Second))

	cmd := exec.CommandContext(t.Context(), os.Args[0])
	u := w.c.Update
	cmd.Env = append(os.Environ(), killedAt+"="+strings.Join([]string{w.c.State.Dir, u.Root, u.Mirrors[0], u.CA, strings.TrimSuffix(spare, ".SGN")}, "|"))
	out, err := cmd.Output()
	if err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || string(out) != "started\n" {
		t.Fatalf("the kiosk was not killed: %v, %q", err, out)
	}
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	w.c.Update.Mirrors = []string{strings.Replace(srv.URL, "http:", "https:", 1)} // nobody is there
	stop = w.start()
	defer stop()
	select {
	case <-w.updates.Ready():
	case <-time.After(10 * time.Second):
		t.Fatal("not ready without network")
	}
	for n, want := range map[int]gate.Code{1: gate.CodeListRevoked, 2: gate.CodeListRevoked, 3: 0} {
		if got := w.ask(n); got.Code != want {
			t.Errorf("passenger %d: %+v", n, got)
		}
	}
}
