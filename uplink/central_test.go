package uplink_test

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/central"
	"gateagent/central/enrol"
	"gateagent/central/store"
	"gateagent/gate/wire"
	"gateagent/uplink"
)

// realCentral is the service that ships, with its embedded broker.
type realCentral struct {
	dir, mqtt string
	svc       *central.Service
	cancel    context.CancelFunc
	done      chan error
}

func (r *realCentral) start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	svc, err := central.Open(ctx, central.Config{State: r.dir, MQTT: r.mqtt, HTTP: "127.0.0.1:0", Names: []string{"127.0.0.1"}}, slog.New(slog.DiscardHandler))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	r.svc, r.cancel, r.done = svc, cancel, make(chan error, 1)
	go func() { r.done <- svc.Run(ctx) }()
}

func (r *realCentral) stop(t testing.TB) {
	if r.cancel == nil {
		return
	}
	r.cancel()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.cancel = nil
}

func (r *realCentral) registry(t testing.TB, use func(*enrol.Registry)) {
	t.Helper()
	reg, err := enrol.Open(context.Background(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	use(reg)
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
}

func (r *realCentral) enrol(t testing.TB) *wire.Identity {
	t.Helper()
	keys, err := wire.NewKioskKeys(kiosk)
	if err != nil {
		t.Fatal(err)
	}
	req, err := keys.Request(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := enrol.Encode(req)
	if err != nil {
		t.Fatal(err)
	}
	var id *wire.Identity
	r.registry(t, func(reg *enrol.Registry) {
		b, err := reg.Add(context.Background(), data, enrol.Options{Broker: []string{"tls://" + r.mqtt}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if id, err = wire.NewIdentity(keys, b); err != nil {
			t.Fatal(err)
		}
	})
	return id
}

// ledger checks that central's database holds the transactions 0..n-1 once
// each and in order, and no alarm of a contradiction.
func (r *realCentral) ledger(t *testing.T, n int) {
	t.Helper()
	r.registry(t, func(reg *enrol.Registry) {
		var all []store.Result
		for after := int64(0); ; {
			page, err := reg.Store.Results(context.Background(), kiosk, after, time.Time{}, 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
			after = page[len(page)-1].ID
		}
		conflicts, err := reg.Store.Conflicts(context.Background(), kiosk)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("ledger %s decided=%d central=%d lost=%d doubled=%d unreadable=0 reordered=0", t.Name(), n, len(all), max(n-len(all), 0), max(len(all)-n, 0))
		if len(all) != n || conflicts != 0 {
			t.Fatalf("central has %d results and %d conflicts, want %d and none", len(all), conflicts, n)
		}
		for i, res := range all {
			if res.Facts.Tx != tx(i) || res.Number != uint64(i+1) {
				t.Fatalf("place %d: number %d, transaction %s", i, res.Number, res.Facts.Tx)
			}
		}
	})
}

// The outbox, the uplink and the central that ship: central and its broker
// stop and start under load, and central comes back from an older backup.
func TestWithCentral(t *testing.T) {
	t.Parallel()
	r := &realCentral{dir: filepath.Join(t.TempDir(), "central"), mqtt: freeAddr(t)}
	r.start(t)
	t.Cleanup(func() { r.stop(t) })
	k := newMachine(t, r.enrol(t))
	k.run()
	drained := func() {
		t.Helper()
		eventually(t, "everything is acknowledged", func() bool { return k.box.Depth() == 0 })
		r.ledger(t, k.next)
	}
	k.decide(70)
	drained()
	r.stop(t)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(r.dir)); err != nil {
		t.Fatal(err)
	}
	k.decide(40)
	r.start(t)
	k.decide(40)
	r.stop(t)
	k.decide(40)
	r.start(t)
	drained()
	r.stop(t)
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	restore(t, backup, r.dir)
	r.start(t)
	eventually(t, "the kiosk learns that central was set back", func() bool { return k.hasNotice("uplink alarm", "fault") })
	drained()
}

// restore copies a backup with its modes: keys that others may read are
// refused.
func restore(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return os.Chmod(p, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Paths to the central that ships: one dies under load, and central's
// books are right. Its page knows which path is in use.
func TestFailOverWithCentral(t *testing.T) {
	t.Parallel()
	r := &realCentral{dir: filepath.Join(t.TempDir(), "central"), mqtt: freeAddr(t)}
	r.start(t)
	t.Cleanup(func() { r.stop(t) })
	k := newMachine(t, r.enrol(t))
	var proxies []*holeProxy
	for _, name := range []string{"fibre", "mobile"} {
		h := newProxy(t, r.mqtt)
		proxies = append(proxies, h)
		k.cfg.Paths = append(k.cfg.Paths, uplink.Path{Name: name, Brokers: []string{"tls://" + h.l.Addr().String()}})
	}
	k.cfg.AckTimeout, k.cfg.Stable, k.cfg.Look = 10*time.Second, 500*time.Millisecond, 100*time.Millisecond
	k.run()
	over := func(path string) func() bool {
		return func() bool {
			k.decide(5)
			for _, l := range r.svc.Live() {
				s, err := wire.DecodeStatus(l.Status)
				if err == nil && s.Uplink.Path == path {
					return k.up.Up() && l.Up
				}
			}
			return false
		}
	}
	eventually(t, "over fibre", over("fibre"))
	proxies[0].swallow(true)
	begin := time.Now()
	eventually(t, "over mobile", over("mobile"))
	took := time.Since(begin)
	proxies[0].swallow(false)
	eventually(t, "back over fibre", over("fibre"))
	t.Logf("fail-over took %v, as central sees it", took)
	if took > failOver {
		t.Errorf("fail-over took %v, more than %v", took, failOver)
	}
	eventually(t, "everything is acknowledged", func() bool { return k.box.Depth() == 0 })
	r.ledger(t, k.next)
}
