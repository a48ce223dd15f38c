package manifest

import (
	"strings"
	"testing"
)

const planHead = "flight,day,departs,gates\n"

// A plan gives telegrams a time, and flights gates of their own.
func TestPlan(t *testing.T) {
	list := pnl("PART1", "ENDPNL")
	for name, c := range map[string]struct{ plan, want string }{
		"day and gates":  {"VN0123,2026-03-01,14:30,HAN-G7;HAN-G8\n", "VN123 HAN-G7;HAN-G8 | 01 08:30 to 01 20:30"},
		"every day":      {"vn 123,,14:30,\nVN124,,15:00,HAN-G9\n", "VN123 HAN-G1 | 01 08:30 to 01 20:30"},
		"the day counts": {"VN123,,14:30,\nVN123,2026-03-01,00:10,\n", "VN123 HAN-G1 | 28 18:10 to 01 06:10"},
		"another day":    {"VN123,2026-03-02,14:30,\n", "VN123 HAN-G1 | 28 18:00 to 02 06:00"},
		"gates alone":    {"VN123,,,*\n", "VN123 * | 28 18:00 to 02 06:00"},
	} {
		opt := testOptions()
		var err error
		if opt.Plan, err = ReadPlan(strings.NewReader(planHead + c.plan)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := readAll(t, opt, list); s.err != nil || len(s.rows) != 2 || !strings.HasSuffix(s.rows[0], c.want) {
			t.Errorf("%s: %v %v", name, s.err, s.rows)
		}
	}
	// With a plan alone, flights without gates are refused by name.
	opt := testOptions()
	opt.Gates, opt.Plan = nil, Plan{planKey{"VN1", ""}: {gates: []string{"HAN-G1"}}}
	if s := readAll(t, opt, list); s.err == nil || !strings.Contains(s.err.Error(), "VN123/01MAR: the plan names no gates") {
		t.Errorf("%v", s.err)
	}
	if s := readAll(t, opt, pax("CNT+42:1'UNT+10+1'UNZ+1+9'")); s.err != nil || len(s.rows) != 2 {
		t.Errorf("%v %v", s.err, s.rows)
	}
	for name, bad := range map[string]string{
		"empty": "", "no column": "flight,day,gates\n", "flight": planHead + "123,,,\n", "day": planHead + "VN1,2026-02-30,,\n",
		"time": planHead + "VN1,,24:10,\n", "twice": planHead + "VN1,,,\nVN01,,,\n", "fields": planHead + "VN1,,\n", "quote": planHead + "\"VN1,,,\n",
	} {
		if _, err := ReadPlan(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
