package face

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/face/picture"
	"gateagent/match/face/worker"
)

func turned(yaw float64) worker.Look {
	return worker.Look{Same: true, Flat: 0.8, Quality: gate.FaceQuality{Yaw: yaw}}
}

func TestTurn(t *testing.T) {
	begin := time.Now()
	after := func(d time.Duration) time.Time { return begin.Add(d) }
	sides := map[float64]bool{}
	for range 64 {
		sides[newTurn(0, begin, time.Second).side] = true
	}
	if !sides[1] || !sides[-1] {
		t.Error("it always asks for the same side")
	}
	ask := func(side float64) *turn { return &turn{side: side, asked: begin, wait: 5 * time.Second} }
	c := ask(1)
	if h, over := c.take(turned(2), sawGood, after(300*time.Millisecond)); h != gate.HintTurnLeft || over {
		t.Errorf("not turned: %s %v", h, over)
	}
	other := turned(30)
	other.Same = false
	if _, over := c.take(other, sawGood, after(400*time.Millisecond)); over {
		t.Error("somebody else's turn counts")
	}
	flat := turned(20)
	for _, flat.Flat = range []float64{0.98, 0.93, 0.2, -1} {
		if _, over := c.take(flat, sawGood, after(500*time.Millisecond)); over || c.flat < 0.9 {
			t.Errorf("a turn as flat as %v counts", flat.Flat)
		}
	}
	if _, over := c.take(turned(20), sawPoor, after(time.Second)); !over || !c.over(after(time.Second)) {
		t.Error("a turn is no answer")
	}
	got := c.result()
	if !got.Answered || got.Reaction != 1000 || got.Score != 1 || got.Evidence < 0.13 || got.Kind != "turn" {
		t.Errorf("turned: %+v", got)
	}
	for name, c := range map[string]struct {
		turn *turn
		yaw  float64
		at   time.Duration
	}{
		"the other side":  {ask(1), -20, time.Second},
		"too soon":        {ask(-1), -20, 100 * time.Millisecond},
		"too late":        {ask(1), 20, 6 * time.Second},
		"as it was":       {&turn{side: 1, from: 10, asked: begin, wait: time.Second}, 20, 2 * time.Second},
		"hardly anything": {ask(1), 10, 6 * time.Second},
	} {
		if _, over := c.turn.take(turned(c.yaw), sawGood, after(c.at)); !over || c.turn.result().Answered {
			t.Errorf("%s: over %v, %+v", name, over, c.turn.result())
		}
	}
}

// follow plays a sequence to its end; paint gives the face's colour at a time
// from what the screen showed.
func follow(c *light, begin time.Time, paint func(at time.Duration, screen func(time.Duration) [3]float64) [3]float64) gate.FaceChallenge {
	screen := func(at time.Duration) [3]float64 {
		if h := c.screen(begin.Add(at)); h != "" {
			rgb, _ := h.Glow()
			return linear(rgb)
		}
		return [3]float64{1, 1, 1}
	}
	for at := time.Duration(0); ; at += 90 * time.Millisecond {
		l := worker.Look{Same: true, Lit: paint(at, screen), Behind: [3]float64{0.3, 0.3, 0.29}}
		if _, over := c.take(l, sawGood, begin.Add(at)); over {
			return c.result()
		}
	}
}

// A face that is lit by this screen answers; one that is lit by nothing, or by
// the colours of another time, does not, however the camera's colours drift.
func TestLight(t *testing.T) {
	begin := time.Now()
	chance := 0
	rounds := 400
	if race {
		rounds = 40
	}
	for range rounds {
		noise := func(v [3]float64) [3]float64 {
			for i := range v {
				v[i] *= 1 + 0.004*rand.NormFloat64()
			}
			return v
		}
		lag := rand.N(400 * time.Millisecond)
		lit := func(share float64) func(time.Duration, func(time.Duration) [3]float64) [3]float64 {
			return func(at time.Duration, screen func(time.Duration) [3]float64) [3]float64 {
				s := screen(at - lag)
				return noise([3]float64{0.4 * (1 - share + share*s[0]), 0.3 * (1 - share + share*s[1]), 0.25 * (1 - share + share*s[2])})
			}
		}
		if got := follow(newLight(begin), begin, lit(0.05)); !got.Answered || got.Score < lightLike || got.Kind != "light" {
			t.Fatalf("lit by the screen, %v late: %+v", lag, got)
		}
		if got := follow(newLight(begin), begin, lit(0)); got.Answered {
			t.Fatalf("not lit: %+v", got)
		}
		old := newLight(begin)
		follow(old, begin, lit(0))
		replayed := func(at time.Duration, _ func(time.Duration) [3]float64) [3]float64 {
			return lit(0.05)(at, func(at time.Duration) [3]float64 {
				if h := old.screen(begin.Add(at)); h != "" {
					rgb, _ := h.Glow()
					return linear(rgb)
				}
				return [3]float64{1, 1, 1}
			})
		}
		if follow(newLight(begin), begin, replayed).Answered {
			chance++
		}
	}
	t.Logf("a recording of another sequence passes %.1f %%", 100*float64(chance)/float64(rounds))
	if chance > rounds/10 {
		t.Errorf("a recording of another sequence passes %d times of %d", chance, rounds)
	}
	gone := newLight(begin)
	if gone.over(begin.Add(time.Second)) || !gone.over(begin.Add(6*time.Second)) || gone.result().Answered {
		t.Error("pictures that stop do not end it")
	}
}

