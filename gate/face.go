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
	HintHold      FaceHint = "hold"      // good, keep still
	HintTurnLeft  FaceHint = "turn_left" // randomised challenge
	HintTurnRight FaceHint = "turn_right"
)

// FaceResult is the outcome of one attempt. The zero value was not compared.
type FaceResult struct {
	Verdict   FaceVerdict `json:"verdict"`
	Code      Code        `json:"code"`  // why, 0 when matched
	Score     float64     `json:"score"` // cosine, -1..1
	Threshold float64     `json:"threshold"`
	Pack      string      `json:"pack"` // name and version of the model pack
	// Admits says whether the pack may admit anybody: it has a signed
	// calibration record in force, or the configuration says demo.
	Admits bool `json:"admits"`
	// PAD is the presentation attack score in [0,1], 1 is live; negative
	// when none was measured.
	PAD     float64     `json:"pad"`
	Quality FaceQuality `json:"quality"`
	Frames  int         `json:"frames"` // pictures that were looked at
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
