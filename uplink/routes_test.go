package uplink

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/gate/wire"
)

// routed is an uplink over these paths, of which nothing is dialled.
func routed(t *testing.T, paths ...Path) *Uplink {
	t.Helper()
	u, err := New(Config{Identity: &wire.Identity{Name: modelKiosk}, Store: newModelBox(modelEpoch(1), rules{}),
		Status: func() wire.Status { return wire.Status{} }, Brokers: []string{"tls://a:8883"}, Paths: paths})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A better path whose broker answers every look and then lets nobody in (its
// access rules, its revocation list, a broker that hangs) breaks a working
// reserve ever more seldom.
func TestBetterPathLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := routed(t, Path{Name: "a"}, Path{Name: "b"})
		a, b := u.routes[0], u.routes[1]
		refused := errors.New("connect: no answer")
		u.ended(a, "a", false, u.setUp(nil), refused)
		u.setUp(b)
		left := 0
		for end := time.Now().Add(time.Hour); time.Now().Before(end); {
			time.Sleep(u.cfg.Look)
			u.found(a, nil)
			if !u.better(b) {
				continue
			}
			left++
			u.ended(b, "b", true, u.setUp(nil), errBetter)
			if r, _ := u.pick(time.Now()); r != a {
				t.Fatal("the better path is not tried")
			}
			time.Sleep(u.dialLimit(a))
			u.ended(a, "a", false, u.setUp(nil), refused)
			if r, _ := u.pick(time.Now()); r != b {
				t.Fatal("the reserve is not gone back to at once")
			}
			u.setUp(b)
		}
		if left < 3 || left > 15 {
			t.Errorf("in an hour the reserve was left %d times", left)
		}
		if a.hold != maxHold*u.cfg.Stable {
			t.Errorf("the better path must work for %v, want %v", a.hold, maxHold*u.cfg.Stable)
		}
	})
}

// A metered path over which central answered rests only for the short pause
// when central falls silent again, however often it was silent before.
func TestMeteredSilenceIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := routed(t, Path{Name: "m", Budget: 1 << 30, Period: PeriodMonth})
		m := u.routes[0]
		for _, want := range []time.Duration{silentMetered, 2 * silentMetered, 4 * silentMetered, longMetered, longMetered} {
			u.ended(m, "a", false, time.Minute, errNoAck)
			if rest := time.Until(m.retryAt); rest != want {
				t.Errorf("the path rests for %v, want %v", rest, want)
			}
		}
		u.ended(m, "a", true, 30*24*time.Hour, errNoAck)
		if rest := time.Until(m.retryAt); rest != silentMetered {
			t.Errorf("after a month that went well the path rests for %v, want %v", rest, silentMetered)
		}
	})
}

// A better path with a budget is looked at as long as it may be used at all,
// the more seldom the less is left of it; a worse one only while there is
// plenty.
func TestLooksAtMeteredPaths(t *testing.T) {
	const budget = 100 << 20
	for name, tc := range map[string]struct {
		used          int64
		better, worse time.Duration // between looks; 0: none
	}{
		"plenty": {0, 5 * time.Minute, time.Hour},
		"low":    {80 << 20, 50 * time.Minute, 0},
		"scarce": {95 << 20, 5 * time.Hour, 0},
		"spent":  {budget, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := routed(t, Path{Name: "a", Budget: budget, Period: PeriodMonth}, Path{Name: "b"}, Path{Name: "c", Budget: budget, Period: PeriodMonth})
			u.setUp(u.routes[1])
			u.routes[0].budget.add(tc.used)
			u.routes[2].budget.add(tc.used)
			looks := map[*route]int{}
			const day = 24 * time.Hour
			for end := time.Now().Add(day); time.Now().Before(end); time.Sleep(u.cfg.Look) {
				for _, r := range u.due(time.Now()) {
					looks[r]++
				}
			}
			for r, every := range map[*route]time.Duration{u.routes[0]: tc.better, u.routes[2]: tc.worse} {
				want := 0
				if every > 0 {
					want = int((day-1)/every) + 1
				}
				if n := looks[r]; n < want-1 || n > want {
					t.Errorf("%s: %d looks at path %s in a day, want %d", name, n, r.Name, want)
				}
			}
		})
	}
}

// A better path of which little is left is gone back to when it works again.
func TestBackToAScarcePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := routed(t, Path{Name: "a", Budget: 100 << 20, Period: PeriodMonth}, Path{Name: "b"})
		a, b := u.routes[0], u.routes[1]
		a.budget.add(80 << 20)
		u.setUp(a)
		u.ended(a, "a", false, u.setUp(nil), errDead)
		u.setUp(b)
		begin := time.Now()
		for !u.better(b) && time.Since(begin) < 24*time.Hour {
			time.Sleep(u.cfg.Look)
			for _, r := range u.due(time.Now()) {
				u.found(r, nil)
			}
		}
		if took := time.Since(begin); took > 2*time.Hour {
			t.Errorf("gone back to after %v", took)
		}
	})
}
