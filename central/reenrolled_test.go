package central_test

import (
	"crypto/ed25519"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/central/enrol"
	"gateagent/central/intake"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// replaceKiosk enrols a new machine under the name of a kiosk, at a time.
func replaceKiosk(t *testing.T, reg *enrol.Registry, name string, at time.Time) *wire.Identity {
	t.Helper()
	keys, err := wire.NewKioskKeys(name)
	if err != nil {
		t.Fatal(err)
	}
	req, err := keys.Request(at)
	if err != nil {
		t.Fatal(err)
	}
	data, err := enrol.Encode(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := reg.Add(t.Context(), data, enrol.Options{Broker: []string{"tls://c.example:8883"}, Replace: true}, at)
	if err != nil {
		t.Fatal(err)
	}
	id, err := wire.NewIdentity(keys, b)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// What a kiosk signed is proven by the key that it had then: after it was
// enrolled anew, however often. A state of the chain that was signed later with
// a key that no longer counted is found.
func TestAuditAfterNewEnrolment(t *testing.T) {
	dir := t.TempDir()
	reg := registry(t, dir)
	at := time.Now().Add(-100 * 24 * time.Hour)
	takeIn := func(k *kiosk, n int, at time.Time) {
		t.Helper()
		b := k.next(t, n)
		key := k.id.Signing.Public().(ed25519.PublicKey)
		v, err := reg.Store.Ingest(t.Context(), []store.Batch{*intake.Read(b, key, reg.CA.Opener(), at)})
		if err != nil || v[0].New != n {
			t.Fatalf("%+v %v", v, err)
		}
	}
	audit := func(want string) {
		t.Helper()
		a, err := reg.Store.Audit(t.Context(), "k1")
		if err != nil || (len(a.Faults) == 0) != (want == "") || !strings.Contains(strings.Join(a.Faults, "\n"), want) {
			t.Errorf("faults %q, want %q (%v)", a.Faults, want, err)
		}
	}
	first := replaceKiosk(t, reg, "k1", at)
	old := &kiosk{id: first, epoch: strings.Repeat("01", 16), chain: wire.ChainStart()}
	takeIn(old, 3, at.Add(time.Hour))
	second := replaceKiosk(t, reg, "k1", at.Add(50*24*time.Hour))
	// One epoch under two keys: the disk stayed, the identity is new.
	old.id = second
	takeIn(old, 2, at.Add(51*24*time.Hour))
	third := replaceKiosk(t, reg, "k1", at.Add(80*24*time.Hour))
	fresh := &kiosk{id: third, epoch: strings.Repeat("02", 16), chain: wire.ChainStart()}
	takeIn(fresh, 4, at.Add(81*24*time.Hour))
	audit("")
	all, err := reg.Store.SigningKeys(t.Context(), "k1")
	if err != nil || len(all) != 3 || !all[2].Until.IsZero() || all[0].Until.IsZero() || !all[1].From.Equal(all[0].Until) {
		t.Fatalf("keys %+v %v", all, err)
	}

	// Whoever kept the first machine's key signs the newest state with it.
	c := wire.Checkpoint{Epoch: fresh.epoch, First: 1, Last: 4, Chain: fresh.chain}
	forged := c.Batch("k1", nil)
	if err := forged.Sign(first.Signing); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE heads SET sig = ?, first = 1 WHERE epoch = ?", forged.Sig, fresh.epoch); err != nil {
		t.Fatal(err)
	}
	audit("epoch " + fresh.epoch + ", result 4: no key that was the kiosk's on")
	// A revoked kiosk's results stay proven.
	if err := forged.Sign(third.Signing); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE heads SET sig = ? WHERE epoch = ?", forged.Sig, fresh.epoch); err != nil {
		t.Fatal(err)
	}
	if err := reg.Revoke(t.Context(), "k1", "sold", time.Now()); err != nil {
		t.Fatal(err)
	}
	audit("")
}
