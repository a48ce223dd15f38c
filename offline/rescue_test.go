package offline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/gate/wire"
)

// A database that is gone or lost its content is set aside like any that is
// damaged; what lies in its log is saved.
func TestEmptied(t *testing.T) {
	for _, name := range []string{"emptied", "removed"} {
		t.Run(name, func(t *testing.T) {
			dir, epoch := killed(t, 60)
			path := filepath.Join(dir, dbFolder, dbName)
			if name == "removed" {
				must(t, os.Remove(path))
			} else {
				must(t, os.Truncate(path, 0))
			}
			o := open(t, Config{Dir: dir})
			settle(t, o)
			if o.Queue().Epoch == epoch {
				return
			}
			if len(damagedFolders(dir)) == 0 || len(o.Notices()) == 0 {
				t.Errorf("60 results are gone: set aside %v, staff are told %q", damagedFolders(dir), staffRead(o))
			}
		})
	}
}

// Where two tables differ in what was acknowledged, everything is sent.
func TestAcknowledgedTooHigh(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t)})
	for n := range 300 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	must(t, acknowledgeSome(t, o, 100))
	epoch := o.Queue().Epoch
	must(t, o.Close())
	rawSQL(t, o.path, `UPDATE meta SET acked = 228`) // 100 with one bit more
	rawSQL(t, o.path, `UPDATE result SET body = x'7b7d' WHERE number = 290`)
	o = open(t, o.cfg)
	settle(t, o)
	rep, err := readReport(checkReplaced(t, o, epoch))
	if err != nil || rep.Saved+rep.Stranded+rep.Unreadable+rep.Doubtful < 200 {
		t.Errorf("200 were not acknowledged, %+v (%v)", rep, err)
	}
}

// What is acknowledged beyond the end is not believed; what was deleted since
// central had it does not count as lost.
func TestAcknowledgedAhead(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t), KeepAge: -1})
	for n := range 300 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	must(t, acknowledgeSome(t, o, 100))
	epoch := o.Queue().Epoch
	must(t, o.Close())
	rawSQL(t, o.path, `UPDATE meta SET acked = 301`)
	o = open(t, o.cfg)
	settle(t, o)
	rep, err := readReport(checkReplaced(t, o, epoch))
	if err != nil || rep.Saved < 200 {
		t.Errorf("%+v (%v), want 200 saved", rep, err)
	}
}

// A new database that was damaged before it held anything lost nothing.
func TestNothingInIt(t *testing.T) {
	o, _, _ := rescued(t, Config{}, 300)
	must(t, o.Close())
	rawSQL(t, o.path, `DELETE FROM meta`)
	o = open(t, o.cfg)
	settle(t, o)
	if s := staffRead(o); strings.Contains(s, "nothing in it can be read") {
		t.Errorf("%d results wait, and an empty database is called unreadable: %q", o.Depth(), s)
	}
}

// doubtful gives an outbox that does not know any more what central has of the
// results before those that it saved.
func doubtful(t *testing.T) (o *Outbox, epoch string) {
	t.Helper()
	o = open(t, Config{Dir: quickDir(t), KeepAge: -1})
	for n := range 300 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	must(t, acknowledgeSome(t, o, 100))
	epoch = o.Queue().Epoch
	for _, table := range []string{"meta", "acked"} {
		spoilUnderneath(t, o, table)
	}
	o = reopen(t, o)
	settle(t, o)
	return o, epoch
}

// leaves tells on which page of a database each result lies.
func leaves(t *testing.T, path string) map[uint64]place {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	s := &pageScan{rows: make(map[uint64]place)}
	for n := 1; n*pageSize <= len(data); n++ {
		s.leaf(uint32(n), data[(n-1)*pageSize:n*pageSize])
	}
	return s.rows
}

