package uplink_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// What the drain is held to.
const (
	roundTrip    = 20 * time.Millisecond // between kiosk and broker
	queuedUp     = 100_000
	longQueue    = 1_000_000
	floorDrain   = 20_000 // results a second
	floorMemory  = 32     // MiB above idle, whatever the backlog
	drainRounds  = 3
	longQueueEnv = "LONG"   // not empty: the long queue, too
	resultsEnv   = "DRAIN"  // another number of results, to try something out
	roundsEnv    = "ROUNDS" // another number of rounds
)

// figure prints name, value, unit, floor and quotient.
func figure(name string, value float64, unit string, floor float64) {
	fmt.Printf("%s %.1f %s %.0f %.2f\n", name, value, unit, floor, value/floor)
}

func median[T cmp.Ordered](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func fromEnv(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

// BenchmarkDrain is a queue of sealed results from the outbox over a line of
// 20 ms round trip, TLS and mosquitto to central's commit and signed
// acknowledgement, each part a process of its own; and, in turn with it on the
// same line, the peers, who get single messages of the same size acknowledged
// by the broker alone. It prints medians: for our own the floor is what is
// asked of them, for a peer it is our own rate. A peer that is slow with a long
// queue is given a shorter one, whose length its name says.
//
//	go test ./uplink -run '^$' -bench Drain -benchtime 1x
func BenchmarkDrain(b *testing.B) {
	n, rounds := fromEnv(resultsEnv, queuedUp), fromEnv(roundsEnv, drainRounds)
	peers := []struct {
		role string
		n    int
		rate []float64
	}{{role: peerBare, n: n}, {role: peerFileStore, n: min(n, 20_000)}, {role: peerAutopaho, n: min(n, 1_000)}}
	l := newBacklog(b, n)
	var rate, memory, load []float64
	for range rounds {
		r := l.run(b, roundTrip)
		rate, memory = append(rate, r.rate()), append(memory, r.grown())
		b.Logf("%.0f results/s of %d bytes; processor time for each: kiosk %.1f µs, central %.1f, broker %.1f, line %.1f", r.rate(), l.size,
			r.each(r.Kiosk), r.each(r.Central), r.each(r.Broker), r.each(r.Line))
		for i := range peers {
			p := &peers[i]
			d := l.peer(b, p.role, p.n, roundTrip)
			p.rate = append(p.rate, d.rate())
		}
		load = append(load, loadAverage(b))
	}
	figure(fmt.Sprintf("drain-%d", n), median(rate), "results/s", floorDrain)
	for _, p := range peers {
		figure(fmt.Sprintf("drain-peer-%s-%d", p.role, p.n), median(p.rate), "messages/s", median(rate))
	}
	figure(fmt.Sprintf("drain-memory-%d", n), median(memory), "MiB", floorMemory)
	figure("load-average", median(load), "processes", 2)
	if os.Getenv(longQueueEnv) != "" {
		r := newBacklog(b, longQueue).run(b, roundTrip)
		figure(fmt.Sprintf("drain-%d", longQueue), r.rate(), "results/s", floorDrain)
		figure(fmt.Sprintf("drain-memory-%d", longQueue), r.grown(), "MiB", floorMemory)
	}
}

// rate is results a second.
func (d drained) rate() float64 { return float64(d.Results) / d.Took.Seconds() }

// grown is by how many MiB the process grew over what it had before.
func (d drained) grown() float64 { return float64(d.Peak-d.Idle) / (1 << 20) }

// each is the processor time for one result, in microseconds.
func (d drained) each(t time.Duration) float64 {
	return float64(t.Microseconds()) / float64(d.Results)
}

func loadAverage(b *testing.B) float64 {
	b.Helper()
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		b.Fatal(err)
	}
	var one float64
	if _, err := fmt.Sscan(string(data), &one); err != nil {
		b.Fatal(err)
	}
	return one
}
