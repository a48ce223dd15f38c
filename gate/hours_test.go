package gate

import (
	"context"
	"testing"
	"time"
	_ "time/tzdata"
)

func everyDay(spans ...Span) *Hours {
	h := &Hours{}
	for i := range h.Week {
		h.Week[i] = spans
	}
	return h
}

// Hours follow the clock on the wall: exceptions go before weekdays, a skipped
// hour is nobody's, a repeated one counts twice, and only a trusted time opens.
func TestHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	h := everyDay(Span{5 * 60, 12 * 60}, Span{13 * 60, 23*60 + 30})
	h.Week[time.Sunday] = []Span{{2*60 + 15, 2*60 + 45}, {20 * 60, DayMinutes}}
	h.Exceptions = map[string][]Span{"2026-12-25": nil, "2026-12-26": {{10 * 60, 11 * 60}}}
	for _, tc := range []struct {
		at, opens string // UTC; the next opening in Berlin
		open      bool
	}{
		{"2026-06-17T03:00:00Z", "", true},                           // Wednesday, 5:00
		{"2026-06-17T02:59:59Z", "2026-06-17T05:00:00+02:00", false}, // a second before
		{"2026-06-17T10:00:00Z", "2026-06-17T13:00:00+02:00", false}, // the break at noon
		{"2026-06-17T21:29:59Z", "", true},                           // the last second
		{"2026-06-17T21:30:00Z", "2026-06-18T05:00:00+02:00", false}, // over
		{"2026-06-21T21:59:59Z", "", true},                           // Sunday, 23:59:59
		{"2026-06-21T22:00:00Z", "2026-06-22T05:00:00+02:00", false}, // Monday
		{"2026-03-29T01:20:00Z", "2026-03-29T20:00:00+02:00", false}, // 2:20 does not exist: it is 3:20
		{"2026-10-25T00:20:00Z", "", true},                           // 2:20, summer time
		{"2026-10-25T01:20:00Z", "", true},                           // 2:20 again
		{"2026-10-25T01:50:00Z", "2026-10-25T20:00:00+01:00", false}, // 2:50 in winter
		{"2026-12-25T09:30:00Z", "2026-12-26T10:00:00+01:00", false}, // an exception on a Friday
		{"2026-12-26T09:30:00Z", "", true},                           // and on a Saturday
		{"2026-12-26T11:00:00Z", "2026-12-27T02:15:00+01:00", false}, // which has no other hours
		{"2026-06-17T03:00:00.999Z", "", true},
	} {
		now, err := time.Parse(time.RFC3339Nano, tc.at)
		if err != nil {
			t.Fatal(err)
		}
		at := TrustedTime{Now: now, Trusted: true, Zone: berlin}
		if open := h.Open(at); open != tc.open {
			t.Errorf("%s: open %v", tc.at, open)
		}
		if !tc.open {
			if opens := h.Opens(at).Format(time.RFC3339); opens != tc.opens {
				t.Errorf("%s: opens %s, want %s", tc.at, opens, tc.opens)
			}
		}
		at.Trusted = false
		if h.Open(at) || !h.Opens(at).IsZero() {
			t.Errorf("%s: open by a time that nobody vouches for", tc.at)
		}
	}
	var never Hours
	if at := (TrustedTime{Now: time.Now(), Trusted: true}); never.Open(at) || !never.Opens(at).IsZero() {
		t.Error("no hours are open")
	}
}

// A closed lane serves nobody but those who ask for help, drops what is
// scanned, and opens by itself; who is still at the gate when it closes goes to
// staff.
func TestLaneClosed(t *testing.T) {
	clock := make(chan TrustedTime, 1)
	day := func(hour int) TrustedTime {
		return TrustedTime{Now: time.Date(2026, 6, 17, hour, 0, 0, 0, time.UTC), Trusted: true}
	}
	clock <- day(4)
	set := func(at TrustedTime) { <-clock; clock <- at }
	reading := make(chan struct{})
	r := newRig(t, func(p *Parts) {
		p.Hours = everyDay(Span{5 * 60, 23 * 60})
		p.Clock = func() TrustedTime { at := <-clock; clock <- at; return at }
	})
	r.wait("closed", func() bool { return r.last.Stage == StageClosed && r.last.Opens.Equal(day(5).Now) })
	r.visit()
	r.wait("the card was seen and nothing done", func() bool { return r.last.Stage == StageClosed && r.last.Tx == "" })
	if err := r.lane.Help(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, r.decision(0), "refer", CodeHelpAsked)
	r.card(false)
	set(day(6))
	r.wait("opens by itself", func() bool { return r.last.Stage == StageIdle && r.last.Opens.IsZero() })
	r.visit()
	wantOutcome(t, r.decision(1), "admit")
	r.card(false)
	r.mu.Lock()
	r.read = func(context.Context, File) ([]byte, error) {
		select {
		case <-reading:
		default:
			set(day(23))
			close(reading)
		}
		return []byte{1}, nil
	}
	r.mu.Unlock()
	r.visit()
	wantOutcome(t, r.decision(2), "refer", CodeGateClosed)
	untrusted := day(12)
	untrusted.Trusted = false
	set(untrusted)
	r.wait("closed without trusted time", func() bool { return r.last.Stage == StageClosed && r.last.Opens.IsZero() })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.opened != 1 {
		t.Errorf("opened %d times", r.opened)
	}
}

// Nothing admits at a closed gate, and closing changes nothing else.
func TestDecideClosed(t *testing.T) {
	for _, doc := range allResults {
		for _, face := range []FacePolicy{FaceUnset, FaceOff, FaceRequired} {
			for list := range listVerdicts {
				f := Facts{Policy: Policy{Name: "p", Face: face}, Document: doc, List: list, Face: FaceMatched, CloneUnproven: true, FaceStrict: true}
				open := Decide(f)
				f.Closed = true
				d := Decide(f)
				if d.Outcome == Admit || open.Outcome == Abort != (d.Outcome == Abort) || open.Outcome == Admit && d.Reasons[0] != CodeGateClosed {
					t.Errorf("%v, %v, %v: %v closed, %v open", doc, face, list, d, open)
				}
			}
		}
	}
}
