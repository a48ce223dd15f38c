package offline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/gate/wire"
	"gateagent/internal/clock"
)

// figure prints NAME VALUE UNIT FLOOR RATIO.
func figure(name string, value float64, unit string, floor float64) {
	fmt.Printf("%s %.1f %s %.1f %.2f\n", name, value, unit, floor, value/floor)
}

func quantile(took []time.Duration, q float64) float64 {
	slices.Sort(took)
	return float64(took[min(int(q*float64(len(took))), len(took)-1)].Nanoseconds()) / 1e3
}

// benchBox opens a sealed outbox as the agent does.
func benchBox(b *testing.B, dir string) *Outbox {
	b.Helper()
	seal, _ := sealKeys(b)
	o, err := Open(b.Context(), Config{Dir: dir, Kiosk: kiosk, Seal: seal, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	return o
}

// laneRecord is the n-th record of a lane: an admission with the checks that a
// policy makes, then its passage.
func laneRecord(n int) wire.Record {
	if n%2 == 1 {
		return record(wire.KindPassage, n-1, wire.PassagePassed)
	}
	rec := admit(n)
	d := rec.Decision
	d.DocRef, d.Issuer, d.DocType = strings.Repeat("d0", 32), "UTO", "ID"
	d.PhaseMS = map[string]int64{"access": 412, "read": 980, "judge": 41, "decide": 1}
	for i := range 28 {
		d.Checks = append(d.Checks, wire.Check{ID: fmt.Sprintf("chip.check.%d", i), Result: "successful"})
	}
	return rec
}

// appended is how many records BenchmarkAppend stores.
const appended = 4000

// BenchmarkAppend is one lane's durable append, stamped, sealed, chained and
// committed, beside the floor of the same disk: as many bytes appended to a
// file and synced, in turn with it.
//
//	go test ./offline -run '^$' -bench Append -benchtime 1x
func BenchmarkAppend(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		o := benchBox(b, filepath.Join(dir, "state"))
		time.Sleep(5 * quietFor) // as a gate that waits for its first traveller
		bare, err := os.Create(filepath.Join(dir, "bare"))
		if err != nil {
			b.Fatal(err)
		}
		var took, floor [2][]time.Duration
		for n := range appended {
			rec := laneRecord(n)
			plain, err := rec.Encode()
			if err != nil {
				b.Fatal(err)
			}
			body := make([]byte, len(plain)+o.sealing())
			begin := time.Now()
			if _, err := bare.Write(body); err != nil {
				b.Fatal(err)
			}
			if err := bare.Sync(); err != nil {
				b.Fatal(err)
			}
			floor[n%2] = append(floor[n%2], time.Since(begin))
			begin = time.Now()
			if err := o.Stamp(&rec, begin, true); err != nil {
				b.Fatal(err)
			}
			if _, err := o.Append(b.Context(), rec); err != nil {
				b.Fatal(err)
			}
			took[n%2] = append(took[n%2], time.Since(begin))
		}
		for i, name := range []string{"append_admission", "append_passage"} {
			figure(name+"_p50", quantile(took[i], 0.5), "µs", quantile(floor[i], 0.5))
			figure(name+"_p99", quantile(took[i], 0.99), "µs", quantile(floor[i], 0.99))
		}
		if err := o.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// queued is how many results wait in BenchmarkStart, which may take startMost.
const (
	queued    = 1_000_000
	startMost = 1000.0 // ms
)

// fill stores so many results in large transactions.
func fill(b *testing.B, o *Outbox, n int) {
	b.Helper()
	ctx := context.Background()
	for n > 0 {
		err := o.db.transact(ctx, func() error {
			for range min(n, 20_000) {
				rec := record(wire.KindDecision, n, wire.OutcomeAbort)
				n--
				plain, err := rec.Encode()
				if err != nil {
					return err
				}
				number := o.head.last + 1
				body, err := o.seal(number, plain)
				if err != nil {
					return err
				}
				hash := wire.BodyHash(body)
				chain, err := wire.ChainNext(kiosk, o.head.epoch, number, o.head.chain, hash)
				if err != nil {
					return err
				}
				if _, err := o.db.ExecContext(ctx, `INSERT INTO result (number, at, prev, hash, chain, body) VALUES (?, ?, ?, ?, ?, ?)`,
					number, rec.At.UnixMilli(), o.head.chain, hash, chain, body); err != nil {
					return err
				}
				o.head.last, o.head.chain = number, chain
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	o.stale = true
}

// BenchmarkStart is from the start to the first record on disk with a million
// results that wait: after a clean end; with nothing of the database in
// memory; and after a kill, with a long log.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "state")
		o := benchBox(b, dir)
		fill(b, o, queued)
		if _, err := o.Append(b.Context(), admit(2*queued)); err != nil {
			b.Fatal(err)
		}
		stop(b, o)
		start(b, dir, "start_with_1000000_queued")
		forget(b, o.path)
		start(b, dir, "start_with_1000000_queued_cold")

		o = benchBox(b, dir)
		for n := range 150 {
			if _, err := o.Append(b.Context(), admit(4*queued+n)); err != nil {
				b.Fatal(err)
			}
		}
		log, err := os.ReadFile(o.path + "-wal")
		if err != nil {
			b.Fatal(err)
		}
		stop(b, o)
		if err := os.WriteFile(o.path+"-wal", log, 0o600); err != nil {
			b.Fatal(err)
		}
		forget(b, o.path)
		forget(b, o.path+"-wal")
		start(b, dir, "start_with_1000000_queued_killed")
	}
}

func stop(b *testing.B, o *Outbox) {
	b.Helper()
	if err := o.Close(); err != nil {
		b.Fatal(err)
	}
}

// forget makes the kernel let go of what it has of a file.
func forget(b *testing.B, path string) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		b.Fatal(err)
	}
}

func start(b *testing.B, dir, name string) {
	b.Helper()
	begin := time.Now()
	o := benchBox(b, dir)
	depth := o.Depth()
	if _, err := o.Append(b.Context(), admit(2*queued+depth)); err != nil {
		b.Fatal(err)
	}
	figure(name, float64(time.Since(begin).Microseconds())/1e3, "ms", startMost)
	if depth < queued {
		b.Errorf("%d results wait, want %d", depth, queued)
	}
	stop(b, o)
}

const (
	idleFor  = 30 * time.Second // how long BenchmarkIdle looks on
	idleMost = 64.0             // KiB in an hour
)

// BenchmarkIdle is what an agent writes to the disk in an hour without
// travellers: the outbox, looked at for half a minute, and what the clock
// keeps once an hour.
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		o := benchBox(b, filepath.Join(dir, "state"))
		for n := range 200 {
			if _, err := o.Append(b.Context(), laneRecord(n)); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(10 * quietFor)
		before := written(b)
		time.Sleep(idleFor)
		outbox := written(b) - before
		c := &clock.Clock{File: filepath.Join(dir, clock.FileName)}
		ctx, end := context.WithCancel(b.Context())
		end()
		before = written(b)
		if err := c.Keep(ctx); err != nil { // writes once
			b.Fatal(err)
		}
		kept := written(b) - before
		figure("idle_writes_outbox", float64(outbox)/1024*float64(time.Hour/idleFor), "KiB/h", idleMost)
		figure("idle_writes_clock", float64(kept)/1024, "KiB/h", idleMost)
		stop(b, o)
	}
}

// written is how many bytes this process had written to disks (proc_pid_io(5)).
func written(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nwrite_bytes: ")
	digits, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
