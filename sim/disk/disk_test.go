package disk

import (
	"bytes"
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/mattn/go-sqlite3"
)

// What is synced is there, what is not may be there in sectors, and the same
// seed gives the same disk.
func TestCut(t *testing.T) {
	var h History
	h.Step(Event{Op: Write, File: "db", Data: bytes.Repeat([]byte{1}, 4*Sector)})
	h.Step(Event{Op: Sync, File: "db"})
	h.Step(Event{Op: Write, File: "db", Data: bytes.Repeat([]byte{2}, 2*Sector), At: Sector})
	h.Step(Event{Op: Write, File: "db-wal", Data: []byte("new")})
	random := rand.New(rand.NewPCG(1, 1))
	if got, lost := h.Cut(0, random); !bytes.Equal(got["db"], bytes.Repeat([]byte{1}, 4*Sector)) || got["db-wal"] != nil || lost == 0 {
		t.Errorf("nothing unsynced: %d bytes, log %q, %d lost", len(got["db"]), got["db-wal"], lost)
	}
	if got, lost := h.Cut(1, random); got["db"][Sector] != 2 || string(got["db-wal"]) != "new" || lost != 0 {
		t.Errorf("everything: %d, log %q, %d lost", got["db"][Sector], got["db-wal"], lost)
	}
	torn := 0
	for seed := range uint64(50) {
		a, _ := h.Cut(0.5, rand.New(rand.NewPCG(seed, 0)))
		b, _ := h.Cut(0.5, rand.New(rand.NewPCG(seed, 0)))
		if !bytes.Equal(a["db"], b["db"]) {
			t.Fatal("the seed does not repeat the cut")
		}
		if a["db"][Sector] != a["db"][2*Sector] {
			torn++
		}
	}
	if torn == 0 {
		t.Error("no write was torn")
	}
	h.Step(Event{Op: Sync, File: "db-wal"})
	h.Step(Event{Op: Delete, File: "db-wal"})
	if got, _ := h.Cut(0, random); string(got["db-wal"]) != "new" {
		t.Error("a deletion that was not synced was kept")
	}
	h.Step(Event{Op: Write, File: "db-wal", Data: []byte("again")})
	h.Step(Event{Op: Sync, File: "db-wal"})
	if got, _ := h.Cut(0, random); string(got["db-wal"]) != "again" {
		t.Errorf("the log made anew is %q", got["db-wal"])
	}
}

var host = sync.OnceValues(func() (*Host, error) { return Register("disktest") })

// SQLite works on it, its files are a database for SQLite's own layer, and a
// failing operation is an error of the statement.
func TestUnderSQLite(t *testing.T) {
	h, err := host()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := h.New(dir)
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "a.db")+"?vfs=disktest&_locking_mode=EXCLUSIVE")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, stmt := range []string{"PRAGMA journal_mode=WAL", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"} {
		if _, err := db.Exec(stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
	d.Fail(0, false, Sync, Write)
	if _, err := db.Exec("INSERT INTO t VALUES (2)"); err == nil {
		t.Error("a failing disk took a row")
	}
	if n := d.Heal(); n != 1 {
		t.Errorf("%d operations failed", n)
	}
	if err := Image(d.Files()).Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.db-wal")); err != nil {
		t.Errorf("no log: the database was not in WAL mode: %v", err)
	}
	plain, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	var n int
	if err := plain.QueryRow("SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}
