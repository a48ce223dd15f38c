package offline

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// report gives the median and the 99th percentile of single operations.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkAppend is one lane's durable append. Compare with
// BenchmarkBareFsync, the floor of the same disk:
//
//	go test ./offline -run '^$' -bench 'Append|Fsync' -benchtime 3000x
func BenchmarkAppend(b *testing.B) {
	o, err := Open(b.Context(), Config{Dir: filepath.Join(b.TempDir(), "state"), Kiosk: kiosk, MinFree: -1, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	took := make([]time.Duration, 0, b.N)
	for n := 0; b.Loop(); n++ {
		begin := time.Now()
		if _, err := o.Append(b.Context(), admit(n)); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	report(b, took)
	if err := o.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBareFsync appends as many bytes to a file and syncs it.
func BenchmarkBareFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	rec := admit(1)
	body, err := rec.Encode()
	if err != nil {
		b.Fatal(err)
	}
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		begin := time.Now()
		if _, err := f.Write(body); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	report(b, took)
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
