package store

import (
	"crypto/ed25519"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// A database of the first version is taken over with what is in it, and goes
// on; what is then done to it behind the program's back is found.
func TestUpgradeAndAudit(t *testing.T) {
	dir := t.TempDir()
	change := func(stmts ...string) {
		t.Helper()
		db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, FileName))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range stmts {
			if _, err := db.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	body, epoch := []byte(`{"v":1}`), strings.Repeat("0a", 16)
	chain, err := wire.ChainNext("k1", epoch, 1, wire.ChainStart(), wire.BodyHash(body))
	if err != nil {
		t.Fatal(err)
	}
	change(schema, "PRAGMA user_version = 1", `INSERT INTO kiosks(name, request, signing_key, broker, list_keys, added_at, revoked_at)
		VALUES('k0', x'', x'00', '[]', '[]', 1000, 2000)`)
	pub, key, _ := ed25519.GenerateKey(nil)
	again := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := again()
	if was, err := s.SigningKeys(t.Context(), "k0"); err != nil || len(was) != 1 || was[0].From != time.UnixMilli(1000).UTC() || was[0].Until != time.UnixMilli(2000).UTC() {
		t.Errorf("the keys of a kiosk from before: %+v %v", was, err)
	}
	if err := s.AddKiosk(t.Context(), Kiosk{Name: "k1", Request: []byte("{}"), SigningKey: pub, Added: time.Now()},
		Certificate{Serial: "aa", Kiosk: "k1", Issued: time.Now(), NotAfter: time.Now()}, false); err != nil {
		t.Fatal(err)
	}
	entries := []wire.Entry{{Number: 1, Prev: wire.ChainStart(), Hash: wire.BodyHash(body), Body: body}, {Number: 2, Prev: chain, Hash: wire.BodyHash(body), Body: body}}
	for _, n := range []int{1, 2} {
		b, err := wire.NewBatch("k1", epoch, wire.ChainStart(), entries[:n])
		if err == nil {
			err = b.Sign(key)
		}
		if err != nil {
			t.Fatal(err)
		}
		if v, err := s.Ingest(t.Context(), []Batch{{Batch: b, SigningKey: pub, Received: time.Now()}}); err != nil || v[0].New != 1 {
			t.Fatalf("%+v %v", v, err)
		}
	}
	for _, c := range []struct{ harm, want string }{
		{"", ""},
		{"UPDATE results SET body = x'7b7d' WHERE number = 1", "result 1: altered"},
		{"UPDATE results SET body = x'' WHERE number = 1", ""},
		{"UPDATE heads SET chain = hash FROM results WHERE results.number = 1", "result 2"},
		{"DELETE FROM results WHERE number = 1", "result 1: removed"},
	} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if c.harm != "" {
			change(c.harm)
		}
		s = again()
		a, err := s.Audit(t.Context(), "k1")
		if err != nil || (len(a.Faults) == 0) != (c.want == "") || !strings.Contains(strings.Join(a.Faults, "\n"), c.want) {
			t.Errorf("%q: %+v %v", c.harm, a, err)
		}
	}
}
