package uplink

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/gate/wire"
)

// failing is a store whose disk does not answer in time, so many times.
type failing struct {
	*modelBox
	fails int
}

func (f *failing) Acknowledge(ctx context.Context, a wire.Ack) error {
	if f.fails > 0 {
		f.fails--
		return errors.New("the disk did not answer in time")
	}
	return f.modelBox.Acknowledge(ctx, a)
}

// scripted is a flow that a test leads by the hand.
type scripted struct {
	*flow
	t   *testing.T
	w   *world
	box *modelBox
}

// newScripted begins a connection with n results waiting.
func newScripted(t *testing.T, box *modelBox, store Store, n int) *scripted {
	t.Helper()
	w := &world{}
	w.keys(rules{})
	up, err := New(Config{Identity: &wire.Identity{Name: modelKiosk, Signing: w.signing, AckKey: w.publicAck()},
		Brokers: []string{"tls://a:8883", "tls://b:8883"}, Store: store, Status: func() wire.Status { return wire.Status{} }, Window: 4})
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{flow: newFlow(up, &connection{client: &line{w: w}, kiosk: modelKiosk}), t: t, w: w, box: box}
	if err := s.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.decide(n)
	return s
}

// decide stores n results and sends what may be sent.
func (s *scripted) decide(n int) {
	s.t.Helper()
	for range n {
		if _, err := s.box.add(modelRecord(int(s.box.last()))); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.fill(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// acknowledgement is a genuine one.
func (s *scripted) acknowledgement(n uint64) []byte {
	s.w.answer(s.box.disk.epoch, n, s.box.chainAt(n), s.w.ackKey)
	return s.w.toKiosk[len(s.w.toKiosk)-1]
}

func (s *scripted) hear(payload []byte) {
	s.t.Helper()
	if err := s.take(s.t.Context(), payload); err != nil {
		s.t.Fatal(err)
	}
}

// pass lets time pass as a connection does, and gives what ended it. each is
// called every second.
func (s *scripted) pass(d time.Duration, each func(second int)) error {
	for second := 1; second <= int(d.Seconds()); second++ {
		time.Sleep(time.Second)
		if each != nil {
			each(second)
		}
		if err := s.fill(s.t.Context()); err != nil {
			return err
		}
		if !time.Now().Before(s.wakeAt()) {
			if err := s.wake(s.t.Context()); err != nil {
				return err
			}
		}
	}
	return s.fill(s.t.Context())
}

func modelEpoch(n int) string { return fmt.Sprintf("%032x", n) }

// An acknowledgement that could not be stored excuses central once: when
// nothing is heard of it after that, the broker is left.
func TestSilenceAfterDiskTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newModelBox(modelEpoch(1), rules{})
		s := newScripted(t, b, &failing{b, 1}, 1)
		s.hear(s.acknowledgement(1))
		if err := s.pass(2*time.Minute, nil); !errors.Is(err, errNoAck) {
			t.Errorf("two minutes of silence end the connection with %v, strikes %d", err, s.u.strikes)
		}
	})
}

// As long as the disk is to blame central is not.
func TestDiskTroubleIsNotCentrals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newModelBox(modelEpoch(1), rules{})
		s := newScripted(t, b, &failing{b, 1 << 30}, 1)
		if err := s.pass(10*time.Minute, func(int) { s.hear(s.acknowledgement(1)) }); err != nil || s.u.strikes != 0 {
			t.Errorf("the connection ended with %v, strikes %d", err, s.u.strikes)
		}
	})
}

// Whoever has the broker drops the results and says again what central once
// said: the kiosk notices that it does not get on, and goes elsewhere.
func TestRepeatedWordDoesNotHoldTheKiosk(t *testing.T) {
	for _, every := range []int{1, 5, 9} {
		synctest.Test(t, func(t *testing.T) {
			b := newModelBox(modelEpoch(1), rules{})
			s := newScripted(t, b, b, 1)
			old := s.acknowledgement(1)
			s.hear(old)
			s.decide(1)
			err := s.pass(2*time.Minute, func(second int) {
				if second%every == 0 {
					s.hear(old)
				}
			})
			if !errors.Is(err, errNoAck) || len(s.u.Notices()) == 0 {
				t.Errorf("an old acknowledgement every %d s: the connection ended with %v, strikes %d, notices %v", every, err, s.u.strikes, s.u.Notices())
			}
		})
	}
}

// What really got lost is sent again as soon as central says so, and is no
// strike, although the same is said again meanwhile.
func TestLostResultsAreNoStrike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newModelBox(modelEpoch(1), rules{})
		s := newScripted(t, b, b, 1)
		old := s.acknowledgement(1)
		s.hear(old)
		for n := range uint64(20) {
			s.decide(1)
			sent := len(s.w.toCentral)
			if err := s.pass(6*time.Second, func(second int) {
				if second == 3 {
					s.hear(s.acknowledgement(n + 1))
				}
			}); err != nil {
				t.Fatal(err)
			}
			if again := len(s.w.toCentral) - sent; again != 1 {
				t.Fatalf("result %d was sent again %d times", n+2, again)
			}
			s.hear(s.acknowledgement(n + 2))
		}
		if s.u.strikes != 0 || len(s.u.Notices()) != 0 {
			t.Errorf("strikes %d, notices %v", s.u.strikes, s.u.Notices())
		}
	})
}
