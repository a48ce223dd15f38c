package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/doc"
)

// Answers to the notice before the camera, as on its buttons and in records.
const (
	answerUse    = "use"
	answerPerson = "person"
	answerNone   = "none" // never touches the screen
)

// part is what a traveller does in the face step; nil where no face is
// compared.
type part struct {
	film   film
	answer string
	filmed bool // the camera must have seen pictures; else it must have stayed dark
	// asked: the kiosk asks for a turn of the head and requires it. The score
	// of the pack's models stays advisory: the demo pack has none, those of
	// the recommended pack were seen to take some drawn people's prints for
	// prints (0.14) and others' for people (0.94).
	asked bool
}

// legalBasis is the policy code in the demo's records.
const legalBasis = "demo-consent"

// rightPeople is how often right people go through, for the figures.
const rightPeople = 10

// faces draws the people and makes the cast of the face demo.
func (s *site) faces(ctx context.Context) (err error) {
	if s.studio, err = newStudio(ctx, s.path("camera")); err != nil {
		return err
	}
	s.cast, err = faceCast(s.world, s.studio)
	return err
}

// faceCast is everybody of the face demo, in the order of their appearance.
func faceCast(w *doc.World, st *studio) ([]*traveller, error) {
	c := &caster{world: w}
	for i := range rightPeople {
		who, seen := firstPerson, filmFirst
		if i%2 == 1 {
			who, seen = secondPerson, filmSecond
		}
		c.person(st, "right person", who, part{film: seen, filmed: true}, nil, func(t *traveller) { t.figure = rightFigure })
	}
	c.person(st, "somebody else's genuine card", thirdPerson, part{film: filmFirst, filmed: true}, nil, refer(gate.CodeFaceMismatch))
	c.person(st, "two people before the camera", firstPerson, part{film: filmTwo, filmed: true}, nil, refer(gate.CodeFaceSeveral))
	c.person(st, "nobody before the camera", firstPerson, part{film: filmNobody, filmed: true}, nil, refer(gate.CodeFaceNobody))
	c.person(st, "would rather see a person", secondPerson, part{film: filmSecond, answer: answerPerson}, nil, refer(gate.CodeFaceDeclined))
	c.person(st, "does not answer the notice", secondPerson, part{film: filmSecond, answer: answerNone}, nil, refer(gate.CodeFaceNoAnswer))
	child := func(p *doc.Person) { p.Birth = time.Now().UTC().AddDate(-10, 0, -7).Truncate(24 * time.Hour) }
	c.person(st, "a child of ten", thirdPerson, part{film: filmFirst}, child, refer(gate.CodeFaceUnderAge))
	for _, who := range []int{firstPerson, secondPerson} {
		seen := map[int]film{firstPerson: filmFirst, secondPerson: filmSecond}[who]
		c.person(st, "right person, turns the head", who, part{film: seen, filmed: true, asked: true}, nil, func(t *traveller) { t.figure = askedFigure })
	}
	c.person(st, "printed photo, turned", firstPerson, part{film: filmPrinted, filmed: true, asked: true}, nil, refer(gate.CodeFaceAttack))
	return c.cast, c.err
}

// Figures of the face demo.
const (
	rightFigure = "right person"
	askedFigure = "asked to turn"
)

// person adds somebody with their portrait on a Vietnamese card.
func (c *caster) person(st *studio, name string, who int, does part, born func(*doc.Person), expect func(*traveller)) {
	if does.answer == "" {
		does.answer = answerUse
	}
	c.next++
	p := c.world.Citizen(c.next)
	if born != nil {
		born(&p)
	}
	card := c.keep(c.world.VietnamID(p, doc.Portrait(st.portraits[who], portraitWide, portraitHigh)))
	c.add(name, card, func(t *traveller) {
		t.part = &does
		if expect != nil {
			expect(t)
		}
	})
}

// openScreen opens the kiosk's page in a browser and waits until the kiosk
// takes it for its camera.
func (s *site) openScreen(ctx context.Context) (err error) {
	if s.studio == nil {
		return nil
	}
	if s.browser, err = openBrowser(ctx, s.pages.Origin(), s.dir, s.studio.camera()); err != nil {
		return err
	}
	return s.cameraReady(ctx)
}

// cameraReady waits until the kiosk has its page's camera and a worker.
func (s *site) cameraReady(ctx context.Context) error {
	_, err := s.await(ctx, "the kiosk's page to bring its camera", readyWithin, func(v view) bool {
		for _, n := range v.Notices {
			if n.Level == "fault" && (n.Source == "camera" || n.Source == "face") {
				return false
			}
		}
		return true
	})
	return err
}

// answer presses the traveller's button as soon as the notice is there. A
// notice that went before it was answered has a reason that the decision
// tells.
func (s *site) answer(ctx context.Context, t *traveller, r *result, mine func(view) bool) error {
	asked := func(v view) bool { return v.Face != nil && v.Face.State == gate.FaceAsk }
	v, err := s.await(ctx, "the notice before the camera", cardWithin, func(v view) bool { return mine(v) && (asked(v) || v.decided()) })
	if err != nil || v.decided() || t.part.answer == answerNone {
		return err
	}
	began := time.Now()
	if err := s.browser.press(t.part.answer); err != nil {
		return err
	}
	r.AnswerMS = time.Since(began).Milliseconds()
	return nil
}

