//go:build faults

package faults

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

// longAgo is when certificates were made that have ended by now.
const longAgo = 401 * 24 * time.Hour

// waits demands that results wait at the kiosk, and that staff read why.
func (k *kiosk) waits(words ...string) {
	k.t.Helper()
	k.says(words...)
	k.decide(30)
	if s := k.look(); s.Depth < 30 {
		k.t.Fatalf("results went although %q: %+v", words, s)
	}
}

// again starts the agent anew, as after an installation.
func (k *kiosk) again() {
	k.t.Helper()
	k.stop()
	k.start()
}

// renew has the kiosk's certificate renewed and installs it.
func (k *kiosk) renew() {
	k.t.Helper()
	b, err := k.c.reg.Renew(k.t.Context(), kioskName, enrol.Options{}, time.Now())
	must(k.t, err)
	k.install(b)
	k.again()
}

// TestKioskCertificateEnds: over the embedded broker and over one of the
// operator's own, a kiosk whose certificate has ended keeps its results, and
// sends them when it was renewed.
func TestKioskCertificateEnds(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, c *centre, _ *mosquitto, k *kiosk) {
		k.enrol(true, time.Now().Add(-longAgo))
		k.start()
		k.decide(10)
		k.waits("the kiosk's certificate ended on")
		k.waits("this kiosk's certificate has ended")
		k.kill()
		k.start()
		k.renew()
		k.decide(5)
		k.drained()
		k.draw()
	})
}

// TestKioskRevoked: a kiosk that is revoked while it sends is cut off, keeps
// its results, and sends them when it was enrolled anew.
func TestKioskRevoked(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, c *centre, m *mosquitto, k *kiosk) {
		k.start()
		k.decide(20)
		k.drained()
		must(t, c.reg.Revoke(t.Context(), kioskName, "stolen", time.Now()))
		if m != nil {
			m.kill()
			m.files(time.Now())
			m.start()
		}
		k.waits("this kiosk is revoked or not enrolled")
		k.stop()
		k.enrol(true, time.Now())
		if m != nil {
			m.kill()
			m.files(time.Now())
			m.start()
		}
		k.start()
		k.decide(5)
		k.drained()
		k.draw()
	})
}

// TestBrokerCertificateEnds: a broker whose certificate has ended is not
// trusted with anything; when it is renewed all goes on by itself. So with both
// certificates at once.
func TestBrokerCertificateEnds(t *testing.T) {
	t.Parallel()
	c, m, k := withBroker(t)
	m.start()
	c.start()
	k.start()
	k.decide(20)
	k.drained()
	m.kill()
	m.files(time.Now().Add(-longAgo))
	m.start()
	k.waits("the broker's certificate has ended")
	m.kill()
	m.files(time.Now())
	m.start()
	k.drained()
	// Both.
	k.stop()
	k.enrol(true, time.Now().Add(-longAgo))
	m.kill()
	m.files(time.Now().Add(-longAgo))
	m.start()
	k.start()
	k.waits("the broker's certificate has ended")
	m.kill()
	m.files(time.Now())
	m.start()
	k.waits("the kiosk's certificate ended on")
	k.renew()
	k.drained()
	k.draw()
}

// TestBrokerRevoked: a broker whose certificate was revoked is refused from
// the next connection on, although central itself still uses it; with a new one
// all goes on by itself.
func TestBrokerRevoked(t *testing.T) {
	t.Parallel()
	c, m, k := withBroker(t)
	m.start()
	c.start()
	k.start()
	k.decide(20)
	k.drained()
	old, err := os.ReadFile(filepath.Join(m.dir, "server.pem"))
	must(t, err)
	must(t, c.reg.RevokeBroker(t.Context(), old))
	list, err := c.reg.RevocationList(t.Context(), time.Now())
	must(t, err)
	if n, err := wire.InstallRevoked(k.identity(), list); n != 1 || err != nil {
		t.Fatalf("%d certificates are revoked (%v)", n, err)
	}
	m.kill()
	m.start()
	k.waits("the broker's certificate is revoked")
	k.kill()
	k.start()
	k.waits("the broker's certificate is revoked")
	m.kill()
	m.files(time.Now())
	m.start()
	k.drained()
	k.draw()
}

// both runs a test over the embedded broker and over one of the operator's.
func both(t *testing.T, test func(*testing.T, *centre, *mosquitto, *kiosk)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		c, k := scene(t)
		c.start()
		test(t, c, nil, k)
	})
	t.Run("mosquitto", func(t *testing.T) {
		t.Parallel()
		c, m, k := withBroker(t)
		m.start()
		c.start()
		test(t, c, m, k)
	})
}
