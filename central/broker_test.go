package central_test

import "testing"

// TestBrokerComesLaterAndDies: central starts without its broker, connects
// when it comes, and again after it was killed with everything it held.
func TestBrokerComesLaterAndDies(t *testing.T) {
	t.Parallel()
	dir, addr := t.TempDir(), freeAddr(t)
	broker := "tls://" + addr
	c := launch(t, dir, broker)
	if c.Connected() {
		t.Fatal("connected to nothing")
	}
	kill := mosquittoAt(t, c.reg, addr)
	eventually(t, "central connects once the broker is there", c.Connected)
	k := enrolKiosk(t, c.reg, "k1", broker).connect(t)
	first := k.next(t, 5)
	k.send(t, first)
	k.acked(t, 5, first.Chain)

	kill()
	eventually(t, "central notices", func() bool { return !c.Connected() })
	mosquittoAt(t, c.reg, addr)
	eventually(t, "central connects again", c.Connected)
	k.connect(t)
	k.send(t, first) // whatever was acknowledged stays
	k.acked(t, 5, first.Chain)
	k.send(t, k.next(t, 1))
	k.acked(t, 6, k.chain)
	if n := len(c.results(t, "k1")); n != 6 {
		t.Fatalf("%d results", n)
	}
}
