package uplink_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
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

// The broker's acknowledgement proves nothing: while central is silent
// nothing leaves the disk, staff are told, and later everything arrives.
func TestCentralSilent(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	c.set(func() { c.silent = true })
	k.decide(120)
	k.run()
	eventually(t, "results are sent again", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.received > 3
	})
	eventually(t, "staff are told", func() bool { return k.hasNotice("central", "warning") })
	if k.box.Depth() != 120 {
		t.Fatalf("depth %d without an acknowledgement", k.box.Depth())
	}
	c.set(func() { c.silent = false })
	k.drained(c)
	eventually(t, "the notice goes", func() bool { return !k.hasNotice("central", "warning") })
}

// Whatever a thief of the broker or a wrong central says, nothing is deleted,
// and it is an alarm.
func TestBadAcknowledgements(t *testing.T) {
	t.Parallel()
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(*fakeCentral, *wire.Ack) ed25519.PrivateKey{
		"other key":    func(_ *fakeCentral, a *wire.Ack) ed25519.PrivateKey { return stranger },
		"kiosk's key":  func(c *fakeCentral, a *wire.Ack) ed25519.PrivateKey { return c.p.signing },
		"no signature": func(c *fakeCentral, a *wire.Ack) ed25519.PrivateKey { return nil },
		"other kiosk":  func(c *fakeCentral, a *wire.Ack) ed25519.PrivateKey { a.Kiosk = "sgn-g13"; return c.p.ackKey },
		"other epoch": func(c *fakeCentral, a *wire.Ack) ed25519.PrivateKey {
			a.Epoch = strings.Repeat("0", 32)
			return c.p.ackKey
		},
		"other chain": func(c *fakeCentral, a *wire.Ack) ed25519.PrivateKey {
			a.Chain = wire.BodyHash(a.Chain)
			return c.p.ackKey
		},
		"number too big": func(c *fakeCentral, a *wire.Ack) ed25519.PrivateKey { a.Number += 1000; return c.p.ackKey },
		"one too many":   func(c *fakeCentral, a *wire.Ack) ed25519.PrivateKey { a.Number--; return c.p.ackKey },
		"version":        func(c *fakeCentral, a *wire.Ack) ed25519.PrivateKey { a.V = 2; return c.p.ackKey },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, k := scene(t)
			c.answer = func(_ *wire.Batch, a wire.Ack) []wire.Ack {
				key := forge(c, &a)
				a.Sig = nil
				if key != nil {
					if err := a.Sign(key); err != nil {
						t.Error(err)
					}
				}
				return []wire.Ack{a}
			}
			k.decide(20)
			k.run()
			eventually(t, "an alarm", func() bool { return k.hasNotice("uplink alarm", "fault") })
			if k.box.Depth() != 20 {
				t.Fatalf("depth %d after a bad acknowledgement", k.box.Depth())
			}
			c.set(func() { c.answer = nil })
			k.drained(c)
		})
	}
}

// A retained acknowledgement, planted before the kiosk connects, is not even
// looked at.
func TestRetainedAcknowledgement(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	c.set(func() { c.silent = true })
	k.decide(3)
	_, entries, err := k.box.Pending(t.Context(), 0, 3, wire.BatchRoom)
	if err != nil {
		t.Fatal(err)
	}
	epoch := k.box.Queue().Epoch
	c.kept[epoch] = entries
	a := c.ack(epoch)
	payload, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if tok := c.client.Publish(wire.Topic(kiosk, wire.TopicAck), 1, true, payload); !tok.WaitTimeout(patience) {
		t.Fatal("not published")
	}
	k.run()
	eventually(t, "the kiosk sends", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.received > 1
	})
	if k.box.Depth() != 3 {
		t.Fatalf("depth %d by a retained acknowledgement", k.box.Depth())
	}
}

