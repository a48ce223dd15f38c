package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
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

	"github.com/mattn/go-sqlite3"

	"gateagent/gate/wire"
	"gateagent/sim/disk"
)

var (
	cuts = flag.Int("cuts", 40, "how many power cuts each workload gets; 0: at every write, sync and deletion")
	seed = flag.Uint64("seed", 0, "of what is random; 0: a new one, which is printed")
)

// variantEnv makes this test binary run a workload instead of the tests.
const variantEnv = "STORE_TEST_WORKLOAD"

func TestMain(m *testing.M) {
	if variant := os.Getenv(variantEnv); variant != "" {
		if err := workload(variant); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	cutKiosks  = 2
	cutBatches = 60 // of each kiosk
	cutEntries = 8
	cutEpoch   = "000102030405060708090a0b0c0d0e0f"
)

var cutKey = make([]byte, 32)

// cutConnector opens the writing connection on the simulated disk. It differs
// from that of Open in its locking alone: the disk has no shared memory.
type cutConnector struct{ dsn, synchronous string }

func (c cutConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

func (c cutConnector) Connect(context.Context) (driver.Conn, error) {
	d := &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		for _, p := range []string{"journal_mode=WAL", "synchronous=" + c.synchronous} {
			if _, err := conn.Exec("PRAGMA "+p, nil); err != nil {
				return err
			}
		}
		return nil
	}}
	return d.Open(c.dsn)
}

// cutBody is the result of a number; some fill several pages.
func cutBody(kiosk string, number uint64) []byte {
	size := 900
	if number%19 == 0 {
		size = 9000
	}
	return fmt.Appendf(nil, `{"of":"%s","n":%d,"x":"%s"}`, kiosk, number, strings.Repeat("x", size))
}

func cutName(i int) string { return fmt.Sprintf("k%d", i) }

func workload(variant string) error {
	host, err := disk.Register("storecut")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "storecut")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := host.New(dir)
	sync := "FULL"
	switch variant {
	case "lies":
		d.Lie()
	case "normal":
		sync = "NORMAL"
	}
	db := sql.OpenDB(cutConnector{"file:" + filepath.Join(dir, FileName) + "?vfs=storecut&_locking_mode=EXCLUSIVE&_foreign_keys=true&_txlock=immediate", sync})
	db.SetMaxOpenConns(1)
	s := &Store{write: db, path: filepath.Join(dir, FileName)}
	if err := work(s, d); err != nil {
		return err
	}
	return errors.Join(db.Close(), gob.NewEncoder(os.Stdout).Encode(d.Events()))
}

// work has batches of several kiosks stored, two in one transaction, and marks
// what would be acknowledged.
func work(s *Store, d *disk.Disk) error {
	ctx := context.Background()
	if err := s.migrate(ctx); err != nil {
		return err
	}
	for i := range cutKiosks {
		k := Kiosk{Name: cutName(i), Request: []byte("{}"), SigningKey: cutKey, Added: time.Now()}
		if err := s.AddKiosk(ctx, k, Certificate{Serial: k.Name, Kiosk: k.Name, Issued: time.Now(), NotAfter: time.Now().Add(time.Hour)}, false); err != nil {
			return err
		}
	}
	d.Mark("enrolled 0 0")
	chains := map[string][]byte{}
	for n := range cutBatches {
		var group []Batch
		for i := range cutKiosks {
			b, err := cutBatch(cutName(i), uint64(n*cutEntries+1), chains[cutName(i)])
			if err != nil {
				return err
			}
			chains[b.Kiosk] = b.Chain
			group = append(group, *b)
		}
		verdicts, err := s.Ingest(ctx, group)
		if err != nil {
			return err
		}
		for i, v := range verdicts {
			if !v.Ack {
				return fmt.Errorf("batch %d is not acknowledged", n)
			}
			d.Mark(fmt.Sprintf("acked %d %d", i, v.Number))
		}
	}
	return nil
}

