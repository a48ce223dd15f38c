package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gateagent/gate/wire"
)

// modelled is a kiosk's models without an agent around them. A file with
// "broken" in it is refused.
func modelled(t *testing.T, k *kiosk) (*Models, *int) {
	restarts := 0
	m := &Models{Dir: filepath.Join(t.TempDir(), "models"), Kiosk: "sgn-g12", Log: slog.New(slog.DiscardHandler),
		Restart: func() { restarts++ },
		Prepare: func(_ context.Context, dir string, _ Push) (string, error) {
			raw, err := os.ReadFile(filepath.Join(dir, "pack.json"))
			if strings.Contains(string(raw), "broken") {
				err = errors.New("the worker does not start")
			}
			return "pin of " + string(raw), err
		}}
	k.byRole[wire.RoleModels] = m
	return m, &restarts
}

// Models lie beside those before, are in force when the lane came back, and
// only then; what does not come back, or is refused at once, leaves the old ones
// where they are.
func TestModels(t *testing.T) {
	r := newRepo(t)
	k := newKiosk(t, r)
	m, restarts := modelled(t, k)
	push := func(version uint64, text string, canary uint8) {
		t.Helper()
		c := r.custom(wire.KindModels, version)
		c.Canary = canary
		r.put(wire.RoleModels, "models/pack.json", []byte(text), c)
		r.put(wire.RoleModels, "models/net.onnx", []byte("net of "+text), c)
		r.publish()
		ok(t, k.look(Folder(r.dir)))
	}
	// begins gives the folder, whose files must be those of the pack.
	begins := func(want string, wantTrial bool) ModelSet {
		t.Helper()
		set, trial, err := m.Begin()
		if err != nil || trial != wantTrial || (set.Name == "") != (want == "") {
			t.Fatalf("begins with %+v, trial %v, %v; want %q, %v", set, trial, err, want, wantTrial)
		}
		if want == "" {
			return set
		}
		net, err := os.ReadFile(filepath.Join(m.Folder(set.Name), "net.onnx"))
		if err != nil || string(net) != "net of "+want || set.Pack != "pin of "+want {
			t.Errorf("%+v holds %q, %v; want %s", set, net, err, want)
		}
		return set
	}
	begins("", false)
	push(1, "one", 0)
	first := begins("one", true)
	ok(t, m.Confirm())
	begins("one", false)
	push(2, "broken", 0)
	begins("one", false)
	if n := fmt.Sprint(k.Notices()); !strings.Contains(n, "does not start") || *restarts != 1 {
		t.Errorf("staff see %s after %d restarts", n, *restarts)
	}
	push(3, "fatal", 0)
	begins("fatal", true)
	begins("one", false) // it came back by itself
	k.Updater.roles = newState().roles
	ok(t, k.look(Folder(r.dir)))
	begins("one", false)
	if n := fmt.Sprint(k.Notices()); !strings.Contains(n, wire.NoticeUpdateAlarm) || !strings.Contains(n, "did not come back") {
		t.Errorf("staff see %s", n)
	}
	if InShare(m.Kiosk, Target{Path: wire.RoleModels, Target: wire.Target{Canary: 1}}) {
		t.Fatal("choose another kiosk for this test")
	}
	push(4, "canary", 1)
	begins("one", false)
	push(5, "two", 100)
	if set := begins("two", true); set.Before != first.Name {
		t.Errorf("%+v does not know what was before", set)
	}
	ok(t, m.Confirm())
	push(6, "three", 0)
	begins("three", true)
	ok(t, m.Confirm())
	entries, err := os.ReadDir(m.Dir)
	if err != nil || len(entries) != 3 { // two packs and the state
		t.Errorf("%v, %v: what nobody goes back to is kept", entries, err)
	}
	m.Restart = nil // a lane that compares no faces
	push(7, "unused", 0)
	begins("unused", false)
}

// A name that leads elsewhere, names that are the same and sizes without end
// are refused before anything is fetched.
func TestModelsFit(t *testing.T) {
	for name, tc := range map[string]struct {
		paths []string
		size  int64
		want  string
	}{
		"":               {[]string{"models/pack.json", "models/a.onnx"}, 1, ""},
		"twice":          {[]string{"models/a", "models/b/a"}, 1, "twice"},
		"hidden":         {[]string{"models/.state"}, 1, "no file name"},
		"up":             {[]string{"models/.."}, 1, "no file name"},
		"nothing":        {[]string{"models/"}, 1, "no file name"},
		"too large":      {[]string{"models/a", "models/b"}, maxModels/2 + 1, "more than"},
		"too many files": {slices.Repeat([]string{"models/a"}, maxModelFiles+1), 1, "more than"},
	} {
		var targets []Target
		for _, p := range tc.paths {
			targets = append(targets, Target{Path: p, Length: tc.size})
		}
		if err := modelsFit(targets); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
