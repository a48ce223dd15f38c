package offline

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// rescued gives an outbox whose database was damaged at start; all of its rows
// are saved and wait under the old epoch.
func rescued(t *testing.T, cfg Config, rows int) (o *Outbox, epoch, folder string) {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = quickDir(t)
	}
	o = open(t, cfg)
	for n := range rows {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	epoch = o.Queue().Epoch
	must(t, o.Close())
	rawSQL(t, o.path, `DELETE FROM meta`)
	o = open(t, o.cfg)
	settle(t, o)
	folders := damagedFolders(o.cfg.Dir)
	if len(folders) == 0 {
		t.Fatalf("no folder that was set aside is found; depth %d, staff are told %q", o.Depth(), staffRead(o))
	}
	folder = folders[0]
	if rep, err := readReport(folder); err != nil || int(rep.Saved) != rows || o.Queue().Epoch != epoch {
		t.Fatalf("setup: %+v (%v), epoch %s", rep, err, o.Queue().Epoch)
	}
	return o, epoch, folder
}

func staffRead(o *Outbox) string {
	var out []string
	for _, n := range o.Notices() {
		out = append(out, n.Level+" "+n.Source+": "+n.Text)
	}
	return strings.Join(out, " | ")
}

// After a crash between the saved database's name and the report, the next start
// saves once more.
func TestCrashBeforeReport(t *testing.T) {
	o, epoch, folder := rescued(t, Config{}, 300)
	must(t, o.Close())
	must(t, os.Remove(filepath.Join(folder, reportName)))
	for range 2 {
		o = open(t, o.cfg)
		settle(t, o)
		if o.Queue().Epoch != epoch {
			t.Errorf("the 300 saved results are not sent; depth %d, staff are told %q", o.Depth(), staffRead(o))
		}
		must(t, o.Close())
	}
}

// A saved database that cannot be opened is saved anew from the one that was set
// aside, and nobody is told that central has it.
func TestSavedCannotBeOpened(t *testing.T) {
	o, epoch, folder := rescued(t, Config{}, 300)
	must(t, o.Close())
	overwrite(t, filepath.Join(folder, savedFolder, dbName), 0, 100)
	o = open(t, o.cfg)
	settle(t, o)
	if s := staffRead(o); strings.Contains(s, "central has all its results") {
		t.Errorf("staff are told %q; central has nothing of it", s)
	}
	if o.Queue().Epoch != epoch {
		t.Errorf("the set-aside database is whole beside it and is not looked through again; depth %d", o.Depth())
	}
}

// A saved database that goes bad while it is sent is saved anew, and does not
// count for ever as waiting, which would shut the gate after MaxAge.
func TestSavedGoesBad(t *testing.T) {
	o, epoch, _ := rescued(t, Config{MaxAge: time.Hour}, 300)
	spoilUnderneath(t, o.olderEpochs()[0].Outbox, "result")
	for range 30 {
		if old := o.olderEpochs(); len(old) > 0 {
			old[0].state.Lock()
			old[0].rest = time.Time{} // ten minutes later
			old[0].state.Unlock()
		}
		drainOld(t, o, epoch)
		settle(t, o)
	}
	if n := len(o.olderEpochs()); n > 0 {
		t.Errorf("%d results of the old epoch wait for ever", o.olderEpochs()[0].Depth())
	}
	late := admit(9000)
	late.At = late.At.Add(2 * time.Hour)
	if _, err := o.Append(t.Context(), late); err != nil {
		t.Errorf("nobody is admitted: %v", err)
	}
}

// Results of the running epoch whose time is over are deleted beside a saved
// epoch that is damaged.
func TestExpireBesideDamage(t *testing.T) {
	o, _, _ := rescued(t, Config{Retention: time.Hour}, 300)
	appendAll(t, o, record(wire.KindDecision, 0, wire.OutcomeAbort))
	spoilUnderneath(t, o.olderEpochs()[0].Outbox, "result")
	_, err := o.Expire(t.Context(), time.Unix(1_800_000_000, 0))
	var left int
	must(t, o.db.QueryRowContext(t.Context(), `SELECT count(*) FROM result WHERE length(body) > 0`).Scan(&left))
	if left != 0 {
		t.Errorf("%d bodies of the running epoch stay (%v)", left, err)
	}
}

// One saved database that cannot be read keeps no other epoch from being
// exported.
func TestExportBesideDamage(t *testing.T) {
	o, _, folder := rescued(t, Config{}, 300)
	appendAll(t, o, admit(1))
	own := o.ownQueue().Epoch
	must(t, o.Close())
	overwrite(t, filepath.Join(folder, savedFolder, dbName), 0, 100)
	seen := false
	err := ReadFolder(t.Context(), o.cfg.Dir, func(s Standing, _ func(uint64, int) ([]wire.Entry, error)) error {
		seen = seen || s.Epoch == own
		return nil
	})
	if !seen {
		t.Errorf("the running epoch is not exported: %v", err)
	}
}

