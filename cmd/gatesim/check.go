package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// verify compares what central, the kiosk and the gate hold in the end with
// what happened.
func (s *site) verify(ctx context.Context, all []*result) []string {
	out, err := s.centralHolds(ctx, all)
	if err != nil {
		return append(out, err.Error())
	}
	// What the page shows of the queue may be a second old.
	if _, err := s.await(ctx, "", 3*refresh/2, never); !errors.Is(err, errWaited) {
		return append(out, err.Error())
	}
	if n := s.now.QueueDepth; n != 0 {
		out = append(out, fmt.Sprintf("the kiosk still keeps %d records that central has not acknowledged", n))
	}
	out = append(out, s.leaks()...)
	admitted := 0
	for _, r := range all {
		if r.Outcome == gate.Admit.String() {
			admitted++
		}
	}
	if n := s.relay.Opened(); n != admitted {
		out = append(out, fmt.Sprintf("the gate opened %d times, %d were admitted", n, admitted))
	}
	if s.relay.IsOpen() {
		out = append(out, "the gate stands open")
	}
	alarms, err := s.fleet.alarms(ctx)
	if err != nil {
		return append(out, err.Error())
	}
	for _, a := range alarms {
		out = append(out, "central complains: "+a)
	}
	return out
}

// refresh is how often the kiosk brings its staff page up to date.
const refresh = time.Second

func never(view) bool { return false }

// centralHolds compares central's records until they are right or have had
// their time.
func (s *site) centralHolds(ctx context.Context, all []*result) ([]string, error) {
	for end := time.Now().Add(settleWithin); ; {
		records, err := s.fleet.records(ctx, kioskName)
		if err != nil {
			return nil, err
		}
		out := compare(all, records)
		if len(out) == 0 || time.Now().After(end) {
			return out, nil
		}
		if _, err := s.await(ctx, "", 100*time.Millisecond, never); !errors.Is(err, errWaited) {
			return out, err
		}
	}
}

// compare holds central's records against what happened: one decision for
// each transaction and no other, one passage for each admission, one
// resolution for each that staff resolved, all with the right content.
func compare(all []*result, records []wire.Record) []string {
	var out []string
	differs := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	held := map[string]map[string][]wire.Record{}
	for _, rec := range records {
		if held[rec.Tx] == nil {
			held[rec.Tx] = map[string][]wire.Record{}
		}
		held[rec.Tx][rec.Kind] = append(held[rec.Tx][rec.Kind], rec)
	}
	for _, r := range all {
		of := held[r.Tx]
		delete(held, r.Tx)
		want := map[string]int{wire.KindDecision: 1}
		if r.Outcome == gate.Admit.String() {
			want[wire.KindPassage] = 1
		}
		if r.resolved {
			want[wire.KindResolution] = 1
		}
		right := true
		for _, kind := range []string{wire.KindDecision, wire.KindPassage, wire.KindResolution, wire.KindHelp} {
			if n := len(of[kind]); n != want[kind] {
				differs("%s: central holds %d %s records, expected %d", r.Traveller, n, kind, want[kind])
				right = false
			}
		}
		if right {
			out = append(out, r.compare(of)...)
		}
	}
	for tx, kinds := range held {
		differs("central holds records of a transaction that nobody made: %s, %d kinds", tx, len(kinds))
	}
	return out
}

// compare looks into the records of one transaction.
func (r *result) compare(of map[string][]wire.Record) []string {
	var out []string
	differs := func(format string, args ...any) {
		out = append(out, r.Traveller+": "+fmt.Sprintf(format, args...))
	}
	d := of[wire.KindDecision][0].Decision
	codes := make([]uint32, 0, len(r.codes))
	for _, c := range r.codes {
		codes = append(codes, uint32(c))
	}
	switch {
	case d == nil:
		differs("central's decision record is empty")
	case d.Outcome != r.Outcome || !slices.Equal(d.Reasons, codes):
		differs("central holds %s %v, the kiosk showed %s %v", d.Outcome, d.Reasons, r.Outcome, codes)
	case r.part != nil:
		r.compareFace(d, differs)
	case d.Face != gate.FaceOff.String():
		differs("central's record does not say that no face was compared, but %q", d.Face)
	}
	for _, rec := range of[wire.KindPassage] {
		if rec.Passage == nil || rec.Passage.Result != r.Passage {
			differs("central's passage record does not say %q", r.Passage)
		}
	}
	for _, rec := range of[wire.KindResolution] {
		if want := (wire.Resolution{Operator: operatorName, Outcome: resolveOutcome, Reason: resolveReason}); rec.Resolution == nil || *rec.Resolution != want {
			differs("central's resolution is %+v, expected %+v", rec.Resolution, want)
		}
	}
	return out
}
