package update

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// Whatever happened to the folder, a start neither fails nor believes it, and
// nothing older comes in through the damage.
func TestDamagedFolder(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"the set altered": func(dir string) error { return flip(filepath.Join(dir, setFile)) },
		"the set torn":    func(dir string) error { return os.Truncate(filepath.Join(dir, setFile), 20) },
		"the set empty":   func(dir string) error { return os.Truncate(filepath.Join(dir, setFile), 0) },
		"the set gone":    func(dir string) error { return os.Remove(filepath.Join(dir, setFile)) },
		"the root torn":   func(dir string) error { return os.Truncate(filepath.Join(dir, rootFile), 20) },
		"leftovers":       func(dir string) error { return os.MkdirAll(filepath.Join(dir, ".tmp-set-1"), 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, k := begun(t)
			r.rotate(func() { r.root.Signed.Expires = start.AddDate(2, 0, 0) })
			old := r.copied()
			r.second()
			ok(t, k.look(Folder(r.dir)))
			ok(t, spoil(k.cfg.Dir))
			k.restart()
			if err := k.look(old); attackOf(err) != Rollback && err != nil || err == nil {
				t.Errorf("what is older: %v", err)
			}
			ok(t, k.look(Folder(r.dir)))
			k.has(t, "repaired", "second", "second list", "somebody")
			if s := k.Status(); s.Root != 2 {
				t.Errorf("root %d", s.Root)
			}
		})
	}
}

func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(path, b, 0o600)
}

// Without the floor nobody could tell old from new: that is said, and nothing
// is taken.
func TestDamagedFloor(t *testing.T) {
	_, k := begun(t)
	ok(t, flip(filepath.Join(k.cfg.Dir, floorFile)))
	if _, err := New(k.cfg); err == nil || !strings.Contains(err.Error(), "begin anew") {
		t.Errorf("%v", err)
	}
}

// A kiosk without a root, or with something else, says so.
func TestNoAnchor(t *testing.T) {
	r, k := begun(t)
	for _, root := range [][]byte{nil, []byte("{}"), r.read(wire.MetadataFile(wire.RoleTimestamp, 0))} {
		cfg := k.cfg
		cfg.Dir, cfg.Root = t.TempDir(), root
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "root") {
			t.Errorf("%.20q: %v", root, err)
		}
	}
}

// A copy of the folder at any moment of a run is what a kill leaves: each of
// them starts, and goes on to the newest state.
func TestKilledAnywhere(t *testing.T) {
	r, k := begun(t)
	r.rotate(func() { r.give(wire.RoleTimestamp, 1) })
	r.second()
	copies := t.TempDir()
	n := 0
	src := &tapped{Folder: Folder(r.dir), before: func() {
		n++
		ok(t, os.CopyFS(filepath.Join(copies, fmt.Sprint(n)), os.DirFS(k.cfg.Dir)))
	}}
	ok(t, k.look(src))
	if n < 8 {
		t.Fatalf("only %d moments", n)
	}
	for i := range n {
		k.cfg.Dir = filepath.Join(copies, fmt.Sprint(i+1))
		for _, a := range k.took {
			a.got = nil
		}
		k.restart()
		if got := k.took[wire.RoleRevocations].got[wire.RevocationsPath("SGN")]; got == "" && k.store.held.keys == onlineKeysOf(k) {
			t.Errorf("moment %d: a start without network has no revocations", i+1)
		}
		ok(t, k.look(Folder(r.dir)))
		k.has(t, fmt.Sprintf("killed at moment %d", i+1), "second", "second list", "somebody")
	}
}

func onlineKeysOf(k *kiosk) string {
	c, err := begin(k.store.held, floor{}, time.Time{})
	if err != nil {
		return ""
	}
	return c.keys()
}

// tapped tells before each file is opened.
type tapped struct {
	Folder
	before func()
}

func (s *tapped) Open(ctx context.Context, name string, from int64) (Body, error) {
	s.before()
	return s.Folder.Open(ctx, name, from)
}

