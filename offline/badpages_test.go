package offline

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gateagent/gate/wire"
)

// TestBadPages: with random pages of the database overwritten, the outbox
// opens or begins anew, hands out nothing that was not stored, goes on, and
// sends of the old results those before the first unreadable one.
func TestBadPages(t *testing.T) {
	random := rand.New(rand.NewPCG(seeded(t), 4))
	o := open(t, Config{Dir: quickDir(t)})
	const rows = 400
	for i := range rows {
		appendAll(t, o, record(wire.KindDecision, i, wire.OutcomeAbort))
	}
	epoch := o.Queue().Epoch
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(o.path)
	if err != nil {
		t.Fatal(err)
	}
	anew, sent, unread := 0, 0, uint64(0)
	for range 12 {
		dir := quickDir(t)
		if err := os.MkdirAll(filepath.Join(dir, dbFolder), 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, dbFolder, dbName)
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 1 + random.IntN(3) {
			overwrite(t, path, int64(random.IntN(len(whole)/4096))*4096+int64(random.IntN(2)*random.IntN(4000)), 1+random.IntN(4096))
		}
		broken := open(t, Config{Dir: dir})
		n := drainOld(t, broken, epoch)
		if broken.Queue().Epoch != epoch {
			anew++
			settle(t, broken)
			n += drainOld(t, broken, epoch)
			if folders, _ := filepath.Glob(filepath.Join(dir, dbFolder+".damaged-*")); len(folders) == 1 {
				rep, err := readReport(folders[0])
				if err != nil || rep.Problem == "" && n != int(rep.Acknowledged+rep.Saved) {
					t.Errorf("%d results were sent, %+v (%v)", n, rep, err)
				}
				unread += rep.Unreadable + rep.Stranded
			}
		}
		sent += n
		if q := broken.Queue(); q.Epoch == epoch && q.Last > q.Acknowledged {
			t.Errorf("%d results of the old epoch wait for ever", q.Last-q.Acknowledged)
		}
		if _, err := broken.Append(t.Context(), admit(5000)); err != nil {
			t.Errorf("it does not go on: %v", err)
		}
		if err := broken.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of 12 began anew; %d results were sent all the same, %d are told as missing", anew, sent, unread)
	if anew == 0 {
		t.Error("no damage was found; the test proves nothing")
	}
}

// TestPageScan: whatever is on the pages, looking through them ends, and what
// it gives out is either proven by its hashes or refused.
func TestPageScan(t *testing.T) {
	random := rand.New(rand.NewPCG(seeded(t), 5))
	o := open(t, Config{Dir: filepath.Join(t.TempDir(), "state")})
	for i := range 40 {
		appendAll(t, o, workRecord(i)) // some with pages that overflow
	}
	epoch := o.Queue().Epoch
	folder := t.TempDir()
	for _, name := range []string{dbName, dbName + "-wal"} { // not closed: most of it is in the log
		data, err := os.ReadFile(filepath.Join(filepath.Dir(o.path), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	most := 0
	for round := range 60 {
		s, err := scanPages(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		if all := s.numbers(); round == 0 && (len(all) != 40 || s.epoch != epoch) {
			t.Fatalf("results %v of epoch %s, want 40 of %s", all, s.epoch, epoch)
		}
		proven, r := 0, rescuer{cfg: o.cfg, rep: rescueReport{Epoch: epoch}}
		for n := range s.rows {
			e, _, chain, err := s.row(n)
			if err != nil {
				continue
			}
			if _, err := r.prove(e, n, chain); err == nil {
				proven++
			}
		}
		if most = max(most, proven); round == 0 && proven != 40 {
			t.Fatalf("%d of 40 are proven", proven)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(folder, []string{dbName, dbName + "-wal"}[random.IntN(2)])
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		at := random.Int64N(info.Size())
		overwrite(t, name, at, 1+random.IntN(int(min(100, info.Size()-at))))
	}
}

// TestHostilePages: no page, however it is made, makes the scan fail otherwise
// than by refusing a cell.
func TestHostilePages(t *testing.T) {
	random := rand.New(rand.NewPCG(seeded(t), 6))
	o := open(t, Config{Dir: filepath.Join(t.TempDir(), "state")})
	for i := range 8 {
		appendAll(t, o, workRecord(i))
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(o.path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := os.Open(o.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	page, parsed := make([]byte, pageSize), 0
	for range 20_000 {
		copy(page, whole[random.IntN(len(whole)/pageSize)*pageSize:])
		for range 1 + random.IntN(8) {
			page[random.IntN(pageSize)] = []byte{0, 1, 0x7f, 0x80, 0xff, byte(random.Uint32())}[random.IntN(6)]
		}
		if random.IntN(2) == 0 { // a page of few cells, so that most changes matter
			binary.BigEndian.PutUint16(page[3:], uint16(1+random.IntN(3)))
			binary.BigEndian.PutUint16(page[8:], uint16(random.IntN(pageSize+10)))
		}
		page[0] = 13
		s := &pageScan{db: db, rows: make(map[uint64]place)}
		s.leaf(2, page)
		for n, p := range s.rows {
			_, _, _ = s.cell(page, p.offset) // refuses or not: it ends
			_, _, _, _ = s.row(n)
			parsed++
		}
	}
	if parsed == 0 {
		t.Error("no cell was read; the test proves nothing")
	}
}

// drainOld sends and acknowledges an epoch as long as it is the outbox's turn
// to send it, and counts.
func drainOld(t *testing.T, o *Outbox, epoch string) int {
	t.Helper()
	n := 0
	for tries := 0; tries < 100 && o.Queue().Epoch == epoch; tries++ {
		q := o.Queue()
		e, entries, err := o.Pending(t.Context(), q.Acknowledged, 50, wire.BatchRoom)
		if err != nil || e != epoch {
			settle(t, o) // damage, found now
			continue
		}
		if len(entries) == 0 {
			break
		}
		b, err := wire.NewBatch(kiosk, epoch, entries[0].Prev, entries)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range entries {
			if rec, err := wire.DecodeRecord(x.Body); err != nil || rec.Tx != tx(int(x.Number)-1) {
				t.Fatalf("result %d is %v (%v)", x.Number, rec, err)
			}
		}
		if err := o.Acknowledge(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: epoch, Number: b.Last, Chain: b.Chain}); err != nil {
			settle(t, o)
			continue
		}
		n += len(entries)
	}
	return n
}

// TestReadOnlyRemount: on a file system that was remounted read-only the
// outbox does not open and says where and why; nothing is taken for damage,
// and when it is writable again everything is there.
func TestReadOnlyRemount(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := smallDisk(t, 8<<20)
	o := open(t, Config{Dir: filepath.Join(dir, "state")})
	for i := range 20 {
		appendAll(t, o, admit(i))
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), o.cfg)
	if err == nil || !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open = %v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	o = open(t, o.cfg)
	if got := all(t, o, 0); len(got) != 20 {
		t.Errorf("%d results are there, want 20", len(got))
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, "state", dbFolder+".damaged-*")); len(aside) > 0 {
		t.Error("a read-only disk was taken for damage")
	}
	appendAll(t, o, admit(20))
}
