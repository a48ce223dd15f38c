//go:build bench

package allowlist

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/gate"
)

// figures prints lines of name, value, unit, the most it may be, and their
// quotient, and remembers whether a limit was broken.
type figures struct{ broken []string }

func (f *figures) print(name string, value float64, unit string, limit float64) {
	if limit <= 0 {
		fmt.Printf("%-36s %12.4g %-10s %8s %8s\n", name, value, unit, "-", "-")
		return
	}
	fmt.Printf("%-36s %12.4g %-10s %8g %8.3f\n", name, value, unit, limit, value/limit)
	if value > limit {
		f.broken = append(f.broken, name)
	}
}

// benchSize reads a number like 100M.
func benchSize(b *testing.B, name string, otherwise int) int {
	text, unit := os.Getenv(name), 1
	if text == "" {
		return otherwise
	}
	if n, ok := strings.CutSuffix(text, "M"); ok {
		text, unit = n, 1_000_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s: %q is no number like 100M", name, os.Getenv(name))
	}
	return n * unit
}

// BenchmarkFigures measures a list of SIZE entries, a delta of one in a hundred
// of them, and, over at most PEERS entries, what else one could have taken. It
// needs 150 bytes of disk an entry. Run by make bench-list.
func BenchmarkFigures(b *testing.B) {
	n := benchSize(b, "SIZE", 200_000)
	var f figures
	dir := benchDir(b)
	list := filepath.Join(dir, "first")
	begin, busy := time.Now(), cpuTime(b)
	benchBuild(b, list, testConfig(1, 1), benchRows(0, n, Allow))
	f.print("list.build", time.Since(begin).Seconds(), "s", 180)
	f.print("list.build.cpu", (cpuTime(b) - busy).Seconds(), "s", 0)
	f.print("list.build.memory", resident(b, "VmHWM"), "MiB", 2048)
	info, err := os.Stat(filepath.Join(list, TableFile))
	if err != nil {
		b.Fatal(err)
	}
	f.print("list.entries", float64(n), "entries", 0)
	f.print("list.size", float64(info.Size())/float64(n), "bytes/entry", benchBytes(n))
	f.print("list.open.cold", benchOpen(b, list), "ms", 20)
	f.print("list.memory", benchChild(b, list, n), "MiB", 64)
	benchLookups(b, &f, list, n)
	benchDelta(b, &f, dir, list, n)
	benchRevoke(b, &f)
	os.RemoveAll(list)
	benchPeers(b, &f, dir, min(n, benchSize(b, "PEERS", 10_000_000)))
	if len(f.broken) > 0 {
		b.Fatalf("not held: %s", strings.Join(f.broken, ", "))
	}
}

// benchBytes is the limit of bytes an entry; a small list has its fixed pages
// beside.
func benchBytes(n int) float64 { return 33 + float64(16*pageSize)/float64(n) }

func benchDir(b *testing.B) string {
	if d := os.Getenv("BENCHDIR"); d != "" {
		dir, err := os.MkdirTemp(d, "bench-list-")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return b.TempDir()
}

// benchRows feeds a builder with the cards from to until.
func benchRows(from, until int, answer Answer) func(*Builder) error {
	return func(builder *Builder) error {
		r := row(vnm(0))
		number := make([]byte, 12)
		for i := from; i < until; i++ {
			v := i
			for d := 11; d >= 0; d-- {
				number[d] = byte('0' + v%10)
				v /= 10
			}
			r.Number, r.Answer = string(number), answer
			if err := builder.Add(r, int64(i)); err != nil {
				return err
			}
		}
		return nil
	}
}

func benchBuild(b *testing.B, dir string, cfg BuildConfig, feeds ...func(*Builder) error) {
	builder, err := NewBuilder(context.Background(), dir, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer builder.Close()
	for _, feed := range feeds {
		if err := feed(builder); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := builder.Finish(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// cpuTime is what this process has had of the cores: what a busy machine
// changes least.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident gives a line of /proc/self/status in MiB.
func resident(b *testing.B, line string) float64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(raw), line+":")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		b.Fatalf("no %s", line)
	}
	kib, err := strconv.Atoi(fields[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}

// dropFile has the kernel forget what it holds of a file.
func dropFile(b *testing.B, path string) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		b.Fatal(err)
	}
}

// benchOpen gives the slowest of twenty openings from a cold file, in ms.
func benchOpen(b *testing.B, list string) float64 {
	var worst time.Duration
	for range 20 {
		dropFile(b, filepath.Join(list, TableFile))
		begin := time.Now()
		table := openProven(b, list)
		worst = max(worst, time.Since(begin))
		table.Close()
	}
	return worst.Seconds() * 1e3
}

// benchChild asks a process of its own how much memory 100,000 look-ups leave
// it with.
func benchChild(b *testing.B, list string, n int) float64 {
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkResident$", "-test.benchtime=1x")
	cmd.Env = append(os.Environ(), "LIST="+list, "SIZE="+strconv.Itoa(n))
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), "resident=")
	text, _, _ := strings.Cut(rest, "\n")
	mib, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.Fatalf("the child said %s", out)
	}
	return mib
}

// BenchmarkResident is that process.
func BenchmarkResident(b *testing.B) {
	list := os.Getenv("LIST")
	if list == "" {
		return // nothing to measure without BenchmarkFigures
	}
	table, n := openProven(b, list), benchSize(b, "SIZE", 1)
	for range 100_000 {
		if _, err := table.Find(vnm(rand.IntN(2 * n))); err != nil {
			b.Fatal(err)
		}
	}
	fmt.Printf("\nresident=%.1f\n", resident(b, "VmRSS"))
}

