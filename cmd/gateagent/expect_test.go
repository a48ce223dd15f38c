package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gateagent/gate"
)

// letters of the results as the inspection report's table writes them.
var letters = map[byte]gate.Result{
	'S': gate.Successful, 'F': gate.Failed, 'U': gate.Undetermined, 'N': gate.NotSupported, 'A': gate.Aborted,
}

// columns holds the results that each check may have, as its row says.
var columns = map[gate.CheckID]string{
	"mrz.check_digits": "SFNA", "access.pace": "SFNA", "access.bac": "SFNA", "access.terminal_auth": "SFUNA", "access": "SFUNA",
	"chip.active_auth": "SFUNA", "chip.chip_auth": "SFUNA", "chip.pace_cam": "SFUNA", "chip.card_security": "SFUNA", "chip": "SFUNA",
	"sod.hash": "SFUA", "sod.signature": "SFUA", "sod": "SFUA",
	"ds.signature": "SFUA", "ds.validity": "SFUA", "ds.revocation": "SFUA", "ds.trust": "SFUA", "ds": "SFUA",
	"integrity.com": "SFNA", "integrity": "SFUA", "issuer": "SFUA", "expiry": "SFUA", "mrz.dg1": "SFUNA",
}

// order is the order of the report's table.
var order = strings.Fields(`mrz.check_digits access.pace access.bac access.terminal_auth access
chip.active_auth chip.chip_auth chip.pace_cam chip.card_security chip
sod.hash sod.signature sod ds.signature ds.validity ds.revocation ds.trust ds integrity.com
integrity.dg1 integrity.dg2 integrity.dg3 integrity.dg4 integrity.dg5 integrity.dg6 integrity.dg7 integrity.dg8
integrity.dg9 integrity.dg10 integrity.dg11 integrity.dg12 integrity.dg13 integrity.dg14 integrity.dg15 integrity.dg16
integrity issuer expiry mrz.dg1`)

// checks is an expected report: result letter and code of each check.
type checks map[string]string

// expect writes down an expected report: words like "chip=F1202", where a
// later word replaces an earlier one and "ds.*=U1401" means every check that
// begins with "ds." and the group "ds" itself.
func expect(t *testing.T, words string) checks {
	t.Helper()
	c := checks{}
	for _, w := range strings.Fields(words) {
		name, value, ok := strings.Cut(w, "=")
		if !ok || letters[value[0]].String()[0] == 0 {
			t.Fatalf("expectation %q", w)
		}
		group, all := strings.CutSuffix(name, ".*")
		found := false
		for _, id := range order {
			if id == name || all && (id == group || strings.HasPrefix(id, group+".")) {
				c[id], found = value, true
			}
		}
		if !found {
			t.Fatalf("expectation %q names no check", w)
		}
	}
	return c
}

func (c checks) result(id string) gate.Result { return letters[c[id][0]] }

// overall is the roll-up of the default gate profile, written down a second
// time straight from its words.
func (c checks) overall(requireCRL bool) gate.Result {
	mandatory := strings.Fields("access chip sod ds.signature ds.validity ds.trust integrity issuer expiry")
	optional := strings.Fields("mrz.check_digits mrz.dg1 integrity.com ds.revocation access.terminal_auth")
	if requireCRL {
		mandatory = append(mandatory, "ds.revocation")
	}
	is := func(ids []string, letter byte) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return c[id][0] == letter })
	}
	switch {
	case is(mandatory, 'F'), is(optional, 'F'):
		return gate.Failed
	case is(mandatory, 'A'):
		return gate.Aborted
	case is(mandatory, 'U'), is(mandatory, 'N'):
		return gate.Undetermined
	}
	return gate.Successful
}

// shown says whether the holder's data belong into the report.
func (c checks) shown() bool {
	return c.result("integrity.dg1") == gate.Successful && c.result("integrity.dg2") == gate.Successful &&
		c.result("sod") != gate.Failed && c.result("ds.signature") != gate.Failed
}

// compare finds every difference between a report and what was expected.
func (c checks) compare(t *testing.T, got *report, requireCRL bool) {
	t.Helper()
	if len(got.Checks) != len(order) {
		t.Fatalf("%d checks, not %d", len(got.Checks), len(order))
	}
	for i, g := range got.Checks {
		if string(g.ID) != order[i] {
			t.Fatalf("check %d is %s, not %s", i, g.ID, order[i])
		}
		want := c[order[i]]
		code := 0
		if len(want) > 1 {
			code = must[int](t)(strconv.Atoi(want[1:]))
		}
		if g.Result != letters[want[0]] || int(g.Code) != code {
			t.Errorf("%s is %s %d (%s), not %s", g.ID, g.Result, g.Code, g.Detail, want)
		}
		allowed, ok := columns[g.ID]
		if !ok {
			allowed = "SFUNA" // the sixteen data groups
		}
		if !strings.ContainsFunc(allowed, func(r rune) bool { return letters[byte(r)] == g.Result }) {
			t.Errorf("%s is %s, which its column does not have", g.ID, g.Result)
		}
		if g.Code != 0 && (g.Code < 1000 || g.Code > 999999) {
			t.Errorf("%s: code %d", g.ID, g.Code)
		}
	}
	if want := c.overall(requireCRL); got.Overall != want {
		t.Errorf("overall is %s, not %s", got.Overall, want)
	}
	if shown := c.shown(); (got.Document != nil) != shown || (got.Portrait != nil) != shown {
		t.Errorf("document %v, portrait %v, not %v", got.Document != nil, got.Portrait != nil, shown)
	}
}

// quiet makes sure that a text holds nothing of a person.
func quiet(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		if len(s) > 2 && strings.Contains(text, s) {
			t.Errorf("personal data in the output: %s", fmt.Sprintf("%.3s…", s))
		}
	}
}
