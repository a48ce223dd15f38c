package gate_test

import (
	"context"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	reader "gateagent/drivers/chip"
	"gateagent/gate"
	"gateagent/sim/chip"
)

// mostAllocated bounds what one document may cost in memory, all together.
const mostAllocated = 16 << 20

// holdings is what can leak.
type holdings struct {
	heap               uint64
	goroutines, opened int
}

func hold(t *testing.T) holdings {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	// Goroutines that have done their work may still be on their way out.
	runtime.GC()
	time.Sleep(10 * time.Millisecond)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return holdings{m.HeapAlloc, runtime.NumGoroutine(), len(files)}
}

// TestReadsDoNotGrow reads document after document as an agent does, with one
// memory and one judge; each fifth is lifted in the middle and put back, each
// seventh torn out. The numbers are those of leak_short_test.go, or of
// leak_soak_test.go under the build tag soak.
func TestReadsDoNotGrow(t *testing.T) {
	all := subjects(t)
	memory := reader.NewMemory()
	allocated := make([]uint64, 0, 2*leakReads)
	read := func(i int) {
		s := all[i%2]
		f := &field{chip: chip.New(s.doc.ChipConfig()), at: -1}
		if i%5 == 0 || i%7 == 0 {
			f.at, f.disturb = 10, func([]byte) ([]byte, error) { return nil, gate.ErrCardGone }
		}
		opt := gate.InspectOptions{}
		session := reader.New(f, reader.Options{Memory: memory})
		if i%5 == 0 {
			opt.Reopen = func(context.Context) (gate.Chip, error) {
				session.Close()
				f.chip.Close()
				f.chip, f.at = chip.New(s.doc.ChipConfig()), -1
				session = reader.New(f, reader.Options{Memory: memory})
				return session, nil
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		kase := s.kase()
		in := gate.Inspect(t.Context(), session, kase, s.scan(), opt)
		session.Close()
		kase.Wipe()
		runtime.ReadMemStats(&after)
		f.chip.Close()
		allocated = append(allocated, after.TotalAlloc-before.TotalAlloc)
		if torn := i%7 == 0 && i%5 != 0; torn != (in.Fault != nil) {
			t.Fatalf("document %d: fault %v", i, in.Fault)
		}
	}
	for i := range leakReads / 4 {
		read(i)
	}
	before := hold(t)
	for i := range leakReads {
		read(i)
	}
	after := hold(t)
	if after.goroutines > before.goroutines || after.opened > before.opened || after.heap > before.heap+512<<10 {
		t.Errorf("%d documents: before %+v, after %+v", leakReads, before, after)
	}
	most := slices.Max(allocated)
	t.Logf("%d documents: before %+v, after %+v; one document allocates at most %d bytes (chip included), typically %d",
		leakReads, before, after, most, slices.Sorted(slices.Values(allocated))[len(allocated)/2])
	if most > mostAllocated {
		t.Errorf("one document allocates %d bytes", most)
	}
}
