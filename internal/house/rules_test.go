package house

import (
	"slices"
	"strings"
	"testing"
)

// rule is one rule of the house. find lists its breaches; bad is a small
// module that breaks it, and says what must be found there, so that a rule
// that finds nothing is known to be able to.
type rule struct {
	name string
	find func(*tree) []finding
	bad  map[string]string
	want []string // "path:line" of each finding in bad, sorted
	good map[string]string
	// except grants exceptions by "path name", each with its reason. One
	// that is not needed any more is an error.
	except map[string]string
}

func rules() []rule {
	var all []rule
	for _, part := range [][]rule{importRules(), docRules(), stateRules(), sizeRules()} {
		all = append(all, part...)
	}
	return all
}

func TestRules(t *testing.T) {
	real := loadTree(t)
	for _, r := range rules() {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			r.prove(t)
			used := map[string]bool{}
			for _, f := range r.find(real) {
				key := f.path + " " + f.name
				if r.except[key] != "" {
					used[key] = true
					continue
				}
				t.Errorf("%s", f)
			}
			for key := range r.except {
				if !used[key] {
					t.Errorf("the exception for %q is not needed any more: take it out", key)
				}
			}
		})
	}
}

// prove shows that the rule finds what is bad and leaves alone what is good.
func (r rule) prove(t *testing.T) {
	t.Helper()
	if len(r.bad) == 0 || len(r.want) == 0 {
		t.Fatal("the rule has no bad source to prove itself by")
	}
	var got []string
	for _, f := range r.find(parseTree(t, r.bad)) {
		place := f.String()
		place = place[:strings.Index(place, ": ")]
		got = append(got, place)
	}
	slices.Sort(got)
	if !slices.Equal(got, r.want) {
		t.Errorf("in the bad source the rule found %q, not %q", got, r.want)
	}
	for _, f := range r.find(parseTree(t, r.good)) {
		t.Errorf("in the good source the rule found %s", f)
	}
}
