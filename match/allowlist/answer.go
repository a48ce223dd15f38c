package allowlist

import (
	"time"

	"gateagent/gate"
)

// verdictOf judges the entries of one document for a gate and a moment. Among
// the entries that are open here and now the strictest wins: refuse before
// refer before allow. Where none is, the answer that helps staff most: open
// now at another gate, then too early here, then too late here, then listed
// for other gates only.
func verdictOf(entries []Entry, gateName string, now time.Time) (gate.ListVerdict, gate.Code, *Entry) {
	var strictest, elsewhere, early, late *Entry
	for i := range entries {
		e := &entries[i]
		here := e.fits(gateName)
		switch {
		case here && e.body.holds(now):
			if strictest == nil || e.Answer > strictest.Answer {
				strictest = e
			}
		case e.body.holds(now):
			elsewhere = e
		case here && e.body.early(now):
			if early == nil || e.From.Before(early.From) {
				early = e
			}
		case here:
			if late == nil || e.Until.After(late.Until) {
				late = e
			}
		}
	}
	switch {
	case strictest != nil:
		return openEntry(strictest)
	case elsewhere != nil:
		return gate.ListWrongGate, gate.CodeListWrongGate, elsewhere
	case early != nil:
		return gate.ListTooEarly, gate.CodeListTooEarly, early
	case late != nil:
		return gate.ListTooLate, gate.CodeListTooLate, late
	case len(entries) > 0:
		return gate.ListWrongGate, gate.CodeListWrongGate, &entries[0]
	}
	return gate.ListNotFound, gate.CodeListNotFound, nil
}

// openEntry turns the answer of an open entry into a verdict.
func openEntry(e *Entry) (gate.ListVerdict, gate.Code, *Entry) {
	switch e.Answer {
	case Allow:
		return gate.ListAllow, 0, e
	case Refer:
		return gate.ListRefer, gate.CodeListRefer, e
	}
	return gate.ListRefuse, gate.CodeListRefuse, e
}