func cutBatch(kiosk string, first uint64, prev []byte) (*Batch, error) {
	if prev == nil {
		prev = wire.ChainStart()
	}
	var entries []wire.Entry
	chain := prev
	for n := first; n < first+cutEntries; n++ {
		body := cutBody(kiosk, n)
		e := wire.Entry{Number: n, Prev: chain, Hash: wire.BodyHash(body), Body: body}
		var err error
		if chain, err = wire.ChainNext(kiosk, cutEpoch, n, chain, e.Hash); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	b, err := wire.NewBatch(kiosk, cutEpoch, prev, entries)
	return &Batch{Batch: b, SigningKey: cutKey, Received: time.Now()}, err
}

// ledger counts the results that were acknowledged.
type ledger struct{ decided, found, lost, doubled, unreadable, reordered int }

func (l ledger) String() string {
	return fmt.Sprintf("decided=%d central=%d lost=%d doubled=%d unreadable=%d reordered=%d", l.decided, l.found, l.lost, l.doubled, l.unreadable, l.reordered)
}

// after opens what a power cut left as central does, and compares.
func (l *ledger) after(ctx context.Context, image disk.Image, enrolled bool, acked [cutKiosks]uint64) (err error) {
	dir, err := os.MkdirTemp(memory(), "cut")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := image.Save(dir); err != nil {
		return err
	}
	s, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for i, told := range acked {
		results, err := s.Results(ctx, cutName(i), 0, time.UnixMilli(0), 1_000_000)
		if err != nil {
			return err
		}
		l.decided += int(told)
		l.found += int(min(told, uint64(len(results))))
		l.lost += int(told - min(told, uint64(len(results))))
		for at, r := range results {
			switch {
			case r.Number != uint64(at+1):
				l.reordered++
			case !bytes.Equal(r.Body, cutBody(r.Kiosk, r.Number)):
				l.unreadable++
			}
		}
		if enrolled {
			if err := l.goesOn(ctx, s, cutName(i), uint64(len(results))); err != nil {
				return err
			}
		}
	}
	return nil
}

// goesOn demands that the head fits the results: a kiosk that sends everything
// again has what is there dropped and the rest stored.
func (l *ledger) goesOn(ctx context.Context, s *Store, kiosk string, have uint64) error {
	var chain []byte
	var group []Batch
	for first := uint64(1); first < have+2*cutEntries; first += cutEntries {
		b, err := cutBatch(kiosk, first, chain)
		if err != nil {
			return err
		}
		chain = b.Chain
		group = append(group, *b)
	}
	verdicts, err := s.Ingest(ctx, group)
	if err != nil {
		return err
	}
	repeats := 0
	for _, v := range verdicts {
		repeats += v.Repeat
		if !v.Ack || v.Conflicts > 0 || v.Gap {
			return fmt.Errorf("sent again: %+v", v)
		}
	}
	if repeats != int(have) {
		l.doubled++
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

func cutAll(t *testing.T, variant string, n int, random *rand.Rand) (l ledger, made, dropped int, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), variantEnv+"="+variant)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []disk.Event
	if err := gob.NewDecoder(bytes.NewReader(out)).Decode(&all); err != nil {
		t.Fatal(err)
	}
	var h disk.History
	var acked [cutKiosks]uint64
	enrolled := false
	for at, e := range all {
		if e.Op == disk.Mark {
			continue // taken below
		}
		h.Step(e)
		// What the program says before it writes again, it has said.
		for next := at + 1; next < len(all) && all[next].Op == disk.Mark; next++ {
			var i int
			var number uint64
			var word string
			if _, err := fmt.Sscan(all[next].Note, &word, &i, &number); err != nil {
				t.Fatal(err)
			}
			acked[i], enrolled = number, true
		}
		if n > 0 && random.IntN(len(all)) >= n {
			continue
		}
		for _, keep := range []float64{0, []float64{0.1, 0.5, 0.9, 1}[random.IntN(4)]} {
			image, sectors := h.Cut(keep, random)
			made, dropped = made+1, dropped+sectors
			if bad := l.after(t.Context(), image, enrolled, acked); bad != nil {
				err = errors.Join(err, fmt.Errorf("cut after event %d of %d, %.1f kept: %w", at, len(all), keep, bad))
			}
		}
	}
	return l, made, dropped, err
}

// TestPowerCut: what central acknowledged is there after a power cut at any
// write; with a disk or a setting that does not keep its word it is not, and
// the same test sees it.
func TestPowerCut(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	random := rand.New(rand.NewPCG(s, 0))
	l, made, dropped, err := cutAll(t, "full", *cuts, random)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d power cuts, %d sectors were lost", made, dropped)
	t.Logf("ledger central-powercut %v", l)
	if l.lost+l.doubled+l.unreadable+l.reordered > 0 || l.decided == 0 || dropped == 0 {
		t.Error("results are lost, or nothing was cut off")
	}
	for _, variant := range []string{"normal", "lies"} {
		l, made, _, _ := cutAll(t, variant, 15, random) // damage is what is expected here
		t.Logf("control central-powercut-%s after %d cuts: %v", variant, made, l)
		if l.lost == 0 {
			t.Errorf("%s: nothing is lost; the test could not see a loss", variant)
		}
	}
}
