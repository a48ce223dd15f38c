package offline

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/sim/disk"
)

var (
	cuts  = flag.Int("cuts", 40, "how many power cuts each workload gets; 0: at every write, sync and deletion")
	kills = flag.Int("kills", 8, "how often the process that stores is killed")
	seed  = flag.Uint64("seed", 0, "of what is random; 0: a new one, which is printed")
)

// seeded gives the seed in force, and prints it.
func seeded(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	return s
}

// The workloads: as shipped, and two whose disk does not keep its word, which
// must lose results, or the test could not see a loss.
const (
	cutAsShipped = "full"
	cutNormal    = "normal" // synchronous=NORMAL, the driver's default
	cutLies      = "lies"   // syncs are answered and not done
)

// cutRecords is how many records a workload stores.
const cutRecords = 280

// workRecord is the i-th record of a workload: an admission, its passage, a
// referral, an abort; some with many checks, so that they fill several pages.
func workRecord(i int) wire.Record {
	var rec wire.Record
	switch i % 4 {
	case 0:
		rec = admit(i)
	case 1:
		return record(wire.KindPassage, i-1, wire.PassagePassed)
	case 2:
		rec = record(wire.KindDecision, i, wire.OutcomeRefer)
	default:
		rec = record(wire.KindDecision, i, wire.OutcomeAbort)
	}
	if i%24 < 3 {
		for n := range 150 {
			rec.Decision.Checks = append(rec.Decision.Checks, wire.Check{ID: fmt.Sprintf("check.%d.%d", i, n), Result: "S"})
		}
	}
	return rec
}

