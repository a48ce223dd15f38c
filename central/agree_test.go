package central

import (
	"fmt"
	"regexp"
	"slices"
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

// Kiosks that know the same timestamp have the same trust, and those of one
// airport the same list and revocations; settings may differ.
func TestKiosksMakeTheSameOfIt(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	kiosk := func(name, airport string, stamp uint64, change func(*wire.Status)) store.Live {
		s := wire.Status{V: wire.StatusVersion, At: now, Airport: airport, List: wire.ListStatus{Present: true, Version: 7, Root: airport + "7"},
			Update: []wire.InForce{{Role: wire.RoleRoot, Version: 1, Hash: "r"}, {Role: wire.RoleTimestamp, Version: stamp, Hash: fmt.Sprint(stamp)},
				{Role: wire.RoleRevocations, Version: 4, Hash: airport}, {Role: wire.RoleTrust, Version: 2, Hash: "t"}, {Role: wire.RoleSettings, Version: stamp, Hash: name}}}
		if change != nil {
			change(&s)
		}
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return store.Live{Kiosk: name, Up: true, Status: b}
	}
	list := func(version uint64, root string) func(*wire.Status) {
		return func(s *wire.Status) { s.List.Version, s.List.Root = version, root }
	}
	role := func(n int, version uint64, hash string) func(*wire.Status) {
		return func(s *wire.Status) { s.Update[n].Version, s.Update[n].Hash = version, hash }
	}
	for _, tc := range []struct {
		name   string
		stamp  uint64 // of kiosk b
		change func(*wire.Status)
		atOnce bool          // the alarm needs no time
		after  time.Duration // it comes only after this; 0: never
	}{
		{name: "the same", stamp: 5},
		{name: "another root under one list version", stamp: 5, change: list(7, "other"), atOnce: true},
		{name: "other revocations under one version", stamp: 5, change: role(2, 4, "other"), atOnce: true},
		{name: "an older list", stamp: 5, change: list(6, "SGN6"), after: maxListLag},
		{name: "no list", stamp: 5, change: func(s *wire.Status) { s.List = wire.ListStatus{} }, after: maxListLag},
		{name: "older revocations", stamp: 5, change: role(2, 3, "older"), after: maxLag},
		{name: "no trust", stamp: 5, change: func(s *wire.Status) { s.Update = s.Update[:3] }, after: maxLag},
		{name: "older settings", stamp: 5, change: role(4, 1, "older")},
		{name: "an older list under an older timestamp", stamp: 4, change: list(6, "SGN6"), after: maxLag},
	} {
		r, began := newRoots(), now
		alarms := func() (n int) {
			live := []store.Live{kiosk("a", "SGN", 5, nil), kiosk("b", "SGN", tc.stamp, tc.change), kiosk("c", "SGN", 5, nil), kiosk("h", "HAN", 5, list(1, "HAN1"))}
			for i := range live {
				live[i].Heard = now
			}
			for _, a := range r.compare(live, now) {
				if a.Kiosk != "b" {
					t.Errorf("%s: an alarm of kiosk %s: %s", tc.name, a.Kiosk, a.Text)
				}
				n++
			}
			return n
		}
		if got := alarms() == 1; got != tc.atOnce {
			t.Errorf("%s: an alarm at once: %v", tc.name, got)
		}
		if tc.atOnce {
			continue
		}
		for _, wait := range []time.Duration{maxLag, maxListLag} {
			now = began.Add(wait - time.Second)
			before := alarms()
			now = began.Add(wait + time.Second)
			if after := alarms(); before != 0 || (after == 1) != (tc.after == wait) {
				t.Errorf("%s: %d alarms before %v, %d after", tc.name, before, wait, after)
			}
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

// One kiosk says that it has what nobody else has: a timestamp from the far
// future, or a trust list. The others are not behind, one that is behind is
// still found, and so is whoever says so.
func TestOneKioskCannotBlindTheComparison(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	kiosk := func(name string, stamp, trust uint64) store.Live {
		s := wire.Status{V: wire.StatusVersion, At: now, Update: []wire.InForce{{Role: wire.RoleTimestamp, Version: stamp, Hash: fmt.Sprint(stamp)},
			{Role: wire.RoleTrust, Version: trust, Hash: fmt.Sprint(trust)}}}
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return store.Live{Kiosk: name, Up: true, Status: b}
	}
	const far = 1 << 53
	for _, tc := range []struct {
		name   string
		signed int64 // by central
		more   []store.Live
		want   string // who is accused of what
	}{
		{"nobody", 0, nil, "[old: trust version 2]"},
		{"nobody, central signs", 5, nil, "[old: trust version 2]"},
		{"a timestamp", 0, []store.Live{kiosk("evil", far, 3)}, "[evil: timestamp version 9007199254740992 old: trust version 2]"},
		{"a timestamp, central signs", 5, []store.Live{kiosk("evil", far, 3)}, "[evil: timestamp version 9007199254740992 old: trust version 2]"},
		{"a timestamp by two, central signs", 5, []store.Live{kiosk("evil", far, 3), kiosk("evil2", far, 3)},
			"[evil2: timestamp version 9007199254740992 evil: timestamp version 9007199254740992 old: trust version 2]"},
		{"a trust list", 0, []store.Live{kiosk("evil", 5, far)}, "[evil: trust version 9007199254740992 old: trust version 2]"},
		{"the timestamp of tomorrow is there", 6, []store.Live{kiosk("c", 6, 3)},
			"[a: timestamp version 5 b: timestamp version 5 old: timestamp version 5]"},
	} {
		r := newRoots()
		r.signed = tc.signed
		var got []string
		for range 2 {
			live := append([]store.Live{kiosk("a", 5, 3), kiosk("b", 5, 3), kiosk("old", 5, 2)}, tc.more...)
			for i := range live {
				live[i].Heard = now
			}
			for _, a := range r.compare(live, now) {
				what := regexp.MustCompile(`[a-z]+ version [0-9]+`).FindString(a.Text)
				got = append(got, a.Kiosk+": "+what)
			}
			now = now.Add(maxLag + time.Minute)
		}
		slices.Sort(got)
		if fmt.Sprint(got) != tc.want {
			t.Errorf("%s: alarms %v, want %s", tc.name, got, tc.want)
		}
	}
}
