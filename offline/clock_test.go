package offline

import (
	"math/rand/v2"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// TestClockJumps: whatever the wall clock does, by years and in both
// directions or not at all, numbers and order stay, nothing that central does
// not have goes, and what it has is kept again once the clock is right.
func TestClockJumps(t *testing.T) {
	random := rand.New(rand.NewPCG(seeded(t), 3))
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	o := open(t, Config{KeepAge: time.Hour, Now: func() time.Time { return now }})
	epoch := o.Queue().Epoch
	jumps := []time.Duration{0, 0, time.Second, -time.Second, 61 * time.Second, 24 * time.Hour, -24 * time.Hour,
		10 * 366 * 24 * time.Hour, -10 * 366 * 24 * time.Hour, 40 * 366 * 24 * time.Hour, -80 * 366 * 24 * time.Hour}
	const rounds, each = 60, 5
	acked := 0
	for i := range rounds * each {
		rec := record(wire.KindDecision, i, wire.OutcomeAbort)
		rec.At = now
		if n, err := o.Append(t.Context(), rec); err != nil || n != uint64(i+1) {
			t.Fatalf("at %v: number %d (%v), want %d", now, n, err, i+1)
		}
		if i%each != each-1 {
			continue
		}
		if random.IntN(2) == 0 {
			acked = i - random.IntN(each)
			if err := ackUpTo(o, uint64(acked+1)); err != nil {
				t.Fatalf("at %v: %v", now, err)
			}
		}
		now = now.Add(jumps[random.IntN(len(jumps))])
		if random.IntN(4) == 0 {
			o = reopen(t, o)
		}
		if q := o.Queue(); q.Epoch != epoch || q.Last != uint64(i+1) || q.Acknowledged != uint64(acked+1) && acked > 0 {
			t.Fatalf("at %v: %+v after %d records, %d acknowledged", now, q, i+1, acked+1)
		}
	}
	q := o.Queue()
	for i, e := range all(t, o, q.Acknowledged) {
		rec, err := wire.DecodeRecord(e.Body)
		if want := int(q.Acknowledged) + i; err != nil || rec.Tx != tx(want) {
			t.Fatalf("result %d is %v (%v)", e.Number, rec, err)
		}
	}
	if _, last, err := o.Pending(t.Context(), q.Last-1, 1, wire.BatchRoom); err != nil || len(last) != 1 {
		t.Fatalf("the newest result: %d (%v)", len(last), err)
	}
	if err := ackUpTo(o, q.Last); err != nil {
		t.Fatal(err)
	}
	if n, err := o.Append(t.Context(), admit(1_000_000)); err != nil || n != rounds*each+1 {
		t.Fatalf("afterwards number %d (%v)", n, err)
	}
	t.Logf("ledger clock %v", ledger{decided: rounds*each + 1, found: rounds*each + 1})
}

// TestStoppedClock: a clock that stands still, as one whose battery died at
// each start, orders nothing; numbers do.
func TestStoppedClock(t *testing.T) {
	stopped := time.Unix(0, 0)
	o := open(t, Config{Now: func() time.Time { return stopped }})
	for i := range 10 {
		rec := record(wire.KindDecision, i, wire.OutcomeAbort)
		rec.At = stopped
		appendAll(t, o, rec)
	}
	if err := ackUpTo(o, 5); err != nil {
		t.Fatal(err)
	}
	o = reopen(t, o)
	if got := all(t, o, 5); len(got) != 5 || got[0].Number != 6 {
		t.Fatalf("%d results after a restart", len(got))
	}
	if err := ackUpTo(o, 10); err != nil || o.Depth() != 0 {
		t.Fatalf("%d wait (%v)", o.Depth(), err)
	}
}
