package gate

import (
	"slices"
	"testing"
)

// truth is an independent statement of the rule, written as a list of the few
// ways to anything but a referral. It shares no code with Decide.
func truth(groups, optional []Result, list ListVerdict, pol Policy, face FaceVerdict, help, before bool) Outcome {
	allS, anyF, anyA := true, false, false
	for _, g := range groups {
		allS = allS && g == Successful
		anyF = anyF || g == Failed
		anyA = anyA || g == Aborted
	}
	for _, o := range optional {
		anyF = anyF || o == Failed
	}
	faceKept := pol.Face == FaceOff || pol.Face == FaceRequired && face == FaceMatched
	switch {
	case allS && !anyF && !help && pol.Name != "" && list == ListAllow && faceKept:
		return Admit
	case anyA && !anyF && !help && !before:
		return Abort
	}
	return Refer
}

var allResults = []Result{Undetermined, Successful, Failed, NotSupported, Aborted}

// TestDecideTruthTable compares Profile.Overall and Decide with the statement
// above over every combination of the mandatory groups' results, every list
// answer and every policy.
func TestDecideTruthTable(t *testing.T) {
	ids := MandatoryChecks()
	profile := DefaultProfile()
	groups := make([]Result, len(ids))
	total := 1
	for range ids {
		total *= len(allResults)
	}
	admits := 0
	var overall [5]bool
	seen := map[Result]bool{}
	var r Report
	for n := range total {
		for i, k := 0, n; i < len(ids); i, k = i+1, k/len(allResults) {
			if g := allResults[k%len(allResults)]; n == 0 || g != groups[i] {
				groups[i] = g
				r.Set(Check{ID: ids[i], Result: g})
			}
		}
		res := profile.Overall(&r, "UTO")
		overall[res] = true
		// The decision sees the groups through the overall result alone, so
		// all answers and policies are tried once for each overall result
		// and for every way to the successful one; every other combination
		// of groups is held against the truth under the most lenient policy.
		if !seen[res] || res == Successful {
			seen[res] = true
			admits += compareAll(t, groups, nil, res)
		}
		want := truth(groups, nil, ListAllow, Policy{Name: "p", Face: FaceOff}, 0, false, false)
		if got := Decide(Facts{Policy: Policy{Name: "p", Face: FaceOff}, Document: res, List: ListAllow}); got.Outcome != want {
			t.Fatalf("groups %v: %v, want %v", groups, got, want)
		}
	}
	if !overall[Successful] || !overall[Failed] || !overall[Aborted] || !overall[Undetermined] {
		t.Fatalf("the table did not reach every overall result: %v", overall)
	}
	if admits == 0 {
		t.Fatal("the table admits nobody: it proves nothing")
	}
}

// TestDecideOptional does the same for every combination of the optional
// checks over a document that is otherwise proven, aborted or undetermined.
func TestDecideOptional(t *testing.T) {
	ids := OptionalChecks()
	profile := DefaultProfile()
	for _, base := range allResults {
		groups := []Result{base}
		for range len(MandatoryChecks()) - 1 {
			groups = append(groups, Successful)
		}
		for n := range 5 * 5 * 5 * 5 * 5 {
			var r Report
			for i, id := range MandatoryChecks() {
				r.Set(Check{ID: id, Result: groups[i]})
			}
			optional := make([]Result, len(ids))
			for i, k := 0, n; i < len(ids); i, k = i+1, k/5 {
				optional[i] = allResults[k%5]
				r.Set(Check{ID: ids[i], Result: optional[i]})
			}
			compareAll(t, groups, optional, profile.Overall(&r, "UTO"))
		}
	}
}

