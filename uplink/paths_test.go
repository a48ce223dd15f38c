package uplink_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/uplink"
)

// ways is a broker with a proxy for each path to it.
type ways struct {
	m       *mosquitto
	c       *fakeCentral
	k       *machine
	proxies []*holeProxy
}

// newWays makes the paths a, b, c ... in this order.
func newWays(t *testing.T, n int, change func([]uplink.Path)) *ways {
	t.Helper()
	p := newPKI(t)
	w := &ways{m: newMosquitto(t, p), c: newFakeCentral(t, p)}
	w.m.start(t)
	w.c.connect(w.m.addr())
	t.Cleanup(w.c.leave)
	w.k = newMachine(t, p.identity(t, w.m.addr()))
	w.k.cfg.AckTimeout = 10 * time.Second // as shipped
	w.k.cfg.Stable, w.k.cfg.Look = time.Second, 200*time.Millisecond
	var paths []uplink.Path
	for i := range n {
		h := newProxy(t, w.m.addr())
		w.proxies = append(w.proxies, h)
		paths = append(paths, uplink.Path{Name: string(rune('a' + i)), Brokers: []string{"tls://" + h.l.Addr().String()}})
	}
	if change != nil {
		change(paths)
	}
	w.k.cfg.Paths = paths
	return w
}

// over is the path that the kiosk says it uses.
func (w *ways) over() string {
	for _, n := range w.k.up.Notices() {
		if text, ok := strings.CutPrefix(n.Text, "central is reached over "); ok && n.Source == "uplink path" {
			name, _, _ := strings.Cut(text, ":")
			return name
		}
	}
	return ""
}

// switched decides results until central has, over the path, one that was
// decided after the beginning, and says how long that took.
func (w *ways) switched(t *testing.T, path string) time.Duration {
	t.Helper()
	begin := time.Now()
	for time.Since(begin) < patience {
		w.k.decide(1)
		n := w.k.next
		time.Sleep(20 * time.Millisecond)
		if w.over() == path && w.c.count() >= n {
			return time.Since(begin)
		}
	}
	t.Fatalf("results do not travel over %s: %v", path, w.k.up.Notices())
	return 0
}

// failOver is the promise: so long after a path died results arrive again.
const failOver = 5 * time.Second

// Paths that die without a word (the connection stays open and nothing
// arrives any more) are left within seconds, one after the other, and gone
// back to when they were stable. Nothing is lost or doubled.
func TestFailOver(t *testing.T) {
	t.Parallel()
	w := newWays(t, 3, func(p []uplink.Path) { p[2].Budget, p[2].Period = 64<<20, uplink.PeriodDay })
	w.k.run()
	t.Logf("first result over a after %v", w.switched(t, "a"))
	for i, next := range []string{"b", "c"} {
		// The reserve that is next is known to work by now.
		w.proxies[i].swallow(true)
		took := w.switched(t, next)
		t.Logf("fail-over to %s took %v", next, took)
		if took > failOver {
			t.Errorf("fail-over to %s took %v, more than %v", next, took, failOver)
		}
	}
	eventually(t, "both dead paths are named", func() bool {
		dead := 0
		for _, n := range w.k.up.Notices() {
			if n.Source == "uplink path" && n.Level == "warning" {
				dead++
			}
		}
		return dead == 2
	})
	eventually(t, "central knows the path", func() bool {
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
		s, err := wire.DecodeStatus(w.c.retained[wire.TopicStatus])
		return err == nil && s.Uplink.Path == "c" && s.Uplink.Budget == 64<<20 && s.Uplink.Left < s.Uplink.Budget && s.Uplink.Heartbeat >= 1
	})
	w.proxies[0].swallow(false)
	back := w.switched(t, "a")
	t.Logf("back on a after %v", back)
	if back < time.Second {
		t.Errorf("back on a path after %v that had to be stable for a second", back)
	}
	w.k.drained(w.c)
}

// A backlog under way when the path dies: buffers are full, and the client
// hangs in a write.
func TestFailOverUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWays(t, 2, nil)
	w.k.decide(3000)
	slow := true
	w.c.swallow = func(*wire.Batch) bool { return slow } // keeps the window busy
	w.k.run()
	eventually(t, "results travel", func() bool { w.c.mu.Lock(); defer w.c.mu.Unlock(); return w.c.received > 0 })
	w.proxies[0].swallow(true)
	begin := time.Now()
	w.c.set(func() { slow = false })
	eventually(t, "fail-over", func() bool { return w.over() == "b" && w.c.count() > 0 })
	took := time.Since(begin)
	t.Logf("fail-over under load took %v", took)
	if took > failOver {
		t.Errorf("fail-over took %v, more than %v", took, failOver)
	}
	w.k.drained(w.c)
}

