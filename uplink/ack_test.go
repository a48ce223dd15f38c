package uplink_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"strings"
	"testing"

	"gateagent/gate/wire"
)

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
			k.halt()
			restore()
			lost := false
			c.set(func() { c.swallow = func(*wire.Batch) bool { before := lost; lost = true; return !before } })
			k.run() // the probe gets lost, and is sent again
			eventually(t, "central has all again", func() bool { return c.count() == 151 })
			k.drained(c)
			if !k.hasNotice("uplink alarm", "fault") {
				t.Error("nobody was told that central was set back")
			}
		})
	}
}
