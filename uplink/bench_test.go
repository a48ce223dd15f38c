package uplink_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// roundTrip is that of the line between kiosk and broker.
const roundTrip = 20 * time.Millisecond

// BenchmarkDrain is a queue of sealed results from the outbox over a line of
// 20 ms round trip, TLS and mosquitto to central's commit and signed
// acknowledgement, each part a process of its own:
//
//	go test ./uplink -run '^$' -bench Drain -benchtime 1x
func BenchmarkDrain(b *testing.B) {
	n := 100_000
	if s := os.Getenv("DRAIN"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	l := newBacklog(b, n)
	for b.Loop() {
		r := l.run(b, roundTrip)
		fmt.Printf("drain %d size %d %.0f/s cpu kiosk %v central %v broker %v line %v idle %d peak %d heap %d\n", r.Results, l.size,
			float64(r.Results)/r.Took.Seconds(), r.Kiosk, r.Central, r.Broker, r.Line, r.Idle>>10, r.Peak>>10, r.Heap>>10)
	}
}