// The colours are soft and equally bright, and change slower than three times
// a second: no flash in the terms of WCAG 2.3.1.
func TestLightDoesNotFlash(t *testing.T) {
	low, high := 1.0, 0.0
	for _, h := range glows {
		rgb, ok := h.Glow()
		if !ok {
			t.Fatalf("%s has no colour", h)
		}
		c := linear(rgb)
		y := 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
		low, high = min(low, y), max(high, y)
		if c[0]/(c[0]+c[1]+c[2]) >= 0.8 {
			t.Errorf("%s is a saturated red", h)
		}
	}
	if high-low >= 0.1 || lightStep < time.Second/3 {
		t.Errorf("brightness %.3f to %.3f, a change every %v", low, high, lightStep)
	}
	plans := map[string]bool{}
	for range 50 {
		name := ""
		for i, h := range newLight(time.Now()).plan {
			if name += string(h); i > 0 && h == newLight(time.Now()).plan[0] {
				continue
			}
		}
		plans[name] = true
	}
	if len(plans) < 25 {
		t.Errorf("%d sequences of 50 differ", len(plans))
	}
}

// actor is somebody before the camera who sees the screen.
type actor struct {
	play func(hint gate.FaceHint, since time.Duration) *picture.Picture

	mu   sync.Mutex
	hint gate.FaceHint
	from time.Time
}

func (a *actor) see(h gate.FaceHint) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h != a.hint {
		a.hint, a.from = h, time.Now()
	}
}

func (a *actor) Frames(ctx context.Context) (<-chan Frame, error) {
	out := make(chan Frame)
	go func() {
		defer close(out)
		for ctx.Err() == nil {
			a.mu.Lock()
			hint, from := a.hint, a.from
			a.mu.Unlock()
			still := camera{scenes: []*picture.Picture{a.play(hint, time.Since(from))}}
			f := still.frame(0)
			select {
			case out <- f:
			case <-ctx.Done():
			}
			sleep(ctx, 60*time.Millisecond)
		}
	}()
	return out, nil
}

// challenged runs one traveller who follows the screen, or does not.
func challenged(t *testing.T, kind ChallengePolicy, portrait []byte, play func(gate.FaceHint, time.Duration) *picture.Picture) gate.FaceResult {
	t.Helper()
	a := &actor{play: play}
	r := at(t, a)
	old := r.cfg.Policy
	r.cfg.Policy.PAD, r.cfg.Policy.Challenge, r.cfg.Policy.Answer = PADRequired, kind, 1800*time.Millisecond
	defer func() { r.cfg.Policy = old }()
	one := r.Begin(t.Context(), "tx")
	defer one.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	go func() {
		for {
			select {
			case h := <-one.Guidance():
				a.see(h)
			case <-ctx.Done():
				return
			}
		}
	}()
	return one.Compare(ctx, gate.Portrait{Format: "jpeg", Image: portrait})
}

// album holds pictures of people who do not exist, see sim/face.
const album = "../../sim/face/testdata"

func plateFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(album, name+".jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func plate(t *testing.T, name string) *picture.Picture {
	t.Helper()
	p, err := picture.Decode(plateFile(t, name), picture.JPEG, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// poses gives the plates of somebody by the side to which they turn; the right
// of the picture is 1, and the left of who is seen.
func poses(t *testing.T, who string) map[float64]*picture.Picture {
	return map[float64]*picture.Picture{1: plate(t, who+"-left"), 0: plate(t, who+"-front"), -1: plate(t, who+"-right")}
}

// toward is the sign of the yaw that a hint asks for.
func toward(h gate.FaceHint) float64 {
	switch h {
	case gate.HintTurnLeft:
		return 1
	case gate.HintTurnRight:
		return -1
	}
	return 0
}

// A person turns the head when asked; a photograph can be turned as far as a
// hand can, and is none; nor is somebody else's head that takes its place.
func TestTurnIsRequired(t *testing.T) {
	portrait, sides, sheets, strangers := plateFile(t, "a-portrait"), poses(t, "a"), poses(t, "print"), poses(t, "b")
	front := sides[0]
	strangers[0] = sheets[0]
	answer := func(by map[float64]*picture.Picture) func(gate.FaceHint, time.Duration) *picture.Picture {
		return func(h gate.FaceHint, since time.Duration) *picture.Picture {
			if side := toward(h); since > 300*time.Millisecond {
				return by[side]
			}
			return by[0]
		}
	}
	for name, c := range map[string]struct {
		by      map[float64]*picture.Picture
		verdict gate.FaceVerdict
		code    gate.Code
	}{
		"turns":              {sides, gate.FaceMatched, 0},
		"holds still":        {map[float64]*picture.Picture{-1: front, 0: front, 1: front}, gate.FaceNotCompared, gate.CodeFaceAttack},
		"the other side":     {map[float64]*picture.Picture{-1: sides[1], 0: front, 1: sides[-1]}, gate.FaceNotCompared, gate.CodeFaceAttack},
		"a photograph":       {sheets, gate.FaceNotCompared, gate.CodeFaceAttack},
		"a stranger instead": {strangers, gate.FaceNotCompared, gate.CodeFaceAttack},
	} {
		t.Run(name, func(t *testing.T) {
			got := challenged(t, ChallengeTurn, portrait, answer(c.by))
			if got.Challenge == nil || got.Challenge.Kind != "turn" || got.Challenge.Answered != (c.code == 0) {
				t.Fatalf("%+v: %+v", got, got.Challenge)
			}
			t.Logf("%+v, score %.3f, live %.2f", *got.Challenge, got.Score, got.PAD)
			expect(t, got, c.verdict, c.code)
			if (got.Challenge.Score == 1) != (c.code == 0) || c.code == 0 && (got.Challenge.Evidence < 0.13 || got.Challenge.Flat > flatMost) {
				t.Errorf("evidence: %+v", *got.Challenge)
			}
			if c.code == 0 && got.Challenge.Reaction < 300 {
				t.Errorf("reaction: %+v", *got.Challenge)
			}
		})
	}
}

// A head before the screen is lit by it; a film that is fed in is not.
func TestLightIsRequired(t *testing.T) {
	portrait, dark, white := plateFile(t, "a-portrait"), plate(t, "a-front"), plate(t, "a-lit")
	shots := map[gate.FaceHint]*picture.Picture{"": white}
	for _, h := range glows { // light adds up
		rgb, _ := h.Glow()
		c, p := linear(rgb), picture.New(white.Width, white.Height)
		for i := range p.Pix {
			p.Pix[i] = byte(max(0, min(255, float64(dark.Pix[i])+c[i%3]*(float64(white.Pix[i])-float64(dark.Pix[i])))))
		}
		shots[h] = p
	}
	lit := func(h gate.FaceHint, since time.Duration) *picture.Picture {
		if p := shots[h]; p != nil {
			return p
		}
		return shots[""]
	}
	got := challenged(t, ChallengeLight, portrait, lit)
	expect(t, got, gate.FaceMatched, 0)
	if c := got.Challenge; c == nil || c.Kind != "light" || !c.Answered || c.Evidence < lightLike {
		t.Errorf("lit by the screen: %+v", c)
	} else {
		t.Logf("lit by the screen: %+v", *c)
	}
	got = challenged(t, ChallengeLight, portrait, func(gate.FaceHint, time.Duration) *picture.Picture { return shots[""] })
	expect(t, got, gate.FaceNotCompared, gate.CodeFaceAttack)
	if c := got.Challenge; c == nil || c.Answered || math.Abs(c.Evidence) >= lightLike {
		t.Errorf("a film: %+v", c)
	}
}
