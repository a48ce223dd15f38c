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