// Where the new database cannot be begun at the first try, for want of room for
// instance, the next one looks through the folder and takes over what was open.
func TestReplaceInterrupted(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t)})
	for n := range 20 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	appendAll(t, o, admit(20))
	epoch := o.Queue().Epoch
	o.turn <- struct{}{}
	o.cfg.vfs = "no-such-vfs" // stands for a disk that is full just now
	err := o.replace(t.Context(), damage("for the test"))
	o.cfg.vfs = ""
	<-o.turn
	if err == nil {
		t.Fatal("the test proves nothing")
	}
	appendAll(t, o, record(wire.KindDecision, 100, wire.OutcomeAbort)) // goes on
	settle(t, o)
	if o.Queue().Epoch != epoch || o.Depth() != 22 {
		t.Errorf("21 results lie in %v and are not sent; depth %d, staff are told %q", damagedFolders(o.cfg.Dir), o.Depth(), staffRead(o))
	}
	if open, err := o.OpenAdmissions(t.Context()); err != nil || len(open) != 1 {
		t.Errorf("%d admissions are open (%v), want 1", len(open), err)
	}
}

// What was open is carried over also where the damage is met at start.
func TestOpenIsCarriedAtStart(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t)})
	for n := range 299 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	appendAll(t, o, admit(299), record(wire.KindDecision, 300, wire.OutcomeRefer))
	must(t, o.Close())
	rawSQL(t, o.path, `UPDATE result SET body = x'7b7d' WHERE number = 290`)
	o = open(t, o.cfg)
	settle(t, o)
	if n, err := o.RecoverPassages(t.Context(), time.Now(), false); err != nil || n != 1 {
		t.Errorf("recovered %d passages (%v), want 1", n, err)
	}
	if open, err := o.OpenReferrals(t.Context()); err != nil || len(open) != 1 {
		t.Errorf("%d referrals at the desk (%v), want 1", len(open), err)
	}
}

// A rescue for which there is no room takes none from new results.
func TestNoRoomToRescue(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := smallDisk(t, 32<<20)
	o := open(t, Config{Dir: filepath.Join(dir, "state")})
	for n := range 6000 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	must(t, o.Close())
	rawSQL(t, o.path, `DELETE FROM meta`)
	ballast(t, dir, 1<<20)
	o = open(t, o.cfg)
	settle(t, o)
	for try := range 3 {
		if _, err := o.Append(t.Context(), admit(7000+try)); err != nil {
			free, _ := o.freeSpace()
			t.Errorf("the gate stays shut: %d bytes free, staff are told %q: %v", free, staffRead(o), err)
		}
	}
	o = reopen(t, o)
	settle(t, o)
	if _, err := o.Append(t.Context(), admit(7100)); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// A rescue that finds no room for the copy of the log goes on when there is some.
func TestRoomComesLater(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	whole, epoch := killed(t, 300)
	dir := smallDisk(t, 32<<20)
	state := filepath.Join(dir, "state")
	must(t, os.CopyFS(state, os.DirFS(whole)))
	log := filepath.Join(state, dbFolder, dbName+"-wal")
	info, err := os.Stat(log)
	must(t, err)
	frames := (info.Size() - walHeader) / (frameHeader + pageSize)
	overwrite(t, log, walHeader+frames/2*(frameHeader+pageSize)+frameHeader+100, 200)
	full := ballast(t, dir, 400<<10)
	o := open(t, Config{Dir: state})
	settle(t, o)
	t.Logf("log of %d bytes; while it is full: %s", info.Size(), staffRead(o))
	must(t, os.Remove(full))
	o = reopen(t, o)
	settle(t, o)
	rep, err := readReport(damagedFolders(state)[0])
	if o.Queue().Epoch != epoch {
		t.Errorf("with room again nothing is sent: %+v (%v); staff are told %q", rep, err, staffRead(o))
	}
}

// ackOfAll gives central's acknowledgement for all that waits of the epoch that is
// to be sent.
func ackOfAll(t *testing.T, o *Outbox) wire.Ack {
	t.Helper()
	epoch, entries, err := o.Pending(t.Context(), o.Queue().Acknowledged, 200, wire.BatchRoom)
	must(t, err)
	b, err := wire.NewBatch(kiosk, epoch, entries[0].Prev, entries)
	must(t, err)
	return wire.Ack{Kiosk: kiosk, Epoch: epoch, Number: b.Last, Chain: b.Chain}
}

// A saved epoch is there to be acknowledged once the start has settled.
func TestAcknowledgeAfterStart(t *testing.T) {
	o, _, _ := rescued(t, Config{}, 150)
	ack := ackOfAll(t, o)
	must(t, o.Close())
	o = open(t, o.cfg)
	settle(t, o)
	if err := o.Acknowledge(t.Context(), ack); err != nil {
		t.Errorf("refused: %v", err)
	}
}

// A repeated acknowledgement of an epoch that was put away in an earlier run is
// no error: those of newer epochs may stand behind it in a file.
func TestAcknowledgePutAway(t *testing.T) {
	o, _, _ := rescued(t, Config{}, 150)
	ack := ackOfAll(t, o)
	must(t, o.Acknowledge(t.Context(), ack))
	o = reopen(t, o)
	settle(t, o)
	if err := o.Acknowledge(t.Context(), ack); err != nil {
		t.Errorf("refused: %v", err)
	}
}

// After a crash between the report and the new name, what central cannot take is
// not sent again.
func TestUnsentHalfWay(t *testing.T) {
	o, epoch := doubtful(t)
	folder := damagedFolders(o.cfg.Dir)[0]
	_ = o.Rewind(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: epoch, Number: 0, Chain: wire.ChainStart()})
	must(t, o.Close())
	must(t, os.Rename(filepath.Join(folder, unsentFolder), filepath.Join(folder, savedFolder))) // as if it had not been done
	o = open(t, o.cfg)
	settle(t, o)
	for range 3 {
		for _, old := range o.olderEpochs() {
			old.state.Lock()
			old.rest = time.Time{} // ten minutes later
			old.state.Unlock()
		}
		_ = o.Rewind(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: epoch, Number: 0, Chain: wire.ChainStart()})
	}
	if n := len(o.olderEpochs()); n != 0 {
		t.Errorf("what central cannot take is sent again every ten minutes: %d epochs, staff are told %q", n, staffRead(o))
	}
}