// Revocations are in force before anything else of a push is asked for.
func TestRevocationsFirst(t *testing.T) {
	r, k := begun(t)
	r.second()
	asked := false
	src := &named{Folder: Folder(r.dir), before: func(name string) {
		if strings.Contains(name, "trust") || strings.Contains(name, testAirport) {
			asked = true
			if got := k.took[wire.RoleRevocations].got[wire.RevocationsPath("SGN")]; got != "somebody" {
				t.Errorf("%s is asked for while the revocations are %q", name, got)
			}
		}
	}}
	ok(t, k.look(src))
	if !asked {
		t.Error("nothing else was asked for")
	}
}

type named struct {
	Folder
	before func(string)
}

func (s *named) Open(ctx context.Context, name string, from int64) (Body, error) {
	s.before(name)
	return s.Folder.Open(ctx, name, from)
}

// What an applier refuses for good is not tried again; what failed is.
func TestAppliersAgain(t *testing.T) {
	r, k := begun(t)
	a := k.took[wire.RoleTrust]
	for _, tc := range []struct {
		fail error
		more int
	}{{fmt.Errorf("%w: no certificate", ErrFinal), 0}, {errors.New("disk"), 1}} {
		r.put(wire.RoleTrust, "trust/a.cer", []byte(tc.fail.Error()), r.custom(wire.KindTrust, 2))
		r.publish()
		a.fail = tc.fail
		ok(t, k.look(Folder(r.dir)))
		before := a.calls
		ok(t, k.look(Folder(r.dir)))
		if got := a.calls - before; got != tc.more {
			t.Errorf("%v: tried %d times again", tc.fail, got)
		}
		if !strings.Contains(fmt.Sprint(k.Notices()), tc.fail.Error()) {
			t.Errorf("staff see %v", k.Notices())
		}
		k.has(t, tc.fail.Error(), "first", "first list", "nobody")
	}
	a.fail = nil
	ok(t, k.look(Folder(r.dir)))
	if n := k.Notices(); len(n) != 0 {
		t.Errorf("afterwards staff see %v", n)
	}
}

// late is an applier that lacks something until it comes.
type late struct {
	Applier
	asked, came atomic.Bool
}

func (l *late) Apply(ctx context.Context, p Push) (InForce, error) {
	if l.asked.Store(true); !l.came.Load() {
		return InForce{}, errors.New("its secret has not come yet")
	}
	return l.Applier.Apply(ctx, p)
}

// What lacked something is put in force when that comes, and not at the next
// turn a minute later.
func TestAgain(t *testing.T) {
	r, k := begun(t)
	k.cfg.Sources = []Source{Folder(r.dir)}
	k.cfg.Dir = filepath.Join(t.TempDir(), "update")
	l := &late{Applier: &takes{role: testAirport}}
	k.cfg.Appliers = append(k.cfg.Appliers, l)
	k.restart()
	k.Again() // before anything was proven
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	defer func() { cancel(); ok(t, <-done) }()
	inForce := func() bool {
		return slices.ContainsFunc(k.InForce(), func(in wire.InForce) bool { return in.Role == testAirport })
	}
	await(t, l.asked.Load)
	if inForce() {
		t.Error("it is in force without its secret")
	}
	l.came.Store(true)
	k.Again()
	await(t, inForce)
}

// Kinds of a newer release are ignored with a notice, the rest is taken.
func TestUnknownKind(t *testing.T) {
	r, k := begun(t)
	r.putAs(wire.RoleTrust, "trust/b.new", []byte("x"), []byte(`{"kind":"weather","version":1}`))
	r.second()
	ok(t, k.look(Folder(r.dir)))
	k.has(t, "with an unknown kind", "second", "second list", "somebody")
	if got := fmt.Sprint(k.Notices()); !strings.Contains(got, "does not know") {
		t.Errorf("staff see %s", got)
	}
}

