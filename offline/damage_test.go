package offline

import (
	"errors"
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
// told, and the gate goes on.
func TestDamage(t *testing.T) {
	for name, harm := range map[string]func(*testing.T, string){
		"header":      func(t *testing.T, p string) { overwrite(t, p, 0, 100) },
		"every page":  func(t *testing.T, p string) { overwrite(t, p, 4096, 200_000) },
		"truncated":   func(t *testing.T, p string) { must(t, os.Truncate(p, 5000)) },
		"row altered": func(t *testing.T, p string) { rawSQL(t, p, `UPDATE result SET body = x'7b7d' WHERE number = 290`) },
		"row removed": func(t *testing.T, p string) { rawSQL(t, p, `DELETE FROM result WHERE number = 290`) },
		"last removed": func(t *testing.T, p string) {
			rawSQL(t, p, `DELETE FROM result WHERE number = 300`)
		},
		"first removed": func(t *testing.T, p string) {
			rawSQL(t, p, `DELETE FROM result WHERE number = 1`)
		},
		"epoch removed":     func(t *testing.T, p string) { rawSQL(t, p, `DELETE FROM meta`) },
		"epoch altered":     func(t *testing.T, p string) { rawSQL(t, p, `UPDATE meta SET epoch = lower(hex(zeroblob(16)))`) },
		"acknowledged more": func(t *testing.T, p string) { rawSQL(t, p, `UPDATE meta SET acked = 301`) },
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, Config{})
			for n := range 300 {
				appendAll(t, o, admit(n))
			}
			epoch := o.Queue().Epoch
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
			harm(t, o.path)
			o = open(t, o.cfg)
			checkReplaced(t, o, epoch)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func checkReplaced(t *testing.T, o *Outbox, oldEpoch string) {
	t.Helper()
	if q := o.Queue(); q.Epoch == oldEpoch || q.Last != 0 {
		t.Fatalf("epoch %s goes on at %d", q.Epoch, q.Last)
	}
	aside, err := filepath.Glob(filepath.Join(o.cfg.Dir, "outbox.damaged-*", dbName))
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %v %v", aside, err)
	}
	notes := o.Notices()
	if len(notes) == 0 || notes[0].Level != "fault" || !strings.Contains(notes[0].Text, filepath.Dir(aside[0])) {
		t.Fatalf("notices %v", notes)
	}
	if n, err := o.Append(t.Context(), admit(1000)); err != nil || n != 1 {
		t.Fatalf("afterwards: number %d %v", n, err)
	}
	all(t, o, 0)
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
	if q := o.Queue(); q.Last != 1 {
		t.Fatalf("last %d, want the recovered passage alone", q.Last)
	}
	o = reopen(t, o)
	if len(all(t, o, 0)) != 1 {
		t.Fatal("the new outbox is not whole")
	}
}