// workload stores records on a simulated disk, has them acknowledged, deletes
// old ones, closes and opens again, and writes all events to standard output.
// It marks what it was told.
func workload(variant string) int {
	host, err := disk.Register("powercut")
	if err == nil {
		var events []disk.Event
		if events, err = work(host, variant); err == nil {
			err = gob.NewEncoder(os.Stdout).Encode(events)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func work(host *disk.Host, variant string) ([]disk.Event, error) {
	dir, err := os.MkdirTemp("", "powercut")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	d := host.New(filepath.Join(dir, dbFolder))
	if variant == cutLies {
		d.Lie()
	}
	var o *Outbox
	open := func() error {
		seal, _ := fixedKeys()
		o, err = Open(context.Background(), Config{Dir: dir, Kiosk: kiosk, Seal: seal, MinFree: -1, KeepAge: -1, Timeout: time.Minute, vfs: "powercut"})
		if err != nil {
			return err
		}
		if variant == cutNormal {
			if _, err := o.db.ExecContext(context.Background(), "PRAGMA synchronous=NORMAL"); err != nil {
				return err
			}
		}
		d.Mark("opened " + o.Queue().Epoch)
		return nil
	}
	if err := open(); err != nil {
		return nil, err
	}
	for i := range cutRecords {
		d.Mark(fmt.Sprintf("append %d", i))
		n, err := o.Append(context.Background(), workRecord(i))
		if err != nil {
			return nil, err
		}
		d.Mark(fmt.Sprintf("stored %d %d", n, i))
		if i == cutRecords/3 || i == cutRecords-40 {
			d.Mark(fmt.Sprintf("acking %d", n-5))
			if err := ackUpTo(o, n-5); err != nil {
				return nil, err
			}
			d.Mark(fmt.Sprintf("acked %d", n-5))
		}
		switch i {
		case cutRecords / 6, cutRecords - 10: // what is done while nobody waits
			d.Grow(dbName+"-wal", 1<<20)
		case cutRecords / 4, cutRecords / 2:
			if err := o.shortenLog(context.Background()); err != nil {
				return nil, err
			}
		}
		if i == cutRecords-20 {
			if err := errors.Join(o.Close(), open()); err != nil {
				return nil, err
			}
		}
	}
	return d.Events(), o.Close()
}

func ackUpTo(o *Outbox, number uint64) error {
	epoch, entries, err := o.Pending(context.Background(), number-1, 1, wire.BatchRoom)
	if err != nil {
		return err
	}
	chain, err := wire.ChainNext(kiosk, epoch, number, entries[0].Prev, entries[0].Hash)
	if err != nil {
		return err
	}
	return o.Acknowledge(context.Background(), wire.Ack{Kiosk: kiosk, Epoch: epoch, Number: number, Chain: chain})
}

// ledger counts what became of the results that Append gave a number.
type ledger struct{ decided, found, lost, doubled, unreadable, reordered int }

func (l *ledger) add(m ledger) {
	l.decided, l.found, l.lost = l.decided+m.decided, l.found+m.found, l.lost+m.lost
	l.doubled, l.unreadable, l.reordered = l.doubled+m.doubled, l.unreadable+m.unreadable, l.reordered+m.reordered
}

func (l ledger) String() string {
	return fmt.Sprintf("decided=%d central=%d lost=%d doubled=%d unreadable=%d reordered=%d", l.decided, l.found, l.lost, l.doubled, l.unreadable, l.reordered)
}

func (l ledger) clean() bool { return l.lost+l.doubled+l.unreadable+l.reordered == 0 }

// told is what the program had been told when the power went.
type told struct {
	epoch         string
	stored        map[uint64]int // number to index
	begun         int            // records that were begun
	acking, acked uint64
}

func (w *told) take(note string) {
	var n uint64
	var i int
	switch word, _, _ := strings.Cut(note, " "); word {
	case "opened":
		_, w.epoch, _ = strings.Cut(note, " ")
	case "append":
		_, _ = fmt.Sscanf(note, "append %d", &i) // our own line
		w.begun = i + 1
	case "stored":
		_, _ = fmt.Sscanf(note, "stored %d %d", &n, &i)
		w.stored[n] = i
	case "acking":
		_, _ = fmt.Sscanf(note, "acking %d", &w.acking)
	case "acked":
		_, _ = fmt.Sscanf(note, "acked %d", &w.acked)
	}
}

// after opens what a power cut left and compares it with what was told. An
// error is damage beyond lost results.
func (w *told) after(ctx context.Context, image disk.Image) (l ledger, err error) {
	dir, err := os.MkdirTemp(memory(), "cut")
	if err != nil {
		return l, err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, dbFolder), 0o700); err != nil {
		return l, err
	}
	if err := image.Save(filepath.Join(dir, dbFolder)); err != nil {
		return l, err
	}
	seal, _ := fixedKeys()
	o, err := Open(ctx, Config{Dir: dir, Kiosk: kiosk, Seal: seal, MinFree: -1, KeepAge: -1, Timeout: time.Minute})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	q := o.Queue()
	if aside, _ := filepath.Glob(filepath.Join(dir, dbFolder+".damaged-*")); len(aside) > 0 {
		err = errors.New("a power cut was taken for damage")
	} else if w.epoch != "" && q.Epoch != w.epoch {
		err = fmt.Errorf("epoch %s became %s", w.epoch, q.Epoch)
	} else if q.Acknowledged < w.acked || q.Acknowledged > w.acking {
		err = fmt.Errorf("acknowledged %d, told %d of %d", q.Acknowledged, w.acked, w.acking)
	}
	l, found := w.count(ctx, o, q)
	return l, errors.Join(err, found, w.goesOn(ctx, o, q))
}

// count compares the rows with what Append said.
func (w *told) count(ctx context.Context, o *Outbox, q wire.Queue) (l ledger, err error) {
	rows := make(map[uint64]string)
	_, opener := fixedKeys()
	at := q.Acknowledged
	chain := []byte(nil)
	for {
		_, entries, err := o.Pending(ctx, at, 50, wire.BatchRoom)
		if err != nil {
			return l, err
		}
		if len(entries) == 0 {
			break
		}
		if _, err := wire.NewBatch(kiosk, q.Epoch, entries[0].Prev, entries); err != nil || chain != nil && !bytes.Equal(chain, entries[0].Prev) {
			l.reordered++
		}
		for _, e := range entries {
			plain, err := opener.Open(kiosk, q.Epoch, e.Number, e.Prev, e.Body)
			if err != nil {
				return l, err
			}
			rows[e.Number] = string(plain)
			if chain, err = wire.ChainNext(kiosk, q.Epoch, e.Number, e.Prev, e.Hash); err != nil {
				return l, err
			}
		}
		at = entries[len(entries)-1].Number
	}
	seen := make(map[string]bool)
	for _, body := range rows {
		if seen[body] {
			l.doubled++
		}
		seen[body] = true
	}
	for n, i := range w.stored {
		l.decided++
		rec := workRecord(i)
		body, err := rec.Encode()
		switch got, ok := rows[n]; {
		case err != nil:
			return l, err
		case n <= q.Acknowledged:
			l.found++
		case !ok:
			l.lost++
		case got != string(body):
			l.unreadable++
		default:
			l.found++
		}
	}
	if q.Last > uint64(w.begun) {
		return l, fmt.Errorf("%d rows of %d records", q.Last, w.begun)
	}
	return l, nil
}

// goesOn demands that what awaits a second record fits the rows, and that the
// next record follows.
func (w *told) goesOn(ctx context.Context, o *Outbox, q wire.Queue) error {
	open, err := o.OpenAdmissions(ctx)
	if err != nil {
		return err
	}
	want := 0
	for i := range int(q.Last) {
		if i%4 == 0 && i+1 >= int(q.Last) {
			want++ // its passage did not come
		}
	}
	if len(open) != want {
		return fmt.Errorf("%d admissions are open after %d records, want %d", len(open), q.Last, want)
	}
	if n, err := o.Append(ctx, record(wire.KindDecision, 1_000_000, wire.OutcomeAbort)); err != nil || n != q.Last+1 {
		return fmt.Errorf("the next record got number %d after %d (%w)", n, q.Last, err)
	}
	return nil
}

// memory is a folder where a sync costs nothing, if there is one.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// events runs a workload in a process of its own.
func events(t *testing.T, variant string) []disk.Event {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=workload:"+variant)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []disk.Event
	if err := gob.NewDecoder(bytes.NewReader(out)).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// atStart is how many events at the beginning are all cut: the making of the
// database, which no other cut reaches.
const atStart = 18

// cutAll cuts the power at moments of the workload, twice at each: once with
// everything gone that was not synced, once with some of it.
func cutAll(t *testing.T, variant string, n int, random *rand.Rand) (sum ledger, made, lostSectors int, err error) {
	all := events(t, variant)
	moments := 0
	for _, e := range all {
		if e.Op != disk.Mark {
			moments++
		}
	}
	var h disk.History
	w := &told{stored: make(map[uint64]int)}
	for at, e := range all {
		if e.Op == disk.Mark {
			w.take(e.Note)
			continue
		}
		h.Step(e)
		if n > 0 && (at > atStart || variant != cutAsShipped) && random.IntN(moments) >= n {
			continue
		}
		// What the program is told before it writes again, it was told.
		for next := at + 1; next < len(all) && all[next].Op == disk.Mark; next++ {
			w.take(all[next].Note)
		}
		keeps := []float64{0, []float64{0.1, 0.5, 0.9, 1}[random.IntN(4)]}
		if n == 0 {
			keeps = append(keeps, 1) // a kill of the program alone, at every write
		}
		for _, keep := range keeps {
			image, dropped := h.Cut(keep, random)
			l, bad := w.after(t.Context(), image)
			sum.add(l)
			made, lostSectors = made+1, lostSectors+dropped
			if bad != nil {
				err = errors.Join(err, fmt.Errorf("cut after event %d of %d, %.1f kept: %w", at, len(all), keep, bad))
			}
		}
	}
	return sum, made, lostSectors, err
}

// TestPowerCut: whatever of the writes that were not synced is lost, every
// number that Append returned is there with its bytes, and nothing else is.
func TestPowerCut(t *testing.T) {
	random := rand.New(rand.NewPCG(seeded(t), 0))
	sum, made, dropped, err := cutAll(t, cutAsShipped, *cuts, random)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d power cuts, %d sectors were lost", made, dropped)
	t.Logf("ledger powercut %v", sum)
	if !sum.clean() {
		t.Error("results are lost")
	}
	if made == 0 || dropped == 0 || sum.decided == 0 {
		t.Error("nothing was cut off; the test proves nothing")
	}
}

// TestPowerCutIsSeen: the same cuts lose results where they must.
func TestPowerCutIsSeen(t *testing.T) {
	random := rand.New(rand.NewPCG(seeded(t), 1))
	for _, variant := range []string{cutNormal, cutLies} {
		sum, made, _, _ := cutAll(t, variant, 10, random) // damage is what is expected here
		t.Logf("control powercut-%s after %d cuts: %v", variant, made, sum)
		if sum.lost == 0 {
			t.Errorf("%s: nothing is lost; the test could not see a loss", variant)
		}
	}
}
