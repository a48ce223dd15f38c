package central_test

import (
	"fmt"
	"testing"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// beat publishes a heartbeat over a connection and epoch.
func (k *kiosk) beat(t *testing.T, session, epoch string) {
	t.Helper()
	s := wire.Status{V: wire.StatusVersion, At: time.Now(), Session: session, Epoch: epoch}
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.publish(t, k.id.Name, wire.TopicStatus, data)
}

// Two machines with one identity raise an alarm, also where each has an epoch of
// its own and nothing contradicts. A kiosk that changes connections, one whose
// outbox is saved, and one whose last heartbeat comes late do not.
func TestTwoKiosksWithOneIdentity(t *testing.T) {
	c := start(t, t.TempDir(), "")
	epoch := func(n int) string { return fmt.Sprintf("%032x", n) }
	honest := enrolKiosk(t, c.reg, "honest", c.Ready().Broker).connect(t)
	for n := range 20 {
		honest.beat(t, fmt.Sprint("honest:", n), epoch(1))
	}
	honest.beat(t, "honest:18", epoch(1)) // was on its way for long
	for _, n := range []int{1, 2, 1, 2} { // saves a damaged outbox
		honest.beat(t, "honest:20", epoch(n))
	}
	one, two := enrolKiosk(t, c.reg, "one", c.Ready().Broker).connect(t), enrolKiosk(t, c.reg, "two", c.Ready().Broker).connect(t)
	for range 4 {
		one.beat(t, "one:a", epoch(1)) // both stay connected
		one.beat(t, "one:b", epoch(1))
	}
	for n := range 8 { // the broker keeps one connection: each throws the other off
		two.beat(t, fmt.Sprint("two:", n), epoch(n%2))
	}
	c.alarm(t, "one", store.AlarmTwins)
	c.alarm(t, "two", store.AlarmTwins)
	all, err := c.reg.Store.OpenAlarms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Kiosk == "honest" {
			t.Errorf("an honest kiosk: %s", a.Text)
		}
	}
}
