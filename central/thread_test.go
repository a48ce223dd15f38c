package central_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/central"
	"gateagent/central/store"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
	"gateagent/offline"
	"gateagent/uplink"
)

// agent is the kiosk's real outbox and uplink, with a clock that nothing
// vouches for.
type agent struct {
	out  *offline.Outbox
	now  *clock.Clock
	stop func()
}

func startAgent(t *testing.T, id *wire.Identity) *agent {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, err := offline.Open(ctx, offline.Config{Dir: t.TempDir(), Kiosk: id.Name, Seal: id.SealTo, Log: slog.New(slog.DiscardHandler), KeepAge: time.Hour, KeepBytes: 1 << 20})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	now := &clock.Clock{Source: clock.Kernel, MaxHoldover: time.Hour, Synced: func() bool { return false }}
	up, err := uplink.New(uplink.Config{Identity: id, Store: out, Time: now, Status: func() wire.Status { return wire.Status{Gate: "T-G1"} },
		Log: slog.New(slog.DiscardHandler), Heartbeat: 200 * time.Millisecond, AckTimeout: 500 * time.Millisecond, RedialMax: 300 * time.Millisecond})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- up.Run(ctx) }()
	a := &agent{out: out, now: now}
	a.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(a.stop)
	return a
}

func (a *agent) decide(t *testing.T, n int) {
	t.Helper()
	for range n {
		r := wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: newTx(), Gate: "T-G1",
			Decision: &wire.Decision{Outcome: wire.OutcomeRefer, Reasons: []uint32{6001}, Policy: "test", Face: "off"}}
		if err := a.out.Stamp(&r, time.Now(), true); err != nil {
			t.Fatal(err)
		}
		if _, err := a.out.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func (a *agent) drained(t *testing.T) {
	t.Helper()
	eventually(t, "the outbox is empty", func() bool { return a.out.Depth() == 0 })
}

// TestThread: the kiosk's own outbox and uplink, a broker, central.
func TestThread(t *testing.T) {
	t.Parallel()
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		id := enrolKiosk(t, c.reg, "k1", broker).id
		a := startAgent(t, id)
		a.decide(t, 120)
		a.drained(t)
		if n := len(c.results(t, "k1")); n != 120 {
			t.Fatalf("%d results at central", n)
		}
		eventually(t, "central sees the kiosk", func() bool {
			l := c.Live()
			return len(l) == 1 && l[0].Up && !l[0].Heard.IsZero()
		})
		eventually(t, "the kiosk has central's time", func() bool {
			s := a.now.State()
			return s.Trusted && s.Origin == clock.FromCentral && time.Since(s.Now).Abs() < time.Minute
		})
	})
}

// TestCentralRestoredFromABackup: central loses what it had acknowledged, and
// the kiosk brings it again.
func TestCentralRestoredFromABackup(t *testing.T) {
	t.Parallel()
	dir, addr := t.TempDir(), freeAddr(t)
	run := func() *centre {
		ctx, cancel := context.WithCancel(context.Background())
		conf := config(dir, "")
		conf.MQTT = addr
		s, err := central.Open(ctx, conf, quiet())
		if err != nil {
			cancel()
			t.Fatal(err)
		}
		c := &centre{Service: s, dir: dir, cancel: cancel, done: make(chan error, 1)}
		go func() { c.done <- s.Run(ctx) }()
		t.Cleanup(func() { c.stop(t) })
		return c
	}
	reg := registry(t, dir)
	a := startAgent(t, enrolKiosk(t, reg, "k1", "tls://"+addr).id)
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	c := run()
	a.decide(t, 10)
	a.drained(t)
	c.stop(t)
	path := filepath.Join(dir, store.FileName)
	backup, err := os.ReadFile(path) // closed, so the log is merged in
	if err != nil {
		t.Fatal(err)
	}
	c = run()
	a.decide(t, 10)
	a.drained(t)
	c.stop(t)
	if err := os.WriteFile(path, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	c = run()
	a.decide(t, 1)
	eventually(t, "central has all results again", func() bool {
		s, err := store.Open(t.Context(), dir)
		if err != nil {
			return false
		}
		defer s.Close()
		r, err := s.Results(t.Context(), "k1", 0, time.UnixMilli(0), 100)
		return err == nil && len(r) == 21
	})
	a.drained(t)
	c.stop(t)
}
