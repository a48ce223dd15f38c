package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// twoVisits are an admission and a call for help, and what central should
// hold of them.
func twoVisits() ([]*result, []wire.Record) {
	visits := []*result{
		{Traveller: "first", Tx: "a", Outcome: "admit", Passage: "passed"},
		{Traveller: "second", Tx: "b", Outcome: "refer", codes: []gate.Code{gate.CodeHelpAsked}, resolved: true},
	}
	records := []wire.Record{
		{Kind: wire.KindDecision, Tx: "a", Decision: &wire.Decision{Outcome: "admit", Face: "off"}},
		{Kind: wire.KindPassage, Tx: "a", Passage: &wire.Passage{Result: "passed"}},
		{Kind: wire.KindDecision, Tx: "b", Decision: &wire.Decision{Outcome: "refer", Reasons: []uint32{uint32(gate.CodeHelpAsked)}, Face: "off"}},
		{Kind: wire.KindResolution, Tx: "b", Resolution: &wire.Resolution{Operator: operatorName, Outcome: resolveOutcome, Reason: resolveReason}},
	}
	return visits, records
}

func TestCompare(t *testing.T) {
	visits, records := twoVisits()
	if out := compare(visits, records); len(out) != 0 {
		t.Fatalf("all is right, yet: %q", out)
	}
	for _, c := range []struct {
		name   string
		change func([]wire.Record) []wire.Record
		want   string
	}{
		{"decision lost", func(r []wire.Record) []wire.Record { return append(r[:2], r[3]) }, "second: central holds 0 decision"},
		{"decision twice", func(r []wire.Record) []wire.Record { return append(r, r[0]) }, "first: central holds 2 decision"},
		{"passage lost", func(r []wire.Record) []wire.Record { return append(r[:1], r[2:]...) }, "first: central holds 0 passage"},
		{"passage of nobody admitted", func(r []wire.Record) []wire.Record { r[1].Tx = "b"; return r }, "second: central holds 1 passage"},
		{"resolution lost", func(r []wire.Record) []wire.Record { return r[:3] }, "second: central holds 0 resolution"},
		{"stranger", func(r []wire.Record) []wire.Record { return append(r, wire.Record{Tx: "c"}) }, "nobody made: c"},
		{"another outcome", func(r []wire.Record) []wire.Record { r[0].Decision.Outcome = "refer"; return r }, "central holds refer"},
		{"another reason", func(r []wire.Record) []wire.Record { r[2].Decision.Reasons[0]++; return r }, "central holds refer"},
		{"face unsaid", func(r []wire.Record) []wire.Record { r[2].Decision.Face = ""; return r }, "no face was compared"},
		{"another passage", func(r []wire.Record) []wire.Record { r[1].Passage.Result = "timed_out"; return r }, "passage record"},
		{"another operator", func(r []wire.Record) []wire.Record { r[3].Resolution.Operator = ""; return r }, "resolution is"},
	} {
		visits, records := twoVisits()
		out := compare(visits, c.change(records))
		if !strings.Contains(strings.Join(out, "\n"), c.want) {
			t.Errorf("%s: %q does not say %q", c.name, out, c.want)
		}
	}
}

// TestWidth holds the promise that 100 columns are enough for every line.
func TestWidth(t *testing.T) {
	cast, err := fixedCast(docWorld())
	if err != nil {
		t.Fatal(err)
	}
	withFaces, err := faceCast(docWorld(), &studio{})
	if err != nil {
		t.Fatal(err)
	}
	text := shown(t, options{}, cast) + shown(t, options{faces: true}, withFaces)
	for _, line := range strings.Split(text, "\n") {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{"9999×", "9999?", "9999!", "document_failed, dg_hash"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q stands nowhere in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("colours although this is no terminal")
	}
}

// shown is what a demo of the cast prints at its widest.
func shown(t *testing.T, o options, cast []*traveller) string {
	var out bytes.Buffer
	o.out = &out
	s := newShow(o)
	s.header()
	var all []*result
	for i, c := range cast {
		if len(c.name) > s.nameWidth() {
			t.Errorf("%q is longer than its column of %d", c.name, s.nameWidth())
		}
		r := &result{
			Number: 100 + i, Traveller: c.name, Outcome: c.outcome.String(), Reasons: names(c.reasons), List: "not_found",
			ScanMS: 5000, CardMS: 9999, DecisionMS: 25000, PassageMS: 3000, Passage: "passed", figure: c.figure,
			Phases: map[string]int64{"access": 9999, "sod": 9999, "chip": 9999, "dg1": 9999, "dg2": 9999, "list": 999, "face": 9999},
			checks: []gate.Check{{ID: gate.CheckDG(1), Result: gate.Failed}, {ID: gate.CheckDSTrust}, {ID: gate.CheckAccess, Result: gate.Aborted}},
		}
		r.note("resolved by %s: %s, %s", operatorName, resolveOutcome, resolveReason)
		if c.part != nil {
			v := view{FaceResult: &faceShown{Score: -0.123, PAD: 0.5, Frames: 1000}}
			v.FaceResult.Quality.Overall = 0.5
			r.judgeFace(c, v, false)
		}
		s.visit(r)
		all = append(all, r)
	}
	s.summary(&report{OK: true, Seconds: 59.9, Results: all})
	return out.String()
}

// TestPercentile: the smallest value that so many do not exceed.
func TestPercentile(t *testing.T) {
	values := []int64{50, 10, 40, 20, 30}
	for p, want := range map[float64]int64{0: 10, 0.5: 30, 0.8: 40, 0.95: 50, 1: 50} {
		if got := percentile(values, p); got != want {
			t.Errorf("%v: %d, want %d", p, got, want)
		}
	}
}

// TestCast: fourteen at least, and never two interruptions in a row.
func TestCast(t *testing.T) {
	cast, err := fixedCast(docWorld())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, c := range cast {
		if seen[c.name] {
			t.Errorf("%q is there twice", c.name)
		}
		seen[c.name] = true
		if i > 0 && c.outcome == gate.Abort && cast[i-1].outcome == gate.Abort {
			t.Errorf("%q follows another interruption and would be referred", c.name)
		}
		if c.outcome == gate.Admit && c.window != windowOpen {
			t.Errorf("%q is admitted without a place on the list", c.name)
		}
	}
	if len(cast) < 14 {
		t.Errorf("only %d travellers", len(cast))
	}
}
