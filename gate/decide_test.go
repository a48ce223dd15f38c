package gate

import (
	"slices"
	"testing"
)

// situation is everything around the document that a decision may depend on.
type situation struct {
	list         ListVerdict
	pol          Policy
	named        bool // the profile names the issuer for chip N
	face         FaceVerdict
	strict       bool // the match holds at the stricter threshold
	help, before bool
}

// evidence is what the truth needs of the groups' results.
type evidence struct {
	allS, onlyChipN, anyF, anyA bool
}

// weigh looks at the groups' results in the order of MandatoryChecks; chip is
// the second.
func weigh(groups, optional []Result) evidence {
	e := evidence{allS: true, onlyChipN: true}
	for i, g := range groups {
		e.allS = e.allS && g == Successful
		want := Successful
		if i == 1 {
			want = NotSupported
		}
		e.onlyChipN = e.onlyChipN && g == want
		e.anyF = e.anyF || g == Failed
		e.anyA = e.anyA || g == Aborted
	}
	for _, o := range optional {
		e.anyF = e.anyF || o == Failed
	}
	return e
}

// truth is an independent statement of the rule, written as a list of the few
// ways to anything but a referral. It shares no code with Profile and Decide.
func truth(e evidence, s situation) (o Outcome, unproven bool) {
	mayPass := !e.anyF && !s.help && s.pol.Name != "" && s.list == ListAllow
	faceKept := s.pol.Face == FaceOff || s.pol.Face == FaceRequired && s.face == FaceMatched
	switch {
	case mayPass && e.allS && faceKept:
		return Admit, false
	case mayPass && e.onlyChipN && s.named && s.pol.Face == FaceRequired && s.face == FaceMatched && s.strict:
		return Admit, true
	case e.anyA && !e.anyF && !s.help && !s.before:
		return Abort, false
	}
	return Refer, false
}

var allResults = []Result{Undetermined, Successful, Failed, NotSupported, Aborted}

// decideAs is what the code makes of a situation, given what it makes of the
// document.
func decideAs(overall Result, unproven bool, s situation) Decision {
	return Decide(Facts{Policy: s.pol, Document: overall, CloneUnproven: unproven, List: s.list, ListCode: CodeListNotFound,
		Face: s.face, FaceStrict: s.strict, HelpAsked: s.help, AbortedBefore: s.before})
}

// offersNone sets the three proofs as they are where the document offers none.
func offersNone(r *Report) {
	for _, id := range []CheckID{CheckChipAuth, CheckActiveAuth, CheckPACECAM} {
		r.Set(Check{ID: id, Result: NotSupported, Code: CodeProofNotOffered})
	}
}

func setGroup(r *Report, id CheckID, g Result) {
	c := Check{ID: id, Result: g}
	if id == CheckChip && g == NotSupported {
		c.Code = CodeProofNotOffered
	}
	r.Set(c)
}

// TestDecideTruthTable compares the profile and Decide with the statement
// above over every combination of the mandatory groups' results, with and
// without the issuer named for chip N, and every face; and every list answer,
// policy and flag wherever the document could pass.
func TestDecideTruthTable(t *testing.T) {
	ids := MandatoryChecks()
	profiles := []Profile{DefaultProfile(), DefaultProfile().AllowCloneUnproven("UTA", "UTO")}
	groups := make([]Result, len(ids))
	total := 1
	for range ids {
		total *= len(allResults)
	}
	// A decision depends on the groups through the first three alone, the
	// truth through the last: each pair is compared once, in every situation.
	type seen struct {
		overall         Result
		unproven, named bool
		e               evidence
	}
	compared := map[seen]bool{}
	admits, unproven := 0, 0
	var r Report
	offersNone(&r)
	for n := range total {
		for i, k := 0, n; i < len(ids); i, k = i+1, k/len(allResults) {
			if g := allResults[k%len(allResults)]; n == 0 || g != groups[i] {
				groups[i] = g
				setGroup(&r, ids[i], g)
			}
		}
		e := weigh(groups, nil)
		for i, p := range profiles {
			overall := p.Overall(&r, "UTO") // naming the issuer changes nothing in it
			key := seen{overall, p.CloneUnproven(&r, "UTO"), i == 1, e}
			if compared[key] {
				continue
			}
			compared[key] = true
			a, u := compareAll(t, groups, e, key.overall, key.unproven, key.named)
			admits, unproven = admits+a, unproven+u
		}
	}
	if len(compared) < 12 {
		t.Fatalf("the table reached only %v", compared)
	}
	if admits == 0 || unproven == 0 || unproven >= admits {
		t.Fatalf("the table admits %d times, %d of them without chip proof: it proves nothing", admits, unproven)
	}
}

