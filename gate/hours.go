package gate

import "time"

// Span is a part of a day by the clock on the wall, in minutes since midnight:
// from From on, before To.
type Span struct{ From, To int }

// DayMinutes is where a day's last span may end.
const DayMinutes = 24 * 60

// Hours says when a gate is open, by the clock on the wall of its zone. Where
// the clocks are changed, an hour that is skipped is not there to be open in,
// and one that comes twice counts twice. The zero value is never open.
type Hours struct {
	Week [7][]Span // by time.Weekday
	// Exceptions take the place of the weekday's spans, by date
	// (time.DateOnly).
	Exceptions map[string][]Span
}

// opensWithin is how far ahead the next opening is looked for.
const opensWithin = 14 * 24 * time.Hour

// Open says whether the gate is open. A time that nobody vouches for opens
// nothing.
func (h *Hours) Open(at TrustedTime) bool {
	return at.Trusted && h.open(local(at))
}

// Opens says when a closed gate opens next, in its zone; zero when that is
// not known or lies more than two weeks ahead.
func (h *Hours) Opens(at TrustedTime) time.Time {
	if !at.Trusted {
		return time.Time{}
	}
	now := local(at)
	for t := now.Truncate(time.Minute); t.Sub(now) < opensWithin; t = t.Add(time.Minute) {
		if t.After(now) && h.open(t) {
			return t
		}
	}
	return time.Time{}
}

func (h *Hours) open(t time.Time) bool {
	spans, ok := h.Exceptions[t.Format(time.DateOnly)]
	if !ok {
		spans = h.Week[t.Weekday()]
	}
	minute := t.Hour()*60 + t.Minute()
	for _, s := range spans {
		if s.From <= minute && minute < s.To {
			return true
		}
	}
	return false
}

func local(at TrustedTime) time.Time {
	if at.Zone == nil {
		return at.Now.UTC()
	}
	return at.Now.In(at.Zone)
}
