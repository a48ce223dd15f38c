package uplink_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"gateagent/uplink"
)

// A line over which one full batch takes many times what central is given to
// answer: results get over it, and not the same ones again and again.
func TestNarrowLine(t *testing.T) {
	t.Parallel()
	const results, size = 200, 1200
	r := (&rawBroker{rate: 96 << 10}).start(t)
	m := newManyLarge(t, results, size)
	r.deliver(t, m, 300*time.Millisecond)
	eventually(t, "all is acknowledged", m.drained)
	t.Logf("%d KiB over the line for %d KiB, %d connections", r.heard.Load()>>10, results*size>>10, r.dialled.Load())
	if r.heard.Load() > 2*results*size || r.dialled.Load() > 3 {
		t.Errorf("%d KiB over the line for %d KiB of results, %d connections", r.heard.Load()>>10, results*size>>10, r.dialled.Load())
	}
}

// A broker that passes everything on and never says PUBACK: what is on its way
// leaves the kiosk's memory.
func TestMemoryWithoutPuback(t *testing.T) {
	r := (&rawBroker{}).start(t)
	m := newManyLarge(t, 1200, 60_000)
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	r.deliver(t, m, 0)
	eventually(t, "all is acknowledged", m.drained)
	if grown := (heap() - before) >> 20; grown > 30 {
		t.Errorf("all of 72 MB is acknowledged by central, and %d MiB are still held", grown)
	}
}

// A broker that sends one message of nearly the largest size that MQTT has:
// the kiosk takes none of it, and says that something is wrong there.
func TestHugePacket(t *testing.T) {
	t.Parallel()
	r := (&rawBroker{huge: 200 << 20}).start(t)
	up := r.deliver(t, newManyLarge(t, 1, 100), 0)
	told := func(up *uplink.Uplink) bool {
		for _, n := range up.Notices() {
			if n.Source == "uplink" && strings.Contains(n.Text, "the broker does not behave") {
				return true
			}
		}
		return false
	}
	eventually(t, "the broker is left", func() bool { return told(up) && r.dialled.Load() > 2 })
	// What TCP had under way counts as taken.
	if took := r.took.Load() / r.dialled.Load(); took > 16<<20 {
		t.Errorf("the kiosk took %d MiB of each message", took>>20)
	}
}
