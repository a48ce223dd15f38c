package central_test

import (
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/gate/wire"
)

// saysKeys publishes a status that names the newest document key of the kiosk.
func (k *kiosk) saysKeys(t *testing.T, name string) {
	t.Helper()
	s := wire.Status{V: wire.StatusVersion, At: time.Now(), DocKeys: name}
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.publish(t, k.id.Name, wire.TopicStatus, data)
}

// Kiosks get the keys of document references, sealed to each, when they say
// that they have others: after the keys changed, and after they were away.
func TestDocumentKeysReachKiosks(t *testing.T) {
	c := start(t, t.TempDir(), "")
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker).connect(t)
	stranger := enrolKiosk(t, c.reg, "k2", c.Ready().Broker).connect(t)
	got := map[*kiosk]chan []byte{}
	for _, one := range []*kiosk{k, stranger} {
		to := make(chan []byte, 16)
		got[one] = to
		if err := settled(one.conn.Subscribe(wire.Topic(one.id.Name, wire.TopicCommand), 1, func(_ mqtt.Client, m mqtt.Message) { to <- m.Payload() })); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := wire.OpenDocKeyring(t.TempDir(), k.id)
	if err != nil {
		t.Fatal(err)
	}
	next := func() *wire.Command {
		t.Helper()
		select {
		case data := <-got[k]:
			cmd, err := wire.DecodeCommand(data)
			if err != nil {
				t.Fatal(err)
			}
			return cmd
		case <-time.After(soon):
			t.Fatal("no keys within ", soon)
		}
		return nil
	}
	name, inForce := ring.State(time.Now())
	if !inForce {
		t.Fatal("the bundle brought no key")
	}
	// The service has looked at the folder when it has answered somebody.
	stranger.saysKeys(t, "none")
	select {
	case <-got[stranger]:
	case <-time.After(soon):
		t.Fatal("no keys for a kiosk that has none within ", soon)
	}
	if _, err := c.reg.CA.RotateDocKeys(time.Now(), 0); err != nil { // gatectl, beside the service
		t.Fatal(err)
	}
	k.conn.Disconnect(100) // it is away over the change
	k.connect(t)
	if err := settled(k.conn.Subscribe(wire.Topic(k.id.Name, wire.TopicCommand), 1, func(_ mqtt.Client, m mqtt.Message) { got[k] <- m.Payload() })); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // the service looks at the folder once a second
	k.saysKeys(t, name)
	cmd := next()
	if err := ring.Take(cmd); err != nil {
		t.Fatal(err)
	}
	after, inForce := ring.State(time.Now())
	if after == name || !inForce {
		t.Errorf("keys %s, then %s", name, after)
	}
	other, err := wire.OpenDocKeyring(t.TempDir(), stranger.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Take(cmd); err == nil {
		t.Error("another kiosk takes the keys sealed to this one")
	}
	k.saysKeys(t, after) // it has them: nothing more comes
	// A revoked kiosk ends the key that it knows, and gets no other.
	if err := c.reg.Revoke(t.Context(), "k2", "stolen", time.Now()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	k.saysKeys(t, after)
	if err := ring.Take(next()); err != nil {
		t.Fatal(err)
	}
	if last, _ := ring.State(time.Now()); last == after {
		t.Error("the key that a revoked kiosk knows is still in force")
	}
	if len(got[stranger])+len(got[k]) > 0 {
		t.Errorf("%d and %d further messages", len(got[stranger]), len(got[k]))
	}
}
