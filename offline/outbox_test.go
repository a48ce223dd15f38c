package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
)

const kiosk = "sgn-g12"

// open opens an outbox that the test closes.
func open(t *testing.T, cfg Config) *Outbox {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "state")
	}
	cfg.Kiosk = kiosk
	if cfg.MinFree == 0 {
		cfg.MinFree = -1
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 20 * time.Second // a busy machine is not what is tested
	}
	o, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func reopen(t *testing.T, o *Outbox) *Outbox {
	t.Helper()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, o.cfg)
}

// tx makes a transaction id from a number.
func tx(n int) string { return fmt.Sprintf("%032x", n) }

func record(kind string, n int, outcome string) wire.Record {
	rec := wire.Record{V: wire.RecordVersion, Kind: kind, Tx: tx(n), Gate: "G12", At: time.Unix(1_700_000_000+int64(n), 0).UTC()}
	switch kind {
	case wire.KindDecision:
		rec.Decision = &wire.Decision{Outcome: outcome, Overall: "successful", Policy: "p", Face: "off", DocRef: "deadbeef"}
		if outcome != wire.OutcomeAdmit {
			rec.Decision.Reasons = []uint32{6001}
		}
	case wire.KindPassage:
		rec.Passage = &wire.Passage{Result: outcome}
	case wire.KindResolution:
		rec.Resolution = &wire.Resolution{Operator: "op1", Outcome: outcome, Reason: "checked"}
	}
	return rec
}

func admit(n int) wire.Record { return record(wire.KindDecision, n, wire.OutcomeAdmit) }

