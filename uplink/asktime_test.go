package uplink_test

import (
	"crypto/ed25519"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/gate/wire"
	"gateagent/internal/clock"
)

// tellTime answers a question for the time as the test wants it.
func (c *fakeCentral) tellTime(client mqtt.Client, payload []byte) {
	q, err := wire.DecodeTimeQuestion(payload)
	if err == nil {
		err = q.Verify(c.p.signingPub)
	}
	if err != nil {
		c.t.Error(err)
		return
	}
	if c.times == nil {
		return
	}
	for _, a := range c.times(q) {
		data, err := a.Encode()
		if err != nil {
			c.t.Error(err)
		}
		client.Publish(wire.Topic(kiosk, wire.TopicTime), 0, false, data)
	}
}

// lost is a kiosk's clock that nothing vouches for, decades back.
func lost(synced *atomic.Bool) *clock.Clock {
	return &clock.Clock{Source: clock.Kernel, MaxHoldover: time.Hour, Synced: synced.Load,
		Wall: func() time.Time { return time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) }}
}

func signed(t *testing.T, q *wire.TimeQuestion, at time.Time, key ed25519.PrivateKey) *wire.SignedTime {
	a, err := q.Answer(at, key)
	if err != nil {
		t.Error(err)
	}
	return a
}

// A kiosk whose clock is lost asks central and takes its word.
func TestTimeFromCentral(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	var synced atomic.Bool
	now := lost(&synced)
	k.cfg.Time, k.cfg.AskAgain = now, 100*time.Millisecond
	told := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	asked := 0
	c.set(func() {
		c.times = func(q *wire.TimeQuestion) []*wire.SignedTime {
			if asked++; asked < 3 {
				return nil // the first questions get lost
			}
			return []*wire.SignedTime{signed(t, q, told, c.p.ackKey)}
		}
	})
	k.run()
	eventually(t, "central's time is trusted", func() bool { s := now.State(); return s.Trusted && s.Origin == clock.FromCentral })
	if s := now.State(); s.Now.Before(told) || s.Now.Sub(told) > patience {
		t.Errorf("the clock says %s, central said %s", s.Now, told)
	}
	time.Sleep(300 * time.Millisecond)
	c.set(func() {
		if asked != 3 {
			t.Errorf("central was asked %d times, want no more after its answer", asked)
		}
	})
	if n := k.up.Notices(); len(n) != 0 {
		t.Errorf("notices %v", n)
	}
}

// What is forged, meant for others, replayed or late changes nothing.
func TestTimeRefused(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	var synced atomic.Bool
	now := lost(&synced)
	k.cfg.Time, k.cfg.AskAgain = now, 50*time.Millisecond
	told := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	asked := 0
	var before *wire.TimeQuestion
	c.set(func() {
		c.times = func(q *wire.TimeQuestion) []*wire.SignedTime {
			asked++
			foreign := *q
			foreign.Kiosk = "sgn-g13"
			altered := signed(t, q, told, c.p.ackKey)
			altered.Time = told.Add(time.Hour)
			out := []*wire.SignedTime{signed(t, q, told, c.p.signing), signed(t, &foreign, told, c.p.ackKey), altered}
			if before != nil {
				out = append(out, signed(t, before, told, c.p.ackKey)) // late, for the question before
			}
			before = q
			return out
		}
	})
	k.run()
	eventually(t, "central was asked again and again", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return asked > 4
	})
	if s := now.State(); s.Trusted {
		t.Errorf("a time that is not central's is trusted: %+v", s)
	}
	if !k.hasNotice("uplink alarm", "fault") {
		t.Error("nobody is told of the forged time")
	}
	if !k.up.Up() {
		t.Error("the connection was given up over it")
	}
}

// Nothing is asked while the kernel keeps the time.
func TestTimeNotWanted(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	var synced atomic.Bool
	synced.Store(true)
	k.cfg.Time, k.cfg.AskAgain = lost(&synced), 20*time.Millisecond
	asked := make(chan struct{}, 100)
	c.set(func() {
		c.times = func(*wire.TimeQuestion) []*wire.SignedTime { asked <- struct{}{}; return nil }
	})
	k.run()
	eventually(t, "the uplink is up", k.up.Up)
	time.Sleep(500 * time.Millisecond)
	if len(asked) != 0 {
		t.Error("central was asked although the kernel is synchronised")
	}
	synced.Store(false)
	eventually(t, "central is asked once the flag is cleared", func() bool { return len(asked) > 0 })
}
