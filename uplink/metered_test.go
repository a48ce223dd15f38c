package uplink_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/uplink"
)

// A metered path carries no byte more than its budget, tells central before
// it is closed, stays closed over a restart, and goes on in the next period.
// The results that did not fit wait; none is lost or doubled.
func TestBudgetIsHeld(t *testing.T) {
	t.Parallel()
	const budget = 800 << 10
	w := newWays(t, 1, func(p []uplink.Path) { p[0].Budget, p[0].Period = budget, uplink.PeriodDay })
	var ahead atomic.Int64
	w.k.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w.k.cfg.Dir = t.TempDir()
	w.k.decide(2500)
	w.k.run()
	spent := func() bool { return w.k.hasNotice("uplink budget", "fault") && !w.k.up.Up() }
	eventually(t, "the budget is used up", spent)
	eventually(t, "central was told", func() bool {
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
		s, err := wire.DecodeStatus(w.c.retained[wire.TopicStatus])
		return err == nil && len(s.Notices) > 0 && strings.Contains(s.Notices[0].Text, "is used up until")
	})
	time.Sleep(500 * time.Millisecond) // what is still in the proxy
	carried, waiting := w.proxies[0].passed.Load(), w.k.box.Depth()
	t.Logf("%d of %d bytes carried, %d results at central, %d wait", carried, budget, w.c.count(), waiting)
	if carried > budget || carried < budget/3 || waiting == 0 {
		t.Errorf("%d bytes carried of %d, %d results wait", carried, budget, waiting)
	}
	w.k.halt()
	w.k.run()
	eventually(t, "it stays used up", spent)
	time.Sleep(300 * time.Millisecond)
	if more := w.proxies[0].passed.Load() - carried; more != 0 {
		t.Errorf("%d bytes after the budget was used up and the kiosk restarted", more)
	}
	ahead.Store(int64(25 * time.Hour))
	for range 5 { // each day carries its share
		eventually(t, "the next day's share", func() bool { return w.k.box.Depth() == 0 || w.k.box.Depth() < waiting && spent() })
		waiting = w.k.box.Depth()
		ahead.Add(int64(24 * time.Hour))
	}
	w.k.drained(w.c)
}

// An idle metered path: what its heartbeat and its pings cost in a day.
func TestIdleCost(t *testing.T) {
	t.Parallel()
	w := newWays(t, 1, func(p []uplink.Path) { p[0].Budget, p[0].Period = 64<<20, uplink.PeriodMonth })
	w.k.cfg.Heartbeat = 100 * time.Millisecond // 600 ms over the path, for 60 s
	w.k.run()
	eventually(t, "connected", w.k.up.Up)
	time.Sleep(400 * time.Millisecond)
	before := w.proxies[0].passed.Load()
	time.Sleep(1800 * time.Millisecond)
	each := (w.proxies[0].passed.Load() - before) / 3
	const pings = 2 * 2 * (2 + 22) / 2 // a ping and its answer each minute, under TLS
	t.Logf("a heartbeat costs %d bytes: %d KiB a day", each, (each+pings)*24*60>>10)
	if each < 100 || each > 1500 {
		t.Errorf("a heartbeat costs %d bytes", each)
	}
	if w.over() != "a" {
		t.Errorf("notices %v", w.k.up.Notices())
	}
}
