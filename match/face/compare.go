package face

import (
	"bytes"
	"context"
	"errors"
	"time"

	"gateagent/gate"
	"gateagent/match/face/picture"
	"gateagent/match/face/worker"
)

// Compare implements gate.FaceAttempt.
func (a *attempt) Compare(ctx context.Context, portrait gate.Portrait) gate.FaceResult {
	res := gate.FaceResult{Pack: a.m.cfg.Pack.Title(), Threshold: a.m.cfg.Pack.Threshold(), StrictThreshold: a.m.cfg.Pack.StrictThreshold(), Admits: a.m.Calibrated(), PAD: -1}
	p, code := a.worker(ctx)
	if code == 0 {
		code = a.portrait(ctx, p, portrait, &res)
	}
	if code == 0 {
		code = a.enough(ctx)
	}
	res.Challenge = a.challenged()
	if code == 0 {
		code = a.verdict(ctx, p, &res)
	}
	a.mu.Lock()
	res.Code, res.Frames = code, a.frames
	a.mu.Unlock()
	a.m.cfg.Log.Info("face compared", "tx", a.tx, "verdict", res.Verdict.String(), "code", uint32(res.Code), "frames", res.Frames)
	return res
}

// challenged is what became of the challenge; nil when there was none.
func (a *attempt) challenged() *gate.FaceChallenge {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked == nil {
		return nil
	}
	c := a.asked.result()
	return &c
}

// worker waits until one knows this traveller.
func (a *attempt) worker(ctx context.Context) (*worker.Process, gate.Code) {
	for {
		a.mu.Lock()
		p, failed, changed := a.proc, a.failed, a.changed
		a.mu.Unlock()
		if p != nil || failed != 0 {
			return p, failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, a.noWorker()
		case <-a.done: // closed, or given up
			return nil, a.noWorker()
		}
	}
}

// noWorker says why none came: one that cannot start at all has a fault of
// its pack or library, another one was late.
func (a *attempt) noWorker() gate.Code {
	switch err := a.m.Problem(); {
	case err == nil:
		return gate.CodeFaceDeadline
	case errors.Is(err, worker.ErrStart):
		return gate.CodeFaceModel
	}
	return gate.CodeFaceWorker
}

// portrait has the worker take the portrait in. It works on a copy that is
// wiped: the caller may wipe its own as soon as Compare has returned.
func (a *attempt) portrait(ctx context.Context, p *worker.Process, portrait gate.Portrait, res *gate.FaceResult) gate.Code {
	if len(portrait.Image) == 0 {
		return gate.CodeFacePortrait
	}
	s, err := p.Portrait(ctx, picture.Format(portrait.Format), bytes.Clone(portrait.Image))
	switch {
	case err == nil && s.Problem != worker.Fine:
		a.m.cfg.Log.Warn("portrait cannot be used", "tx", a.tx, "problem", s.Problem.String(), "format", portrait.Format, "bytes", portrait.Bytes)
		return gate.CodeFacePortrait
	case err != nil:
		return a.broken(ctx, "portrait", err)
	}
	return 0
}

// broken is the code for a request that failed.
func (a *attempt) broken(ctx context.Context, doing string, err error) gate.Code {
	if ctx.Err() != nil && !errors.Is(err, worker.ErrGone) {
		return gate.CodeFaceDeadline
	}
	a.fail(gate.CodeFaceWorker, doing, err)
	return gate.CodeFaceWorker
}

// enough waits for as many good pictures as the policy wants, and for the
// answer to its challenge.
func (a *attempt) enough(ctx context.Context) gate.Code {
	for {
		a.mu.Lock()
		enough := a.good >= a.m.cfg.Policy.Pictures && (a.m.cfg.Policy.Challenge == ChallengeOff || a.asked != nil && a.asked.over(time.Now()))
		failed, dark, changed := a.failed, a.dark, a.changed
		a.mu.Unlock()
		switch {
		case failed != 0:
			return failed
		case enough:
			return 0
		case dark != 0:
			return dark
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return a.missing()
		case <-a.done:
			return a.missing()
		}
	}
}

// missing says why there were not enough good pictures, by what most of them
// showed.
func (a *attempt) missing() gate.Code {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.failed != 0:
		return a.failed
	case !a.came:
		return gate.CodeFaceCamera
	case a.good > 0 || a.frames == 0:
		return gate.CodeFaceDeadline
	case a.seen[sawSeveral] >= max(1, a.seen[sawPoor], a.seen[sawNobody]):
		return gate.CodeFaceSeveral
	case a.seen[sawPoor] >= max(1, a.seen[sawNobody]/4):
		return gate.CodeFaceQuality
	}
	return gate.CodeFaceNobody
}

// verdict compares and judges.
func (a *attempt) verdict(ctx context.Context, p *worker.Process, res *gate.FaceResult) gate.Code {
	m, err := p.Compare(ctx)
	if err != nil {
		return a.broken(ctx, "compare", err)
	}
	if !m.Have { // the person changed just now
		return gate.CodeFaceDeadline
	}
	res.Score, res.Quality = m.Score, m.Quality
	policy := a.m.cfg.Policy
	if policy.PAD != PADOff && m.Live >= 0 {
		res.PAD = m.Live * steadiness(m.Steady, res.Threshold)
	}
	switch {
	case policy.PAD == PADRequired && (policy.LeastPAD > 0 && res.PAD < policy.LeastPAD || policy.Challenge != ChallengeOff && (res.Challenge == nil || !res.Challenge.Answered)):
		return gate.CodeFaceAttack
	case !res.Admits:
		return gate.CodeFaceUncalibrated
	case m.Score >= res.Threshold:
		res.Verdict = gate.FaceMatched
		return 0
	}
	res.Verdict = gate.FaceMismatched
	return gate.CodeFaceMismatch
}

// steadiness is 1 when all live pictures are as alike as the threshold wants
// a live picture and a portrait to be, less when one of them is further from
// the best, and 0 at twice that distance: a face that is exchanged or bent is
// not one that lives.
func steadiness(least, threshold float64) float64 {
	return max(0, min(1, 2-(1-least)/max(1-threshold, 1e-6)))
}
