package gate

import (
	"context"
	"errors"
	"time"

	"gateagent/gate/wire"
)

// faceChoice is the traveller's answer to the notice. Silence is not consent.
type faceChoice uint8

const (
	faceUnanswered faceChoice = iota
	faceUse
	facePerson
)

// String names the choice as in records.
func (c faceChoice) String() string {
	return [...]string{"none", "use", "person"}[c]
}

// faceStep is the face comparison of one transaction, owned by the lane's
// loop. It begins with the notice while the chip is read; the camera starts
// when the traveller has agreed and the proven DG1 says that they are old
// enough.
type faceStep struct {
	choice  faceChoice
	barred  Code // why the camera may not be used; 0 when it may
	known   bool // DG1 is proven, barred is decided
	attempt FaceAttempt
	result  FaceResult
}

// wantsFace says whether this lane compares faces.
func (l *Lane) wantsFace() bool { return l.p.Policy.Face == FaceRequired && l.p.Faces != nil }

// showFace puts a state of the face step on the screens.
func (l *Lane) showFace(state FaceState, hint FaceHint) {
	if state == "" {
		l.view.Face = nil
	} else {
		l.view.Face = &FaceView{State: state, Hint: hint}
	}
	l.show()
}

// ageAllows judges the age by the proven DG1 at the kiosk's day: 0 when the
// camera may be used. A birth date with open parts counts as the latest it
// may be, so that nobody too young is taken for older.
func (l *Lane) ageAllows(d Document) Code {
	at := l.p.Clock()
	born, ok := latestBirth(d.Birth)
	if !ok || !at.Trusted {
		return CodeFaceAgeUnknown
	}
	if at.Zone == nil {
		at.Zone = time.UTC
	}
	min := l.p.Policy.MinAge
	if min == 0 {
		min = DefaultMinAge
	}
	y, m, day := at.Now.In(at.Zone).Date()
	if born.AddDate(min, 0, 0).After(time.Date(y, m, day, 0, 0, 0, 0, time.UTC)) {
		return CodeFaceUnderAge
	}
	return 0
}

// latestBirth is the last day that a birth as exact as the document states it
// (1999-08-17, 1999-08, 1999) can mean.
func latestBirth(birth string) (time.Time, bool) {
	if t, err := time.Parse("2006-01-02", birth); err == nil {
		return t, true
	}
	if t, err := time.Parse("2006-01", birth); err == nil {
		return t.AddDate(0, 1, -1), true
	}
	if t, err := time.Parse("2006", birth); err == nil {
		return t.AddDate(1, 0, -1), true
	}
	return time.Time{}, false
}

// faceProgress reacts to what has just become known: it starts the camera as
// soon as everything allows it.
func (l *Lane) faceProgress(ctx context.Context, tx *transaction) {
	f := tx.face
	if f == nil {
		return
	}
	if l.document != nil {
		f.known, f.barred = true, l.ageAllows(*l.document)
		l.document = nil
	}
	if l.choice != faceUnanswered {
		f.choice = l.choice
	}
	switch {
	case f.known && f.barred != 0, f.choice == facePerson:
		l.showFace("", "")
	case f.attempt != nil || f.choice != faceUse:
	case !f.known:
		l.showFace("", "") // agreed; the camera waits for DG1
	default:
		f.attempt = l.p.Faces.Begin(ctx, tx.id)
		l.hints = f.attempt.Guidance()
		l.showFace(FaceCapture, "")
	}
}

// endFace stops the camera and forgets the attempt.
func (l *Lane) endFace(tx *transaction) {
	l.hints, l.choice, l.document = nil, faceUnanswered, nil
	if tx.face != nil && tx.face.attempt != nil {
		tx.face.attempt.Close()
	}
	l.view.Face = nil
}