// compareAll runs every list answer, policy, face verdict and flag.
func compareAll(t *testing.T, groups, optional []Result, res Result) (admits int) {
	t.Helper()
	for list := range listVerdicts + 1 {
		for face := range facePolicies + 1 {
			for verdict := range faceVerdicts + 1 {
				for flags := range 8 {
					pol := Policy{Face: face}
					if flags&1 != 0 {
						pol.Name = "p"
					}
					help, before := flags&2 != 0, flags&4 != 0
					got := Decide(Facts{Policy: pol, Document: res, List: list, ListCode: CodeListNotFound, Face: verdict, HelpAsked: help, AbortedBefore: before})
					want := truth(groups, optional, list, pol, verdict, help, before)
					if got.Outcome != want {
						t.Fatalf("groups %v optional %v list %v policy %+v face %v help %v before %v: %v, want %v",
							groups, optional, list, pol, verdict, help, before, got.Outcome, want)
					}
					if (got.Outcome == Admit) != (len(got.Reasons) == 0) {
						t.Fatalf("outcome %v has reasons %v", got.Outcome, got.Reasons)
					}
					if got.Outcome == Admit {
						admits++
					}
				}
			}
		}
	}
	return admits
}

// Zero values refuse, one by one and together.
func TestZeroRefuses(t *testing.T) {
	good := Facts{Policy: Policy{Name: "p", Face: FaceOff}, Document: Successful, List: ListAllow}
	if d := Decide(good); d.Outcome != Admit {
		t.Fatalf("the good case is not admitted: %v", d)
	}
	if d := Decide(Facts{}); d.Outcome != Refer {
		t.Errorf("zero facts: %v", d.Outcome)
	}
	for name, f := range map[string]Facts{
		"policy":   {Document: Successful, List: ListAllow},
		"face":     {Policy: Policy{Name: "p"}, Document: Successful, List: ListAllow},
		"document": {Policy: good.Policy, List: ListAllow},
		"list":     {Policy: good.Policy, Document: Successful},
	} {
		if d := Decide(f); d.Outcome != Refer {
			t.Errorf("zero %s: %v", name, d.Outcome)
		}
	}
	var r Report
	for _, id := range MandatoryChecks() {
		r.Set(Check{ID: id, Result: Successful})
	}
	if got := (Profile{}).Overall(&r, "UTO"); got != Undetermined {
		t.Errorf("zero profile: %v", got)
	}
	if got := DefaultProfile().Overall(&Report{}, ""); got != Undetermined {
		t.Errorf("empty report: %v", got)
	}
}

func TestRequireCRL(t *testing.T) {
	var r Report
	for _, id := range MandatoryChecks() {
		r.Set(Check{ID: id, Result: Successful})
	}
	r.Set(Check{ID: CheckDSRevocation, Result: Undetermined})
	for _, tc := range []struct {
		require []string
		issuer  string
		want    Result
	}{
		{nil, "VNM", Successful},
		{[]string{"VNM"}, "VNM", Undetermined},
		{[]string{"VNM"}, "UTO", Successful},
		{[]string{"*"}, "UTO", Undetermined},
		{[]string{"VNM"}, "", Undetermined},
	} {
		if got := DefaultProfile(tc.require...).Overall(&r, tc.issuer); got != tc.want {
			t.Errorf("require %v issuer %q: %v, want %v", tc.require, tc.issuer, got, tc.want)
		}
	}
}

func TestRollUp(t *testing.T) {
	for _, tc := range []struct {
		in   []Result
		want Result
	}{
		{nil, NotSupported},
		{[]Result{NotSupported, NotSupported}, NotSupported},
		{[]Result{NotSupported, Successful}, Successful},
		{[]Result{Successful, Undetermined}, Undetermined},
		{[]Result{Undetermined, Aborted, Successful}, Aborted},
		{[]Result{Aborted, Failed, Undetermined}, Failed},
		{[]Result{Result(9)}, Undetermined},
	} {
		if got := RollUp(tc.in...); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.in, got, tc.want)
		}
	}
}

// Codes are stable: unique, inside their bounds, and described.
func TestCodes(t *testing.T) {
	numbers, names := map[Code]bool{}, map[string]bool{}
	for _, c := range Codes() {
		if c.Code < 1000 || c.Code > 999999 || numbers[c.Code] || names[c.Name] || c.Name == "" || c.Text == "" {
			t.Errorf("code %d %q is out of bounds, doubled or undescribed", c.Code, c.Name)
		}
		numbers[c.Code], names[c.Name] = true, true
	}
}

func TestCheckIDsAreUnique(t *testing.T) {
	ids := CheckIDs()
	if len(ids) != 39 {
		t.Errorf("%d checks, the contract has 39", len(ids))
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 39 {
		t.Error("a check is listed twice")
	}
}