// A saved epoch that is over and could not be put away is not served again in
// the same run: newer results would wait behind it.
func TestNotServedAgain(t *testing.T) {
	o, epoch, folder := rescued(t, Config{}, 300)
	must(t, os.MkdirAll(filepath.Join(folder, sentFolder, "in the way"), 0o700)) // stands for a rename that fails
	// Central has more than could be saved.
	must(t, o.Acknowledge(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: epoch, Number: 305, Chain: wire.ChainStart()}))
	appendAll(t, o, admit(1))
	o.turn <- struct{}{}
	err := o.replace(t.Context(), damage("for the test"))
	<-o.turn
	must(t, err)
	settle(t, o)
	appendAll(t, o, admit(2))
	// What the uplink does over one connection that holds.
	q := o.Queue()
	at, f := q.Epoch, q.Acknowledged
	for range 50 {
		if q := o.Queue(); q.Epoch != at {
			at, f = q.Epoch, q.Acknowledged
		}
		e, entries, err := o.Pending(t.Context(), f, 50, wire.BatchRoom)
		if err != nil || e != at || len(entries) == 0 {
			continue
		}
		b, err := wire.NewBatch(kiosk, e, entries[0].Prev, entries)
		must(t, err)
		must(t, o.Acknowledge(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: e, Number: b.Last, Chain: b.Chain}))
		f = b.Last
	}
	if o.Depth() != 0 {
		t.Errorf("%d results wait; epoch %s is to be sent, which is over: %v", o.Depth(), o.Queue().Epoch, o.Queue().Epoch == epoch)
	}
}

func ackAt(t *testing.T, o *Outbox, n uint64) wire.Ack {
	t.Helper()
	epoch, entries, err := o.Pending(t.Context(), n-1, 1, wire.BatchRoom)
	must(t, err)
	b, err := wire.NewBatch(kiosk, epoch, entries[0].Prev, entries)
	must(t, err)
	return wire.Ack{Kiosk: kiosk, Epoch: epoch, Number: n, Chain: b.Chain}
}

// The export says so when a folder was not looked through yet.
func TestExportBeforeRescue(t *testing.T) {
	o, epoch, folder := rescued(t, Config{}, 300)
	must(t, o.Close())
	must(t, os.Remove(filepath.Join(folder, reportName)))
	must(t, os.Rename(filepath.Join(folder, savedFolder), filepath.Join(folder, savingFolder)))
	seen := false
	err := ReadFolder(t.Context(), o.cfg.Dir, func(s Standing, _ func(uint64, int) ([]wire.Entry, error)) error {
		seen = seen || s.Epoch == epoch
		return nil
	})
	if !seen && err == nil {
		t.Error("300 results are left out without a word")
	}
}

