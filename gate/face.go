package gate

import "context"

// Faces compares a live face with the portrait of the proven document, one to
// one; there is no gallery. match/face implements it.
type Faces interface {
	// Begin starts the camera for one traveller who agreed to it, and takes
	// and embeds pictures until Compare or Close. It does not block.
	Begin(ctx context.Context, tx string) FaceAttempt
}

// FaceAttempt is one traveller's attempt. Nothing of it outlives Close.
type FaceAttempt interface {
	// Guidance delivers hints for the traveller, measured on the live
	// picture; the newest replaces an older one.
	Guidance() <-chan FaceHint
	// Compare takes the proven portrait and gives the verdict when a good
	// enough live picture is there, or when ctx ends.
	Compare(ctx context.Context, portrait Portrait) FaceResult
	// Close stops the camera and wipes pictures and templates.
	Close()
}

// FaceHint tells the traveller what to do. It never speaks of a score.
type FaceHint string

// Hints.
const (
	HintLookHere  FaceHint = "look_here"
	HintCloser    FaceHint = "closer"
	HintBack      FaceHint = "back"
	HintOnePerson FaceHint = "one_person"
	HintLight     FaceHint = "light"
	HintHold      FaceHint = "hold" // good, keep still
	// Randomised challenges: turn the head, or hold still while the screen
	// shows a colour.
	HintTurnLeft  FaceHint = "turn_left"
	HintTurnRight FaceHint = "turn_right"
	HintGlowRose  FaceHint = "glow_rose"
	HintGlowGreen FaceHint = "glow_green"
	HintGlowBlue  FaceHint = "glow_blue"
	HintGlowAmber FaceHint = "glow_amber"
)

// Glow is the colour (sRGB) that the screen shows with a hint; false for hints
// without one. The colours are soft and equally bright, so that going from one
// to the next is no flash in the terms of WCAG 2.2 (success criterion 2.3.1:
// a flash changes the relative luminance by a tenth or more).
func (h FaceHint) Glow() (rgb [3]uint8, ok bool) {
	switch h {
	case HintGlowRose:
		return [3]uint8{255, 186, 198}, true
	case HintGlowGreen:
		return [3]uint8{146, 220, 168}, true
	case HintGlowBlue:
		return [3]uint8{166, 207, 255}, true
	case HintGlowAmber:
		return [3]uint8{245, 198, 118}, true
	}
	return [3]uint8{}, false
}

// FaceResult is the outcome of one attempt. The zero value was not compared.
type FaceResult struct {
	Verdict   FaceVerdict `json:"verdict"`
	Code      Code        `json:"code"`  // why, 0 when matched
	Score     float64     `json:"score"` // cosine, -1..1
	Threshold float64     `json:"threshold"`
	// StrictThreshold is the score that the holder of a document without any
	// chip proof needs; 0 where there is none, and then nobody reaches it.
	StrictThreshold float64 `json:"strict_threshold,omitempty"`
	Pack            string  `json:"pack"` // name and version of the model pack
	// Admits says whether the pack may admit anybody: it has a signed
	// calibration record in force, or the configuration says demo.
	Admits bool `json:"admits"`
	// PAD is the presentation attack score in [0,1], 1 is live; negative
	// when none was measured.
	PAD     float64     `json:"pad"`
	Quality FaceQuality `json:"quality"`
	Frames  int         `json:"frames"` // pictures that were looked at
	// Challenge is what the traveller was asked to do; nil when nothing was.
	Challenge *FaceChallenge `json:"challenge,omitempty"`
}

// Kinds of challenges.
const (
	ChallengeTurn  = "turn"  // turn the head to the side that the screen names
	ChallengeLight = "light" // hold still while the screen changes its colour
)

// FaceChallenge is a challenge that nobody could know before, and its answer.
type FaceChallenge struct {
	Kind string `json:"kind"` // turn or light
	// Answered says whether the answer came in time and is what a head before
	// this screen gives.
	Answered bool  `json:"answered"`
	Reaction int64 `json:"reaction_ms"` // until the answer; 0 without one
	// Evidence in [-1,1] is what was measured. Of a turn: how far the nose has
	// moved against the line of the eyes to the side that was asked for, in
	// distances between the eyes; on a plane, a photograph, it does not move.
	// Of light: the correlation of the face's colour, against what is behind
	// it, with the colours of the screen.
	Evidence float64 `json:"evidence"`
	// Flat, of a turn that was measured, is how well a plane explains the face
	// before and after: 1 a photograph, less a head; 0 where none was.
	Flat  float64 `json:"flat"`
	Score float64 `json:"score"` // evidence in [0,1]; 1 is all that is asked for
}

// FaceQuality holds the measured quality of the best live picture in the
// terms of ISO/IEC 29794-5.
type FaceQuality struct {
	InterEye  float64 `json:"inter_eye_px"` // distance between the eye centres, pixels
	Yaw       float64 `json:"yaw_deg"`
	Pitch     float64 `json:"pitch_deg"`
	Roll      float64 `json:"roll_deg"`
	Sharpness float64 `json:"sharpness"` // 0..1
	Exposure  float64 `json:"exposure"`  // 0..1
	Occlusion float64 `json:"occlusion"` // 0..1, 0 is free
	Overall   float64 `json:"overall"`   // 0..1
}
