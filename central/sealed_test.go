package central_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"gateagent/central/intake"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// Sealed results are opened on arrival and kept as they came; one that central
// cannot open is kept, acknowledged, counted and an alarm; one whose time is
// over goes, and the chain still verifies.
func TestSealedResults(t *testing.T) {
	reg := registry(t, t.TempDir())
	k := enrolKiosk(t, reg, "k1", "tls://c.example:8883")
	stranger, err := wire.NewOpenKey(wire.SuiteX25519)
	if err != nil {
		t.Fatal(err)
	}
	const epoch = "000102030405060708090a0b0c0d0e0f"
	over, chain := time.Now().Add(-time.Hour).Truncate(time.Second), wire.ChainStart()
	var entries []wire.Entry
	for n := uint64(1); n <= 6; n++ {
		rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: fmt.Sprintf("%032x", n), Gate: "G12", At: over,
			Decision: &wire.Decision{Outcome: wire.OutcomeRefer, Reasons: []uint32{6001}}}
		if n <= 2 {
			rec.DeleteAt = over
		}
		plain, err := rec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		to := k.id.SealTo
		if n == 4 {
			to = stranger.Public()
		}
		body, err := wire.NewSealer(to, "k1", epoch, time.Now).Seal(n, chain, plain)
		if err != nil {
			t.Fatal(err)
		}
		if n == 5 { // altered before the kiosk signed
			body[len(body)-1] ^= 1
		}
		e := wire.Entry{Number: n, Prev: chain, Hash: wire.BodyHash(body), Body: body}
		entries = append(entries, e)
		if chain, err = wire.ChainNext("k1", epoch, n, chain, e.Hash); err != nil {
			t.Fatal(err)
		}
	}
	b, err := wire.NewBatch("k1", epoch, wire.ChainStart(), entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Sign(k.id.Signing); err != nil {
		t.Fatal(err)
	}
	key, _, err := reg.Store.SigningKey(t.Context(), "k1")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []store.Verdict{{New: 6, Unreadable: 2}, {Repeat: 6}} {
		got, err := reg.Store.Ingest(t.Context(), []store.Batch{*intake.Read(b, key, reg.CA.Opener(), time.Now())})
		if err != nil || !got[0].Ack || got[0].Number != 6 || got[0].New != want.New || got[0].Repeat != want.Repeat || got[0].Unreadable != want.Unreadable {
			t.Fatalf("time %d: %+v %v", i, got, err)
		}
	}
	if n, err := reg.Store.Unreadable(t.Context(), "k1"); err != nil || n != 2 {
		t.Errorf("%d are unreadable (%v)", n, err)
	}
	alarms, err := reg.Store.OpenAlarms(t.Context())
	if err != nil || len(alarms) != 1 || alarms[0].Kind != store.AlarmUnreadable || alarms[0].Count != 1 {
		t.Errorf("alarms %+v %v", alarms, err)
	}
	if n, err := reg.Store.Expire(t.Context(), time.Now()); err != nil || n != 2 {
		t.Errorf("%d results expired (%v)", n, err)
	}
	results, err := reg.Store.Results(t.Context(), "k1", 0, time.UnixMilli(0), 100)
	if err != nil || len(results) != 6 {
		t.Fatal(err)
	}
	again := wire.ChainStart()
	for i, r := range results {
		if again, err = wire.ChainNext("k1", epoch, r.Number, again, r.Hash); err != nil {
			t.Fatal(err)
		}
		expired, shut := i < 2, i == 3 || i == 4
		if (len(r.Body) == 0) != expired || (r.Record == nil) != (expired || shut) || (r.Facts.Outcome == "") != shut || !expired && !bytes.Equal(r.Body, entries[i].Body) {
			t.Errorf("result %d: %+v", r.Number, r)
		}
	}
	if a, err := reg.Store.Audit(t.Context(), "k1"); err != nil || len(a.Faults) != 0 || a.Results != 6 || a.Expired != 2 {
		t.Errorf("audit: %+v %v", a, err)
	}
	if !bytes.Equal(again, b.Chain) {
		t.Error("the chain does not verify after bodies were deleted")
	}
}
