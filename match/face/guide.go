package face

import (
	"gateagent/gate"
	"gateagent/match/face/worker"
)

// tooNear: a face that takes this part of the picture's width does not fit
// when it moves.
const tooNear = 0.7

// judge says what a picture showed and what the traveller should do.
func (a *attempt) judge(l worker.Look) (sight, gate.FaceHint) {
	limits := a.m.cfg.Policy.Limits
	switch l.Problem {
	case worker.Fine:
	case worker.Several:
		return sawSeveral, gate.HintOnePerson
	case worker.Blank:
		return sawPoor, gate.HintLight
	case worker.Nobody, worker.UpsideDown:
		return sawNobody, gate.HintLookHere
	default:
		return sawPoor, gate.HintLookHere // a damaged picture
	}
	switch limits.Lacks(l.Quality) {
	case "":
		return sawGood, gate.HintHold
	case "inter_eye":
		return sawPoor, gate.HintCloser
	case "exposure":
		return sawPoor, gate.HintLight
	case "sharpness":
		if l.Width > tooNear {
			return sawPoor, gate.HintBack
		}
		return sawPoor, gate.HintHold
	}
	if l.Width > tooNear {
		return sawPoor, gate.HintBack
	}
	return sawPoor, gate.HintLookHere
}
