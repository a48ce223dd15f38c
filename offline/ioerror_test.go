package offline

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gateagent/sim/disk"
)

// ioRecords is how many records each run stores.
const ioRecords = 30

// ioCase is what fails in a run.
type ioCase struct {
	Name string // of the ledger
	Kind disk.Kind
	Ops  []disk.Op
}

func ioCases() []ioCase {
	return []ioCase{
		{"io-errors", disk.Broken, []disk.Op{disk.Write}},
		{"io-errors", disk.Broken, []disk.Op{disk.Sync}},
		{"io-errors", disk.Broken, []disk.Op{disk.Read}},
		{"io-errors", disk.Broken, []disk.Op{disk.Truncate, disk.Delete}},
		{"disk-full-at-every-write", disk.Full, []disk.Op{disk.Write}},
		{"read-only-at-every-write", disk.Broken, []disk.Op{disk.Write, disk.Truncate, disk.Delete}},
	}
}

// ioOutcome is what a run says of itself, and the disk that it leaves.
type ioOutcome struct {
	Name, What       string
	Problem          string // beyond refusals
	Refusals, Failed int
	Notes            []string // what the caller was told, as the workloads say it
	Image            disk.Image
}

// ioRun stores records on a disk of which one operation fails, or all from one
// on until it is healed. Each record is tried again until it is stored.
type ioRun struct {
	d        *disk.Disk
	cfg      Config
	o        *Outbox
	epoch    string
	refusals int
	failed   int
	notes    []string
}

func (r *ioRun) tell(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// again does something until it succeeds; after some tries the disk is
// repaired, and then it must.
func (r *ioRun) again(what string, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		if err == nil {
			return nil
		}
		r.refusals++
		if text := err.Error(); !strings.Contains(text, r.cfg.Dir) || !strings.Contains(text, ";") {
			return fmt.Errorf("%s: the error names no place or no remedy: %w", what, err)
		}
		if try == 2 {
			r.failed += r.d.Heal()
		}
		if try > 3 {
			return fmt.Errorf("%s fails on a disk that works again: %w", what, err)
		}
	}
}

func (r *ioRun) open() error {
	err := r.again("open", func() (err error) {
		r.o, err = Open(context.Background(), r.cfg)
		return err
	})
	if err != nil {
		return err
	}
	if now := r.o.Queue().Epoch; r.epoch == "" {
		r.epoch = now
		r.tell("opened %s", now)
	} else if now != r.epoch {
		return fmt.Errorf("epoch %s became %s", r.epoch, now)
	}
	return nil
}

func (r *ioRun) run() error {
	if err := r.open(); err != nil {
		return err
	}
	defer func() { _ = r.o.Close() }() // twice is allowed
	for i := range ioRecords {
		r.tell("append %d", i)
		err := r.again("append", func() error {
			n, err := r.o.Append(context.Background(), workRecord(i))
			if err == nil {
				r.tell("stored %d %d", n, i)
			}
			return err
		})
		if err != nil {
			return err
		}
		switch i {
		case ioRecords / 2:
			r.tell("acking %d", i)
			if err := r.again("acknowledge", func() error { return ackUpTo(r.o, uint64(i)) }); err != nil {
				return err
			}
			r.tell("acked %d", i)
		case ioRecords * 3 / 4:
			_ = r.o.Close() // may fail; what is stored is stored
			if err := r.open(); err != nil {
				return err
			}
		}
	}
	r.failed += r.d.Heal()
	return r.o.Close()
}

// failingDisk runs everything that the seed chooses, on disks that fail, and
// writes the outcomes to standard output. spec is the seed and the cuts.
func failingDisk(spec string) int {
	var s uint64
	var n int
	if _, err := fmt.Sscanf(spec, "%d %d", &s, &n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	host, err := disk.Register("failing")
	if err == nil {
		err = failAll(host, rand.New(rand.NewPCG(s, 2)), n, gob.NewEncoder(os.Stdout))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func failAll(host *disk.Host, random *rand.Rand, sample int, out *gob.Encoder) error {
	seal, _ := fixedKeys()
	for _, c := range ioCases() {
		for _, stuck := range []bool{false, true} {
			for n := 0; ; n++ {
				if sample > 0 {
					n += random.IntN(5400 / sample)
				}
				dir, err := os.MkdirTemp(memory(), "failing")
				if err != nil {
					return err
				}
				r := &ioRun{d: host.New(filepath.Join(dir, dbFolder)),
					cfg: Config{Dir: dir, Kiosk: kiosk, Seal: seal, MinFree: -1, KeepAge: -1, Timeout: time.Minute, vfs: "failing"}}
				r.d.FailAs(c.Kind, n, stuck, c.Ops...)
				o := ioOutcome{Name: c.Name, What: fmt.Sprintf("%s: %v number %d, stuck %v", c.Name, c.Ops, n, stuck)}
				if err := r.run(); err != nil {
					o.Problem = err.Error()
				}
				if aside, _ := filepath.Glob(filepath.Join(dir, dbFolder+".damaged-*")); len(aside) > 0 {
					o.Problem += "; a failing disk was taken for damage"
				}
				o.Refusals, o.Failed, o.Notes, o.Image = r.refusals, r.failed, r.notes, r.d.Files()
				if err := errors.Join(out.Encode(&o), os.RemoveAll(dir)); err != nil {
					return err
				}
				if r.failed == 0 {
					break // there are not so many
				}
			}
		}
	}
	return nil
}

// TestIOErrors: whichever operation of the disk fails, once or until it is
// repaired, because the disk is broken, full or read-only, each record is
// stored once and in order, nothing is taken for damage, and the error says
// where and what to do. The process that stores is another.
func TestIOErrors(t *testing.T) {
	cmd := as(t, "failing", strconv.FormatUint(seeded(t), 10)+" "+strconv.Itoa(*cuts))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	sums := make(map[string]*ledger)
	runs, refusals, failures := 0, 0, 0
	for in := gob.NewDecoder(out); ; runs++ {
		var o ioOutcome
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		w := &told{stored: make(map[uint64]int)}
		for _, note := range o.Notes {
			w.take(note)
		}
		l, err := w.after(t.Context(), o.Image)
		if err != nil || o.Problem != "" || len(w.stored) != ioRecords {
			t.Errorf("%s: %s (%v); %d records were stored", o.What, o.Problem, err, len(w.stored))
		}
		if sums[o.Name] == nil {
			sums[o.Name] = &ledger{}
		}
		sums[o.Name].add(l)
		refusals, failures = refusals+o.Refusals, failures+o.Failed
	}
	must(t, cmd.Wait())
	t.Logf("%d runs, %d operations failed, %d calls were refused", runs, failures, refusals)
	for name, sum := range sums {
		t.Logf("ledger %s %v", name, sum)
		if !sum.clean() || sum.decided == 0 {
			t.Errorf("%s: results are lost", name)
		}
	}
	if failures < 8 || refusals < 8 || len(sums) != 3 {
		t.Error("hardly anything failed; the test proves nothing")
	}
}