func appendAll(t *testing.T, o *Outbox, recs ...wire.Record) {
	t.Helper()
	for _, r := range recs {
		if _, err := o.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// all reads everything after a number and proves it as central would.
func all(t *testing.T, o *Outbox, after uint64) []wire.Entry {
	t.Helper()
	var out []wire.Entry
	for {
		epoch, entries, err := o.Pending(t.Context(), after, 7, wire.BatchRoom)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return out
		}
		if _, err := wire.NewBatch(kiosk, epoch, entries[0].Prev, entries); err != nil {
			t.Fatal(err)
		}
		if len(out) > 0 {
			last := out[len(out)-1]
			if chain := chainAt(t, o, last); !bytes.Equal(chain, entries[0].Prev) {
				t.Fatalf("entry %d does not follow", entries[0].Number)
			}
		}
		out = append(out, entries...)
		after = entries[len(entries)-1].Number
	}
}

func chainAt(t *testing.T, o *Outbox, e wire.Entry) []byte {
	t.Helper()
	c, err := wire.ChainNext(kiosk, o.Queue().Epoch, e.Number, e.Prev, e.Hash)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNumbersAndChainSurviveRestart(t *testing.T) {
	o := open(t, Config{})
	for n := range 10 {
		got, err := o.Append(t.Context(), record(wire.KindDecision, n, wire.OutcomeAbort))
		if err != nil {
			t.Fatal(err)
		}
		if got != uint64(n+1) {
			t.Fatalf("number %d, want %d", got, n+1)
		}
	}
	epoch := o.Queue().Epoch
	o = reopen(t, o)
	if o.Queue().Epoch != epoch {
		t.Fatal("the epoch changed over a restart")
	}
	appendAll(t, o, admit(10))
	entries := all(t, o, 0)
	if len(entries) != 11 || o.Depth() != 11 {
		t.Fatalf("%d entries, depth %d, want 11", len(entries), o.Depth())
	}
	for i, e := range entries {
		rec, err := wire.DecodeRecord(e.Body)
		if err != nil || rec.Tx != tx(i) || e.Number != uint64(i+1) {
			t.Fatalf("entry %d: number %d, %v %v", i, e.Number, rec, err)
		}
	}
	if got, want := o.Oldest(), record(wire.KindDecision, 0, wire.OutcomeAbort).At; !got.Equal(want) {
		t.Fatalf("oldest %v, want %v", got, want)
	}
}

// A restart records "unknown" exactly once for each admission that nobody saw
// through, and for no other.
func TestRecoverPassages(t *testing.T) {
	o := open(t, Config{})
	appendAll(t, o, admit(1), record(wire.KindPassage, 1, wire.PassagePassed),
		admit(2), record(wire.KindDecision, 3, wire.OutcomeRefer), admit(4), record(wire.KindDecision, 5, wire.OutcomeAbort))
	o = reopen(t, o)
	open, err := o.OpenAdmissions(t.Context())
	if err != nil || len(open) != 2 || open[0].Tx != tx(2) || open[1].Tx != tx(4) {
		t.Fatalf("open admissions %v %v", open, err)
	}
	n, err := o.RecoverPassages(t.Context(), time.Now(), false)
	if err != nil || n != 2 {
		t.Fatalf("recovered %d %v, want 2", n, err)
	}
	o = reopen(t, o)
	if n, err = o.RecoverPassages(t.Context(), time.Now(), false); err != nil || n != 0 {
		t.Fatalf("recovered again: %d %v", n, err)
	}
	var unknown []string
	for _, e := range all(t, o, 0) {
		rec, err := wire.DecodeRecord(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind == wire.KindPassage && rec.Passage.Result == wire.PassageUnknown {
			unknown = append(unknown, rec.Tx)
			if rec.BootID == "" || rec.SinceBoot == 0 || rec.Gate != "G12" || rec.ClockTrusted {
				t.Errorf("unknown passage lacks its clock or gate: %+v", rec)
			}
		}
	}
	if len(unknown) != 2 || unknown[0] != tx(2) || unknown[1] != tx(4) {
		t.Fatalf("unknown passages %v", unknown)
	}
}

func TestOpenReferrals(t *testing.T) {
	o := open(t, Config{})
	refer := func(n int) wire.Record { return record(wire.KindDecision, n, wire.OutcomeRefer) }
	appendAll(t, o, refer(1), refer(2), refer(3), record(wire.KindResolution, 2, "refused"))
	o = reopen(t, o)
	got, err := o.OpenReferrals(t.Context())
	if err != nil || len(got) != 2 || got[0].Tx != tx(3) || got[1].Tx != tx(1) {
		t.Fatalf("open referrals %v %v", got, err)
	}
	if got[0].Decision.DocRef != "" || len(got[0].Decision.Reasons) != 1 {
		t.Fatalf("referral holds %+v", got[0].Decision)
	}
	for n := range maxReferrals {
		appendAll(t, o, refer(10+n))
	}
	if got, err = o.OpenReferrals(t.Context()); err != nil || len(got) != maxReferrals || got[0].Tx != tx(9+maxReferrals) {
		t.Fatalf("%d open referrals, want %d (%v)", len(got), maxReferrals, err)
	}
}

func TestRefusedRecordLeavesNothing(t *testing.T) {
	o := open(t, Config{})
	appendAll(t, o, admit(1))
	if _, err := o.Append(t.Context(), wire.Record{}); err == nil {
		t.Fatal("an empty record was stored")
	}
	// The same admission twice: refused whole, also its result row.
	if _, err := o.Append(t.Context(), admit(1)); err == nil {
		t.Fatal("an admission was stored twice")
	}
	if o.Depth() != 1 {
		t.Fatalf("depth %d, want 1", o.Depth())
	}
	if n, err := o.Append(t.Context(), admit(2)); err != nil || n != 2 {
		t.Fatalf("afterwards: %d %v", n, err)
	}
}

func TestBound(t *testing.T) {
	o := open(t, Config{MaxBytes: 400_000})
	stored := 0
	var err error
	for ; stored < 2000; stored++ {
		if _, err = o.Append(t.Context(), admit(stored)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), o.path) {
		t.Fatalf("at the bound after %d: %v", stored, err)
	}
	if len(o.Notices()) == 0 || o.Notices()[0].Level != "fault" {
		t.Fatalf("notices at the bound: %v", o.Notices())
	}
	// What must be told of the admissions still finds room.
	appendAll(t, o, record(wire.KindPassage, 0, wire.PassagePassed))
	if got := len(all(t, o, 0)); got != stored+1 {
		t.Fatalf("%d rows, want %d: the bound must refuse the new and keep the old", got, stored+1)
	}
	// Acknowledged results make room, and the gate goes on.
	e := all(t, o, 0)
	if err := o.Acknowledge(t.Context(), ackOf(t, o, e[len(e)-1])); err != nil {
		t.Fatal(err)
	}
	appendAll(t, o, admit(5000))
	if len(o.Notices()) != 0 {
		t.Fatalf("notices afterwards: %v", o.Notices())
	}
}

// The bound by age: staff are told long before, then an admission is refused and
// everything else still taken; an acknowledgement lifts it. A clock that ran
// ahead when the oldest was written blocks nothing.
func TestBoundByAge(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	o := open(t, Config{MaxAge: 10 * time.Hour, Now: func() time.Time { return now }})
	at := func(rec wire.Record) wire.Record {
		rec.At = now
		return rec
	}
	appendAll(t, o, at(admit(0)), at(admit(1)))
	level := func(want string) {
		t.Helper()
		got := ""
		for _, n := range o.Notices() {
			got += n.Source + " " + n.Level
		}
		if got != want {
			t.Errorf("after %s: notices %q, want %q", now.Format(time.TimeOnly), got, want)
		}
	}
	level("")
	now = now.Add(6 * time.Hour)
	appendAll(t, o, at(admit(2)))
	level("outbox age warning")
	now = now.Add(5 * time.Hour)
	if _, err := o.Append(t.Context(), at(admit(3))); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "2026-11-22") {
		t.Fatalf("an admission past the bound: %v", err)
	}
	appendAll(t, o, at(record(wire.KindDecision, 4, wire.OutcomeRefer)))
	level("outbox age fault")
	e := all(t, o, 0)
	if len(e) != 4 {
		t.Errorf("%d results, want 4: the oldest must stay", len(e))
	}
	if err := o.Acknowledge(t.Context(), ackOf(t, o, e[1])); err != nil {
		t.Fatal(err)
	}
	appendAll(t, o, at(admit(5)))
	level("")
	now = now.Add(-1000 * time.Hour)
	appendAll(t, o, at(admit(6)))
	level("")
}

func TestMinFreeRefusesAdmissionsOnly(t *testing.T) {
	o := open(t, Config{MinFree: 1 << 62})
	if _, err := o.Append(t.Context(), admit(1)); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("admission on a nearly full disk: %v", err)
	}
	appendAll(t, o, record(wire.KindDecision, 2, wire.OutcomeRefer))
}

func TestDeadlineWhileAnotherWrites(t *testing.T) {
	o := open(t, Config{})
	o.turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := o.Append(ctx, admit(1))
	<-o.turn
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnsure) {
		t.Fatalf("Append = %v", err)
	}
	if o.Depth() != 0 {
		t.Fatal("something was written after all")
	}
}

