package offline

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// rawSQL changes the database behind the outbox's back.
func rawSQL(t *testing.T, path, stmt string) {
	t.Helper()
	db, err := openDB(t.Context(), path, Config{Kiosk: kiosk}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), stmt); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// overwrite writes garbage into the database file.
func overwrite(t *testing.T, path string, offset int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	junk := make([]byte, n)
	for i := range junk {
		junk[i] = byte(i*7 + 3)
	}
	_, err = f.WriteAt(junk, offset)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A damaged database is set aside whole, a new epoch begins, the operator is
// told, the gate goes on, and what can be read is sent under the old epoch.
func TestDamage(t *testing.T) {
	for name, tc := range map[string]struct {
		harm                        func(*testing.T, string)
		saved, stranded, unreadable uint64 // all zero: nothing can be read
	}{
		"header":            {harm: func(t *testing.T, p string) { overwrite(t, p, 0, 100) }, saved: 300},
		"first page":        {harm: func(t *testing.T, p string) { overwrite(t, p, 0, 4096) }, saved: 300},
		"tree":              {harm: treeHarm, saved: 300},
		"every page":        {harm: func(t *testing.T, p string) { overwrite(t, p, 4096, 200_000) }, saved: someRows},
		"truncated":         {harm: func(t *testing.T, p string) { must(t, os.Truncate(p, 5000)) }},
		"row altered":       {harm: sqlHarm(`UPDATE result SET body = x'7b7d' WHERE number = 290`), saved: 289, stranded: 10, unreadable: 1},
		"row removed":       {harm: sqlHarm(`DELETE FROM result WHERE number = 290`), saved: 289, stranded: 10, unreadable: 1},
		"rows exchanged":    {harm: sqlHarm(`UPDATE result SET number = 1000 WHERE number = 290`, `UPDATE result SET number = 290 WHERE number = 291`, `UPDATE result SET number = 291 WHERE number = 1000`), saved: 289, stranded: 9, unreadable: 2},
		"last removed":      {harm: sqlHarm(`DELETE FROM result WHERE number = 300`), saved: 299, unreadable: 1},
		"first removed":     {harm: sqlHarm(`DELETE FROM result WHERE number = 1`), stranded: 299, unreadable: 1},
		"epoch removed":     {harm: sqlHarm(`DELETE FROM meta`), saved: 300},
		"epoch altered":     {harm: sqlHarm(`UPDATE meta SET epoch = lower(hex(zeroblob(16)))`), saved: 300},
		"acknowledged more": {harm: sqlHarm(`UPDATE meta SET acked = 301`), saved: 300},
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, Config{Dir: quickDir(t)})
			for n := range 300 {
				appendAll(t, o, admit(n))
			}
			epoch := o.Queue().Epoch
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			tc.harm(t, o.path)
			o = open(t, o.cfg)
			aside := checkReplaced(t, o, epoch)
			settle(t, o)
			rep, err := readReport(aside)
			if tc.saved == someRows && err == nil && rep.Saved > 0 && rep.Saved < 300 && rep.Problem == "" {
				return // central takes them if it has those before
			}
			if err != nil || rep.Saved != tc.saved || rep.Stranded != tc.stranded || rep.Unreadable != tc.unreadable {
				t.Errorf("saved %+v (%v), want %d, %d, %d", rep, err, tc.saved, tc.stranded, tc.unreadable)
			}
			if nothing := tc.saved+tc.stranded+tc.unreadable == 0; nothing != (rep.Problem != "") {
				t.Errorf("problem %q", rep.Problem)
			}
			checkSent(t, o, epoch, int(tc.saved))
		})
	}
}

// someRows: not the first ones, and how many depends on the pages.
const someRows = math.MaxUint64

// treeHarm destroys the pages above those with the rows.
func treeHarm(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	must(t, err)
	hit := 0
	for at := 0; at+4096 <= len(data); at += 4096 {
		if data[at] == 5 { // the inside of a table
			overwrite(t, path, int64(at), 4096)
			hit++
		}
	}
	if hit == 0 {
		t.Fatal("the tree has no inside; the test proves nothing")
	}
}

func sqlHarm(stmts ...string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		for _, s := range stmts {
			rawSQL(t, path, s)
		}
	}
}

