package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/central/repo/repotest"
	"gateagent/config"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
	"gateagent/match/allowlist"
	"gateagent/match/document"
	"gateagent/update"
)

// pushWorld is a repository behind HTTPS and what a kiosk has to take from it.
type pushWorld struct {
	*builder
	t      *testing.T
	repo   *repotest.Fixture
	key    ed25519.PrivateKey
	secret *allowlist.GenerationSecret
	tables map[uint64]string // folder of each version that was built
	gone   allowlist.Revocations
	now    time.Time
}

func newPushWorld(t *testing.T) *pushWorld {
	now := time.Now().UTC().Truncate(time.Second)
	w := &pushWorld{t: t, now: now, repo: repotest.New(t, now, "SGN"), key: repotest.Key(t),
		secret: allowlist.NewSecret(1, now), tables: map[uint64]string{}}
	srv := httptest.NewTLSServer(http.FileServer(http.Dir(w.repo.Dir)))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	c := &config.Config{State: config.State{Dir: dir}, Clock: config.Clock{Source: "assume"},
		Trust: config.Trust{Dir: filepath.Join(dir, "by hand")}, List: config.List{Dir: filepath.Join(dir, "incoming")},
		Update: config.Update{Root: filepath.Join(dir, "root.json"), Airport: "SGN", Mirrors: []string{srv.URL}, CA: filepath.Join(dir, "ca.pem"), Every: config.Duration(time.Hour)}}
	for path, b := range map[string][]byte{c.Update.Root: w.repo.Root(), c.Update.CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{c.Trust.Dir, c.List.Dir} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.secret.Write(filepath.Join(c.List.Dir, allowlist.SecretFile)); err != nil {
		t.Fatal(err)
	}
	w.builder = &builder{c: c, log: slog.New(slog.DiscardHandler), clock: &clock.Clock{Source: clock.Assume}, trustMoved: make(chan struct{}, 1),
		judge: document.NewJudge(nil)}
	return w
}

// start builds the parts that take pushes and runs them until stop.
func (w *pushWorld) start() (stop func()) {
	w.t.Helper()
	w.tasks, w.updates, w.store = nil, nil, nil
	ctx, cancel := context.WithCancel(w.t.Context())
	if err := w.list(ctx); err != nil {
		w.t.Fatal(err)
	}
	if err := w.pushes(ctx); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	run := w.tasks[slices.IndexFunc(w.tasks, func(t task) bool { return t.name == "update" })].run
	go func() { ended <- run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
		if err := w.store.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func passenger(n int) allowlist.Document {
	return allowlist.Document{Issuer: "VNM", Type: "ID", Number: fmt.Sprintf("%012d", 79_090_000_000+n)}
}

// built is a list.
type built struct {
	dir, table string
	statement  []byte
}

// build builds a version, whole or on the one before.
func (w *pushWorld) build(version uint64, passengers int) built {
	return w.buildOn(nil, version, passengers)
}

func (w *pushWorld) buildOn(base *allowlist.Table, version uint64, passengers int) built {
	w.t.Helper()
	cfg := allowlist.BuildConfig{Secret: w.secret, Key: w.key, Version: version, Airport: "SGN", Base: base, Issued: w.now, Expires: w.now.Add(72 * time.Hour)}
	dir := filepath.Join(w.t.TempDir(), "list")
	b := must[*allowlist.Builder](w.t)(allowlist.NewBuilder(w.t.Context(), dir, cfg))
	defer b.Close()
	for i := range passengers {
		row := allowlist.Row{Document: passenger(i), Set: allowlist.Set{Flights: []string{"VN123"}, Gates: []string{"SGN-G12"}},
			From: w.now.Add(-time.Hour), Until: w.now.Add(24 * time.Hour), Answer: allowlist.Allow}
		if err := b.Add(row, int64(i)); err != nil {
			w.t.Fatal(err)
		}
	}
	must[allowlist.Summary](w.t)(b.Finish(w.t.Context()))
	w.tables[version] = dir
	st := must[allowlist.Statement](w.t)(allowlist.VerifyStatement(must[[]byte](w.t)(os.ReadFile(filepath.Join(dir, allowlist.StatementFile))), w.public()))
	return built{dir, filepath.Join(dir, allowlist.TableFile), st.Marshal()}
}

func (w *pushWorld) public() []ed25519.PublicKey {
	return []ed25519.PublicKey{w.key.Public().(ed25519.PublicKey)}
}

// publishList builds a version and publishes statement, table or delta.
func (w *pushWorld) publishList(version uint64, passengers int, whole bool) {
	w.t.Helper()
	if whole {
		l := w.build(version, passengers)
		w.add(wire.ListPath("SGN"), wire.KindList, version, 0, l.statement)
		w.add(wire.TablePath("SGN", version), wire.KindTable, version, 0, must[[]byte](w.t)(os.ReadFile(l.table)))
		return
	}
	base := must[*allowlist.Table](w.t)(allowlist.Open(w.tables[version-1], w.public(), w.secret))
	defer base.Close()
	l := w.buildOn(base, version, passengers)
	w.add(wire.ListPath("SGN"), wire.KindList, version, 0, l.statement)
	next := must[*allowlist.Table](w.t)(allowlist.Open(l.dir, w.public(), w.secret))
	defer next.Close()
	var delta bytes.Buffer
	must[allowlist.DeltaSummary](w.t)(allowlist.Diff(w.t.Context(), base, next, &delta))
	w.add(wire.DeltaPath("SGN", version-1, version), wire.KindDelta, version, version-1, delta.Bytes())
}

func (w *pushWorld) add(path, kind string, version, from uint64, content []byte) {
	w.t.Helper()
	w.repo.Add(path, wire.Target{Kind: kind, Version: version, From: from, Generation: 1, Issued: w.now, Expires: w.now.Add(72 * time.Hour)}, content, w.now)
}

// revoke publishes that somebody is off the list.
func (w *pushWorld) revoke(n int) {
	w.t.Helper()
	if err := w.gone.Revoke(w.secret, passenger(n)); err != nil {
		w.t.Fatal(err)
	}
	w.add(wire.RevocationsPath("SGN"), wire.KindRevocations, w.gone.Number, 0, w.gone.Marshal())
}

// push publishes, and tells the kiosk as the broker would.
func (w *pushWorld) push() {
	w.t.Helper()
	w.repo.Publish(time.Now().UTC().Truncate(time.Second))
	w.pushed()(w.repo.Read(wire.MetadataFile(wire.RoleTimestamp, 0)))
}

func (w *pushWorld) ask(n int) gate.ListAnswer {
	d := passenger(n)
	return w.store.Lookup(gate.ListQuery{Issuer: d.Issuer, DocType: d.Type, Number: d.Number, Gate: "SGN-G12", At: w.trusted()})
}

func (w *pushWorld) await(what string, is func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	for !is() {
		if time.Since(began) > 20*time.Second {
			w.t.Fatalf("%s does not come: %+v", what, w.updates.Notices())
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(began)
}

// A list that is published comes into force, whole and by delta; who is
// revoked is refused within a second, and after a restart without network as
// well.
func TestPushedList(t *testing.T) {
	w := newPushWorld(t)
	w.publishList(1, 50, true)
	w.repo.Publish(w.now)
	stop := w.start()
	w.await("the first list", func() bool { return w.ask(1).Verdict == gate.ListAllow })
	if w.ask(60).Verdict != gate.ListNotFound {
		t.Error("a stranger is let in")
	}
	var took []time.Duration
	for n := range 10 {
		w.revoke(n)
		w.push()
		took = append(took, w.await("a revocation", func() bool { return w.ask(n).Code == gate.CodeListRevoked }))
	}
	slices.Sort(took)
	t.Logf("revocations in force after %v (slowest of %d)", took[len(took)-1].Round(time.Millisecond), len(took))
	if worst := took[len(took)-1]; worst > time.Second {
		t.Errorf("a revocation took %v", worst)
	}
	w.publishList(2, 60, false)
	w.push()
	w.await("the delta", func() bool { return w.ask(55).Verdict == gate.ListAllow })
	w.await("central to be told", func() bool {
		list := (&status{}).wire("", w.store.Status()).List
		return list.Revocations == 10 && list.Version == 2 && slices.ContainsFunc(w.updates.InForce(), func(in wire.InForce) bool {
			return in.Role == "airport-SGN" && in.Hash == list.Root
		})
	})
	if w.ask(3).Code != gate.CodeListRevoked {
		t.Error("a delta lets somebody in who was revoked")
	}
	stop()

	w.c.Update.Mirrors = nil
	stop = w.start()
	defer stop()
	if got := w.ask(3); got.Code != gate.CodeListRevoked {
		t.Errorf("after a restart without network: %+v", got)
	}
	if got := w.ask(55); got.Verdict != gate.ListAllow {
		t.Errorf("after a restart without network: %+v", got)
	}
}

// Newer revocations that lack some in force are refused with an alarm of their
// own name, whoever signed them: nobody is let in again.
func TestPushedRevocationsThatFree(t *testing.T) {
	w := newPushWorld(t)
	w.publishList(1, 5, true)
	w.revoke(1)
	w.repo.Publish(w.now)
	defer w.start()()
	w.await("the list", func() bool { return w.ask(2).Verdict == gate.ListAllow })
	w.gone = allowlist.Revocations{Number: w.gone.Number}
	w.revoke(2)
	w.push()
	alarm := func(n gate.Notice) bool {
		return n.Source == "update alarm" && strings.Contains(n.Text, "unrevoking") && strings.Contains(n.Text, "lack some that are in force")
	}
	w.await("the alarm", func() bool { return slices.ContainsFunc(w.updates.Notices(), alarm) })
	if one, two := w.ask(1), w.ask(2); one.Code != gate.CodeListRevoked || two.Verdict != gate.ListAllow {
		t.Errorf("who was revoked: %+v; who is in the refused file: %+v", one, two)
	}
}

// Pushed trust takes the place of the folder as a whole, and is refused when
// nobody could be judged by it.
func TestPushedTrust(t *testing.T) {
	w := newPushWorld(t)
	cscas := must[[]string](t)(filepath.Glob(filepath.Join(trustFolder(t), "*.cer")))
	anchor := must[[]byte](t)(os.ReadFile(cscas[0]))
	w.trust("trust/csca.cer", 1, anchor)
	w.repo.Publish(w.now)
	defer w.start()()
	w.await("the trust", func() bool { text, _ := w.judge.Problem(); return text == "" })
	if w.trustDir() != w.statePath(pushedTrust) {
		t.Error("the folder by hand is still the one")
	}
	w.trust("trust/csca.cer", 2, []byte("no certificate"))
	w.push()
	w.await("the refusal", func() bool { return len(w.updates.Notices()) > 0 })
	if text, _ := w.judge.Problem(); text != "" {
		t.Errorf("trust is gone: %s", text)
	}
}

func (w *pushWorld) trust(path string, version uint64, content []byte) {
	w.t.Helper()
	w.repo.Add(path, wire.Target{Kind: wire.KindTrust, Version: version, Issued: w.now, Expires: w.now.Add(72 * time.Hour)}, content, w.now)
}

// Age refers or marks, as the policy says; and says nothing while all is new.
func TestAgedList(t *testing.T) {
	for _, tc := range []struct {
		overdue []update.Overdue
		code    gate.Code
		stale   bool
	}{
		{nil, gate.CodeListAbsent, false},
		{[]update.Overdue{{Of: update.Timestamp}}, gate.CodeListAbsent, false},
		{[]update.Overdue{{Of: update.Timestamp, Flags: true}}, gate.CodeListAbsent, true},
		{[]update.Overdue{{Of: update.Timestamp}, {Of: wire.KindList, Refers: true}}, gate.CodeListStale, true},
	} {
		store := must[*allowlist.Store](t)(allowlist.OpenStore(t.TempDir(), allowlist.Options{Log: slog.New(slog.DiscardHandler)}))
		got := agedList{store, func() []update.Overdue { return tc.overdue }}.Lookup(gate.ListQuery{})
		if got.Verdict == gate.ListAllow || got.Code != tc.code || got.Stale != tc.stale {
			t.Errorf("%+v: %+v", tc.overdue, got)
		}
	}
}