// Of a traveller who follows the screen: how often they look at it, and how
// long they take to do what it says.
const (
	glanceEvery = 100 * time.Millisecond
	reaction    = 350 * time.Millisecond
)

// follow has the traveller do what the kiosk's screen asks for, until ctx ends.
func (s *site) follow(ctx context.Context, t *traveller) {
	doing := ""
	for ctx.Err() == nil {
		hint, err := s.browser.hint()
		if err == nil && hint != doing && (hint == string(gate.HintTurnLeft) || hint == string(gate.HintTurnRight)) {
			doing = hint
			wait(ctx, reaction)
			_ = s.studio.turn(t.part.film, gate.FaceHint(hint)) // who cannot, does not
		}
		wait(ctx, glanceEvery)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// require starts the kiosk anew under the policy that asks for a turn of the
// head and requires it.
func (s *site) require(ctx context.Context) error {
	// The reader takes a moment to see that the last document is gone.
	if _, err := s.await(ctx, "the kiosk to be idle", passWithin, func(v view) bool { return v.Stage == gate.StageIdle }); err != nil {
		return err
	}
	s.asks = true
	s.unfollow()
	if err := s.agent.Stop(); err != nil {
		return err
	}
	s.now = view{}
	if err := s.startAgent(ctx); err != nil {
		return err
	}
	return s.cameraReady(ctx)
}

// screenTells has the traveller's screen say neither how well a face went nor
// why somebody is referred.
func (s *site) screenTells(r *result) error {
	if s.browser == nil {
		return nil
	}
	text, err := s.browser.text()
	if err != nil {
		return fmt.Errorf("the kiosk's screen: %w", err)
	}
	secrets := []string{}
	for _, c := range r.codes {
		secrets = append(secrets, c.Info().Name, c.Info().Text, fmt.Sprint(uint32(c)))
	}
	if r.Face != nil && r.Face.Score != 0 {
		secrets = append(secrets, fmt.Sprintf("%.2f", r.Face.Score), fmt.Sprintf("%.0f %%", 100*r.Face.Score), fmt.Sprintf("%.0f%%", 100*r.Face.Score))
	}
	for _, secret := range secrets {
		if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
			r.differs("the traveller's screen says %q", secret)
		}
	}
	return nil
}

// judgeFace holds the face step against what had to happen.
func (r *result) judgeFace(t *traveller, v view, filmed bool) {
	if t.part == nil {
		return
	}
	r.part, r.Face = t.part, v.FaceResult // nil where the camera stayed off
	frames := 0
	if f := r.Face; f != nil {
		frames = f.Frames
		pad := "none, no model in the pack"
		if f.PAD >= 0 {
			pad = fmt.Sprintf("%.2f, advisory", f.PAD)
		}
		if c := f.Challenge; c != nil {
			r.note("asked to %s: answered %v after %d ms, evidence %.2f, flatness %.2f", c.Kind, c.Answered, c.Reaction, c.Evidence, c.Flat)
		}
		if f.Quality.Overall > 0 {
			r.note("score %.3f, threshold %.3f, quality %.2f, %d pictures; attack score %s", f.Score, f.Threshold, f.Quality.Overall, frames, pad)
		} else {
			r.note("%d pictures, none that could be compared", frames)
		}
	}
	switch {
	case t.part.filmed && frames == 0:
		r.differs("the camera saw no picture")
	case !t.part.filmed && (frames > 0 || filmed):
		r.differs("the camera was on")
	}
}

// compareFace holds central's record of the face step against what the staff
// page showed and what happened.
func (r *result) compareFace(d *wire.Decision, differs func(string, ...any)) {
	c := d.FaceCheck
	if c == nil {
		differs("central's record does not tell of the face step")
		return
	}
	f := r.Face
	if f == nil {
		f = &faceShown{Verdict: gate.FaceNotCompared.String(), PAD: -1}
	}
	code := uint32(0)
	if len(r.codes) > 0 {
		code = uint32(r.codes[0])
	}
	switch {
	case d.Face != f.Verdict || c.Verdict != f.Verdict:
		differs("central holds the face verdict %q, the staff page showed %q", d.Face, f.Verdict)
	case c.Choice != r.part.answer || c.LegalBasis != legalBasis:
		differs("central holds the choice %q on the basis of %q, expected %q, %q", c.Choice, c.LegalBasis, r.part.answer, legalBasis)
	case c.Code != code:
		differs("central holds the face code %d, expected %d", c.Code, code)
	case c.Score != f.Score || c.Threshold != f.Threshold || c.Pack != f.Pack || c.PAD != f.PAD || c.Frames != f.Frames || c.Admits != f.Admits:
		differs("central holds %+v, the staff page showed %+v", *c, *f)
	case (c.Challenge == nil) != (f.Challenge == nil) || c.Challenge != nil && *c.Challenge != *f.Challenge:
		differs("central holds the challenge %+v, the staff page showed %+v", c.Challenge, f.Challenge)
	case r.part.asked && (c.Challenge == nil || c.Challenge.Kind != gate.ChallengeTurn || c.Challenge.Answered != (r.Outcome == gate.Admit.String())):
		differs("central's record does not tell of the turn: %+v", c.Challenge)
	case r.part.filmed && (c.Pack == "" || c.Threshold <= 0 || c.Frames == 0):
		differs("central's record does not name pack, threshold and pictures: %+v", *c)
	case !r.part.filmed && c.Frames != 0:
		differs("central holds %d pictures of somebody whom the camera must not see", c.Frames)
	}
}
