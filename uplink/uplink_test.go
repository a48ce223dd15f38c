package uplink_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/uplink"
)

// scene is a broker, a central and a kiosk.
func scene(t *testing.T) (*mosquitto, *fakeCentral, *machine) {
	t.Helper()
	p := newPKI(t)
	m := newMosquitto(t, p)
	m.start(t)
	c := newFakeCentral(t, p)
	c.connect(m.addr())
	t.Cleanup(c.leave)
	return m, c, newMachine(t, p.identity(t, m.addr()))
}

// The plain way over both kinds of broker: a backlog in batches, then single
// results, presence and status; an orderly end and a last will.
func TestDelivery(t *testing.T) {
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
			c := newFakeCentral(t, p)
			c.connect(b.addr())
			t.Cleanup(c.leave)
			k := newMachine(t, p.identity(t, b.addr()))
			k.decide(330)
			k.run()
			k.drained(c)
			c.set(func() {
				if c.received > 20 {
					t.Errorf("330 queued results came in %d messages", c.received)
				}
			})
			for range 5 {
				k.decide(1)
				k.drained(c)
			}
			if !k.up.Up() || len(k.up.Notices()) != 0 {
				t.Errorf("up %v, notices %v", k.up.Up(), k.up.Notices())
			}
			presence := func(up bool) func() bool {
				return func() bool {
					c.mu.Lock()
					defer c.mu.Unlock()
					got, err := wire.DecodePresence(c.retained[wire.TopicPresence])
					return err == nil && got.Up == up && strings.HasPrefix(got.Session, kiosk)
				}
			}
			eventually(t, "presence", presence(true))
			status := func(stage string) func() bool {
				return func() bool {
					c.mu.Lock()
					defer c.mu.Unlock()
					s, err := wire.DecodeStatus(c.retained[wire.TopicStatus])
					return err == nil && s.Stage == stage && s.Version == "test" && s.Epoch == k.box.Queue().Epoch && s.Acknowledged == 335
				}
			}
			eventually(t, "status", status("idle"))
			k.mu.Lock()
			k.status.Stage = "reading"
			k.mu.Unlock()
			eventually(t, "status at change", status("reading"))
			k.halt()
			eventually(t, "presence after an orderly end", presence(false))
		})
	}
}

func TestBrokerComesLater(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	m := newMosquitto(t, p)
	k := newMachine(t, p.identity(t, m.addr()))
	k.decide(10)
	k.run()
	eventually(t, "a notice", func() bool { return k.hasNotice("uplink", "warning") })
	m.start(t)
	c := newFakeCentral(t, p)
	c.connect(m.addr())
	t.Cleanup(c.leave)
	k.drained(c)
	eventually(t, "the notice goes", func() bool { return len(k.up.Notices()) == 0 })
}

// The broker is killed while results flow, three times, and forgets
// everything; nothing is lost or doubled.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	m, c, k := scene(t)
	k.run()
	for range 3 {
		k.decide(100)
		m.kill(t)
		k.decide(100)
		m.start(t)
		c.connect(m.addr())
		k.decide(20)
	}
	k.drained(c)
}

func TestNATSKilled(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	b := newNATS(t, p)
	b.start(t)
	c := newFakeCentral(t, p)
	c.connect(b.addr())
	t.Cleanup(c.leave)
	k := newMachine(t, p.identity(t, b.addr()))
	k.run()
	k.decide(100)
	b.kill(t)
	k.decide(50)
	b.start(t)
	c.connect(b.addr())
	k.drained(c)
}

// The kiosk is stopped and started at random moments, with repeats as the
// only consequence.
func TestKioskRestarts(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	for i := range 5 {
		k.run()
		k.decide(60)
		time.Sleep(time.Duration(i) * 7 * time.Millisecond)
		k.halt()
		k.decide(10)
		k.close()
		k.open()
	}
	k.run()
	k.drained(c)
}

// The only batch on its way is swallowed: the watchdog sends it again.
func TestLastBatchLost(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	swallowed := false
	c.swallow = func(*wire.Batch) bool {
		first := !swallowed
		swallowed = true
		return first
	}
	k.run()
	k.decide(1)
	k.drained(c)
	if !swallowed {
		t.Fatal("nothing was swallowed; the test proves nothing")
	}
}

// One of many batches is swallowed: those behind it do not fit, central says
// so once, and the kiosk does not wait for its watchdog.
func TestBatchLostInTheMiddle(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	k.cfg.AckTimeout = 2 * patience
	swallowed, told := false, false
	c.swallow = func(b *wire.Batch) bool {
		if b.First < 700 || swallowed {
			return false
		}
		swallowed = true
		return true
	}
	c.answer = func(b *wire.Batch, honest wire.Ack) []wire.Ack {
		if honest.Number >= b.First {
			return []wire.Ack{honest}
		}
		if told {
			return nil
		}
		// Later than those that are on their way with it.
		time.Sleep(300 * time.Millisecond)
		told = true
		return []wire.Ack{honest}
	}
	k.decide(1500)
	k.run()
	k.drained(c)
	if !told {
		t.Fatal("central met no gap; the test proves nothing")
	}
}

// A kiosk whose certificate the broker does not know gets a clear notice.
func TestStrangeCertificate(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	m := newMosquitto(t, p)
	m.start(t)
	id := p.identity(t, m.addr())
	id.Certificate = newPKI(t).issue(t, kiosk)
	k := newMachine(t, id)
	k.run()
	eventually(t, "a notice that names the certificate", func() bool {
		for _, n := range k.up.Notices() {
			if strings.Contains(n.Text, "refuses this kiosk's certificate") {
				return true
			}
		}
		return false
	})
	k.halt()
	id = p.identity(t, m.addr())
	id.CA = newPKI(t).pool
	k.cfg.Identity = id
	k.run()
	eventually(t, "a notice that names the broker's certificate", func() bool {
		for _, n := range k.up.Notices() {
			if strings.Contains(n.Text, "the broker's certificate is not central's") {
				return true
			}
		}
		return false
	})
}

// After Run nothing of it is left. It counts, so it runs alone.
func TestNothingIsLeft(t *testing.T) {
	_, c, k := scene(t)
	before := runtime.NumGoroutine()
	for range 3 {
		k.run()
		k.decide(10)
		k.drained(c)
		k.halt()
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	k := newMachine(t, p.identity(t, "127.0.0.1:1"))
	good := k.cfg
	good.Store, good.Status = k.box, func() wire.Status { return wire.Status{} }
	if _, err := uplink.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*uplink.Config){
		"no identity":    func(c *uplink.Config) { c.Identity = nil },
		"no store":       func(c *uplink.Config) { c.Store = nil },
		"no status":      func(c *uplink.Config) { c.Status = nil },
		"no broker":      func(c *uplink.Config) { id := *c.Identity; id.Broker = nil; c.Identity = &id },
		"plain TCP":      func(c *uplink.Config) { c.Brokers = []string{"tcp://127.0.0.1:1883"} },
		"no port":        func(c *uplink.Config) { c.Brokers = []string{"tls://broker"} },
		"not a URL":      func(c *uplink.Config) { c.Brokers = []string{"broker:8883"} },
		"name that is +": func(c *uplink.Config) { id := *c.Identity; id.Name = "+"; c.Identity = &id },
	} {
		cfg := good
		change(&cfg)
		if _, err := uplink.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
