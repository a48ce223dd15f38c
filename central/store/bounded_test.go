package store_test

import (
	"encoding/hex"
	"testing"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// One kiosk that begins a new epoch with each batch, and gives another reason
// in each: what the fleet page reads stays bounded, and nothing is left out of
// the sums.
func TestWhatOneKioskGivesIsBounded(t *testing.T) {
	s, _ := open(t)
	const n = 500
	var group []store.Batch
	for i := range n {
		ep := hex.EncodeToString(append(make([]byte, 14), byte(i>>8), byte(i)))
		body := []byte(`{"n":1}`)
		e := wire.Entry{Number: 1, Prev: wire.ChainStart(), Hash: wire.BodyHash(body), Body: body}
		b, err := wire.NewBatch(kiosk, ep, wire.ChainStart(), []wire.Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		outcome := []string{wire.OutcomeAdmit, wire.OutcomeAbort, wire.OutcomeRefer, "x" + ep}[i%4]
		group = append(group, store.Batch{Batch: b, SigningKey: key, Received: time.Now().Add(time.Duration(i) * time.Millisecond),
			Facts: []store.Facts{{Kind: wire.KindDecision, Outcome: outcome, Reason: uint32(i + 1)}}})
	}
	for i, v := range ingest(t, s, group...) {
		if !v.Epoch || v.New != 1 {
			t.Fatalf("batch %d: %+v", i, v)
		}
	}
	if v := ingest(t, s, group[0])[0]; v.Epoch && v.New > 0 {
		t.Errorf("the same again: %+v", v)
	}
	heads, all, err := s.Heads(t.Context(), kiosk, 20)
	if err != nil || len(heads) != 20 || all != n || heads[0].Epoch != group[n-1].Epoch {
		t.Errorf("%d heads of %d: %v", len(heads), all, err)
	}
	if stored, err := s.Stored(t.Context()); err != nil || stored[kiosk] != n {
		t.Errorf("%d results, %v", stored[kiosk], err)
	}
	tallies, err := s.Tallies(t.Context(), time.Now().Add(-time.Hour))
	if err != nil || len(tallies) > 60 {
		t.Errorf("%d tallies: %v", len(tallies), err)
	}
	sum, kinds, by := int64(0), 0, map[string]int64{}
	for _, c := range tallies {
		sum += c.Count
		kinds += max(1, c.Others)
		by[c.Outcome] += c.Count
	}
	if sum != n || kinds != n || by[wire.OutcomeAdmit] != n/4 || by[wire.OutcomeAbort] != n/4 {
		t.Errorf("%d decisions of %d kinds: %v", sum, kinds, by)
	}
	if last := tallies[len(tallies)-1]; last.Others == 0 {
		t.Errorf("what is left over comes last: %+v", last)
	}
}