// Repeated and overtaken acknowledgements change nothing.
func TestRepeatedAcknowledgements(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	var old wire.Ack
	c.answer = func(_ *wire.Batch, a wire.Ack) []wire.Ack {
		if old.V == 0 {
			old = a
		}
		return []wire.Ack{a, a, old, a}
	}
	k.decide(200)
	k.run()
	k.drained(c)
	k.decide(10)
	k.drained(c)
	if k.hasNotice("uplink alarm", "fault") {
		t.Errorf("an alarm for repeats: %v", k.up.Notices())
	}
}

// Central is restored from an older backup: it gets everything again, also
// while the kiosk has nothing new to say.
func TestCentralRestored(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]int{"to the middle": 70, "to nothing": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, k := scene(t)
			k.decide(150)
			k.run()
			k.drained(c)
			restore := func() {
				c.set(func() {
					for e := range c.kept {
						c.kept[e] = c.kept[e][:back]
					}
				})
			}
			restore()
			k.decide(1) // met by a gap
			eventually(t, "central has all again", func() bool { return c.count() == 151 })
			k.drained(c)
			k.halt()
			restore()
			k.run() // nothing new: the probe finds it
			eventually(t, "central has all again", func() bool { return c.count() == 151 })
			k.drained(c)
			if !k.hasNotice("uplink alarm", "fault") {
				t.Error("nobody was told that central was set back")
			}
		})
	}
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

// A batch that the broker swallows is noticed and sent again.
func TestLostBatches(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	n := 0
	c.answer = func(b *wire.Batch, a wire.Ack) []wire.Ack { return []wire.Ack{a} }
	c.set(func() { c.silent = true })
	k.run()
	k.decide(5)
	eventually(t, "a batch is swallowed", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		n = c.received
		return n > 0
	})
	c.set(func() { c.silent = false })
	k.decide(5)
	k.drained(c)
}

// holeProxy passes bytes until it is told to swallow them, connections open.
type holeProxy struct {
	l  net.Listener
	mu sync.Mutex
	on bool
}

func (h *holeProxy) swallow(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = on
}

func (h *holeProxy) swallowing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.on
}

func newProxy(t *testing.T, to string) *holeProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &holeProxy{l: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			go h.pipe(out, in)
			go h.pipe(in, out)
		}
	}()
	return h
}

func (h *holeProxy) pipe(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if h.swallowing() {
			continue
		}
		if _, err := io.Copy(to, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}

// A connection that is open and dead is given up, because acknowledgements do
// not come; and a kiosk that stops meanwhile does not hang.
func TestHalfOpenConnection(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	m := newMosquitto(t, p)
	m.start(t)
	h := newProxy(t, m.addr())
	c := newFakeCentral(t, p)
	c.connect(m.addr())
	t.Cleanup(c.leave)
	k := newMachine(t, p.identity(t, h.l.Addr().String()))
	k.cfg.Dial, k.cfg.AckTimeout = time.Second, 300*time.Millisecond
	k.run()
	k.decide(10)
	k.drained(c)
	h.swallow(true)
	k.decide(30)
	eventually(t, "the connection is given up", func() bool { return !k.up.Up() })
	h.swallow(false)
	k.drained(c)
	h.swallow(true)
	begin := time.Now()
	k.halt()
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("stopping on a dead connection took %v", d)
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

// The last will says that a kiosk is gone when it is cut off without a word.
func TestLastWill(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	m := newMosquitto(t, p)
	m.start(t)
	h := newProxy(t, m.addr())
	c := newFakeCentral(t, p)
	c.connect(m.addr())
	t.Cleanup(c.leave)
	k := newMachine(t, p.identity(t, h.l.Addr().String()))
	k.run()
	up := func(want bool) func() bool {
		return func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			pr, err := wire.DecodePresence(c.retained[wire.TopicPresence])
			return err == nil && pr.Up == want
		}
	}
	eventually(t, "up", up(true))
	h.swallow(true)
	k.halt() // its last word is swallowed; the broker sees the connection end
	h.swallow(false)
	eventually(t, "down by the last will", up(false))
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
