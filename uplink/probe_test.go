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

// Central is set back behind a broker that stays up, and the kiosk decides
// nothing: it brings what central lacks all the same.
func TestIdleKioskMeetsCentralSetBack(t *testing.T) {
	err := bubble(t, func() error {
		central := newModelCentral(rules{})
		w, err := newWorld(rules{}, func() (box, error) { return newModelBox(modelEpoch(1), rules{}), nil }, central, &tally{})
		if err != nil {
			return err
		}
		k := w.kiosks[0]
		for range 5 {
			if err := w.decide(k); err != nil {
				return err
			}
		}
		if err := w.exchange(k); err != nil {
			return err
		}
		if n := len(central.rows[modelEpoch(1)]); n != 5 {
			return fmt.Errorf("central has %d results of 5 at first", n)
		}
		if err := central.restored(w.backups[0]); err != nil {
			return err
		}
		for end := time.Now().Add(probeSeldom + time.Minute); time.Now().Before(end); {
			if err := errors.Join(w.sleep(time.Second), w.exchange(k)); err != nil {
				return err
			}
		}
		if n := len(central.rows[modelEpoch(1)]); n != 5 {
			return fmt.Errorf("central was set back and has %d results of 5, while the connection was up all the time", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// An idle connection costs a probe from time to time, over a metered path
// hardly any; one that got lost is sent again soon.
func TestProbesOfAnIdleConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		metered     bool
		first, most int
	}{"plain": {false, 6 * 24, 6*24 + 20}, "metered": {true, 4, 4 + 20}} {
		synctest.Test(t, func(t *testing.T) {
			b := newModelBox(modelEpoch(1), rules{})
			s := newScripted(t, b, b, 1)
			if tc.metered {
				s.c.route = &route{budget: openBudgets("", time.UTC, time.Now, s.u.log).add("m", 1<<30, PeriodMonth)}
			}
			s.hear(s.acknowledgement(1))
			day := func(answer bool) int {
				before := len(s.w.toCentral)
				seen := before
				for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); {
					time.Sleep(max(time.Until(s.wakeAt()), time.Second))
					if err := errors.Join(s.wake(t.Context()), s.fill(t.Context())); err != nil {
						t.Fatal(err)
					}
					if n := len(s.w.toCentral); answer && n > seen {
						seen = n
						s.hear(s.acknowledgement(1))
					}
				}
				return len(s.w.toCentral) - before
			}
			if n := day(true); n < tc.first-1 || n > tc.first {
				t.Errorf("%s: %d probes in a day, want %d", name, n, tc.first)
			}
			if n := day(false); n < tc.first-1 || n > tc.most {
				t.Errorf("%s: %d probes in a day without an answer, want %d at most", name, n, tc.most)
			}
			if time.Sleep(2 * s.patience()); s.waiting() {
				t.Errorf("%s: a probe without an answer is waited for all the time", name)
			}
		})
	}
}

// inTurn is a store that serves a saved epoch first, and its own after that.
type inTurn struct {
	saved, own *modelBox
}

func (s inTurn) now() *modelBox {
	if q := s.saved.Queue(); q.Acknowledged < q.Last {
		return s.saved
	}
	return s.own
}

func (s inTurn) Queue() wire.Queue       { return s.now().Queue() }
func (s inTurn) Notify() <-chan struct{} { return nil }
func (s inTurn) Pending(ctx context.Context, after uint64, most, bytes int) (string, []wire.Entry, error) {
	return s.now().Pending(ctx, after, most, bytes)
}
func (s inTurn) Acknowledge(ctx context.Context, a wire.Ack) error {
	return s.now().Acknowledge(ctx, a)
}
func (s inTurn) Rewind(ctx context.Context, a wire.Ack) error { return s.now().Rewind(ctx, a) }

// After a saved epoch is done the kiosk's own is probed, too: central may have
// been set back before this connection began.
func TestOwnEpochIsProbedAfterASavedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inTurn{newModelBox(modelEpoch(1), rules{}), newModelBox(modelEpoch(2), rules{})}
		for range 3 {
			if _, err := s.own.add(modelRecord(0)); err != nil {
				t.Fatal(err)
			}
		}
		s.own.disk.acked = 3
		k := newScripted(t, s.saved, s, 2)
		k.hear(k.acknowledgement(2))
		sent := len(k.w.toCentral)
		if err := k.pass(time.Second, nil); err != nil {
			t.Fatal(err)
		}
		if len(k.w.toCentral) != sent+1 {
			t.Fatalf("%d messages after the saved epoch, want a probe", len(k.w.toCentral)-sent)
		}
		b, err := wire.DecodeBatch(k.w.toCentral[sent])
		if err != nil || b.Epoch != modelEpoch(2) || b.Last != 3 {
			t.Errorf("the probe is of result %d of epoch %s (%v)", b.Last, b.Epoch, err)
		}
	})
}
