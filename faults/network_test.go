//go:build faults

package faults

import (
	"testing"
	"time"
)

// TestNetwork: between kiosk and broker, and between broker and central, lines
// are cut, refused, slow, half open, and parted for lengths of chance.
func TestNetwork(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c, m, k := withBroker(t)
	m.start()
	near, far := newRelay(t, m.at), newRelay(t, m.at)
	k.job.Brokers = []string{near.addr()}
	c.brokers = []string{far.addr()}
	c.start()
	k.start()
	how := map[string]int{}
	for i := range *rounds * 3 {
		k.send("load")
		r, side := near, "kiosk: "
		if i%2 == 1 {
			r, side = far, "central: "
		}
		how[side+r.fault(random, 3*time.Second)]++
		if i%6 == 5 { // counted now and then: the kiosk rests for it
			k.kill()
			k.start()
			k.drained()
		}
	}
	t.Logf("faults: %v", how)
	k.kill()
	k.start()
	k.drained()
	k.draw()
}

// TestSlow: both sides of the broker are slow all the time.
func TestSlow(t *testing.T) {
	t.Parallel()
	seeded(t)
	c, m, k := withBroker(t)
	m.start()
	near, far := newRelay(t, m.at), newRelay(t, m.at)
	near.slow(300*time.Millisecond, 100_000)
	far.slow(200*time.Millisecond, 150_000)
	k.job.Brokers, k.job.AckTimeout = []string{near.addr()}, 3*time.Second
	c.brokers = []string{far.addr()}
	c.start()
	k.start()
	k.decide(100 * *rounds)
	k.drained()
	k.draw()
}

// TestMangled: the way between kiosk and central loses, doubles, delays,
// reorders and repeats results and acknowledgements.
func TestMangled(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c := newCentre(t, false)
	at := freeAddr(t)
	m := newMosquitto(t, c, at)
	m.start()
	c.start()
	k := newKiosk(t, c, "tls://"+at)
	bad := newMangler(t, random, c, k, "tls://"+at)
	k.start()
	for range *rounds {
		k.send("load")
		time.Sleep(2 * time.Second)
		k.kill()
		k.start()
	}
	bad.behave()
	k.drained()
	bad.mu.Lock()
	t.Logf("messages: %v", bad.counts)
	if bad.counts["doubled"] == 0 || bad.counts["delayed"] == 0 {
		t.Error("hardly anything was mangled; the test proves nothing")
	}
	bad.mu.Unlock()
	k.draw()
}

// TestBrokerForgets: the broker is killed under load and starts with an empty
// state, and so does central now and then.
func TestBrokerForgets(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c, m, k := withBroker(t)
	m.start()
	c.start()
	k.start()
	for i := range *rounds * 2 {
		k.send("load")
		time.Sleep(between(random, 0, time.Second))
		m.kill()
		time.Sleep(between(random, 0, 500*time.Millisecond))
		if random.IntN(3) == 0 {
			c.kill()
			c.launch()
		}
		m.start()
		if i%2 == 1 {
			time.Sleep(between(random, 0, time.Second))
			k.kill()
			k.start()
			k.drained()
		}
	}
	k.drained()
	k.draw()
}

// TestTwoBrokers: the operator has two brokers that know nothing of each other,
// one a way. Each dies in turn, with all it held, while the kiosk sends, and the
// results come over the other.
func TestTwoBrokers(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c := newCentre(t, true)
	second := freeAddr(t)
	c.brokers = append(c.brokers, "tls://"+second)
	at := []*mosquitto{newMosquitto(t, c, c.mqtt), newMosquitto(t, c, second)}
	k := newKiosk(t, c, c.brokers...)
	at[0].start()
	at[1].start()
	c.start()
	k.start()
	for i := range *rounds {
		k.decide(300)
		time.Sleep(between(random, 0, 30*time.Millisecond))
		dead := at[i%2]
		dead.kill()
		begin := time.Now()
		k.decide(50)
		k.drained()
		t.Logf("over the other broker after %v", time.Since(begin).Round(time.Millisecond))
		dead.start()
		if i%3 == 2 {
			c.kill()
			c.launch()
		}
	}
	k.drained()
	k.draw()
}

// TestCentralRestored: central comes back from older and older backups; what
// it acknowledged since comes again, once, and staff are told.
func TestCentralRestored(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c, k := scene(t)
	c.start()
	k.start()
	backups := []string{}
	for range *rounds {
		k.decide(50 + random.IntN(300))
		k.drained()
		c.stop()
		backups = append(backups, c.backup())
		k.decide(random.IntN(50)) // while it is away
		c.start()
		k.drained()
		k.decide(1 + random.IntN(100))
		k.drained()
		c.kill()
		c.restore(backups[random.IntN(len(backups))])
		k.mu.Lock()
		k.ledger.again()
		k.mu.Unlock()
		c.start()
		k.says("central was set back")
		eventually(t, "central has everything again", func() bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.ledger.read(t, c.reg, kioskName)
			return k.ledger.missing() == 0
		})
		k.drained()
		if random.IntN(2) == 0 {
			k.kill()
			k.start()
		}
	}
	k.draw()
}