// compareFace finishes the face step after the document was read. Where the
// document or the list already sends the traveller to staff, no picture is
// waited for.
func (l *Lane) compareFace(ctx context.Context, tx *transaction) {
	f := tx.face
	if f == nil || tx.inspection == nil || tx.helpAsked {
		return
	}
	in := tx.inspection
	issuer := in.Document.Issuer
	passes := l.p.Profile.Overall(&in.Report, issuer) == Successful || l.p.Profile.CloneUnproven(&in.Report, issuer)
	if !passes || tx.list.Verdict != ListAllow || !in.HasPortrait {
		return
	}
	begin := time.Now()
	defer func() { tx.phases["face"] = time.Since(begin).Milliseconds() }()
	if !f.known { // the reading ended before the loop had seen its document
		l.document = &in.Document
	}
	l.faceProgress(ctx, tx)
	if f.barred == 0 {
		l.awaitChoice(ctx, tx)
	}
	switch {
	case f.barred != 0:
		f.result.Code = f.barred
	case f.choice == facePerson:
		f.result.Code = CodeFaceDeclined
	case f.attempt == nil:
		f.result.Code = CodeFaceNoAnswer
	default:
		l.awaitVerdict(ctx, tx)
	}
}

// awaitChoice waits until the traveller has answered the notice.
func (l *Lane) awaitChoice(ctx context.Context, tx *transaction) {
	timer := time.NewTimer(l.p.Timing.Consent)
	defer timer.Stop()
	for tx.face.choice == faceUnanswered {
		switch l.await(ctx, timer.C, nil) {
		case ended, timedOut:
			return
		case helped:
			l.help, tx.helpAsked = false, true
			return
		case chosen:
			l.faceProgress(ctx, tx)
		}
	}
}

// awaitVerdict compares within the face step's own time.
func (l *Lane) awaitVerdict(ctx context.Context, tx *transaction) {
	f := tx.face
	l.showFace(FaceCompare, "")
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, l.p.Timing.Face)
	defer cancel()
	done := make(chan struct{})
	var res FaceResult
	go func() {
		defer close(done)
		res = f.attempt.Compare(ctx, tx.inspection.Portrait)
	}()
	for {
		switch l.await(ctx, nil, done) {
		case helped:
			l.help, tx.helpAsked = false, true
			cancel()
		case finished:
			l.keepFace(f, res)
			return
		case ended:
			if !l.awaitEnd(outer, tx, done) {
				f.result = FaceResult{Code: CodeFaceWorker}
				return
			}
			l.keepFace(f, res)
			return
		}
	}
}

// keepFace takes the result of a comparison.
func (l *Lane) keepFace(f *faceStep, res FaceResult) {
	res.StrictThreshold = max(res.StrictThreshold, l.p.Policy.StrictScore)
	f.result = res
	l.view.FaceResult = &res
}

// faceFacts gives what the decision may know of the face, and whether a match
// also holds at the stricter threshold. A match by a pack that may admit
// nobody is none.
func (tx *transaction) faceFacts() (v FaceVerdict, code Code, strict bool) {
	if tx.face == nil {
		return FaceNotCompared, 0, false
	}
	r := tx.face.result
	if r.Verdict == FaceMatched && !r.Admits {
		return FaceNotCompared, CodeFaceUncalibrated, false
	}
	strict = r.Verdict == FaceMatched && r.StrictThreshold > 0 && r.StrictThreshold >= r.Threshold && r.Score >= r.StrictThreshold
	return r.Verdict, r.Code, strict
}

// faceRecord tells of the face step in numbers; nil when there was none.
func (l *Lane) faceRecord(tx *transaction) *wire.FaceCheck {
	if tx.face == nil {
		return nil
	}
	r := tx.face.result
	if tx.face.attempt == nil {
		r.PAD = -1 // the camera stayed off: none was measured
	}
	out := &wire.FaceCheck{
		Choice: tx.face.choice.String(), LegalBasis: l.p.Policy.LegalBasis, Verdict: r.Verdict.String(), Code: uint32(r.Code),
		Score: r.Score, Threshold: r.Threshold, StrictThreshold: r.StrictThreshold, Pack: r.Pack, Admits: r.Admits, PAD: r.PAD, Quality: r.Quality.Overall, Frames: r.Frames,
	}
	if c := r.Challenge; c != nil {
		out.Challenge = (*wire.FaceChallenge)(c)
	}
	return out
}

// ChooseFace is the traveller's answer to the notice; it implements Desk.
func (l *Lane) ChooseFace(ctx context.Context, use bool) error {
	return l.askLoop(ctx, func(context.Context) (happening, error) {
		if l.view.Face == nil || l.view.Face.State != FaceAsk {
			return nothing, errors.New("nothing is being asked now")
		}
		l.choice = facePerson
		if use {
			l.choice = faceUse
		}
		l.showFace("", "")
		return chosen, nil
	})
}
