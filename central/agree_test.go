package central

import (
	"fmt"
	"testing"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// Kiosks that have one version have one content; a connected one does not
// stay behind. Otherwise there is an alarm, once an hour.
func TestKiosksAgree(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	kiosk := func(name string, up bool, stamp uint64, root string) store.Live {
		s := wire.Status{V: wire.StatusVersion, At: now, Update: []wire.InForce{{Role: wire.RoleRoot, Version: 1, Hash: root},
			{Role: wire.RoleTimestamp, Version: stamp, Hash: fmt.Sprint(stamp)}, {Role: wire.RoleSettings, Version: 1, Hash: name}}}
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return store.Live{Kiosk: name, Up: up, Heard: now, Status: b}
	}
	r := newRoots()
	names := func(live ...store.Live) (out []string) {
		for i := range live {
			live[i].Heard = now
		}
		for _, a := range r.compare(live, now) {
			if a.Kind != store.AlarmDisagree || a.Text == "" {
				t.Errorf("%+v", a)
			}
			out = append(out, a.Kiosk)
		}
		return out
	}
	for i, tc := range []struct {
		live []store.Live
		pass time.Duration
		want string
	}{
		{[]store.Live{kiosk("a", true, 5, "r"), kiosk("b", true, 5, "r")}, 0, "[]"},
		{[]store.Live{kiosk("a", true, 5, "r"), kiosk("b", true, 5, "r"), kiosk("c", true, 5, "x")}, 0, "[c]"},
		{[]store.Live{kiosk("a", true, 5, "r"), kiosk("b", true, 5, "r"), kiosk("c", true, 5, "x")}, time.Minute, "[]"},
		{[]store.Live{kiosk("a", true, 5, "r"), kiosk("c", true, 5, "x")}, 2 * time.Hour, "[a c]"},
		{[]store.Live{kiosk("a", true, 5, "r"), kiosk("c", false, 5, "x")}, 2 * time.Hour, "[]"},
		{[]store.Live{kiosk("a", true, 5, "r"), kiosk("b", true, 6, "r")}, 0, "[]"},
		{[]store.Live{kiosk("a", true, 5, "r"), kiosk("b", true, 6, "r")}, 11 * time.Minute, "[a]"},
		{[]store.Live{kiosk("a", true, 6, "r"), kiosk("b", true, 6, "r")}, time.Minute, "[]"},
		{[]store.Live{kiosk("a", true, 6, "r"), kiosk("b", true, 7, "r")}, time.Minute, "[]"},
	} {
		now = now.Add(tc.pass)
		if got := fmt.Sprint(names(tc.live...)); got != tc.want {
			t.Errorf("case %d: alarms of %s, want %s", i, got, tc.want)
		}
	}
}

// What a kiosk refused as an attack, or as something its lane did not come back
// with, is central's alarm, too; what it only could not do yet is not.
func TestRefusedPushIsAlarm(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	s := wire.Status{V: wire.StatusVersion, At: now, Notices: []wire.Notice{
		{Level: "warning", Source: "update", Text: "no mirror"}, {Level: "fault", Source: wire.NoticeUpdateAlarm, Text: "settings: did not come back"},
	}}
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r := newRoots()
	for i, want := range []string{"[{a pushed settings: did not come back}]", "[]"} {
		var got []string
		for _, a := range r.compare([]store.Live{{Kiosk: "a", Up: true, Heard: now, Status: b}}, now) {
			got = append(got, fmt.Sprintf("{%s %s %s}", a.Kiosk, a.Kind, a.Text))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("look %d: %v, want %s", i, got, want)
		}
	}
}