// An import goes through the running agent's inbox and is proven there.
func TestImport(t *testing.T) {
	r, k := begun(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	defer func() { cancel(); ok(t, <-done) }()
	old := r.copied()
	r.second()
	v, err := Import(t.Context(), k.cfg.Dir, r.dir, nil)
	if err != nil || !v.Taken || v.Problem != "" {
		t.Fatalf("%+v %v", v, err)
	}
	if v, err = Import(t.Context(), k.cfg.Dir, string(old), nil); err != nil || v.Taken || !strings.Contains(v.Problem, "rollback") {
		t.Errorf("an older stick: %+v %v", v, err)
	}
	if _, err := Import(t.Context(), k.cfg.Dir, t.TempDir(), nil); err == nil {
		t.Error("an empty stick is taken")
	}
	s, _, err := ReadStatus(k.cfg.Dir)
	if b, _ := json.Marshal(s); err != nil || !strings.Contains(string(b), `"role":"trust","version":2`) {
		t.Errorf("status %s %v", b, err)
	}
	left := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(k.cfg.Dir, inboxFolder)))
	if len(left) != 0 {
		t.Errorf("left in the inbox: %v", left)
	}
}

// A pushed timestamp wakes the kiosk at once; forged ones cost one look.
func TestWake(t *testing.T) {
	r, k := begun(t)
	m := serve(t, r.dir)
	k.cfg.Sources, k.cfg.Every = []Source{m}, time.Hour
	k.restart()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	defer func() { cancel(); ok(t, <-done) }()
	await(t, func() bool { return k.Status().Source != "" })
	before := m.requests.Load()
	for i := range 50 {
		k.Wake([]byte(fmt.Sprintf(`{"forged":%d}`, i)))
		time.Sleep(time.Millisecond)
	}
	old := r.read(wire.MetadataFile(wire.RoleTimestamp, 0))
	r.second()
	began := time.Now()
	k.Wake(r.read(wire.MetadataFile(wire.RoleTimestamp, 0)))
	await(t, func() bool { return k.Status().Timestamp == r.timestamp.Signed.Version })
	t.Logf("in force %v after the push", time.Since(began))
	if n := m.requests.Load() - before; n > 20 {
		t.Errorf("%d requests", n)
	}
	k.Wake(old) // a broker that kept an older one is nothing special
	time.Sleep(50 * time.Millisecond)
	for _, n := range k.Notices() {
		if strings.Contains(n.Text, "rollback") {
			t.Errorf("%v", n)
		}
	}
	k.alarmed(t, Malformed)
}

func await(t *testing.T, what func() bool) {
	t.Helper()
	for range 1000 {
		if what() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it does not come")
}

// The age of things leads to what the policy says.
func TestAges(t *testing.T) {
	r, k := begun(t)
	k.cfg.Ages = []Age{{Of: Timestamp, Show: time.Hour, Flag: 24 * time.Hour}, {Of: wire.KindList, Refer: 48 * time.Hour}, {Of: wire.RoleModels, Show: time.Hour}}
	k.restart()
	_ = r
	for _, tc := range []struct {
		after time.Duration
		want  string
	}{
		{time.Minute, "[models never]"},
		{2 * time.Hour, "[timestamp models never]"},
		{25 * time.Hour, "[timestamp flags models never]"},
		{49 * time.Hour, "[airport refers timestamp flags models never]"},
	} {
		k.time.Now = start.Add(tc.after)
		var got []string
		for _, o := range k.Overdue() {
			got = append(got, strings.ReplaceAll(o.Of, wire.KindList, "airport"))
			for word, is := range map[string]bool{"refers": o.Refers, "flags": o.Flags, "never": o.Never} {
				if is {
					got = append(got, word)
				}
			}
		}
		if fmt.Sprint(got) != tc.want {
			t.Errorf("after %v: %v, want %s", tc.after, got, tc.want)
		}
	}
	k.time.Trusted = false
	if got := k.Overdue(); got != nil {
		t.Errorf("without a clock: %v", got)
	}
}
