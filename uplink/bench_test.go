package uplink_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/offline"
	"gateagent/uplink"
)

// drained is how many queued results BenchmarkDrain sends.
const drained = 20_000

// BenchmarkDrain is a queue from the outbox through TLS and the embedded
// broker to central's commit and signed acknowledgement, all on one machine:
//
//	go test ./uplink -run '^$' -bench Drain -benchtime 1x
func BenchmarkDrain(b *testing.B) {
	rate := 0.0
	for b.Loop() {
		b.StopTimer()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		addr := l.Addr().String()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		r := &realCentral{dir: filepath.Join(b.TempDir(), "central"), mqtt: addr}
		r.start(b)
		id := r.enrol(b)
		ctx, cancel := context.WithCancel(b.Context())
		box, err := offline.Open(ctx, offline.Config{Dir: filepath.Join(b.TempDir(), "state"), Kiosk: kiosk, MinFree: -1, Timeout: patience})
		if err != nil {
			b.Fatal(err)
		}
		for n := range drained {
			rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: fmt.Sprintf("%032x", n), At: time.Now(),
				Decision: &wire.Decision{Outcome: wire.OutcomeAbort, Reasons: []uint32{6003}, Overall: "aborted", Policy: "default", Face: "off"}}
			if _, err := box.Append(ctx, rec); err != nil {
				b.Fatal(err)
			}
		}
		up, err := uplink.New(uplink.Config{Identity: id, Store: box, Status: func() wire.Status { return wire.Status{} }, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		b.StartTimer()
		begin := time.Now()
		go func() { done <- up.Run(ctx) }()
		for box.Depth() > 0 {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		rate = float64(drained) / time.Since(begin).Seconds()
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		if err := box.Close(); err != nil {
			b.Fatal(err)
		}
		r.stop(b)
		b.StartTimer()
	}
	b.ReportMetric(rate, "results/s")
}
