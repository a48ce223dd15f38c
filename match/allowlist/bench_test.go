package allowlist

import (
	"context"
	"crypto/ed25519"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// benchSize is a million entries, or what LIST_ENTRIES says.
func benchSize(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("LIST_ENTRIES"))
	if err != nil {
		n = 1_000_000
	}
	return n
}

func benchList(b *testing.B, n int) string {
	dir := filepath.Join(b.TempDir(), "list")
	builder, err := NewBuilder(context.Background(), dir, testConfig(1, 1))
	if err != nil {
		b.Fatal(err)
	}
	defer builder.Close()
	r := row(vnm(0))
	number := make([]byte, 12)
	for i := range n {
		v := i
		for d := 11; d >= 0; d-- {
			number[d] = byte('0' + v%10)
			v /= 10
		}
		r.Number = string(number)
		if err := builder.Add(r, int64(i)); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := builder.Finish(context.Background()); err != nil {
		b.Fatal(err)
	}
	return dir
}

// BenchmarkBuild builds a whole list: seal, sort, write, sync.
func BenchmarkBuild(b *testing.B) {
	n := benchSize(b)
	for b.Loop() {
		dir := benchList(b, n)
		info, err := os.Stat(filepath.Join(dir, TableFile))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/float64(n), "bytes/entry")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
}

// BenchmarkFind looks up documents, half of them strangers, in random order.
func BenchmarkFind(b *testing.B) {
	n := benchSize(b)
	table := mustOpen(b, benchList(b, n), 1)
	var times []time.Duration
	for b.Loop() {
		d := vnm(rand.IntN(2 * n))
		start := time.Now()
		if _, err := table.Find(d); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
}

// BenchmarkOpen opens and closes a list, without a look-up.
func BenchmarkOpen(b *testing.B) {
	dir := benchList(b, benchSize(b))
	for b.Loop() {
		table, err := Open(dir, []ed25519.PublicKey{testPublic}, testSecret(1))
		if err != nil {
			b.Fatal(err)
		}
		table.Close()
	}
}

// BenchmarkVerify proves every page.
func BenchmarkVerify(b *testing.B) {
	table := mustOpen(b, benchList(b, benchSize(b)), 1)
	for b.Loop() {
		if err := table.Verify(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