// quantile expects sorted times and gives microseconds.
func quantile(times []time.Duration, q float64) float64 {
	slices.Sort(times)
	return float64(times[int(q*float64(len(times)-1))].Nanoseconds()) / 1e3
}

// benchLookups measures proven look-ups, half of them of strangers.
func benchLookups(b *testing.B, f *figures, list string, n int) {
	table := openProven(b, list)
	find := func() time.Duration {
		who := rand.IntN(2 * n)
		d := vnm(who)
		begin := time.Now()
		entries, err := table.Find(d)
		took := time.Since(begin)
		if err != nil || (len(entries) == 1) != (who < n) {
			b.Fatalf("a wrong answer: %d entries, %v", len(entries), err)
		}
		return took
	}
	file, err := os.Open(filepath.Join(list, TableFile))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	warm := make([]byte, 1<<20)
	for at := int64(0); ; at += int64(len(warm)) {
		if n, _ := file.ReadAt(warm, at); n == 0 {
			break
		}
	}
	var times []time.Duration
	for i := range 200_000 {
		if t := find(); i >= 100_000 {
			times = append(times, t)
		}
	}
	f.print("list.lookup.warm.p50", quantile(times, 0.5), "us", 15)
	f.print("list.lookup.warm.p99", quantile(times, 0.99), "us", 50)
	times = nil
	for range 2000 { // nothing in the kernel's memory nor in ours
		dropFile(b, filepath.Join(list, TableFile))
		if err := table.cache.close(); err != nil {
			b.Fatal(err)
		}
		table.cache = newPageCache(cachedPages)
		times = append(times, find())
	}
	f.print("list.lookup.cold.p50", quantile(times, 0.5), "us", 0)
	f.print("list.lookup.cold.p99", quantile(times, 0.99), "us", 2000)
}

// benchDelta changes one entry in a hundred and merges that while lanes ask.
func benchDelta(b *testing.B, f *figures, dir, list string, n int) {
	old := openProven(b, list)
	part := max(n/100/3, 1)
	cfg := testConfig(1, 2)
	cfg.Base, cfg.Key = old, nil
	second := filepath.Join(dir, "second")
	benchBuild(b, second, cfg, benchRows(part, 2*part, Refer), benchRows(2*part, n, Allow), benchRows(n, n+part, Allow))
	whole := openProven(b, second)
	var delta bytes.Buffer
	sum, err := Diff(context.Background(), old, whole, &delta)
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, DeltaFile)
	if err := os.WriteFile(path, delta.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	os.RemoveAll(second)
	s := mustStore(b, filepath.Join(dir, "store"))
	if err := s.LoadProven(context.Background(), old.st.Marshal(), filepath.Join(list, TableFile), testSecret(1), at(testNow)); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	lanes := make([][]time.Duration, 4)
	var group sync.WaitGroup
	for i := range lanes {
		group.Go(func() {
			for ctx.Err() == nil {
				q := ask(vnm(2*part + rand.IntN(n-2*part)))
				begin := time.Now()
				a := s.Lookup(q)
				lanes[i] = append(lanes[i], time.Since(begin))
				if a.Verdict != gate.ListAllow {
					b.Errorf("a lane was told %v", a.Verdict)
					return
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	begin, busy := time.Now(), cpuTime(b)
	err = s.ApplyDelta(context.Background(), whole.st.Marshal(), path, at(testNow))
	took, busy := time.Since(begin), cpuTime(b)-busy
	stop()
	group.Wait()
	if err != nil {
		b.Fatal(err)
	}
	f.print("delta.changes", float64(sum.Added+sum.Changed+sum.Removed), "changes", 0)
	f.print("delta.size", float64(delta.Len()), "bytes", 0)
	f.print("delta.merge", took.Seconds(), "s", 15)
	f.print("delta.merge.cpu", busy.Seconds(), "s", 0)
	f.print("delta.lookup.meanwhile.p99", quantile(slices.Concat(lanes...), 0.99), "us", 5000)
	s.Close()
	os.RemoveAll(s.dir)
}

// benchRevoke takes one document after the other off a list, on top of ten
// thousand: from the proven bytes until the look-up refuses.
func benchRevoke(b *testing.B, f *figures) {
	s, p := mustStore(b, filepath.Join(b.TempDir(), "store")), push(b)
	p.load(b, s)
	r := &Revocations{}
	many := make([]Document, 10_000)
	for i := range many {
		many[i] = vnm(100 + i)
	}
	if err := r.Revoke(testSecret(1), many...); err != nil {
		b.Fatal(err)
	}
	var times []time.Duration
	for i := range 200 {
		who := vnm(50_000 + i)
		if err := r.Revoke(testSecret(1), who); err != nil {
			b.Fatal(err)
		}
		raw := r.Marshal()
		begin := time.Now()
		err := s.SetRevocations(context.Background(), raw)
		if a := s.Lookup(ask(who)); err != nil || a.Code != gate.CodeListRevoked {
			b.Fatalf("not revoked: %+v, %v", a, err)
		}
		times = append(times, time.Since(begin))
	}
	f.print("revocation.in_force.p99", quantile(times, 0.99)/1e3, "ms", 1000)
}
