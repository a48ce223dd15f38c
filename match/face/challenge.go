package face

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"gateagent/gate"
	"gateagent/match/face/engine"
	"gateagent/match/face/worker"
)

// ChallengePolicy says what a traveller is asked to do once enough good
// pictures are there.
type ChallengePolicy string

// Policies of the challenge.
const (
	ChallengeOff    ChallengePolicy = "off"
	ChallengeTurn   ChallengePolicy = gate.ChallengeTurn
	ChallengeLight  ChallengePolicy = gate.ChallengeLight
	ChallengeRandom ChallengePolicy = "random" // one of them, by chance
)

func (c ChallengePolicy) check() error {
	switch c {
	case ChallengeOff, ChallengeTurn, ChallengeLight, ChallengeRandom:
		return nil
	}
	return fmt.Errorf("challenge %q is none of %q, %q, %q, %q", c, ChallengeOff, ChallengeTurn, ChallengeLight, ChallengeRandom)
}

// challenge is something that a traveller was asked to do. What it asks for is
// known to nobody before.
type challenge interface {
	// take looks at one more picture, taken at a time. It gives the hint to
	// show, empty for that of the picture itself, and whether nothing more is
	// waited for.
	take(l worker.Look, what sight, at time.Time) (hint gate.FaceHint, over bool)
	// over says the same between two pictures.
	over(now time.Time) bool
	result() gate.FaceChallenge
}

// begin asks for something, in the picture that is looked at now.
func (p Policy) begin(l worker.Look, at time.Time) challenge {
	c := p.Challenge
	if c == ChallengeRandom {
		c = []ChallengePolicy{ChallengeTurn, ChallengeLight}[rand.N(2)]
	}
	if c == ChallengeLight {
		return newLight(at)
	}
	return newTurn(l.Quality.Yaw, at, p.Answer)
}

// turn asks for a turn of the head to one side. Two things are measured, which
// a plane cannot do, however it is turned, moved, leaned or brought near.
//
// The parallax of the five points: the nose stands out from the eyes and the
// mouth, so that it moves against their lines when a head turns. On a plane
// its place between the lines stays what it was, as affine changes keep it, but
// for some hundredths by perspective.
//
// The relief of the whole face: of a plane, the picture before is the picture
// after, changed by no more than that.
type turn struct {
	side   float64 // sign of the change of yaw that is asked for
	from   float64 // yaw when it was asked
	asked  time.Time
	wait   time.Duration
	took   time.Duration // until it was answered
	far    float64       // largest parallax to the right side
	flat   float64       // least flatness of a picture that was turned far enough; 0 before
	ended  bool
	passed bool
}

// Answers to a turn. Of drawn people, heads that turn by 25 degrees were
// measured, with both packs, at 18 or more and at a flatness of 0.66 to 0.91;
// photographs turned by 20 to 40 degrees rarely above 18, and then at 0.98. A
// flatness below flatLeast says that the pictures could not be brought
// together at all.
const (
	turnedYaw   = 18.0                   // degrees that are a turn
	flatMost    = 0.92                   // more is a plane
	flatLeast   = 0.6                    // less is nothing
	turnFastest = 150 * time.Millisecond // sooner is no reaction of a person
)

func newTurn(yaw float64, at time.Time, wait time.Duration) *turn {
	c := &turn{side: 1, from: yaw, asked: at, wait: wait}
	if rand.N(2) == 0 {
		c.side = -1
	}
	return c
}

func (c *turn) take(l worker.Look, _ sight, at time.Time) (gate.FaceHint, bool) {
	if c.over(at) {
		return "", true
	}
	// Only the face that was looked at before counts: a photograph that is
	// taken away from somebody's own face is no turn.
	if l.Same {
		c.measure(l, at.Sub(c.asked))
	}
	switch {
	case c.passed:
		return gate.HintHold, true
	case c.ended:
		return "", true
	case c.side > 0: // to the right of the picture is the left of the person in it
		return gate.HintTurnLeft, false
	}
	return gate.HintTurnRight, false
}

// measure judges a picture of the same face.
func (c *turn) measure(l worker.Look, age time.Duration) {
	turned := (l.Quality.Yaw - c.from) * c.side
	c.far = max(c.far, (engine.Parallax(l.Quality.Yaw)-engine.Parallax(c.from))*c.side)
	if math.Abs(turned) < turnedYaw || l.Flat < flatLeast {
		return
	}
	if c.flat == 0 || l.Flat < c.flat {
		c.flat = l.Flat
	}
	if l.Flat > flatMost {
		return
	}
	// A head that turns to the other side, or before a person can have read
	// what to do, is a film's: it would try everything.
	c.ended = true
	if turned > 0 && age >= turnFastest {
		c.passed, c.took = true, age
	}
}

func (c *turn) over(now time.Time) bool { return c.ended || now.Sub(c.asked) > c.wait }

func (c *turn) result() gate.FaceChallenge {
	far := min(c.far, 1)
	out := gate.FaceChallenge{
		Kind: gate.ChallengeTurn, Answered: c.passed, Reaction: c.took.Milliseconds(),
		Evidence: far, Flat: c.flat, Score: min(1, far/engine.Parallax(turnedYaw)),
	}
	if !c.passed {
		out.Score *= max(0, min(1, (1-c.flat)/(1-flatMost))) // without a picture turned far enough nothing is proven flat
	}
	return out
}