// TestDecideOptional does the same for every combination of the optional
// checks over a document whose access, or whose chip proof, has any result.
func TestDecideOptional(t *testing.T) {
	ids := OptionalChecks()
	profile := DefaultProfile().AllowCloneUnproven("UTO")
	type seen struct {
		overall  Result
		unproven bool
		e        evidence
	}
	compared := map[seen]bool{}
	for b := range 2 * len(allResults) {
		groups := slices.Repeat([]Result{Successful}, len(MandatoryChecks()))
		groups[b/len(allResults)] = allResults[b%len(allResults)] // access or chip
		for n := range 5 * 5 * 5 * 5 * 5 {
			var r Report
			offersNone(&r)
			for i, id := range MandatoryChecks() {
				setGroup(&r, id, groups[i])
			}
			optional := make([]Result, len(ids))
			for i, k := 0, n; i < len(ids); i, k = i+1, k/5 {
				optional[i] = allResults[k%5]
				r.Set(Check{ID: ids[i], Result: optional[i]})
			}
			key := seen{profile.Overall(&r, "UTO"), profile.CloneUnproven(&r, "UTO"), weigh(groups, optional)}
			if !compared[key] {
				compared[key] = true
				compareAll(t, groups, key.e, key.overall, key.unproven, true)
			}
		}
	}
}

// compareAll runs every list answer, policy, face verdict and flag.
func compareAll(t *testing.T, groups []Result, e evidence, overall Result, unproven, named bool) (admits, marked int) {
	t.Helper()
	for list := range listVerdicts + 1 {
		for face := range facePolicies + 1 {
			for verdict := range faceVerdicts + 1 {
				for flags := range 16 {
					s := situation{list: list, pol: Policy{Face: face}, named: named, face: verdict, help: flags&2 != 0, before: flags&4 != 0, strict: flags&8 != 0}
					if flags&1 != 0 {
						s.pol.Name = "p"
					}
					got := decideAs(overall, unproven, s)
					want, mark := truth(e, s)
					if got.Outcome != want || got.CloneUnproven != mark {
						t.Fatalf("groups %v %+v %+v: %+v, want %v, clone unproven %v", groups, e, s, got, want, mark)
					}
					if (got.Outcome == Admit) != (len(got.Reasons) == 0) {
						t.Fatalf("outcome %v has reasons %v", got.Outcome, got.Reasons)
					}
					if got.Outcome == Admit {
						admits++
					}
					if mark {
						marked++
					}
				}
			}
		}
	}
	return admits, marked
}

// A document passes without chip proof only where all three proofs are not
// offered, and its issuer is named, word for word.
func TestCloneUnproven(t *testing.T) {
	report := func(change ...Check) *Report {
		r := new(Report)
		offersNone(r)
		for _, id := range MandatoryChecks() {
			setGroup(r, id, Successful)
		}
		setGroup(r, CheckChip, NotSupported)
		r.Set(change...)
		return r
	}
	usa := DefaultProfile().AllowCloneUnproven("USA")
	for name, tc := range map[string]struct {
		p      Profile
		issuer string
		r      *Report
		want   bool
	}{
		"named":              {usa, "USA", report(), true},
		"not named":          {usa, "VNM", report(), false},
		"no issuer":          {DefaultProfile().AllowCloneUnproven(""), "", report(), false},
		"no star":            {DefaultProfile().AllowCloneUnproven("*"), "USA", report(), false},
		"zero profile":       {Profile{}.AllowCloneUnproven("USA"), "USA", report(), false},
		"not reached":        {usa, "USA", report(Check{ID: CheckChip, Result: NotSupported, Code: CodeNotReached}), false},
		"a proof missing":    {usa, "USA", report(Check{ID: CheckActiveAuth, Result: NotSupported, Code: CodeNotReached}), false},
		"a proof failed":     {usa, "USA", report(Check{ID: CheckChipAuth, Result: Failed, Code: CodeProofNotOffered}), false},
		"optional failed":    {usa, "USA", report(Check{ID: CheckMRZDG1, Result: Failed}), false},
		"no list of revoked": {DefaultProfile("USA").AllowCloneUnproven("USA"), "USA", report(Check{ID: CheckDSRevocation, Result: Undetermined}), false},
		"list of revoked":    {DefaultProfile("USA").AllowCloneUnproven("USA"), "USA", report(Check{ID: CheckDSRevocation, Result: Successful}), true},
	} {
		if got := tc.p.CloneUnproven(tc.r, tc.issuer); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := tc.p.Overall(tc.r, tc.issuer); got == Successful {
			t.Errorf("%s: the overall result is successful", name)
		}
	}
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
		"flag":     {Policy: Policy{Name: "p", Face: FaceRequired}, List: ListAllow, Face: FaceMatched, FaceStrict: true},
		"strict":   {Policy: Policy{Name: "p", Face: FaceRequired}, List: ListAllow, Face: FaceMatched, CloneUnproven: true},
		"matched":  {Policy: Policy{Name: "p", Face: FaceRequired}, List: ListAllow, CloneUnproven: true, FaceStrict: true},
	} {
		if d := Decide(f); d.Outcome != Refer {
			t.Errorf("zero %s: %v", name, d.Outcome)
		}
	}
	// The exception is for undetermined documents and no others.
	for _, res := range []Result{Successful, Failed, NotSupported, Aborted, Result(9)} {
		f := Facts{Policy: Policy{Name: "p", Face: FaceRequired}, Document: res, List: ListAllow, Face: FaceMatched, CloneUnproven: true, FaceStrict: true}
		if d := Decide(f); d.CloneUnproven || (d.Outcome == Admit) != (res == Successful) {
			t.Errorf("document %v with the flag: %+v", res, d)
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