// Repeated replacement leaves no files open and no goroutines.
func TestReplaceLeaks(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t)})
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(fds)
	}
	one := func() {
		o.turn <- struct{}{}
		err := o.replace(t.Context(), damage("for the test"))
		<-o.turn
		must(t, err)
		settle(t, o)
	}
	one()
	before, routines := count(), runtime.NumGoroutine()
	for range 8 {
		one()
	}
	time.Sleep(100 * time.Millisecond)
	if after, now := count(), runtime.NumGoroutine(); after > before+2 || now > routines+2 {
		t.Errorf("%d files became %d, %d goroutines %d", before, after, routines, now)
	}
	t.Logf("%d folders are set aside", len(damagedFolders(o.cfg.Dir)))
}

// Close beside an operation that meets damage: nothing may go on in the folder
// afterwards.
func TestCloseBesideReplace(t *testing.T) {
	for range 30 {
		o := open(t, Config{Dir: quickDir(t)})
		for n := range 40 {
			appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
		}
		spoilUnderneath(t, o, "result")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = o.Pending(context.Background(), 0, 10, wire.BatchRoom)
		}()
		must(t, o.Close())
		<-done
	}
}

// Where one database after the other goes bad, the disk is not filled with them.
func TestReplacedTooOften(t *testing.T) {
	o := open(t, Config{Dir: quickDir(t)})
	for range 50 {
		spoilUnderneath(t, o, "meta")
		o.turn <- struct{}{}
		o.stale = true
		<-o.turn
		_, _ = o.Append(t.Context(), admit(1)) // each finds the new database bad again
		_, _ = o.Append(t.Context(), record(wire.KindPassage, 1, wire.PassagePassed))
	}
	settle(t, o)
	t.Logf("%d folders", len(damagedFolders(o.cfg.Dir)))
	if n := len(damagedFolders(o.cfg.Dir)); n > 20 {
		t.Errorf("%d folders, %d saved epochs are open at once", n, len(o.olderEpochs()))
	}
}

// A saved epoch that central does not take gives way: whoever asks with one of
// its numbers gets no error for it, which would be an alarm.
func TestGivingWayIsNoError(t *testing.T) {
	o := open(t, Config{KeepAge: -1})
	for n := range 200 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeRefer))
	}
	_, all, err := o.Pending(t.Context(), 0, 200, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all[99:] {
		must(t, o.Acknowledge(t.Context(), ackOf(t, o, e)))
	}
	saved := open(t, Config{Dir: filepath.Join(t.TempDir(), "state")})
	for n := range 5 {
		appendAll(t, saved, record(wire.KindDecision, n, wire.OutcomeRefer))
	}
	o.mu.Lock()
	o.older = append(o.older, &older{Outbox: saved, folder: t.TempDir()})
	o.mu.Unlock()
	for i := range olderTries + 1 {
		epoch, _, err := o.Pending(t.Context(), 0, 10, 1<<20)
		if err != nil {
			t.Errorf("question %d, epoch %q: %v", i+1, epoch, err)
		}
	}
}

// A central that was set back may have lost a saved epoch, too, of which it had
// everything: that is sent once more, and put away when central has it again.
func TestSentAgainAfterSetBack(t *testing.T) {
	o, epoch, folder := rescued(t, Config{}, 120)
	if n := drainOld(t, o, epoch); n != 120 || !exists(folder, sentFolder) {
		t.Fatalf("%d of 120 were sent", n)
	}
	for n := range 20 {
		appendAll(t, o, admit(200+n))
	}
	must(t, acknowledgeSome(t, o, 20))
	own := o.Queue().Epoch
	must(t, o.Rewind(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: own, Number: 0, Chain: wire.ChainStart()}))
	settle(t, o)
	if o.Depth() != 140 {
		t.Errorf("%d results wait for a central that has none, want 140", o.Depth())
	}
	if n := drainOld(t, o, epoch); n != 120 {
		t.Errorf("%d of 120 were sent again", n)
	}
	must(t, acknowledgeSome(t, o, 20))
	if o.Depth() != 0 || !exists(folder, sentFolder) || exists(folder, savedFolder) {
		t.Errorf("%d results wait", o.Depth())
	}
}

// What was set aside goes with the retention of its results, unless something
// of it is still being sent.
func TestAsideExpires(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	o, epoch, folder := rescued(t, Config{Retention: time.Hour, Now: func() time.Time { return now }}, 60)
	expire := func(after time.Duration, want bool) {
		t.Helper()
		if _, err := o.Expire(t.Context(), now.Add(after)); err != nil || exists(folder) != want {
			t.Errorf("after %v: the folder is there: %v (%v)", after, exists(folder), err)
		}
	}
	expire(2*time.Hour, true)
	if q := o.Queue(); q.Epoch != epoch {
		t.Fatal("nothing of it is to be sent; the test proves nothing")
	}
	must(t, acknowledgeSome(t, o, 60))
	expire(time.Minute, true)
	expire(2*time.Hour, false)
	if notes := o.Notices(); len(notes) > 0 {
		t.Errorf("staff read %v", notes)
	}
}
