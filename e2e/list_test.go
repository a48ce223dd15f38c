package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/sim/doc"
	"gateagent/sim/kiosk"
)

// push builds a list and delivers it.
func (r *rig) push(o kiosk.ListOptions) {
	r.t.Helper()
	if err := r.PushList(r.within(startWithin), o); err != nil {
		r.t.Fatal(err)
	}
}

// list waits until a version is in force.
func (r *rig) list(version uint64) {
	r.t.Helper()
	r.mark()
	r.await("the new list to be in force", soon, func(v view) bool {
		return v.ListStatus.Version == version && v.ListStatus.Problem == ""
	})
}

// flip changes bytes of a file at the given places.
func flip(t *testing.T, path string, at ...int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range at {
		data[i%len(data)] ^= 0x40
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestListPush: a list that arrives while travellers pass takes effect; an
// older one, a damaged one, an expired one and one of a strange signer are
// refused with the reason, and the list in force stays.
func TestListPush(t *testing.T) {
	t.Parallel()
	people := citizens(t, 2)
	first, second := people[0], people[1]
	r := running(t, func(o *kiosk.Options) { o.Listed = []*doc.Document{first} })
	r.ready()
	r.admitted(first)
	if v := r.visit(second, nil); v.Outcome != gate.Refer.String() || !v.has(gate.CodeListNotFound) {
		t.Fatalf("somebody who is not listed: %s", v.line())
	}
	r.push(kiosk.ListOptions{Version: 2, Listed: people})
	r.list(2)
	r.admitted(second)
	decided := 3

	good, err := r.BuildList(r.within(startWithin), kiosk.ListOptions{Version: 3, Listed: people})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range badLists(t, r, people) {
		if err := os.CopyFS(filepath.Join(r.Path("bad"), tc.name), os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(r.Path("bad"), tc.name)
		if made := tc.make(dir); made != "" {
			dir = made
		}
		told := len(r.said("list refused", tc.says))
		r.mark()
		if err := r.Deliver(dir); err != nil {
			t.Fatal(err)
		}
		v := r.await(tc.name+": the list to be refused", soon, func(v view) bool { return v.notice("allowlist", tc.says) })
		if v.ListStatus.Version != 2 || !v.ListStatus.Present {
			t.Errorf("%s: version %d is in force", tc.name, v.ListStatus.Version)
		}
		// Twice when the agent looked between two of the three files.
		if n := len(r.said("list refused", tc.says)) - told; n < 1 || n > 2 {
			t.Errorf("%s: the log tells it %d times", tc.name, n)
		}
		r.admitted(second)
		decided++
	}
	if err := r.Deliver(good); err != nil {
		t.Fatal(err)
	}
	r.list(3)
	r.admitted(first)
	r.balance(central, decided+1)
}

type badList struct {
	name, says string
	make       func(dir string) string // changes a copy of a good list, or names another folder
}

func badLists(t *testing.T, r *rig, people []*doc.Document) []badList {
	build := func(o kiosk.ListOptions) string {
		dir, err := r.BuildList(r.within(startWithin), o)
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	return []badList{
		{"flipped byte in the table", "page 1 does not fit the signed root", func(dir string) string {
			flip(t, filepath.Join(dir, "list.gal"), 5000)
			return ""
		}},
		{"table cut short", "has 5000 bytes, its statement says", func(dir string) string {
			if err := os.Truncate(filepath.Join(dir, "list.gal"), 5000); err != nil {
				t.Fatal(err)
			}
			return ""
		}},
		{"flipped byte in the statement", "the signature in list.sig", func(dir string) string {
			flip(t, filepath.Join(dir, "list.sig"), 20)
			return ""
		}},
		{"garbage for a statement", "is no list statement", func(dir string) string {
			if err := os.WriteFile(filepath.Join(dir, "list.sig"), []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
			return ""
		}},
		{"strange secret", "secret does not fit", func(dir string) string {
			flip(t, filepath.Join(dir, "list.key"), 40, 41, 42)
			return ""
		}},
		{"strange signer", "it names key", func(string) string {
			if _, err := kiosk.Run(context.Background(), filepath.Join(bin, "gatectl"), "list", "keygen", "--out", r.Path("strange")); err != nil {
				t.Fatal(err)
			}
			return build(kiosk.ListOptions{Version: 9, Listed: people, Key: r.Path("strange/signing.key")})
		}},
		{"older version", "older than the one in use", func(string) string {
			return build(kiosk.ListOptions{Version: 1, Listed: people})
		}},
		{"expired", "expired", func(string) string {
			return build(kiosk.ListOptions{Version: 8, Listed: people, Issued: time.Now().Add(-3 * time.Hour), Valid: 2 * time.Hour})
		}},
	}
}

// TestListRotsInPlace: a list in force whose file is damaged under the running
// agent, or while it was down, admits nobody, says so, and is mended by a new
// delivery.
func TestListRotsInPlace(t *testing.T) {
	t.Parallel()
	people := citizens(t, 1)
	r := running(t, func(o *kiosk.Options) { o.Listed = people })
	r.ready()
	r.admitted(people[0])
	if err := r.Agent.Stop(); err != nil {
		t.Fatal(err)
	}
	inForce, err := filepath.Glob(filepath.Join(r.State(), "list", "*", "list.gal"))
	if err != nil || len(inForce) != 1 {
		t.Fatalf("the list in force lies in %v (%v)", inForce, err)
	}
	info, err := os.Stat(inForce[0])
	if err != nil {
		t.Fatal(err)
	}
	var at []int
	for i := 100; i < int(info.Size()); i += 64 { // somewhere in every entry and hash
		at = append(at, i)
	}
	flip(t, inForce[0], at...)
	// The delivered copy is still good; without it the kiosk cannot mend
	// itself.
	if err := os.Rename(r.Incoming(), r.Path("kept")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.Incoming(), 0o700); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.mark()
	r.await("staff to be told of the damaged list", startWithin, func(v view) bool { return v.notice("allowlist", "damaged") })
	v := r.visit(people[0], nil)
	r.explained(v)
	if !v.has(gate.CodeListDamaged) {
		t.Errorf("with a damaged list: %s", v.line())
	}
	if err := r.Deliver(r.Path("kept")); err != nil {
		t.Fatal(err)
	}
	r.list(1)
	r.admitted(people[0])
	r.balance(central, 3)
}

// TestListExpiresInForce: the list in force stays until its own expiry and not
// a moment longer.
func TestListExpiresInForce(t *testing.T) {
	t.Parallel()
	people := citizens(t, 1)
	r := newRig(t, func(o *kiosk.Options) { o.Listed = people })
	ends := time.Now().Add(12 * time.Second).Truncate(time.Second)
	r.push(kiosk.ListOptions{Version: 2, Listed: people, Issued: ends.Add(-time.Hour), Valid: time.Hour})
	r.start()
	go r.watch()
	r.ready()
	r.admitted(people[0])
	time.Sleep(time.Until(ends))
	v := r.visit(people[0], nil)
	r.explained(v)
	if !v.has(gate.CodeListExpired) {
		t.Errorf("after the list's expiry: %s", v.line())
	}
	r.await("staff to be told that the list has expired", soon, func(v view) bool { return v.notice("allowlist", "has expired") })
	r.balance(central, 2)
}
