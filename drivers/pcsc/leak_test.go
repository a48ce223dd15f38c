package pcsc_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"gateagent/drivers/pcsc"
)

// holdings is what can leak: by us, and on our behalf in the daemon, where a
// forgotten context is a thread and a socket.
type holdings struct {
	goroutines, ownFiles, ownThreads, daemonFiles, daemonThreads int
}

func count(t *testing.T, path string) int {
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func hold(t *testing.T) holdings {
	pid := daemon.PID()
	return holdings{
		goroutines:    runtime.NumGoroutine(),
		ownFiles:      count(t, "/proc/self/fd"),
		ownThreads:    count(t, "/proc/self/task"),
		daemonFiles:   count(t, fmt.Sprintf("/proc/%d/fd", pid)),
		daemonThreads: count(t, fmt.Sprintf("/proc/%d/task", pid)),
	}
}

// visits brings cards to a slot, one after the other, and talks to each on
// several connections.
func visits(t *testing.T, r *pcsc.Reader, slot, insertions, connections int) {
	for i := range insertions {
		link, err := daemon.Insert(slot, &chip{})
		if err != nil {
			t.Errorf("slot %d, insertion %d: %v", slot, i, err)
			return
		}
		until(t, r, "card", 10*time.Second, present)
		for j := range connections {
			if err := visit(r); err != nil {
				t.Errorf("slot %d, insertion %d, connection %d: %v", slot, i, j, err)
				link.Remove()
				return
			}
		}
		link.Remove()
		until(t, r, "card gone", 10*time.Second, empty)
	}
}

func visit(r *pcsc.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	card, err := r.Connect(ctx)
	if err != nil {
		return err
	}
	if _, err := card.Transmit(ctx, selectMF); err != nil {
		return err
	}
	return card.Close()
}

// TestNoLeak counts before and after many insertions and connections on both
// slots. The numbers are those of leak_short_test.go, or of leak_soak_test.go
// under the build tag soak.
func TestNoLeak(t *testing.T) {
	readers := make([]*pcsc.Reader, 2)
	for slot := range readers {
		readers[slot] = start(t, pcsc.Config{Reader: slotName(slot), Exclusive: true})
		until(t, readers[slot], "empty", 5*time.Second, empty)
	}
	both := func(insertions, connections int) {
		var work sync.WaitGroup
		for slot, r := range readers {
			work.Go(func() { visits(t, r, slot, insertions/len(readers), connections/insertions) })
		}
		work.Wait()
	}
	both(6, 60) // whatever is made once
	if t.Failed() {
		return
	}
	before := hold(t)
	begun := time.Now()
	both(leakInsertions, leakConnections)
	var after holdings
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if after = hold(t); fewer(after, before) {
			break
		}
	}
	t.Logf("%d insertions, %d connections in %v: before %+v, after %+v",
		leakInsertions, leakConnections, time.Since(begun).Round(time.Second), before, after)
	if !fewer(after, before) {
		stacks := make([]byte, 1<<20)
		t.Errorf("something leaks\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}

// fewer compares. The runtime may keep a few threads more than it had; a leak
// of one in a hundred insertions already shows.
func fewer(after, before holdings) bool {
	const spareThreads = 4
	return after.goroutines <= before.goroutines && after.ownFiles <= before.ownFiles &&
		after.ownThreads <= before.ownThreads+spareThreads &&
		after.daemonFiles <= before.daemonFiles && after.daemonThreads <= before.daemonThreads
}

// TestManyThreads does everything at once. libpcsclite crashes under it when
// its calls are not kept apart (see guard).
func TestManyThreads(t *testing.T) {
	const long = 3 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var work sync.WaitGroup
	for slot := range 2 {
		r := start(t, pcsc.Config{Reader: slotName(slot)})
		until(t, r, "empty", 5*time.Second, empty)
		insert(t, slot, &chip{})
		until(t, r, "card", 5*time.Second, present)
		work.Go(func() {
			for ctx.Err() == nil {
				if err := visit(r); err != nil {
					t.Errorf("slot %d: %v", slot, err)
					return
				}
			}
		})
		work.Go(func() {
			for ctx.Err() == nil {
				if names, err := pcsc.Readers(within(t, long)); err != nil || len(names) != 2 {
					t.Errorf("readers: %q, %v", names, err)
					return
				}
				if name, err := pcsc.FindCard(within(t, long), slotName(slot)); err != nil {
					t.Errorf("find: %q, %v", name, err)
					return
				}
			}
		})
	}
	work.Wait()
}
