package offline

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/sim/disk"
)

var failing = sync.OnceValues(func() (*disk.Host, error) { return disk.Register("failing") })

// ioRecords is how many records each run stores.
const ioRecords = 30

// ioRun stores records on a disk of which one operation fails, or all from one
// on until it is healed. Each record is tried again until it is stored.
type ioRun struct {
	t        *testing.T
	d        *disk.Disk
	cfg      Config
	o        *Outbox
	epoch    string
	refusals int
	failed   int
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
		r.o, err = Open(r.t.Context(), r.cfg)
		return err
	})
	if err != nil {
		return err
	}
	if now := r.o.Queue().Epoch; r.epoch == "" {
		r.epoch = now
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
		err := r.again("append", func() error {
			n, err := r.o.Append(r.t.Context(), workRecord(i))
			if err == nil && n != uint64(i+1) {
				return fmt.Errorf("record %d got number %d", i+1, n)
			}
			return err
		})
		if err != nil {
			return err
		}
		switch i {
		case ioRecords / 2:
			if err := r.again("acknowledge", func() error { return ackUpTo(r.o, uint64(i)) }); err != nil {
				return err
			}
		case ioRecords * 3 / 4:
			_ = r.o.Close() // may fail; what is stored is stored
			if err := r.open(); err != nil {
				return err
			}
		}
	}
	r.failed += r.d.Heal()
	_ = r.o.Close()
	if err := r.open(); err != nil {
		return err
	}
	return r.check()
}

// check demands each record once, in order, with its bytes.
func (r *ioRun) check() error {
	q := r.o.Queue()
	if q.Acknowledged != ioRecords/2 || q.Last != ioRecords {
		return fmt.Errorf("last %d, acknowledged %d", q.Last, q.Acknowledged)
	}
	_, entries, err := r.o.Pending(r.t.Context(), q.Acknowledged, ioRecords, wire.BatchRoom)
	if err != nil {
		return err
	}
	if len(entries) != ioRecords/2 {
		return fmt.Errorf("%d records wait, want %d", len(entries), ioRecords/2)
	}
	_, opener := fixedKeys()
	for _, e := range entries {
		rec := workRecord(int(e.Number) - 1)
		want, err := rec.Encode()
		if err != nil {
			return err
		}
		if got, err := opener.Open(kiosk, q.Epoch, e.Number, e.Prev, e.Body); err != nil || string(got) != string(want) {
			return fmt.Errorf("result %d is another (%w)", e.Number, err)
		}
	}
	if aside, _ := filepath.Glob(filepath.Join(r.cfg.Dir, dbFolder+".damaged-*")); len(aside) > 0 {
		return errors.New("a failing disk was taken for damage")
	}
	return nil
}

// TestIOErrors: whichever operation of the disk fails, once or until it is
// repaired, each record is stored once and in order, nothing is taken for
// damage, and the error says where and what to do.
func TestIOErrors(t *testing.T) {
	host, err := failing()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seeded(t), 2))
	seal, _ := fixedKeys()
	runs, refusals, failures, bad := 0, 0, 0, 0
	for _, ops := range [][]disk.Op{{disk.Write}, {disk.Sync}, {disk.Read}, {disk.Truncate, disk.Delete}} {
		for _, stuck := range []bool{false, true} {
			for n := 0; ; n++ {
				if *cuts > 0 {
					n += random.IntN(2400 / *cuts) // a sample
				}
				dir := t.TempDir()
				r := &ioRun{t: t, d: host.New(filepath.Join(dir, dbFolder)),
					cfg: Config{Dir: dir, Kiosk: kiosk, Seal: seal, MinFree: -1, KeepAge: -1, Timeout: time.Minute, vfs: "failing"}}
				r.d.Fail(n, stuck, ops...)
				if err := r.run(); err != nil {
					bad++
					t.Errorf("%v number %d fails, stuck %v: %v", ops, n, stuck, err)
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
				runs, refusals, failures = runs+1, refusals+r.refusals, failures+r.failed
				if r.failed == 0 {
					break // there are not so many
				}
			}
		}
	}
	t.Logf("%d runs, %d operations failed, %d calls were refused", runs, failures, refusals)
	t.Logf("ledger io-errors %v", ledger{decided: runs * ioRecords, found: (runs - bad) * ioRecords, lost: bad * ioRecords})
	if failures < 8 || refusals < 8 {
		t.Error("hardly anything failed; the test proves nothing")
	}
}
