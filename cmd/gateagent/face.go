package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"time"

	"gateagent/drivers/camera"
	"gateagent/gate"
	"gateagent/match/allowlist"
	"gateagent/match/face"
	"gateagent/web"
)

// camera makes the picture source that the configuration names; the pages
// need to know it before they are built. Without a face policy there is none,
// and no camera is ever touched.
func (b *builder) camera(context.Context) error {
	if b.c.Policy.Face != "required" {
		return nil
	}
	if b.c.Face.Source == "page" {
		b.log.Warn("the kiosk's browser owns the camera and is part of what is trusted")
		b.pageCamera = camera.NewPage()
		b.pictures = b.pageCamera
		return nil
	}
	v, err := camera.NewV4L2(camera.Config{Path: b.c.Face.Device, Log: b.log})
	if err != nil {
		return err
	}
	b.pictures = camera.WithMirror(v, func(jpeg []byte) { b.web.Mirror(jpeg) })
	return nil
}

// cameraSink is where the page's pictures go; nil unless the browser owns the
// camera. A nil *camera.Page must not become a non-nil interface.
func (b *builder) cameraSink() web.CameraSink {
	if b.pageCamera == nil {
		return nil
	}
	return b.pageCamera
}

// faces opens the model pack and builds what compares faces.
func (b *builder) faces(context.Context) error {
	if b.pictures == nil {
		return nil
	}
	f := b.c.Face
	models, err := b.packInForce()
	if err != nil {
		return err
	}
	if !models.Admits() {
		b.log.Warn("the model pack has no calibration record in force: its score is recorded and admits nobody", "pack", models.Title(), "why", models.Problem())
	}
	if err := b.strictFace(models.Threshold(), models.StrictThreshold()); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("face worker: %w", err)
	}
	policy := face.DefaultPolicy()
	policy.PAD, policy.LeastPAD = face.PADPolicy(f.Attack), f.AttackScore
	policy.Challenge = face.ChallengePolicy(f.Challenge)
	b.matcher, err = face.New(face.Config{
		Command: []string{self, "face-worker"}, Pack: models, Library: f.Library,
		Source: frames{b.pictures}, Policy: policy, Log: b.log, Now: b.faceTime,
	})
	if err != nil {
		return err
	}
	b.add("faces", b.matcher.Run, b.matcher.Ready())
	return nil
}

// faceTime is the trusted time; without one no calibration is in force.
func (b *builder) faceTime() time.Time {
	if t, trusted := b.clock.Now(); trusted {
		return t
	}
	return time.Unix(1<<40, 0)
}

// faceParts completes the lane's parts where faces are compared.
func (b *builder) faceParts(p *gate.Parts) {
	if b.matcher == nil {
		return
	}
	p.Faces = b.matcher
	p.Policy.MinAge, p.Policy.LegalBasis = b.c.Face.MinAge, b.c.Face.LegalBasis
	p.Timing.Consent, p.Timing.Face = b.c.Face.Consent.Std(), b.c.Face.Limit.Std()
}

// faceNotices says what staff should know of camera, pack and worker.
func (b *builder) faceNotices(note func(level, source, text string)) {
	if b.matcher == nil {
		return
	}
	if err := b.pictures.Healthy(); err != nil {
		note("fault", "camera", err.Error())
	}
	if problem := b.web.CameraProblem(); problem != "" {
		note("fault", "camera", problem)
	}
	if err := b.matcher.Problem(); err != nil {
		note("fault", "face", err.Error())
	}
	if b.modelsLost != "" {
		note("fault", "face", "pushed models cannot be used, those before serve: "+b.modelsLost)
	}
	if b.noStrict {
		note("warning", "face", "documents without chip proof go to staff, although the policy names issuers: the calibration record supports no stricter threshold; calibrate with more people")
	}
	switch {
	case b.c.Face.Demo:
		note("warning", "face", "demonstration: faces are compared with a pack that was never calibrated")
	case !b.matcher.Calibrated():
		note("fault", "face", gate.CodeFaceUncalibrated.Info().Text+": "+gate.CodeFaceUncalibrated.Info().Remedy)
	}
}

// frames hands the camera's pictures to the comparison.
type frames struct{ source camera.Source }

func (f frames) Frames(ctx context.Context) (<-chan face.Frame, error) {
	in, err := f.source.Start(ctx)
	if err != nil {
		return nil, err
	}
	out := make(chan face.Frame)
	go func() {
		defer close(out)
		for p := range in {
			select {
			case out <- face.Frame{Width: p.Width, Height: p.Height, Format: p.Format, Data: p.Data, At: p.At}:
			case <-ctx.Done():
				p.Wipe()
			}
		}
	}()
	return out, nil
}

// publicKeys reads all Ed25519 keys of the files.
func publicKeys(paths []string) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for _, path := range paths {
		k, err := allowlist.ReadPublicKeys(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k...)
	}
	return keys, nil
}
