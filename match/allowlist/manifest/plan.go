package manifest

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// PlanColumns are the columns of a flight plan; the first line names them, in
// any order.
var PlanColumns = []string{"flight", "day", "departs", "gates"}

// Plan says of flights what passenger lists do not: time of departure and
// gates.
type Plan map[planKey]planned

type planKey struct{ flight, day string } // day empty: every day

type planned struct {
	departs time.Duration // time of the day
	timed   bool
	gates   []string
}

// maxPlan bounds the flights of a plan.
const maxPlan = 100_000

// ReadPlan reads a flight plan from CSV: flight VN123; day 2026-03-01, empty for
// every day; departs 14:30 local time, empty if unknown; gates with ; between
// them, empty for those that count for all.
func ReadPlan(in io.Reader) (Plan, error) {
	r := csv.NewReader(in)
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("the first line must name the columns %s: %w", strings.Join(PlanColumns, ","), err)
	}
	var at [4]int
	for i, want := range PlanColumns {
		if at[i] = slices.IndexFunc(head, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), want) }); at[i] < 0 {
			return nil, fmt.Errorf("line 1: the column %q is missing; the columns are %s", want, strings.Join(PlanColumns, ","))
		}
	}
	plan := Plan{}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return plan, nil
		}
		if err == nil {
			get := func(i int) string { return strings.TrimSpace(fields[at[i]]) }
			err = plan.add(get(0), get(1), get(2), get(3))
			if line, _ := r.FieldPos(0); err != nil {
				err = fmt.Errorf("line %d: %w", line, err)
			}
		}
		if err != nil {
			return nil, err
		}
		if len(plan) > maxPlan {
			return nil, fmt.Errorf("more than %d flights", maxPlan)
		}
	}
}

func (p Plan) add(flight, day, departs, gates string) error {
	f := flightOnly.FindStringSubmatch(strings.ToUpper(strings.ReplaceAll(flight, " ", "")))
	if f == nil {
		return errors.New("flight is no flight number like VN123")
	}
	if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
		return errors.New("day is no possible day like 2026-03-01")
	}
	var one planned
	if departs != "" {
		t, err := time.Parse("15:04", departs)
		if err != nil {
			return errors.New("departs is no time of day like 14:30")
		}
		one.departs, one.timed = time.Duration(t.Hour())*time.Hour+time.Duration(t.Minute())*time.Minute, true
	}
	if gates != "" {
		one.gates = strings.Split(gates, ";")
	}
	key := planKey{flightNumber(f[1], f[2], f[3]), day}
	if _, double := p[key]; double {
		return errors.New("the flight stands there twice for one day")
	}
	p[key] = one
	return nil
}

// of finds what is planned for a departure: on its day, otherwise every day.
func (p Plan) of(d departure) planned {
	if one, ok := p[planKey{d.flight, d.day.Format(time.DateOnly)}]; ok {
		return one
	}
	return p[planKey{d.flight, ""}]
}
