package update

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// settled is a kiosk's settings without an agent around them.
func newSettings(t *testing.T) (*Settings, *int) {
	restarts := 0
	return &Settings{Dir: filepath.Join(t.TempDir(), "settings"), Kiosk: "sgn-g12", Airport: "SGN", Log: slog.New(slog.DiscardHandler),
		Restart: func() { restarts++ },
		Check: func(p []Piece) error {
			for _, one := range p {
				if strings.Contains(string(one.Text), "nonsense") {
					return errors.New("unknown key")
				}
			}
			return nil
		}}, &restarts
}

func names(pieces []Piece) (out string) {
	for _, p := range pieces {
		out += fmt.Sprintf("%s=%s ", p.Name, p.Text)
	}
	return strings.TrimSpace(out)
}

// New settings are tried; confirmed, they stay; unconfirmed, the last good
// ones come back at the next start, and what failed is not tried again.
func TestSettings(t *testing.T) {
	r := newRepo(t)
	k := newKiosk(t, r)
	s, restarts := newSettings(t)
	k.byRole[wire.RoleSettings] = s
	push := func(version uint64, text string, canary uint8) {
		c := r.custom(wire.KindSettings, version)
		c.Canary = canary
		r.put(wire.RoleSettings, "settings/fleet.toml", []byte(text), c)
		r.publish()
		ok(t, k.look(Folder(r.dir)))
	}
	begins := func(want string, wantTrial bool) {
		t.Helper()
		got, trial, err := s.Begin()
		if err != nil || names(got) != want || trial != wantTrial {
			t.Errorf("begins with %q, trial %v, %v; want %q, %v", names(got), trial, err, want, wantTrial)
		}
	}
	begins("", false)
	push(1, "one", 0)
	begins("fleet=one", true)
	ok(t, s.Confirm())
	begins("fleet=one", false)
	if *restarts != 1 {
		t.Errorf("%d restarts", *restarts)
	}

	push(2, "nonsense", 0)
	begins("fleet=one", false)
	if n := fmt.Sprint(k.Notices()); !strings.Contains(n, "unknown key") || *restarts != 1 {
		t.Errorf("staff see %s after %d restarts", n, *restarts)
	}

	push(3, "fatal", 0)
	begins("fleet=fatal", true) // and the lane does not come back
	begins("fleet=one", false)  // so the good ones do
	ok(t, s.Confirm())          // of nothing
	begins("fleet=one", false)  // still
	k.Updater.roles = newState().roles
	ok(t, k.look(Folder(r.dir))) // the same push again
	begins("fleet=one", false)
	alarm := func(n gate.Notice) bool {
		return n.Source == wire.NoticeUpdateAlarm && n.Level == "fault" && strings.Contains(n.Text, "did not come back")
	}
	if !slices.ContainsFunc(k.Notices(), alarm) {
		t.Errorf("staff see %v", k.Notices())
	}
	if InShare(s.Kiosk, Target{Path: "settings/fleet.toml", Target: wire.Target{Canary: 1}}) {
		t.Fatal("choose another kiosk for this test")
	}
	push(4, "canary", 1)
	begins("fleet=one", false)
	if slices.ContainsFunc(k.Notices(), alarm) {
		t.Errorf("staff still see %v", k.Notices())
	}
	push(5, "canary", 100)
	begins("fleet=canary", true)
	ok(t, s.Confirm())
	ok(t, flip(filepath.Join(s.Dir, trialFile)))
	begins("", false)
}

// About the share of kiosks is drawn, and whoever is in stays in.
func TestShare(t *testing.T) {
	in := 0
	for i := range 1000 {
		kiosk, was := fmt.Sprintf("gate-%d", i), false
		for _, share := range []uint8{1, 10, 50, 100, 0} {
			is := InShare(kiosk, Target{Path: "settings/fleet.toml", Target: wire.Target{Canary: share}})
			if was && !is {
				t.Fatalf("%s falls out of a share of %d", kiosk, share)
			}
			if was = is; share == 10 && is {
				in++
			}
		}
		if !was {
			t.Fatalf("%s is not among all", kiosk)
		}
	}
	if in < 70 || in > 130 {
		t.Errorf("%d of 1000 are a tenth", in)
	}
}
