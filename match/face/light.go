package face

import (
	"math"
	"math/rand/v2"
	"time"

	"gateagent/gate"
	"gateagent/match/face/worker"
)

// light shows colours on the screen, one after the other, and looks for them
// on the face: a face that is really before this screen now is lit by it, what
// is behind it is not. A recording that is fed in shows none of it, or the
// colours of another time.
type light struct {
	began  time.Time
	plan   []gate.FaceHint
	shown  []time.Time // when each colour was sent to the screen
	looks  []lit
	ended  bool
	answer correlation
}

// lit is the colour of the face against what is behind it, at one time:
// logarithms of red and blue over green.
type lit struct {
	at    time.Time
	shade [2]float64
}

// The sequence of colours. Two and a half changes a second are fewer than the
// three flashes of WCAG 2.3.1, and its colours are equally bright.
const (
	lightSteps = 6
	lightStep  = 400 * time.Millisecond
	// lightLag is how late the screen's light may be in the pictures: page,
	// panel, camera and transport.
	lightLag = 700 * time.Millisecond
	// lightLooks are needed; a camera gives some twenty in that time.
	lightLooks = 10
)

// What counts as an answer: the correlation, and the part of the face's light
// that comes from the screen, without which a chance of the camera's colour
// balance could look like one.
const (
	lightLike  = 0.7
	lightShare = 0.01
)

var glows = [...]gate.FaceHint{gate.HintGlowRose, gate.HintGlowGreen, gate.HintGlowBlue, gate.HintGlowAmber}

func newLight(at time.Time) *light {
	c := &light{began: at}
	last := -1
	for len(c.plan) < lightSteps {
		if i := rand.N(len(glows)); i != last {
			c.plan, last = append(c.plan, glows[i]), i
		}
	}
	return c
}

func (c *light) take(l worker.Look, _ sight, at time.Time) (gate.FaceHint, bool) {
	if c.over(at) {
		return "", true
	}
	if l.Same {
		c.looks = append(c.looks, lit{at, shade(l.Lit, l.Behind)})
	}
	step := min(int(at.Sub(c.began)/lightStep), lightSteps)
	for len(c.shown) <= step && len(c.shown) < lightSteps {
		c.shown = append(c.shown, at)
	}
	if at.Sub(c.began) > lightSteps*lightStep+lightLag/2 {
		c.ended = true
		c.answer = c.correlate()
		return gate.HintHold, true
	}
	return c.plan[min(step, lightSteps-1)], false
}

// over also ends a sequence whose pictures stopped.
func (c *light) over(now time.Time) bool {
	return c.ended || now.Sub(c.began) > lightSteps*lightStep+4*lightLag
}

func (c *light) result() gate.FaceChallenge {
	out := gate.FaceChallenge{Kind: gate.ChallengeLight, Evidence: c.answer.like, Score: max(0, c.answer.like)}
	if c.answer.like >= lightLike && c.answer.share >= lightShare {
		out.Answered, out.Reaction = true, c.answer.lag.Milliseconds()
	}
	return out
}

// shade is the colour of the face against what is behind it, so that a camera
// that balances its colours changes nothing.
func shade(face, behind [3]float64) (out [2]float64) {
	const dark = 1e-3
	for i, c := range [2]int{0, 2} {
		out[i] = math.Log((face[c]+dark)/(face[1]+dark)) - math.Log((behind[c]+dark)/(behind[1]+dark))
	}
	return out
}

// correlation is how much the face followed the screen.
type correlation struct {
	like  float64       // coefficient, -1..1
	share float64       // of the face's light that follows
	lag   time.Duration // at which it is highest
}

// correlate gives the highest correlation at any delay that screen and camera
// may have.
func (c *light) correlate() (best correlation) {
	if len(c.looks) < lightLooks || len(c.shown) < lightSteps {
		return best
	}
	best.like = -1
	for lag := time.Duration(0); lag <= lightLag; lag += 50 * time.Millisecond {
		if at := c.against(lag); at.like > best.like {
			best = at
		}
	}
	return best
}

// against correlates at one delay. Pictures before the first colour's light
// could be there are left out.
func (c *light) against(lag time.Duration) correlation {
	var seen, sent [][2]float64
	for _, l := range c.looks {
		if h := c.screen(l.at.Add(-lag)); h != "" {
			rgb, _ := h.Glow()
			seen, sent = append(seen, l.shade), append(sent, shade(linear(rgb), [3]float64{1, 1, 1}))
		}
	}
	centre(seen)
	centre(sent)
	var both, x, y float64
	for i := range seen {
		for d := range 2 {
			both, x, y = both+seen[i][d]*sent[i][d], x+seen[i][d]*seen[i][d], y+sent[i][d]*sent[i][d]
		}
	}
	if len(seen) < lightLooks || !(x > 1e-12 && y > 1e-12) {
		return correlation{}
	}
	return correlation{like: max(-1, min(1, both/math.Sqrt(x*y))), share: both / y, lag: lag}
}

// screen is the colour that was on the screen at a time; empty before.
func (c *light) screen(at time.Time) gate.FaceHint {
	var h gate.FaceHint
	for i, from := range c.shown {
		if !from.After(at) {
			h = c.plan[i]
		}
	}
	return h
}

// centre takes the mean off.
func centre(v [][2]float64) {
	var sum [2]float64
	for _, p := range v {
		sum[0], sum[1] = sum[0]+p[0], sum[1]+p[1]
	}
	for i := range v {
		for d := range 2 {
			v[i][d] -= sum[d] / float64(len(v))
		}
	}
}

// linear is the light of an sRGB colour (IEC 61966-2-1).
func linear(rgb [3]uint8) (out [3]float64) {
	for i, v := range rgb {
		x := float64(v) / 255
		if x <= 0.04045 {
			out[i] = x / 12.92
			continue
		}
		out[i] = math.Pow((x+0.055)/1.055, 2.4)
	}
	return out
}