// The caller leaves while the commit is still on its way, and it comes
// through: the same record tried again is not stored twice; the referral that
// the lane makes of the admission is stored and takes its place.
func TestCommitAfterTheDeadline(t *testing.T) {
	o := open(t, Config{})
	rec := admit(1)
	late := func(rec wire.Record) {
		t.Helper()
		body, err := rec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		_, err = doOrLate(ctx, o, "append", func(work context.Context) (uint64, error) {
			n, err := o.appendHeld(work, rec, body, ctx.Err)
			cancel()
			<-release
			return n, err
		}, o.lateAppend(rec))
		if !errors.Is(err, ErrUnsure) {
			t.Fatalf("late append: %v", err)
		}
		close(release)
	}
	late(rec)
	again := rec
	again.SinceBoot++ // stamped anew
	if n, err := o.Append(t.Context(), again); err != nil || n != 1 {
		t.Fatalf("tried again: %d %v, want number 1", n, err)
	}
	late(admit(2))
	appendAll(t, o, record(wire.KindDecision, 2, wire.OutcomeRefer))
	if got := len(all(t, o, 0)); got != 3 {
		t.Fatalf("%d rows, want 3", got)
	}
	adm, err := o.OpenAdmissions(t.Context())
	if err != nil || len(adm) != 1 || adm[0].Tx != tx(1) {
		t.Fatalf("open admissions %v %v", adm, err)
	}
	ref, err := o.OpenReferrals(t.Context())
	if err != nil || len(ref) != 1 || ref[0].Tx != tx(2) {
		t.Fatalf("open referrals %v %v", ref, err)
	}
	// Whoever left before the commit finds nothing committed.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	body, _ := rec.Encode()
	if _, err := o.appendHeld(t.Context(), admit(3), body, gone.Err); !errors.Is(err, context.Canceled) || o.Depth() != 3 {
		t.Fatalf("commit for nobody: %v, depth %d", err, o.Depth())
	}
}

func TestUseAfterClose(t *testing.T) {
	o := open(t, Config{})
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Append(t.Context(), admit(1)); !errors.Is(err, ErrClosed) {
		t.Fatalf("Append = %v", err)
	}
	if _, _, err := o.Pending(t.Context(), 0, 1, 1); !errors.Is(err, ErrClosed) {
		t.Fatalf("Pending = %v", err)
	}
}

func TestFolderIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state with space ?#%")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o := open(t, Config{Dir: dir})
	appendAll(t, o, admit(1))
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", p, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, dbFolder, dbName)); err != nil {
		t.Fatal(err)
	}
}

func TestOtherKioskIsRefused(t *testing.T) {
	o := open(t, Config{})
	cfg := o.cfg
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Kiosk = "sgn-g13"
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), kiosk) {
		t.Fatalf("Open = %v", err)
	}
}

func TestStamp(t *testing.T) {
	o := open(t, Config{})
	var a, b wire.Record
	at := time.Now()
	if err := o.Stamp(&a, at, true); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	if err := o.Stamp(&b, at.Add(-time.Hour), false); err != nil {
		t.Fatal(err)
	}
	if b.SinceBoot <= a.SinceBoot || len(a.BootID) != 36 || a.BootID != b.BootID || !a.ClockTrusted || b.ClockTrusted {
		t.Fatalf("%+v\n%+v", a, b)
	}
}

// settle waits until what was set aside was looked through.
func settle(t *testing.T, o *Outbox) {
	t.Helper()
	if err := o.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
}
