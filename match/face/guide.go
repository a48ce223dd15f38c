package face

import (
	"math"
	"math/rand/v2"
	"time"

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

// challenge asks for a turn of the head to a side that nobody can know
// before. The zero value was not asked.
type challenge struct {
	side   float64 // sign of the change of yaw that is asked for
	from   float64 // yaw when it was asked
	asked  time.Time
	took   time.Duration // until it was answered
	wrong  int           // pictures turned to the other side
	passed bool
}

// Answers to a challenge.
const (
	turnedYaw   = 15.0                   // degrees that are a turn
	turnLatest  = 5 * time.Second        // later is no answer
	turnFastest = 150 * time.Millisecond // sooner is no reaction of a person
)

func newChallenge(yaw float64) challenge {
	c := challenge{side: 1, from: yaw, asked: time.Now()}
	if rand.N(2) == 0 {
		c.side = -1
	}
	return c
}

// take looks at one more picture. It gives the hint to show and whether the
// challenge is over.
func (c *challenge) take(l worker.Look, what sight, hint gate.FaceHint) (gate.FaceHint, bool) {
	age := time.Since(c.asked)
	if c.passed || age > turnLatest {
		return hint, true
	}
	turned := l.Quality.Yaw - c.from
	if (what == sawGood || what == sawPoor) && math.Abs(turned) >= turnedYaw {
		switch {
		case turned*c.side < 0:
			c.wrong++
		case age >= turnFastest:
			c.passed, c.took = true, age
			return gate.HintHold, true
		}
	}
	// Yaw is positive to the right of the picture, which is the left of the
	// person in it.
	if c.side > 0 {
		return gate.HintTurnLeft, false
	}
	return gate.HintTurnRight, false
}

// over says whether nothing more is waited for.
func (c *challenge) over() bool {
	return c.side != 0 && (c.passed || time.Since(c.asked) > turnLatest)
}
