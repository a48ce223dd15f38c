package gate

import (
	"context"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// fakeFaces counts what the lane asks of the camera.
type fakeFaces struct {
	begun, closed int
	result        FaceResult
	hang          bool
	hints         chan FaceHint
	r             *rig
}

func (f *fakeFaces) Begin(context.Context, string) FaceAttempt {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.begun++
	return f
}
func (f *fakeFaces) Guidance() <-chan FaceHint { return f.hints }
func (f *fakeFaces) Compare(ctx context.Context, p Portrait) FaceResult {
	if p.Format != "jpeg" {
		f.r.t.Error("no portrait was handed over")
	}
	if f.hang {
		<-ctx.Done()
		return FaceResult{Code: CodeFaceDeadline}
	}
	return f.result
}
func (f *fakeFaces) Close() {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	f.closed++
}

// agedCase is a document of somebody born long ago, or not.
type agedCase struct {
	fakeCase
	birth time.Time
}

func (c agedCase) Document() (Document, bool) {
	d, ok := c.fakeCase.Document()
	if !c.birth.IsZero() {
		d.Birth = c.birth.Format("2006-01-02")
	}
	return d, ok
}

type agedJudge struct{ birth time.Time }

func (j agedJudge) NewCase(TrustedTime) Case { return agedCase{birth: j.birth} }

func faceRig(t *testing.T, birth time.Time, change ...func(*Parts)) (*rig, *fakeFaces) {
	f := &fakeFaces{hints: make(chan FaceHint), result: FaceResult{Verdict: FaceMatched, Admits: true, Score: 0.7, Threshold: 0.45, Pack: "test 1"}}
	all := append([]func(*Parts){func(p *Parts) {
		p.Policy = Policy{Name: "test", Face: FaceRequired, LegalBasis: "decree-69"}
		p.Faces, p.Judge = f, agedJudge{birth}
		p.Timing.Consent, p.Timing.Face = 300*time.Millisecond, 300*time.Millisecond
	}}, change...)
	// The lane must not ask the camera before the rig is there.
	r := newRig(t, append(all, func(p *Parts) { f.r = p.Cards.(*rig) })...)
	return r, f
}

var grown = time.Date(1990, 5, 1, 0, 0, 0, 0, time.UTC)

func (r *rig) choose(use bool) {
	r.t.Helper()
	r.wait("asks", func() bool { return r.last.Face != nil && r.last.Face.State == FaceAsk })
	if err := r.lane.ChooseFace(r.t.Context(), use); err != nil {
		r.t.Fatal(err)
	}
}

func TestFaceMatched(t *testing.T) {
	r, f := faceRig(t, grown)
	f.result.Challenge = &FaceChallenge{Kind: ChallengeTurn, Answered: true, Reaction: 800, Evidence: 0.2, Flat: 0.8, Score: 1}
	r.visit()
	r.choose(true)
	d := r.decision(0)
	wantOutcome(t, d, "admit")
	c := d.FaceCheck
	if d.Face != "matched" || c == nil || c.Choice != "use" || c.LegalBasis != "decree-69" || c.Score != 0.7 || c.Threshold != 0.45 || c.Pack != "test 1" {
		t.Errorf("record: %s %+v", d.Face, c)
	}
	if c != nil && (c.Challenge == nil || *c.Challenge != wire.FaceChallenge(*f.result.Challenge)) {
		t.Errorf("record of the challenge: %+v", c.Challenge)
	}
	r.wait("camera off", func() bool { return f.begun == 1 && f.closed == 1 })
}

func TestFaceRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		result FaceResult
		want   Code
	}{
		"mismatch":     {FaceResult{Verdict: FaceMismatched, Code: CodeFaceMismatch, Admits: true}, CodeFaceMismatch},
		"uncalibrated": {FaceResult{Verdict: FaceMatched, Admits: false, Score: 0.9}, CodeFaceUncalibrated},
		"several":      {FaceResult{Code: CodeFaceSeveral, Admits: true}, CodeFaceSeveral},
		"zero":         {FaceResult{}, CodeFaceNotAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := faceRig(t, grown)
			f.result = tc.result
			r.visit()
			r.choose(true)
			wantOutcome(t, r.decision(0), "refer", tc.want)
			if r.opened != 0 {
				t.Error("opened")
			}
		})
	}
}

// Who declines, who says nothing and who is too young never meets the camera.
func TestFaceNoCapture(t *testing.T) {
	now := time.Now().UTC()
	almost := time.Date(now.Year()-DefaultMinAge, now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		birth  time.Time
		choose func(*rig)
		want   Code
	}{
		"declined":    {grown, func(r *rig) { r.choose(false) }, CodeFaceDeclined},
		"silent":      {grown, func(*rig) {}, CodeFaceNoAnswer},
		"too young":   {almost, func(*rig) {}, CodeFaceUnderAge},
		"age unknown": {time.Time{}, func(*rig) {}, CodeFaceAgeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			r, f := faceRig(t, tc.birth)
			r.visit()
			tc.choose(r)
			wantOutcome(t, r.decision(0), "refer", tc.want)
			r.mu.Lock()
			defer r.mu.Unlock()
			if f.begun != 0 {
				t.Error("the camera was started")
			}
		})
	}
}

// Fourteen today is old enough.
func TestFaceBirthday(t *testing.T) {
	now := time.Now().UTC()
	r, _ := faceRig(t, time.Date(now.Year()-DefaultMinAge, now.Month(), now.Day(), 0, 0, 0, 0, time.UTC))
	r.visit()
	r.choose(true)
	wantOutcome(t, r.decision(0), "admit")
}

func TestFaceHangs(t *testing.T) {
	r, f := faceRig(t, grown)
	f.hang = true
	begin := time.Now()
	r.visit()
	r.choose(true)
	wantOutcome(t, r.decision(0), "refer", CodeFaceDeadline)
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("took %v", took)
	}
}

// A document that fails needs no picture of anybody.
func TestFaceNotAskedOfForgers(t *testing.T) {
	r, f := faceRig(t, grown)
	r.list = ListAnswer{Verdict: ListNotFound, Code: CodeListNotFound}
	r.visit()
	wantOutcome(t, r.decision(0), "refer", CodeListNotFound)
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.begun != 0 {
		t.Error("the camera was started")
	}
}

func TestFaceRequiredNeedsFaces(t *testing.T) {
	p := Parts{Gate: "G", Policy: Policy{Name: "p", Face: FaceRequired}}
	if _, err := NewLane(p); err == nil {
		t.Error("a lane that requires faces was built without any")
	}
}

// A birth date with open parts counts as the latest it may be.
func TestLatestBirth(t *testing.T) {
	for in, want := range map[string]string{
		"1999-08-17": "1999-08-17", "1999-02": "1999-02-28", "2000-02": "2000-02-29", "1999": "1999-12-31", "": "", "19": "", "1999-13": "",
	} {
		got, ok := latestBirth(in)
		if ok != (want != "") || ok && got.Format("2006-01-02") != want {
			t.Errorf("%q: %v %v, want %q", in, got, ok, want)
		}
	}
}