// A path that keeps dying soon after it was gone back to must wait longer
// each time.
func TestFlappingPath(t *testing.T) {
	t.Parallel()
	w := newWays(t, 2, nil)
	w.k.cfg.Stable, w.k.cfg.Look = 500*time.Millisecond, 100*time.Millisecond
	w.k.run()
	w.switched(t, "a")
	var waits []time.Duration
	for range 2 {
		w.proxies[0].refuse(true)
		w.switched(t, "b")
		w.proxies[0].refuse(false)
		waits = append(waits, w.switched(t, "a"))
	}
	t.Logf("back on the flapping path after %v", waits)
	if waits[1] < waits[0]*3/2 {
		t.Errorf("a flapping path was gone back to after %v", waits)
	}
	w.k.drained(w.c)
}

// The first path is dead when the kiosk starts, and so is the second.
func TestStartsOnTheLastPath(t *testing.T) {
	t.Parallel()
	w := newWays(t, 3, nil)
	w.proxies[0].swallow(true)
	w.proxies[1].refuse(true)
	w.k.run()
	if took := w.switched(t, "c"); took > failOver {
		t.Errorf("the first result over the last path took %v", took)
	}
	w.k.drained(w.c)
}

// An interface that is not there is named, and another path is used.
func TestInterfaceIsMissing(t *testing.T) {
	t.Parallel()
	w := newWays(t, 2, func(p []uplink.Path) { p[0].Interface = "nosuch0" })
	w.k.run()
	w.switched(t, "b")
	found := false
	for _, n := range w.k.up.Notices() {
		found = found || strings.Contains(n.Text, `path a does not work: network interface "nosuch0" cannot be used`)
	}
	if !found {
		t.Errorf("notices %v", w.k.up.Notices())
	}
	w.k.drained(w.c)
}

// A path on which nothing happens is not taken for a dead one: both kinds of
// broker give the sign of life that they are asked for.
func TestIdlePathStays(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*testing.T, *pki) broker{
		"mosquitto":   func(t *testing.T, p *pki) broker { return newMosquitto(t, p) },
		"nats-server": func(t *testing.T, p *pki) broker { return newNATS(t, p) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPKI(t)
			b := make(t, p)
			b.start(t)
			k := newMachine(t, p.identity(t, b.addr()))
			k.cfg.Heartbeat = time.Minute
			h := newProxy(t, b.addr())
			k.cfg.Paths = []uplink.Path{{Name: "a", Brokers: []string{"tls://" + h.l.Addr().String()}}, {Name: "b", Brokers: []string{"tls://127.0.0.1:1"}}}
			k.run()
			eventually(t, "connected", k.up.Up)
			time.Sleep(500 * time.Millisecond)
			dialled, before := h.dialled.Load(), h.passed.Load()
			const idle = 4500 * time.Millisecond
			for end := time.Now().Add(idle); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if !k.up.Up() {
					t.Fatalf("given up while idle: %v", k.up.Notices())
				}
			}
			if n := h.dialled.Load() - dialled; n != 0 {
				t.Errorf("%d new connections while idle", n)
			}
			t.Logf("an idle path costs %d bytes a second", (h.passed.Load()-before)*int64(time.Second)/int64(idle))
		})
	}
}

func TestPathsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWays(t, 2, nil)
	for name, change := range map[string]func(*uplink.Path){
		"no name":      func(p *uplink.Path) { p.Name = "" },
		"plain TCP":    func(p *uplink.Path) { p.Brokers = []string{"tcp://x:1"} },
		"no period":    func(p *uplink.Path) { p.Budget = 1 << 30 },
		"other period": func(p *uplink.Path) { p.Budget, p.Period = 1<<30, "week" },
		"less than 0":  func(p *uplink.Path) { p.Budget = -1 },
	} {
		cfg := w.k.cfg
		cfg.Store, cfg.Status = w.k.box, func() wire.Status { return wire.Status{} }
		cfg.Paths = append([]uplink.Path(nil), cfg.Paths...)
		change(&cfg.Paths[1])
		if _, err := uplink.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(fmt.Sprint(err), "%!") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
