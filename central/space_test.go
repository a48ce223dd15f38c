package central

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

func storing(put func() error) *ingest {
	return &ingest{now: time.Now, log: slog.New(slog.DiscardHandler), alarms: newAlarms(), added: daily{most: 1000},
		charge: func(string, float64) bool { return true },
		put: func(context.Context, []store.Batch) ([]store.Verdict, error) {
			return nil, put()
		}}
}

// A disk that hangs is said while it hangs, and no longer when it answers.
func TestHungDiskIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		in := storing(func() error { <-hang; return nil })
		go in.commitGroup(t.Context(), nil)
		time.Sleep(commitSlow - time.Second)
		if p := in.Problem(); p != "" {
			t.Errorf("too early: %s", p)
		}
		time.Sleep(2 * time.Second)
		if p := in.Problem(); !strings.Contains(p, "has not answered for 11s") {
			t.Errorf("while it hangs: %q", p)
		}
		close(hang)
		synctest.Wait()
		if p := in.Problem(); p != "" {
			t.Errorf("when it answered: %s", p)
		}
	})
}

// Below the reserve nothing is stored, which is said and an alarm, and it goes
// on by itself.
func TestReserveOfSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored, free := 0, int64(0)
		in := storing(func() error { stored++; return nil })
		in.dir, in.free = "x", func(string) (int64, int64, error) { return free, 10 << 30, nil }
		for i, tc := range []struct {
			min, free int64
			fits      bool
		}{
			{0, 511 << 20, false}, {0, 513 << 20, true}, // a twentieth
			{2 << 30, 1 << 30, false}, {2 << 30, 3 << 30, true},
			{-1, 0, true},
		} {
			in.minFree, free, stored = tc.min, tc.free, 0
			in.commitGroup(t.Context(), nil)
			if p := in.Problem(); (stored == 1) != tc.fits || (p == "") != tc.fits {
				t.Errorf("case %d: stored %d times, problem %q", i, stored, p)
			}
		}
		if all := in.alarms.all(); len(all) != 1 || all[0].Kind != store.AlarmSpace || all[0].Count != 1 {
			t.Errorf("alarms: %+v", all)
		}
		in.free = func(string) (int64, int64, error) { return 0, 0, errors.New("not known") }
		in.minFree = 0
		if err := in.room(); err != nil {
			t.Errorf("free space is not known: %v", err)
		}
		if free, all, err := durable.Space(t.TempDir()); err != nil || free <= 0 || all < free {
			t.Errorf("%d of %d bytes, %v", free, all, err)
		}
	})
}

// A kiosk that sends more new results in a day than any makes is not listened
// to until the next; another one is.
func TestResultsOfADayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := storing(nil)
		batch := &store.Batch{Batch: &wire.Batch{Kiosk: "evil", Entries: []wire.Entry{{Body: make([]byte, 300)}, {Body: make([]byte, 200)}}}}
		for i := range 3 {
			if full := in.added.full("evil", time.Now()); full != (i == 2) {
				t.Errorf("before batch %d: full %v", i, full)
			}
			in.count(batch)
		}
		if all := in.alarms.all(); len(all) != 1 || all[0].Kind != store.AlarmFlood || all[0].Kiosk != "evil" || all[0].Count != 1 {
			t.Errorf("alarms: %+v", all)
		}
		if _, err := in.judge(t.Context(), message{kiosk: "evil"}); !errors.Is(err, errFlood) {
			t.Errorf("it is listened to: %v", err)
		}
		if in.added.full("honest", time.Now()) {
			t.Error("another kiosk is not listened to")
		}
		time.Sleep(24 * time.Hour)
		if in.added.full("evil", time.Now()) {
			t.Error("not listened to on the next day")
		}
	})
}
