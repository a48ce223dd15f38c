package config

import (
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Span is a part of a day, in minutes since midnight: from From on, before To.
type Span struct{ From, To int }

// spanForm is "05:00-23:30"; a day ends at 24:00.
var spanForm = regexp.MustCompile(`^([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|(24):(00))$`)

// Bounds of opening hours.
const (
	maxSpans      = 8 // of a day
	maxExceptions = 400
)

// days gives the spans of the weekdays by their names, Sunday first as in
// time.Weekday.
func (h *Hours) days() [7]struct {
	name  string
	spans []string
} {
	return [7]struct {
		name  string
		spans []string
	}{
		{"sunday", h.Sunday}, {"monday", h.Monday}, {"tuesday", h.Tuesday}, {"wednesday", h.Wednesday},
		{"thursday", h.Thursday}, {"friday", h.Friday}, {"saturday", h.Saturday},
	}
}

// Always says that the hours never close the gate, so that no time is needed
// to judge them.
func (h *Hours) Always() bool {
	whole := func(spans []Span) bool { return len(spans) == 1 && spans[0] == Span{0, dayEnd} }
	for _, spans := range h.Week {
		if !whole(spans) {
			return false
		}
	}
	for _, spans := range h.Dates {
		if !whole(spans) {
			return false
		}
	}
	return true
}

// dayEnd is 24:00.
const dayEnd = 24 * 60

// named says whether any weekday is written down, be it as closed.
func (h *Hours) named() bool {
	for _, d := range h.days() {
		if d.spans != nil {
			return true
		}
	}
	return false
}

// checkHours reads the opening hours. Whoever names one weekday names all of
// them: a day that was forgotten must not close a gate, nor open it.
func checkHours(c *Config, bad fault) {
	h := &c.Hours
	whole := []Span{{0, dayEnd}}
	for i, d := range h.days() {
		h.Week[i] = whole
		if h.named() {
			if d.spans == nil {
				bad("hours", 0, "", "%s is missing; write all seven days, [] for one without hours", d.name)
			}
			h.Week[i] = spansOf("hours", 0, d.name, d.spans, bad)
		}
	}
	if len(h.Exceptions) > maxExceptions {
		bad("hours", 0, "exception", "there are more than %d", maxExceptions)
		return
	}
	h.Dates = map[string][]Span{}
	for i, e := range h.Exceptions {
		const table = "hours.exception"
		if _, err := time.Parse(time.DateOnly, e.Date); err != nil {
			bad(table, i, "date", "%q is no day; write for example \"2026-12-24\"", e.Date)
		}
		if _, twice := h.Dates[e.Date]; twice {
			bad(table, i, "date", "%s is there twice", e.Date)
		}
		if e.Open == nil {
			bad(table, i, "open", "is missing; write the hours of that day, [] for none")
		}
		h.Dates[e.Date] = spansOf(table, i, "open", e.Open, bad)
	}
}

// spansOf reads the spans of one day, in order and apart from each other.
func spansOf(table string, n int, key string, texts []string, bad fault) (out []Span) {
	if len(texts) > maxSpans {
		bad(table, n, key, "has more than %d spans", maxSpans)
		return nil
	}
	for _, t := range texts {
		m := spanForm.FindStringSubmatch(t)
		if m == nil {
			bad(table, n, key, "%q is no span of a day; write for example \"05:00-23:30\", at most to \"24:00\"", t)
			continue
		}
		s := Span{minutes(m[1], m[2]), minutes(m[3]+m[5], m[4]+m[6])}
		if s.To <= s.From {
			bad(table, n, key, "%q does not end after it begins; hours past midnight belong to the next day", t)
		}
		out = append(out, s)
	}
	if !slices.IsSortedFunc(out, func(a, b Span) int { return a.From - b.To }) {
		bad(table, n, key, "%q overlap or are not in order", texts)
	}
	return out
}

// minutes since midnight; the form has been checked.
func minutes(hour, minute string) int {
	h, _ := strconv.Atoi(hour)
	m, _ := strconv.Atoi(minute)
	return h*60 + m
}
