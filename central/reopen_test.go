package central_test

import (
	"path/filepath"
	"testing"
	"time"

	"gateagent/central/ca"
	"gateagent/central/enrol"
	"gateagent/central/intake"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// sealedBatch makes n results that are sealed to a key, whoever has it.
func (k *kiosk) sealedBatch(t *testing.T, to *wire.SealKey, n int, deleteAt time.Time) *wire.Batch {
	t.Helper()
	prev := k.chain
	seal := wire.NewSealer(to, k.id.Name, k.epoch, time.Now)
	var entries []wire.Entry
	for range n {
		rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: newTx(), Gate: "G12", At: time.Now(), DeleteAt: deleteAt,
			Decision: &wire.Decision{Outcome: wire.OutcomeRefer, Reasons: []uint32{6001}}}
		plain, err := rec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		k.n++
		body, err := seal.Seal(k.n, k.chain, plain)
		if err != nil {
			t.Fatal(err)
		}
		e := wire.Entry{Number: k.n, Prev: k.chain, Hash: wire.BodyHash(body), Body: body}
		entries = append(entries, e)
		if k.chain, err = wire.ChainNext(k.id.Name, k.epoch, k.n, k.chain, e.Hash); err != nil {
			t.Fatal(err)
		}
	}
	return k.sign(t, prev, entries, k.id.Signing)
}

// ledger counts what central holds of a kiosk, and can read.
func ledger(t *testing.T, name string, reg *enrol.Registry, kiosk string, decided int) (unreadable int) {
	t.Helper()
	all, err := reg.Store.Results(t.Context(), kiosk, 0, time.UnixMilli(0), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	last, reordered, read := uint64(0), 0, 0
	for _, r := range all {
		if r.Number != last+1 {
			reordered++
		}
		last = r.Number
		if r.Record != nil && r.Facts.Outcome == wire.OutcomeRefer {
			read++
		}
	}
	unreadable, err = reg.Store.Unreadable(t.Context(), kiosk)
	if err != nil || unreadable != len(all)-read {
		t.Errorf("%d of %d results are unreadable, %d can be read (%v)", unreadable, len(all), read, err)
	}
	t.Logf("ledger %s decided=%d central=%d lost=%d doubled=%d unreadable=%d reordered=%d", name, decided, len(all),
		max(0, decided-len(all)), max(0, len(all)-decided), unreadable, reordered)
	if len(all) != decided || reordered > 0 {
		t.Errorf("%s: %d results, want %d", name, len(all), decided)
	}
	if a, err := reg.Store.Audit(t.Context(), kiosk); err != nil || len(a.Faults) > 0 || int(a.Sealed) != unreadable {
		t.Errorf("%s: %+v %v", name, a, err)
	}
	return unreadable
}

// Results sealed to a key that central lacks are kept, and opened when the key
// turns up: while the service runs, at its start, and never twice.
func TestUnreadableResultsAreRetried(t *testing.T) {
	dir := t.TempDir()
	lost, err := wire.NewOpenKey(wire.SuiteHybrid)
	if err != nil {
		t.Fatal(err)
	}
	other, err := wire.NewOpenKey(wire.SuiteX25519)
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, dir, "")
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker).connect(t)
	soonOver := time.Now().Add(time.Hour)
	for _, b := range []*wire.Batch{k.sealedBatch(t, k.id.SealTo, 5, time.Time{}), k.sealedBatch(t, lost.Public(), 7, soonOver), k.sealedBatch(t, other.Public(), 3, time.Time{})} {
		k.send(t, b)
		k.acked(t, b.Last, b.Chain)
	}
	if n := ledger(t, "before", c.reg, "k1", 15); n != 10 {
		t.Errorf("%d are unreadable", n)
	}
	text, err := lost.Text()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.reg.CA.AddOpenKey(text); err != nil { // gatectl, beside the service
		t.Fatal(err)
	}
	unreadable := func() int {
		n, err := c.reg.Store.Unreadable(t.Context(), "k1")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	eventually(t, "what the key opens is opened", func() bool { return unreadable() == 3 })
	b := k.sealedBatch(t, lost.Public(), 2, time.Time{})
	k.send(t, b)
	k.acked(t, b.Last, b.Chain)
	if n := ledger(t, "a key came", c.reg, "k1", 17); n != 3 {
		t.Errorf("%d are unreadable", n)
	}
	c.stop(t)
	if text, err = other.Text(); err != nil {
		t.Fatal(err)
	}
	authority, err := ca.Open(filepath.Join(dir, enrol.CAFolder))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.AddOpenKey(text); err != nil {
		t.Fatal(err)
	}
	c = launch(t, dir, "")
	eventually(t, "what the other key opens is opened at the start", func() bool { return unreadable() == 0 })
	ledger(t, "at the start", c.reg, "k1", 17)
	open, err := c.reg.CA.FreshOpener()
	if err != nil {
		t.Fatal(err)
	}
	if done, still, err := intake.Retry(t.Context(), c.reg.Store, open); done+still != 0 || err != nil {
		t.Errorf("tried once more: %d opened, %d not, %v", done, still, err)
	}
	// The time that stands in a record counts once it can be read.
	if n, err := c.reg.Store.Expire(t.Context(), soonOver.Add(time.Minute)); err != nil || n != 7 {
		t.Errorf("%d results expired (%v)", n, err)
	}
}

// A result that was altered, here or on the way, stays as it came.
func TestRetryOpensNothingAltered(t *testing.T) {
	reg := registry(t, t.TempDir())
	k := enrolKiosk(t, reg, "k1", "tls://c.example:8883")
	lost, err := wire.NewOpenKey(wire.SuiteX25519)
	if err != nil {
		t.Fatal(err)
	}
	b := k.sealedBatch(t, lost.Public(), 3, time.Time{})
	e := &b.Entries[2]
	e.Body[len(e.Body)-1] ^= 1 // altered, then hashed and signed
	e.Hash = wire.BodyHash(e.Body)
	if b, err = wire.NewBatch(b.Kiosk, b.Epoch, b.PrevChain, b.Entries); err != nil {
		t.Fatal(err)
	}
	key, _, err := reg.Store.SigningKey(t.Context(), "k1")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := reg.Store.Ingest(t.Context(), readAll(b, key, reg)); err != nil || v[0].Unreadable != 3 {
		t.Fatalf("%+v %v", v, err)
	}
	for try := range 2 {
		done, still, err := intake.Retry(t.Context(), reg.Store, wire.NewOpener(lost))
		if err != nil || done != 2*(1-try) || still != 1 {
			t.Errorf("try %d: %d opened, %d not, %v", try, done, still, err)
		}
	}
}

func readAll(b *wire.Batch, key []byte, reg *enrol.Registry) []store.Batch {
	return []store.Batch{*intake.Read(b, key, reg.CA.Opener(), time.Now())}
}
