package central_test

import (
	"bytes"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

// saysSecrets publishes a status that names the list secrets of the kiosk.
func (k *kiosk) saysSecrets(t *testing.T, docs, name string) {
	t.Helper()
	s := wire.Status{V: wire.StatusVersion, At: time.Now(), DocKeys: docs, Secrets: name}
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.publish(t, k.id.Name, wire.TopicStatus, data)
}

// Kiosks get the secrets of their airport, sealed to each, when they say that
// they have others; a generation that begins reaches them, one that is taken
// away leaves them, and a revoked one gets nothing.
func TestListSecretsReachKiosks(t *testing.T) {
	c := start(t, t.TempDir(), "")
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker).connect(t)
	if _, err := c.reg.Renew(t.Context(), "k1", enrol.Options{Airport: "SGN"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	got := make(chan *wire.Command, 16)
	if err := settled(k.conn.Subscribe(wire.Topic("k1", wire.TopicCommand), 1, func(_ mqtt.Client, m mqtt.Message) {
		if cmd, err := wire.DecodeCommand(m.Payload()); err == nil {
			got <- cmd
		}
	})); err != nil {
		t.Fatal(err)
	}
	ring, err := wire.OpenListSecrets(t.TempDir(), k.id)
	if err != nil {
		t.Fatal(err)
	}
	docs := k.id.DocKeys.Name()
	change := func(do error) {
		t.Helper()
		if do != nil {
			t.Fatal(do)
		}
		time.Sleep(1100 * time.Millisecond) // the service looks at the folder once a second
		k.saysSecrets(t, docs, ring.Name())
		select {
		case cmd := <-got:
			if cmd.Kind != wire.CommandListSecrets {
				t.Fatal(cmd.Kind)
			}
			if err := ring.Take(cmd); err != nil {
				t.Fatal(err)
			}
		case <-time.After(soon):
			t.Fatal("nothing within ", soon)
		}
	}
	secret := func(airport string, generation uint32) wire.ListSecret {
		return wire.ListSecret{Airport: airport, Generation: generation, Began: time.Now().UTC().Truncate(time.Second), Content: bytes.Repeat([]byte{byte(generation)}, 40)}
	}
	has := func(generation uint32, want bool) {
		t.Helper()
		if found, err := ring.Find(generation, "SGN"); err != nil || (found != nil) != want {
			t.Errorf("generation %d: %d bytes, %v", generation, len(found), err)
		}
	}
	now := time.Now()
	if err := c.reg.CA.AddListSecret(secret("HAN", 1), now); err != nil {
		t.Fatal(err)
	}
	k.saysSecrets(t, docs, "") // it has all that it is to have
	change(c.reg.CA.AddListSecret(secret("SGN", 1), now))
	change(c.reg.CA.AddListSecret(secret("", 2), now))
	has(1, true)
	has(2, true)
	change(c.reg.CA.RemoveListSecret(1, "SGN", now))
	has(1, false)
	if err := c.reg.CA.AddListSecret(secret("SGN", 2), now); err == nil {
		t.Error("a kiosk would have two of one generation")
	}
	k.saysSecrets(t, docs, ring.Name())
	if err := c.reg.Revoke(t.Context(), "k1", "stolen", time.Now()); err != nil {
		t.Fatal(err)
	}
	all, err := c.reg.CA.ListSecrets(now)
	if err != nil {
		t.Fatal(err)
	}
	if cmd, err := c.reg.ListSecrets(t.Context(), "k1", "", all); err == nil || cmd != nil {
		t.Error("a revoked kiosk gets secrets")
	}
	if len(got) > 0 {
		t.Errorf("%d further messages", len(got))
	}
}
