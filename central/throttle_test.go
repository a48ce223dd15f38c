package central

import (
	"fmt"
	"testing"
	"time"

	"gateagent/gate/wire"
)

func TestThrottle(t *testing.T) {
	t.Parallel()
	now := time.Now()
	th := newThrottle(func() time.Time { return now })
	// A kiosk that drains its backlog at three times what central stores.
	for i := range 12_000 {
		if ok, _ := th.spend("honest", costBatch+costRate*40_000); !ok {
			t.Fatalf("an honest kiosk was cut off at batch %d", i)
		}
		now = now.Add(time.Second / 1200)
	}
	// One that drains as fast as it is stored, with all that is charged of it.
	// And a slow lane's two months in a few batches, each result with a context
	// of its own.
	for _, drain := range []struct {
		kiosk            string
		batches, entries int
		contexts         float64 // of each batch
	}{{"busy", 4000, wire.MaxBatchEntries, 0.4}, {"slow", 8, 180, 180}} {
		for i := range drain.batches {
			cost := costBatch + costRate*160_000 + costEntry*float64(drain.entries) + costContext*drain.contexts
			if ok, _ := th.spend(drain.kiosk, cost); !ok {
				t.Fatalf("the %s kiosk was cut off at batch %d", drain.kiosk, i)
			}
			now = now.Add(time.Second / 400)
		}
	}
	// One that sends garbage: a few dozen messages, then nothing for a while.
	n, begun := 0, 0
	for ; n < 1000; n++ {
		ok, begins := th.spend("evil", costBatch+costBad)
		if begins {
			begun++
		}
		if !ok && !begins {
			break
		}
	}
	if n > 50 || begun != 1 || !th.Blocked("evil") || th.Blocked("honest") {
		t.Errorf("cut off after %d messages, said %d times, blocked %v and %v", n, begun, th.Blocked("evil"), th.Blocked("honest"))
	}
	now = now.Add(penalty - time.Millisecond)
	if ok, _ := th.spend("evil", 1); ok {
		t.Error("listened to before the penalty was over")
	}
	now = now.Add(time.Millisecond)
	if ok, _ := th.spend("evil", 1); !ok {
		t.Error("not listened to after the penalty")
	}
	for i := range maxThrottled + 10 {
		th.spend(fmt.Sprint("name", i), 1)
	}
	if len(th.each) > maxThrottled {
		t.Errorf("%d names are kept", len(th.each))
	}
}