// checkSent has everything acknowledged, over a restart on the way, and demands
// that the old epoch comes first, whole, and once.
func checkSent(t *testing.T, o *Outbox, epoch string, want int) {
	t.Helper()
	var got []wire.Entry
	for o.Queue().Epoch == epoch {
		at := o.Queue().Acknowledged
		e, entries, err := o.Pending(t.Context(), at, 50, wire.BatchRoom)
		if err != nil || e != epoch || len(entries) == 0 {
			t.Fatalf("after %d of the old epoch: %d entries of %s (%v)", at, len(entries), e, err)
		}
		b, err := wire.NewBatch(kiosk, e, entries[0].Prev, entries)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entries...)
		forged := wire.Ack{Kiosk: kiosk, Epoch: e, Number: b.Last, Chain: b.PrevChain}
		if err := o.Acknowledge(t.Context(), forged); !errors.Is(err, wire.ErrAckRefused) || o.olderEpochs()[0].Depth() == 0 {
			t.Fatalf("a forged acknowledgement of the old epoch: %v", err)
		}
		o.older[0].rest = time.Time{} // it waits after what does not fit
		if err := o.Acknowledge(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: e, Number: b.Last, Chain: b.Chain}); err != nil {
			t.Fatal(err)
		}
		if len(got) == 100 {
			o = reopen(t, o)
			settle(t, o)
		}
		// A late one of an epoch that is over is no alarm.
		if err := o.Acknowledge(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: e, Number: b.Last, Chain: b.Chain}); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != want {
		t.Errorf("%d results of the old epoch were sent, want %d", len(got), want)
	}
	for i, e := range got {
		if rec, err := wire.DecodeRecord(e.Body); err != nil || e.Number != uint64(i+1) || rec.Tx != tx(i) {
			t.Fatalf("result %d of the old epoch is %v (%v)", e.Number, rec, err)
		}
	}
	if o.Depth() != 1 || len(all(t, o, 0)) != 1 {
		t.Errorf("%d results wait, want the one of the new epoch", o.Depth())
	}
	o = reopen(t, o)
	settle(t, o)
	if o.Queue().Epoch == epoch || len(o.Notices()) == 0 {
		t.Errorf("after a restart epoch %s, notices %v", o.Queue().Epoch, o.Notices())
	}
}

// quickDir is a state folder where a sync costs nothing, if there is such a
// place; what a sync is worth is tested elsewhere.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "outbox")
	must(t, err)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "state")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func checkReplaced(t *testing.T, o *Outbox, oldEpoch string) string {
	t.Helper()
	if q := o.ownQueue(); q.Epoch == oldEpoch || q.Last != 0 {
		t.Fatalf("epoch %s goes on at %d", q.Epoch, q.Last)
	}
	aside, err := filepath.Glob(filepath.Join(o.cfg.Dir, "outbox.damaged-*", dbName))
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %v %v", aside, err)
	}
	folder := filepath.Dir(aside[0])
	if notes := o.Notices(); len(notes) == 0 || notes[0].Level != "fault" || !strings.Contains(notes[0].Text, folder) {
		t.Fatalf("notices %v", notes)
	}
	if n, err := o.Append(t.Context(), admit(1000)); err != nil || n != 1 {
		t.Fatalf("afterwards: number %d %v", n, err)
	}
	return folder
}

// Damage in the middle of the backlog is found when it is sent, at the latest.
// The admission that was open is still closed afterwards.
func TestDamageFoundWhileRunning(t *testing.T) {
	o := open(t, Config{})
	for n := range 299 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	appendAll(t, o, admit(299))
	epoch := o.Queue().Epoch
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	rawSQL(t, o.path, `UPDATE result SET body = x'7b7d' WHERE number = 100`)
	o = open(t, o.cfg)
	if o.Queue().Epoch != epoch {
		t.Fatal("found already at open; the test proves nothing")
	}
	if _, entries, err := o.Pending(t.Context(), 80, 50, wire.BatchRoom); err == nil {
		t.Fatalf("%d entries of a damaged chain", len(entries))
	}
	if n, err := o.RecoverPassages(t.Context(), time.Now(), false); err != nil || n != 1 {
		t.Fatalf("recovered %d %v, want 1", n, err)
	}
	if q := o.ownQueue(); q.Last != 1 {
		t.Fatalf("last %d, want the recovered passage alone", q.Last)
	}
	o = reopen(t, o)
	settle(t, o)
	checkSent(t, o, epoch, 99)
}

// Wherever the damage lies and whoever meets it, it is met once: the outbox is
// replaced, and what can be read is sent.
func TestDamageMetByAnything(t *testing.T) {
	next := 0
	for name, act := range map[string]func(*Outbox) error{
		"acknowledge": func(o *Outbox) error { return acknowledgeSome(t, o, 100) },
		"append":      func(o *Outbox) error { next++; _, err := o.Append(t.Context(), admit(next-1)); return err },
		"open":        func(o *Outbox) error { _, err := o.OpenReferrals(t.Context()); return err },
		"expire":      func(o *Outbox) error { _, err := o.Expire(t.Context(), time.Unix(1_700_000_000, 0)); return err },
		"tidy": func(o *Outbox) error {
			o.turn <- struct{}{}
			o.tidied = time.Time{}
			<-o.turn
			return acknowledgeSome(t, o, 1)
		},
	} {
		for _, table := range []string{"result", "acked", "meta", "open_tx", "sqlite_sequence"} {
			t.Run(name+"/"+table, func(t *testing.T) {
				o := open(t, Config{Dir: quickDir(t), Retention: 2 * time.Hour})
				for n := range 300 {
					appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
				}
				epoch := o.Queue().Epoch
				spoilUnderneath(t, o, table)
				next = 300
				first := act(o)
				settle(t, o)
				if err := act(o); isDamage(err) {
					t.Errorf("damage is met again: first %v, then %v", first, err)
				}
				drainOld(t, o, epoch)
				settle(t, o)
				drainOld(t, o, epoch)
				if q := o.Queue(); q.Epoch == epoch && q.Last > q.Acknowledged {
					t.Errorf("%d results of the old epoch wait for ever", q.Last-q.Acknowledged)
				}
				if _, err := o.Append(t.Context(), admit(5000)); err != nil {
					t.Errorf("it does not go on: %v", err)
				}
			})
		}
	}
}

