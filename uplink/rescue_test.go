package uplink_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/mattn/go-sqlite3"

	"gateagent/gate/wire"
)

// TestDamagedOutbox: what can be read of a damaged outbox reaches central
// first, under its own epoch, each result once, and the new epoch follows.
func TestDamagedOutbox(t *testing.T) {
	p := newPKI(t)
	b := newNATS(t, p)
	b.start(t)
	defer b.kill(t)
	addr := b.addr()
	k := newMachine(t, p.identity(t, addr))
	k.decide(300)
	old := k.box.Queue().Epoch
	k.close()
	harm(t, k.dir, `UPDATE result SET body = x'7b7d' WHERE number = 110`)
	k.open()
	k.decide(30) // the damage is found when the results are sent
	c := newFakeCentral(t, p)
	c.connect(addr)
	defer c.leave()
	k.run()
	eventually(t, "the old epoch is sent as far as it is whole, and the new one after it", func() bool {
		// The rescue goes on beside the work: between the two nothing waits.
		sent, err := filepath.Glob(filepath.Join(k.dir, "outbox.damaged-*", "sent"))
		return err == nil && len(sent) == 1 && k.box.Depth() == 0 && k.box.Queue().Epoch != old
	})
	k.decide(20)
	eventually(t, "the new epoch goes on", func() bool { return k.box.Depth() == 0 })
	c.set(func() {
		if n := len(c.kept[old]); n != 109 {
			t.Errorf("central has %d results of the old epoch, want 109", n)
		}
		for i, e := range c.kept[old] {
			if rec, err := wire.DecodeRecord(e.Body); err != nil || rec.Tx != tx(i) {
				t.Errorf("result %d is %v (%v)", e.Number, rec, err)
			}
		}
		if n := len(c.kept[k.box.Queue().Epoch]); n != 20 {
			t.Errorf("central has %d results of the new epoch, want 20", n)
		}
	})
	sent, err := filepath.Glob(filepath.Join(k.dir, "outbox.damaged-*", "sent"))
	if err != nil || len(sent) != 1 {
		t.Errorf("put away: %v %v", sent, err)
	}
}

// harm changes the outbox behind its back.
func harm(t *testing.T, dir, stmt string) {
	t.Helper()
	path := filepath.Join(dir, "outbox", "outbox.db")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(stmt); err != nil {
		t.Fatal(err)
	}
}
