package gate

import (
	"errors"
	"math"
	"testing"
	"time"
)

// plainCase is a genuine document without any chip proof.
type plainCase struct{ agedCase }

func (plainCase) Lists(n int) bool { return n == 1 || n == 2 }

type plainJudge struct{}

func (plainJudge) NewCase(TrustedTime) Case { return plainCase{agedCase{birth: grown}} }

func cloneRig(t *testing.T, strict float64, issuers ...string) (*rig, *fakeFaces) {
	r, f := faceRig(t, grown, func(p *Parts) {
		p.Judge, p.Profile = plainJudge{}, DefaultProfile().AllowCloneUnproven(issuers...)
		p.Policy.StrictScore = 0.5
		p.Clock = func() TrustedTime {
			return TrustedTime{Now: time.Now().Add(-1000 * time.Hour), Trusted: true, Source: "central"}
		}
	})
	f.result.StrictThreshold = strict
	return r, f
}

// A document without chip proof passes by its face at the stricter threshold
// alone, and the record says so; the overall result stays what it is.
func TestCloneUnprovenAdmitted(t *testing.T) {
	r, _ := cloneRig(t, 0.6, "UTO")
	r.visit()
	r.choose(true)
	d := r.decision(0)
	wantOutcome(t, d, "admit")
	if !d.CloneUnproven || d.Overall != "undetermined" || d.FaceCheck == nil || d.FaceCheck.StrictThreshold != 0.6 || d.FaceCheck.Threshold != 0.45 {
		t.Errorf("record %+v, face %+v", d, d.FaceCheck)
	}
	r.wait("the screens know", func() bool { return r.last.CloneUnproven && r.last.Outcome == Admit })
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.records[0]
	if !rec.ClockTrusted || rec.ClockSource != "central" || time.Since(rec.At.Add(1000*time.Hour)).Abs() > time.Minute {
		t.Errorf("record by the clock %v %s at %s, want the trusted time", rec.ClockTrusted, rec.ClockSource, rec.At)
	}
}

func TestCloneUnprovenRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		strict  float64
		issuers []string
		result  func(*FaceResult)
		want    []Code
	}{
		"below the stricter threshold": {0.71, []string{"UTO"}, nil, []Code{CodeFaceNotStrict, CodeProofNotOffered}},
		"no stricter threshold": {0, []string{"UTO"}, func(f *FaceResult) { f.Score, f.Threshold = 0.49, 0.4 },
			[]Code{CodeFaceNotStrict, CodeProofNotOffered}},
		"one below the normal": {0.4, []string{"UTO"}, func(f *FaceResult) { f.Threshold = 0.6 },
			[]Code{CodeFaceNotStrict, CodeProofNotOffered}},
		"mismatch": {0.6, []string{"UTO"}, func(f *FaceResult) { f.Verdict, f.Code = FaceMismatched, CodeFaceMismatch },
			[]Code{CodeFaceMismatch, CodeProofNotOffered}},
		"uncalibrated":     {0.6, []string{"UTO"}, func(f *FaceResult) { f.Admits = false }, []Code{CodeFaceUncalibrated, CodeProofNotOffered}},
		"issuer not named": {0.6, []string{"USA"}, nil, []Code{CodeDocumentUndetermined, CodeProofNotOffered}},
		"nobody named":     {0.6, nil, nil, []Code{CodeDocumentUndetermined, CodeProofNotOffered}},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := cloneRig(t, tc.strict, tc.issuers...)
			if tc.result != nil {
				tc.result(&f.result)
			}
			r.visit()
			if tc.want[0] != CodeDocumentUndetermined { // else nobody waits for a face
				r.choose(true)
			}
			d := r.decision(0)
			wantOutcome(t, d, "refer", tc.want...)
			if d.CloneUnproven || r.opened != 0 {
				t.Errorf("marked %v, opened %d times", d.CloneUnproven, r.opened)
			}
		})
	}
}

// A result that could not be stored admits nobody, and nothing keeps the mark.
func TestCloneUnprovenNotStored(t *testing.T) {
	r, _ := cloneRig(t, 0.6, "UTO")
	r.mu.Lock()
	r.storeErr = errors.New("disk full")
	r.mu.Unlock()
	r.visit()
	r.choose(true)
	r.wait("referred", func() bool {
		return r.last.Outcome == Refer && len(r.last.Reasons) > 0 && r.last.Reasons[0] == CodeStoreFailed
	})
	if r.last.CloneUnproven || r.opened != 0 {
		t.Errorf("view %+v, opened %d", r.last, r.opened)
	}
}

// The stricter match needs a threshold that is there and no lower than the
// normal one.
func TestFaceStrict(t *testing.T) {
	for _, tc := range []struct {
		r    FaceResult
		want bool
	}{
		{FaceResult{Verdict: FaceMatched, Admits: true, Score: 0.7, Threshold: 0.45, StrictThreshold: 0.7}, true},
		{FaceResult{Verdict: FaceMatched, Admits: true, Score: 0.7, Threshold: 0.45}, false},
		{FaceResult{Verdict: FaceMatched, Admits: true, Score: 0.7, Threshold: 0.45, StrictThreshold: 0.71}, false},
		{FaceResult{Verdict: FaceMatched, Admits: true, Score: 0.7, Threshold: 0.45, StrictThreshold: 0.44}, false},
		{FaceResult{Verdict: FaceMatched, Score: 0.7, Threshold: 0.45, StrictThreshold: 0.6}, false},
		{FaceResult{Verdict: FaceMismatched, Admits: true, Score: 0.7, Threshold: 0.45, StrictThreshold: 0.6}, false},
		{FaceResult{Verdict: FaceMatched, Admits: true, Score: math.NaN(), Threshold: 0.45, StrictThreshold: 0.6}, false},
		{FaceResult{Verdict: FaceMatched, Admits: true, Score: 0.7, Threshold: 0.45, StrictThreshold: math.NaN()}, false},
		{FaceResult{}, false},
	} {
		if _, _, got := (&transaction{face: &faceStep{result: tc.r}}).faceFacts(); got != tc.want {
			t.Errorf("%+v: %v", tc.r, got)
		}
	}
	if _, _, got := (&transaction{}).faceFacts(); got {
		t.Error("a match without a face step")
	}
}
