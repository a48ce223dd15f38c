package offline

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
)

func sealKeys(t testing.TB) (*wire.SealKey, *wire.Opener) {
	t.Helper()
	k, err := wire.NewOpenKey(wire.SuiteX25519)
	if err != nil {
		t.Fatal(err)
	}
	return k.Public(), wire.NewOpener(k)
}

// fixedKeys are the same at every call, for tests whose ends lie far apart.
func fixedKeys() (*wire.SealKey, *wire.Opener) {
	k, err := wire.ParseOpenKey("x25519 " + strings.Repeat("5a", 32))
	if err != nil {
		panic(err)
	}
	return k.Public(), wire.NewOpener(k)
}

// planted occurs in records and may occur nowhere on the disk.
const planted = "plantedcontent"

func plantedRecord(kind string, n int, outcome string) wire.Record {
	rec := record(kind, n, outcome)
	rec.BootID = planted
	if d := rec.Decision; d != nil {
		d.DocRef, d.Issuer, d.Policy, d.Checks = planted, planted, planted, []wire.Check{{ID: planted, Result: planted}}
	}
	if r := rec.Resolution; r != nil {
		r.Operator, r.Reason = planted, planted
	}
	return rec
}

// onDisk says in which files below a folder the planted content lies.
func onDisk(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(planted)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// With a key the disk holds ciphertext alone, while the agent runs and after;
// without one the same search finds the content.
func TestSealedDisk(t *testing.T) {
	key, opener := sealKeys(t)
	for name, seal := range map[string]*wire.SealKey{"sealed": key, "in clear": nil} {
		t.Run(name, func(t *testing.T) {
			o := open(t, Config{Seal: seal})
			appendAll(t, o, plantedRecord(wire.KindDecision, 1, wire.OutcomeAdmit), plantedRecord(wire.KindPassage, 1, wire.PassagePassed),
				plantedRecord(wire.KindDecision, 2, wire.OutcomeRefer), plantedRecord(wire.KindResolution, 2, "refused"),
				plantedRecord(wire.KindDecision, 3, wire.OutcomeAdmit), plantedRecord(wire.KindDecision, 4, wire.OutcomeRefer))
			running := onDisk(t, o.cfg.Dir)
			o = reopen(t, o)
			if stopped := onDisk(t, o.cfg.Dir); (len(running)+len(stopped) > 0) != (seal == nil) {
				t.Errorf("the content lies in %v, later in %v", running, stopped)
			}
			appendAll(t, o, plantedRecord(wire.KindHelp, 5, ""))
			epoch := o.Queue().Epoch
			entries := all(t, o, 0)
			if len(entries) != 7 {
				t.Fatalf("%d entries", len(entries))
			}
			for _, e := range entries {
				plain, err := opener.Open(kiosk, epoch, e.Number, e.Prev, e.Body)
				if err != nil || !bytes.Contains(plain, []byte(planted)) {
					t.Errorf("result %d: %s %v", e.Number, plain, err)
				}
			}
			open, err := o.OpenReferrals(t.Context())
			if err != nil || len(open) != 1 || open[0].Tx != tx(4) || open[0].Decision.Reasons[0] != 6001 || open[0].Gate != "G12" || open[0].At.IsZero() {
				t.Errorf("what staff need: %+v %v", open, err)
			}
		})
	}
}

// indexAt is where the index stands in an envelope of X25519.
const indexAt = 2 + 8 + 32

// An append that fails has used its nonce: the next one takes another.
func TestNonceAfterFailedAppend(t *testing.T) {
	key, _ := sealKeys(t)
	o := open(t, Config{Seal: key})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	rec := admit(1)
	plain, err := rec.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := o.appendHeld(t.Context(), admit(1), plain, gone.Err); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	appendAll(t, o, admit(1), admit(2))
	entries := all(t, o, 0)
	if len(entries) != 2 || entries[0].Body[indexAt+3] != 3 || entries[1].Body[indexAt+3] != 4 {
		t.Fatalf("indexes %d and %d of %d results, want 3 and 4", entries[0].Body[indexAt+3], entries[1].Body[indexAt+3], len(entries))
	}
	if o = reopen(t, o); o.Depth() != 2 {
		t.Fatal("depth after a restart")
	}
	appendAll(t, o, admit(3))
	if e := all(t, o, 2)[0]; e.Body[indexAt+3] != 0 || bytes.Equal(e.Body[:indexAt], entries[0].Body[:indexAt]) {
		t.Error("a restart goes on with the context before")
	}
}

// What is saved of a damaged database opens under its old epoch, what follows
// under the new one; exchanged, neither opens.
func TestSealedRescue(t *testing.T) {
	key, opener := sealKeys(t)
	o := open(t, Config{Seal: key})
	for n := range 5 {
		appendAll(t, o, admit(n))
	}
	old, path := o.Queue().Epoch, o.path
	must(t, o.Close())
	rawSQL(t, path, `DELETE FROM result WHERE number = 5`)
	o = open(t, o.cfg)
	settle(t, o)
	epoch, entries, err := o.Pending(t.Context(), 0, 50, wire.BatchRoom)
	if err != nil || epoch != old || len(entries) != 4 {
		t.Fatalf("%d results of %s: %v", len(entries), epoch, err)
	}
	for _, e := range entries {
		if _, err := opener.Open(kiosk, old, e.Number, e.Prev, e.Body); err != nil {
			t.Error(err)
		}
		if _, err := opener.Open(kiosk, o.ownQueue().Epoch, e.Number, e.Prev, e.Body); !errors.Is(err, wire.ErrUnreadable) {
			t.Errorf("result %d opens under another epoch: %v", e.Number, err)
		}
	}
	var seen []string
	must(t, ReadFolder(t.Context(), o.cfg.Dir, func(s Standing, read func(uint64, int) ([]wire.Entry, error)) error {
		seen = append(seen, s.Epoch)
		got, err := read(0, 100)
		if s.Epoch == old && (len(got) != 4 || s.Damaged == "") {
			t.Errorf("the saved epoch in a copy: %+v with %d results", s, len(got))
		}
		return err
	}))
	if len(seen) != 2 || seen[0] != old {
		t.Errorf("epochs %v, the oldest is %s", seen, old)
	}
}

// A body whose time is over goes, acknowledged or not; the chain verifies, as
// a batch and over a restart, and what is younger stays.
func TestExpire(t *testing.T) {
	key, opener := sealKeys(t)
	o := open(t, Config{Seal: key, Retention: 24 * time.Hour})
	for n := range 700 {
		rec := admit(n)
		rec.At = time.Unix(1_700_000_000+int64(n)*60, 0)
		appendAll(t, o, rec)
	}
	before := all(t, o, 0)
	plain, err := opener.Open(kiosk, o.Queue().Epoch, 1, before[0].Prev, before[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := wire.DecodeRecord(plain); err != nil || !rec.DeleteAt.Equal(rec.At.Add(24*time.Hour)) {
		t.Errorf("deletion date %v (%v)", rec, err)
	}
	if n, err := o.Expire(t.Context(), time.Unix(1_700_000_000+600*60, 0).Add(24*time.Hour)); err != nil || n != 600 {
		t.Fatalf("%d bodies went (%v), want 600", n, err)
	}
	o = reopen(t, o)
	after := all(t, o, 0)
	for i := range after {
		if empty := len(after[i].Body) == 0; empty != (i < 600) || !bytes.Equal(after[i].Hash, before[i].Hash) {
			t.Fatalf("result %d: body of %d bytes", i+1, len(after[i].Body))
		}
	}
	b, err := wire.NewBatch(kiosk, o.Queue().Epoch, after[580].Prev, after[580:620])
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Acknowledge(t.Context(), wire.Ack{Kiosk: kiosk, Epoch: b.Epoch, Number: b.Last, Chain: b.Chain}); err != nil {
		t.Fatal(err)
	}
	if n, err := o.Expire(t.Context(), time.Unix(1_700_000_000, 0)); err != nil || n != 0 {
		t.Errorf("%d bodies went again (%v)", n, err)
	}
}

// A folder is read while the agent writes into it.
func TestReadFolderOfRunningAgent(t *testing.T) {
	key, _ := sealKeys(t)
	o := open(t, Config{Seal: key})
	appendAll(t, o, admit(0))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ctx.Err() == nil; n++ {
			if _, err := o.Append(t.Context(), admit(n)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 5 {
		err := ReadFolder(t.Context(), o.cfg.Dir, func(s Standing, read func(uint64, int) ([]wire.Entry, error)) error {
			entries, err := read(0, int(s.Last))
			if err == nil && (uint64(len(entries)) != s.Last || s.Last == 0 || s.Acknowledged != 0 || s.Oldest.IsZero() || s.Kiosk != kiosk) {
				t.Errorf("%+v with %d results", s, len(entries))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	cancel()
	<-done
}
