package e2e

import (
	"fmt"
	"slices"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/kiosk"
)

// held is a record at central.
type held struct {
	epoch  string
	number uint64
	rec    wire.Record
}

// settled waits until central holds as many decisions as were made, each
// admission with its passage and what staff resolved, and gives everything it
// holds, oldest first.
func (r *rig) settled(c *kiosk.Central, decided int) []held {
	r.t.Helper()
	for end := time.Now().Add(settleWithin); ; time.Sleep(100 * time.Millisecond) {
		all := r.held(c)
		decisions, waiting := 0, r.resolved
		for _, h := range all {
			switch {
			case h.rec.Kind == wire.KindPassage || h.rec.Kind == wire.KindResolution:
				waiting--
			case h.rec.Kind == wire.KindDecision && h.rec.Decision.Outcome == wire.OutcomeAdmit:
				waiting++
				fallthrough
			case h.rec.Kind == wire.KindDecision:
				decisions++
			}
		}
		if decisions >= decided && waiting <= 0 || time.Now().After(end) {
			return all
		}
	}
}

func (r *rig) held(c *kiosk.Central) []held {
	r.t.Helper()
	all, err := c.Results(r.within(settleWithin), r.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	out := make([]held, 0, len(all))
	for _, s := range all {
		rec, err := wire.DecodeRecord(s.Record)
		if err != nil {
			r.t.Fatalf("central holds something that is no record: %v", err)
		}
		out = append(out, held{s.Epoch, s.Number, *rec})
	}
	return out
}

// kinds counts the records of a transaction by kind.
func kinds(all []held, tx string) map[string]int {
	n := map[string]int{}
	for _, h := range all {
		if h.rec.Tx == tx {
			n[h.rec.Kind]++
		}
	}
	return n
}

// one finds the only record of a kind of a transaction.
func (r *rig) one(all []held, tx, kind string) wire.Record {
	r.t.Helper()
	var found []wire.Record
	for _, h := range all {
		if h.rec.Tx == tx && h.rec.Kind == kind {
			found = append(found, h.rec)
		}
	}
	if len(found) != 1 {
		r.t.Fatalf("central holds %d %s records of transaction %s, there should be one", len(found), kind, tx)
	}
	return found[0]
}

// balance holds central's records against each other and against the gate:
// numbers without gaps, no transaction twice, for each admission one passage,
// for each opening an admission at most five seconds before. It prints the
// ledger.
func (r *rig) balance(c *kiosk.Central, decided int) []held {
	r.t.Helper()
	all := r.settled(c, decided)
	doubled, reordered := r.doubles(all)
	var admissions []time.Time
	decisions, passages := 0, map[string]int{}
	for _, h := range all {
		switch {
		case h.rec.Kind == wire.KindPassage:
			passages[h.rec.Passage.Result]++
		case h.rec.Kind == wire.KindDecision:
			decisions++
			if h.rec.Decision.Outcome == wire.OutcomeAdmit {
				admissions = append(admissions, h.rec.At)
				if n := kinds(all, h.rec.Tx)[wire.KindPassage]; n != 1 {
					r.t.Errorf("admission %s has %d passages", h.rec.Tx, n)
				}
			}
		}
	}
	r.openings(admissions)
	lost := max(decided-decisions, 0)
	r.t.Logf("ledger %s-%s decided=%d central=%d lost=%d doubled=%d unreadable=0 reordered=%d", r.t.Name(), r.Name(), decided, decisions, lost, doubled, reordered)
	r.t.Logf("%d records, admitted %d, gate opened %d times, passages %v", len(all), len(admissions), r.Relay.Opened(), fmt.Sprint(passages))
	if lost > 0 || doubled > 0 || decisions < decided {
		r.t.Errorf("%d decisions were made, central holds %d, %d are doubled", decided, decisions, doubled)
	}
	standing, alarms, err := c.Fleet(r.within(soon), r.Name())
	if err != nil || len(alarms) > 0 || standing.Conflicts > 0 {
		r.t.Errorf("central complains: %v, %d conflicts, %v", alarms, standing.Conflicts, err)
	}
	return all
}

// doubles counts what is there twice and what is out of order, and demands
// numbers without gaps.
func (r *rig) doubles(all []held) (doubled, reordered int) {
	r.t.Helper()
	last, seen := map[string]uint64{}, map[string]bool{}
	for _, h := range all {
		if h.number != last[h.epoch]+1 {
			r.t.Errorf("central holds number %d of epoch %s after number %d", h.number, h.epoch, last[h.epoch])
			reordered++
		}
		last[h.epoch] = h.number
		if key := h.rec.Kind + h.rec.Tx; seen[key] {
			doubled++
		} else {
			seen[key] = true
		}
	}
	return doubled, reordered
}

// maxAge: an admission older than this never opens the gate.
const maxAge = 5 * time.Second

// pulse is how long the simulated kiosk opens its gate; slack is for a busy
// machine.
const (
	pulse = 200 * time.Millisecond
	slack = 800 * time.Millisecond
)

// openings demands for each opening of the gate an admission of its own that
// is fresh.
func (r *rig) openings(admissions []time.Time) {
	r.t.Helper()
	for _, e := range r.Relay.Events() {
		if !e.Open {
			continue
		}
		i := slices.IndexFunc(admissions, func(at time.Time) bool {
			age := e.At.Sub(at)
			return age > -2*time.Millisecond && age < maxAge // records are rounded to the millisecond
		})
		if i < 0 {
			r.t.Errorf("the gate opened at %v without a fresh admission of its own", e.At)
			continue
		}
		admissions = slices.Delete(slices.Clone(admissions), i, i+1)
	}
	r.shut()
}

// shut demands that the gate is shut as soon as its pulse is over.
func (r *rig) shut() {
	r.t.Helper()
	for end := time.Now().Add(pulse + slack); r.Relay.IsOpen(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Errorf("the gate stands open %v after it must have shut", slack)
			return
		}
	}
}

// decidedIn counts the decisions that this run of the agent says it made.
func (r *rig) decidedIn() int { return len(r.said("msg=decided")) }

// explained demands that a refusal tells staff what is wrong and what to do.
func (r *rig) explained(v view) {
	r.t.Helper()
	if len(v.Reasons) == 0 {
		r.t.Errorf("no reason is given: %s", v.line())
		return
	}
	for _, c := range v.Reasons {
		if i := c.Info(); i.Text == "" || i.Text == "unlisted code" {
			r.t.Errorf("code %d tells staff nothing", c)
		}
	}
	if first := v.Reasons[0].Info(); first.Remedy == "" {
		r.t.Errorf("code %s says no remedy", first.Name)
	}
	if v.Outcome == gate.Admit.String() {
		r.t.Errorf("admitted: %s", v.line())
	}
}
