package allowlist

import (
	"slices"
	"testing"
	"time"

	"gateagent/gate"
)

func TestAnswers(t *testing.T) {
	hour := func(h int) time.Time { return testIssued.Add(time.Duration(h) * time.Hour) }
	entry := func(doc int, gates string, from, until int, answer Answer) Row {
		flight := map[string]string{"G1": "VN100", "G2": "VN200", AnyGate: "VN900"}[gates]
		return Row{Document: vnm(doc), Set: Set{Flights: []string{flight}, Gates: []string{gates}},
			From: hour(from), Until: hour(until), Answer: answer}
	}
	priority := entry(12, "G1", 0, 10, Allow)
	priority.Priority = true
	dir := build(t, testConfig(1, 1),
		entry(0, "G1", 0, 10, Allow),
		entry(1, "G1", 0, 10, Refer),
		entry(2, "G1", 0, 10, Refuse),
		entry(3, "G1", 5, 10, Allow),
		entry(4, "G1", 0, 1, Allow),
		entry(5, "G2", 0, 10, Allow),
		entry(6, AnyGate, 0, 10, Allow),
		entry(7, "G1", 0, 10, Allow), entry(7, "G1", 1, 9, Refer),
		entry(8, "G1", 0, 10, Refer), entry(8, "G1", 1, 9, Refuse), entry(8, "G1", 1, 8, Allow),
		entry(9, "G1", 0, 10, Allow), entry(9, "G2", 0, 10, Refuse), // the refusal is for another gate
		entry(10, "G1", 5, 10, Allow), entry(10, "G2", 0, 10, Allow), // open now at another gate
		entry(11, "G1", 0, 1, Allow), entry(11, "G1", 5, 6, Allow), // between two windows
		priority,
	)
	s := mustStore(t, t.TempDir())
	if err := s.Load(t.Context(), dir, at(testNow)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		doc     int
		gate    string
		now     time.Time
		verdict gate.ListVerdict
		code    gate.Code
		flight  string
	}{
		{0, "G1", hour(2), gate.ListAllow, 0, "VN100"},
		{0, " g1 ", hour(2), gate.ListAllow, 0, "VN100"},
		{0, "", hour(2), gate.ListWrongGate, gate.CodeListWrongGate, "VN100"},
		{0, "*", hour(2), gate.ListWrongGate, gate.CodeListWrongGate, "VN100"},
		{0, "G1", hour(0), gate.ListAllow, 0, "VN100"}, // the first moment
		{0, "G1", hour(10).Add(-time.Second), gate.ListAllow, 0, "VN100"},
		{0, "G1", hour(10), gate.ListTooLate, gate.CodeListTooLate, "VN100"},
		{1, "G1", hour(2), gate.ListRefer, gate.CodeListRefer, "VN100"},
		{2, "G1", hour(2), gate.ListRefuse, gate.CodeListRefuse, "VN100"},
		{3, "G1", hour(5).Add(-time.Second), gate.ListTooEarly, gate.CodeListTooEarly, "VN100"},
		{4, "G1", hour(2), gate.ListTooLate, gate.CodeListTooLate, "VN100"},
		{5, "G1", hour(2), gate.ListWrongGate, gate.CodeListWrongGate, "VN200"},
		{6, "G1", hour(2), gate.ListAllow, 0, "VN900"},
		{6, "", hour(2), gate.ListWrongGate, gate.CodeListWrongGate, "VN900"},
		{7, "G1", hour(2), gate.ListRefer, gate.CodeListRefer, "VN100"},
		{8, "G1", hour(2), gate.ListRefuse, gate.CodeListRefuse, "VN100"},
		{9, "G1", hour(2), gate.ListAllow, 0, "VN100"},
		{10, "G1", hour(2), gate.ListWrongGate, gate.CodeListWrongGate, "VN200"},
		{11, "G1", hour(2), gate.ListTooEarly, gate.CodeListTooEarly, "VN100"},
		{12, "G1", hour(2), gate.ListAllow, 0, "VN100"},
		{99, "G1", hour(2), gate.ListNotFound, gate.CodeListNotFound, ""},
	} {
		q := ask(vnm(c.doc))
		q.Gate, q.At = c.gate, at(c.now)
		a := s.Lookup(q)
		if a.Verdict != c.verdict || a.Code != c.code {
			t.Errorf("document %d at %q, %s: %v %d, want %v %d", c.doc, c.gate, c.now, a.Verdict, a.Code, c.verdict, c.code)
		}
		if c.flight != "" && !slices.Contains(a.Flights, c.flight) {
			t.Errorf("document %d: flights %v, want %s", c.doc, a.Flights, c.flight)
		}
		if a.Priority != (c.doc == 12) {
			t.Errorf("document %d: priority %v", c.doc, a.Priority)
		}
		if a.Generation != 1 || a.Version != 1 {
			t.Errorf("document %d: answer from list %d/%d", c.doc, a.Generation, a.Version)
		}
	}
}

// Without a list, a valid one, or a clock to tell, nobody gets an answer.
func TestUnavailable(t *testing.T) {
	s := mustStore(t, t.TempDir())
	if a := s.Lookup(ask(vnm(1))); a.Verdict != gate.ListUnavailable || a.Code != gate.CodeListAbsent {
		t.Errorf("without a list: %+v", a)
	}
	if s.Status().Present {
		t.Error("a list is present that was never loaded")
	}
	r := row(vnm(1))
	r.Until = testIssued.Add(1000 * time.Hour)
	dir := build(t, testConfig(1, 1), r)
	if err := s.Load(t.Context(), dir, at(testNow)); err != nil {
		t.Fatal(err)
	}
	if a := s.Lookup(ask(vnm(1))); a.Verdict != gate.ListAllow {
		t.Fatalf("valid list: %+v", a)
	}
	for _, c := range []struct {
		name   string
		change func(*gate.ListQuery)
		code   gate.Code
	}{
		{"untrusted clock", func(q *gate.ListQuery) { q.At.Trusted = false }, gate.CodeClockUntrusted},
		{"zero time", func(q *gate.ListQuery) { q.At = gate.TrustedTime{} }, gate.CodeClockUntrusted},
		{"the moment of expiry", func(q *gate.ListQuery) { q.At.Now = testIssued.Add(72 * time.Hour) }, gate.CodeListExpired},
		{"clock set back", func(q *gate.ListQuery) { q.At.Now = testIssued.Add(-6 * time.Minute) }, gate.CodeListIssueTime},
		{"no number", func(q *gate.ListQuery) { q.Number = "" }, gate.CodeListNoNumber},
		{"nine digits", func(q *gate.ListQuery) { q.Number = "099000001" }, gate.CodeListNoNumber},
		{"no issuer", func(q *gate.ListQuery) { q.Issuer = "" }, gate.CodeListNoNumber},
		{"no type", func(q *gate.ListQuery) { q.DocType = "" }, gate.CodeListNoNumber},
	} {
		q := ask(vnm(1))
		c.change(&q)
		if a := s.Lookup(q); a.Verdict != gate.ListUnavailable || a.Code != c.code {
			t.Errorf("%s: %v %d, want unavailable %d", c.name, a.Verdict, a.Code, c.code)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if a := s.Lookup(ask(vnm(1))); a.Verdict != gate.ListUnavailable {
		t.Errorf("after Close: %+v", a)
	}
}