// spoilUnderneath overwrites the first page of a table of an open database,
// which then forgets what it has read of it.
func spoilUnderneath(t *testing.T, o *Outbox, table string) {
	t.Helper()
	o.turn <- struct{}{} // other work goes on beside the test
	defer func() { <-o.turn }()
	var root int64
	must(t, o.db.QueryRowContext(t.Context(), `SELECT rootpage FROM sqlite_schema WHERE name = ?`, table).Scan(&root))
	must(t, o.shortenLog(t.Context()))
	if _, err := o.db.ExecContext(t.Context(), `PRAGMA shrink_memory`); err != nil {
		t.Fatal(err)
	}
	overwrite(t, o.path, (root-1)*pageSize, pageSize)
}

// acknowledgeSome acknowledges the next results of the epoch that is to be sent.
func acknowledgeSome(t *testing.T, o *Outbox, n int) error {
	t.Helper()
	epoch, entries, err := o.Pending(t.Context(), o.Queue().Acknowledged, n, wire.BatchRoom)
	if err != nil || len(entries) == 0 {
		return err
	}
	b, err := wire.NewBatch(kiosk, epoch, entries[0].Prev, entries)
	must(t, err)
	return o.Acknowledge(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: epoch, Number: b.Last, Chain: b.Chain})
}

// What was acknowledged is known from two tables; with both of them gone
// everything that is readable is sent, and staff are told of what came before.
func TestAcknowledgedIsNotKnown(t *testing.T) {
	for name, tables := range map[string][]string{"known": {"meta"}, "not known": {"meta", "acked"}} {
		t.Run(name, func(t *testing.T) {
			o := open(t, Config{Dir: quickDir(t), KeepAge: -1})
			for n := range 300 {
				appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
			}
			must(t, acknowledgeSome(t, o, 100)) // 99 of them are deleted
			epoch := o.Queue().Epoch
			for _, table := range tables {
				spoilUnderneath(t, o, table)
			}
			o = reopen(t, o)
			settle(t, o)
			rep, err := readReport(checkReplaced(t, o, epoch))
			known := len(tables) == 1
			if err != nil || rep.Stranded+rep.Unreadable != 0 || known != (rep.Acknowledged == 100 && rep.Doubtful == 0) || !known && (rep.Doubtful != 99 || rep.Saved != 201) {
				t.Fatalf("%+v (%v)", rep, err)
			}
			// The uplink sends what is acknowledged again when it connects.
			if _, _, err := o.Pending(t.Context(), rep.Acknowledged-1, 1, wire.BatchRoom); known != (err == nil) || !known && !errors.Is(err, ErrGone) || o.Queue().Epoch != epoch {
				t.Errorf("asked for the acknowledged one: %v; then epoch %s is to be sent, want %s", err, o.Queue().Epoch, epoch)
			}
			if !known {
				checkUnsent(t, o, rep)
				return
			}
			if n := drainOld(t, o, epoch); n != int(rep.Saved) {
				t.Errorf("%d were sent of %d", n, rep.Saved)
			}
		})
	}
}

// checkUnsent: central says that it misses what comes before the saved ones.
func checkUnsent(t *testing.T, o *Outbox, rep rescueReport) {
	t.Helper()
	err := o.Rewind(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: rep.Epoch, Number: 0, Chain: wire.ChainStart()})
	if !errors.Is(err, ErrGone) || o.Queue().Epoch == rep.Epoch || o.Depth() != 1 {
		t.Errorf("set back: %v, epoch %s, %d wait", err, o.Queue().Epoch, o.Depth())
	}
	text := ""
	if notes := o.Notices(); len(notes) > 0 {
		text = notes[0].Text
	}
	if !strings.Contains(text, "99 results cannot be read and 201 lie behind them; 0 saved") {
		t.Errorf("staff are told %q", text)
	}
	o = reopen(t, o)
	settle(t, o)
	if o.Queue().Epoch == rep.Epoch {
		t.Error("they are sent again after a restart")
	}
}
