package store_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// Central was set back to result 4, the kiosk keeps those from 8 on: 5 to 7 are
// lost, which is said, counted and an alarm; everything else is there once.
func TestLossIsNoted(t *testing.T) {
	s, _ := open(t)
	a := batch(t, wire.ChainStart(), 1, 4, "a")
	lost := batch(t, a.Chain, 5, 7, "a")
	c := batch(t, lost.Chain, 8, 10, "a")
	ingest(t, s, a)
	if v := ingest(t, s, c)[0]; !v.Gap || !v.Ack || v.Number != 4 || v.New != 0 {
		t.Fatalf("a gap that nobody accepted: %+v", v)
	}
	c.AcceptLoss = true
	if v := ingest(t, s, c)[0]; v.Lost != 3 || v.New != 3 || v.Number != 10 || !v.Ack {
		t.Fatalf("the loss was accepted: %+v", v)
	}
	if v := ingest(t, s, c)[0]; v.Lost != 0 || v.New != 0 || v.Repeat != 3 || !v.Ack {
		t.Errorf("the same file again: %+v", v)
	}
	c.AcceptLoss = false
	d := batch(t, c.Chain, 11, 12, "a")
	if v := ingest(t, s, c, d); v[0].Repeat != 3 || v[1].New != 2 || v[1].Number != 12 {
		t.Errorf("the kiosk goes on: %+v", v)
	}
	// A copy of the lost ones turns up: they are not taken for a contradiction.
	if v := ingest(t, s, batch(t, a.Chain, 5, 6, "a"))[0]; v.Conflicts != 0 || v.New != 0 || v.Number != 12 {
		t.Errorf("within the loss: %+v", v)
	}
	if v := ingest(t, s, batch(t, wire.ChainStart(), 1, 13, "a"))[0]; v.New != 1 || v.Number != 13 {
		t.Errorf("over the loss: %+v", v)
	}
	for name, b := range map[string]store.Batch{
		"another content behind the loss":   batch(t, lost.Chain, 8, 14, "b"),
		"over the loss, by another history": batch(t, wire.ChainStart(), 1, 14, "b"),
		"another chain behind the loss":     batch(t, wire.BodyHash([]byte("x")), 8, 14, "a"),
	} {
		if v := ingest(t, s, b)[0]; v.Ack || v.New != 0 || v.Conflicts == 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	audited, err := s.Audit(t.Context(), kiosk)
	if err != nil || audited.Results != 10 || audited.Lost != 3 {
		t.Fatalf("%+v %v", audited, err)
	}
	results, err := s.Results(t.Context(), kiosk, 0, time.UnixMilli(0), 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ledger %s decided=13 central=%d lost=%d doubled=0 unreadable=0 reordered=0", t.Name(), len(results), audited.Lost)
	alarms, err := s.OpenAlarms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{store.AlarmLoss, store.AlarmConflict} {
		found := false
		for _, a := range alarms {
			found = found || a.Kind == want
		}
		if !found {
			t.Errorf("no alarm %q among %+v", want, alarms)
		}
	}
}

// A result that follows on a loss and could not be opened when it came is tried
// again with the chain hash under which it was sealed.
func TestUnopenedBehindALoss(t *testing.T) {
	s, _ := open(t)
	a := batch(t, wire.ChainStart(), 1, 4, "a")
	lost := batch(t, a.Chain, 5, 7, "a")
	c := batch(t, lost.Chain, 8, 10, "a")
	for _, b := range []*store.Batch{&a, &c} {
		b.AcceptLoss = true
		for range b.Entries {
			b.Facts = append(b.Facts, store.Facts{Unreadable: true})
		}
		ingest(t, s, *b)
	}
	all, err := s.Unopened(t.Context(), 0, 10)
	if err != nil || len(all) != 7 {
		t.Fatalf("%d %v", len(all), err)
	}
	for i, e := range slices.Concat(a.Entries, c.Entries) {
		if u := all[i].Entry; u.Number != e.Number || !bytes.Equal(u.Prev, e.Prev) {
			t.Errorf("result %d is tried behind the chain hash %x, it was sealed behind %x", u.Number, u.Prev[:4], e.Prev[:4])
		}
	}
}
