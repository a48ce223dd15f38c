package uplink_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/offline"
	"gateagent/uplink"
)

// machine is the kiosk: an outbox and an uplink that can be stopped and
// started.
type machine struct {
	t    *testing.T
	dir  string
	cfg  uplink.Config
	box  *offline.Outbox
	up   *uplink.Uplink
	stop func()
	next int

	mu     sync.Mutex
	status wire.Status // guarded by mu
}

func newMachine(t *testing.T, id *wire.Identity) *machine {
	k := &machine{t: t, dir: filepath.Join(t.TempDir(), "state"), status: wire.Status{Version: "test", Gate: "G12", Stage: "idle"}}
	k.cfg = uplink.Config{Identity: id, Log: logger(t), AckTimeout: 400 * time.Millisecond, RedialMin: 20 * time.Millisecond, RedialMax: 200 * time.Millisecond, Heartbeat: 300 * time.Millisecond}
	k.open()
	t.Cleanup(func() { k.halt(); k.close() })
	return k
}

func (k *machine) open() {
	k.t.Helper()
	box, err := offline.Open(context.Background(), offline.Config{Dir: k.dir, Kiosk: kiosk, MinFree: -1, Timeout: patience, Log: k.cfg.Log})
	if err != nil {
		k.t.Fatal(err)
	}
	k.box = box
}

func (k *machine) close() {
	if err := k.box.Close(); err != nil {
		k.t.Error(err)
	}
}

func (k *machine) run() {
	k.t.Helper()
	cfg := k.cfg
	cfg.Store = k.box
	cfg.Status = func() wire.Status {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.status
	}
	up, err := uplink.New(cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	k.up = up
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- up.Run(ctx) }()
	k.stop = func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				k.t.Errorf("Run = %v", err)
			}
		case <-time.After(patience):
			k.t.Error("Run did not end")
		}
	}
}

func (k *machine) halt() {
	if k.stop != nil {
		k.stop()
		k.stop = nil
	}
}

func tx(n int) string { return fmt.Sprintf("%032x", n) }

// decide appends n decisions.
func (k *machine) decide(n int) {
	k.t.Helper()
	for range n {
		rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: tx(k.next), Gate: "G12", At: time.Now(),
			Decision: &wire.Decision{Outcome: wire.OutcomeAbort, Reasons: []uint32{6003}, Overall: "aborted"}}
		if _, err := k.box.Append(context.Background(), rec); err != nil {
			k.t.Fatal(err)
		}
		k.next++
	}
}

func (k *machine) hasNotice(source, level string) bool {
	for _, n := range k.up.Notices() {
		if n.Source == source && n.Level == level {
			return true
		}
	}
	return false
}

func (k *machine) drained(c *fakeCentral) {
	k.t.Helper()
	eventually(k.t, "everything is acknowledged", func() bool { return k.box.Depth() == 0 })
	c.ledger(k.next)
}