// Once central has taken what follows on the doubtful ones, it has those.
func TestDoubtEnds(t *testing.T) {
	o, epoch := doubtful(t)
	if n := drainOld(t, o, epoch); n == 0 {
		t.Fatal("nothing was sent")
	}
	if s := staffRead(o); strings.Contains(s, "fault") {
		t.Errorf("central has everything, staff are told %q", s)
	}
}

// Results that central has and that are kept in case it is restored from an
// older backup are saved with the others.
func TestKeptAreSaved(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t)})
	for n := range 300 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	must(t, acknowledgeSome(t, o, 50))
	ack := ackAt(t, o, 20)
	must(t, o.Close())
	rawSQL(t, o.path, `UPDATE result SET body = x'7b7d' WHERE number = 290`)
	o = open(t, o.cfg)
	settle(t, o)
	if err := o.Rewind(t.Context(), ack); err != nil {
		t.Errorf("results 21 to 50 are readable and cannot be had again: %v", err)
	}
}

// Four spoilt bytes of the first page make no file of another program of one that
// was in use here.
func TestHeaderNumbers(t *testing.T) {
	for name, offset := range map[string]int64{"version": 60, "application": 68} {
		t.Run(name, func(t *testing.T) {
			o := open(t, Config{Dir: quickDir(t)})
			for n := range 30 {
				appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
			}
			must(t, o.Close())
			overwrite(t, o.path, offset, 4)
			again, err := Open(t.Context(), o.cfg)
			if err != nil {
				t.Errorf("it does not start: %v", err)
				return
			}
			must(t, again.Close())
		})
	}
}

// The newest results and the number of the newest one lie on the two pages that
// each result writes. With both gone staff are told that the end is not known.
func TestEndUnknown(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t)})
	for n := range 300 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	epoch := o.Queue().Epoch
	var root int64
	must(t, o.db.QueryRowContext(t.Context(), `SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_sequence'`).Scan(&root))
	must(t, o.Close())
	newest := leaves(t, o.path)[300].page
	overwrite(t, o.path, (root-1)*pageSize, pageSize)
	overwrite(t, o.path, int64(newest-1)*pageSize, pageSize)
	o = open(t, o.cfg)
	settle(t, o)
	rep, err := readReport(checkReplaced(t, o, epoch))
	must(t, err)
	drainOld(t, o, epoch)
	if n := rep.Saved + rep.Stranded + rep.Unreadable + rep.Doubtful; n < 300 && !rep.EndUnknown {
		t.Errorf("of 300 results %d are accounted for (%+v); staff are told %q", n, rep, staffRead(o))
	}
}

// A state folder may have a name that looks like a pattern.
func TestFolderNamedAsPattern(t *testing.T) {
	o, _, _ := rescued(t, Config{Dir: filepath.Join(quickDir(t), "gate[1]")}, 30)
	_ = o
}

// Pages that were given back and lie in the file until the log is moved hide no
// place where a row is now.
func TestScanAfterGivingBack(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t), KeepAge: -1})
	for n := range 400 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	o.turn <- struct{}{}
	err := o.shortenLog(t.Context())
	<-o.turn
	must(t, err)
	must(t, acknowledgeSome(t, o, 200))
	folder := quickDir(t)
	must(t, os.CopyFS(folder, os.DirFS(filepath.Dir(o.path)))) // as a kill leaves it
	s, err := scanPages(t.Context(), folder)
	must(t, err)
	have := make(map[uint64]bool)
	for _, n := range s.numbers() {
		have[n] = true
	}
	lost, stale := 0, 0
	for n := uint64(1); n <= 400; n++ {
		if n >= 200 && !have[n] {
			lost++
		}
		if n < 200 && have[n] {
			stale++
		}
	}
	t.Logf("%d pages belong to it, file %d", s.size, len(s.rows))
	if lost > 0 || stale > 0 {
		t.Errorf("%d results are not found, %d deleted ones are", lost, stale)
	}
	must(t, s.close())
}
