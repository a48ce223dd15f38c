// Package engine runs the models of a pack on the processor: it finds faces,
// measures their quality in the terms of ISO/IEC 29794-5, turns them into
// templates and gives the advice of the presentation attack models. It is
// native code underneath and belongs into a process of its own, see
// match/face/worker.
package engine

import (
	"errors"
	"fmt"
	"math"

	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sync/errgroup"

	"gateagent/gate"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

// What may be wrong with the content of a picture.
var (
	ErrNobody     = errors.New("there is no face in the picture")
	ErrSeveral    = errors.New("there is more than one face in the picture")
	ErrUpsideDown = errors.New("the picture is upside down")
	ErrBlank      = errors.New("the picture shows nothing")
)

// Engine holds the sessions of one pack. One goroutine uses it at a time.
type Engine struct {
	pack      *pack.Pack
	detector  *model
	landmarks *model // nil where the detector gives the points
	embedder  *model
	attack    []*model
}

// Template stands for a face. It is as secret as a picture.
type Template []float32

// Wipe overwrites the template.
func (t Template) Wipe() { clear(t) }

// Open loads the runtime (libonnxruntime at lib) unless this process has done
// so before, and every model of the pack. Nothing is read from disk later.
func Open(p *pack.Pack, lib string) (*Engine, error) {
	if !ort.IsInitialized() {
		ort.SetSharedLibraryPath(lib)
		if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
			return nil, fmt.Errorf("ONNX runtime %s does not load: %w; scripts/setup installs it", lib, err)
		}
	}
	e := &Engine{pack: p}
	if err := e.load(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// load makes all sessions, at the same time where there are cores for it:
// making one takes longer than running it.
func (e *Engine) load() error {
	var all errgroup.Group
	one := func(into **model, role pack.Role, in pack.Input, outputs []string, sizes []int) {
		all.Go(func() (err error) {
			*into, err = load(e.pack, role, in, outputs, sizes)
			return err
		})
	}
	b := e.pack.Embedder
	one(&e.embedder, pack.RoleEmbedder, b.Input, []string{b.Output}, []int{b.Dims})
	d := e.pack.Detector
	one(&e.detector, pack.RoleDetector, d.Input, d.Outputs, detectorSizes(d))
	if l := e.pack.Landmarks; l != nil {
		one(&e.landmarks, pack.RoleLandmarks, l.Input, []string{l.Output}, []int{2 * l.Points})
	}
	e.attack = make([]*model, len(e.pack.PAD))
	for i, a := range e.pack.PAD {
		one(&e.attack[i], a.Role, a.Input, []string{a.Output}, []int{a.Class})
	}
	return all.Wait()
}

// Close frees the sessions. The runtime itself stays loaded: it cannot be
// loaded twice in one process.
func (e *Engine) Close() {
	for _, m := range append([]*model{e.detector, e.landmarks, e.embedder}, e.attack...) {
		m.close()
	}
	*e = Engine{}
}

// crowd: a face of less than this part of the largest one's width stands
// behind in the queue and is not before the camera.
const crowd = 0.4

// Subject finds the one face of a picture. An error wraps ErrNobody,
// ErrSeveral, ErrUpsideDown or ErrBlank; with ErrSeveral the largest face is
// given, too.
func (e *Engine) Subject(p *picture.Picture) (Face, error) {
	faces, err := e.Faces(p)
	if err != nil {
		return Face{}, err
	}
	if len(faces) == 0 {
		return Face{}, ErrNobody
	}
	for _, f := range faces[1:] {
		if f.Width >= crowd*faces[0].Width {
			return faces[0], ErrSeveral
		}
	}
	if f := faces[0]; f.Points[0].X > f.Points[1].X && f.Points[0].Y > f.Points[3].Y {
		return f, ErrUpsideDown
	}
	return faces[0], nil
}

// BlankContrast: a picture whose brightness varies less than this (standard
// deviation, of 255) shows nothing: a covered lens, a dark room.
const BlankContrast = 4

// certain: a detector that scores a face higher than this never saw it upside
// down. A lower score makes the engine turn the picture and look again: with
// eyes for a mouth and a chin for a forehead, many faces pass for one.
const certain = 0.9

// covered: the scores of the tiny detector do not tell up from down (of 200
// upright pictures of the AT&T faces it scored 23 higher when they were
// turned), and the landmarks are always in the order of an upright face. But
// where they say eyes and mouth are, there are none then: they seem covered.
// A face of which more than this is covered makes the engine look again.
const covered = 0.5

// Portrait finds the one face of a still picture like Subject, and takes the
// time to say what is wrong with one that has none or stands on its head.
func (e *Engine) Portrait(p *picture.Picture) (Face, error) {
	f, err := e.Subject(p)
	switch {
	case errors.Is(err, ErrNobody) && p.Contrast() < BlankContrast:
		return f, ErrBlank
	case err == nil && e.upright(p, f), err != nil && !errors.Is(err, ErrNobody):
		return f, err
	}
	turned := p.TurnOver()
	defer turned.Wipe()
	faces, bad := e.Faces(turned)
	if bad == nil && len(faces) > 0 && (err != nil || e.better(turned, faces[0], p, f)) {
		return f, ErrUpsideDown
	}
	return f, err
}

// upright says that a face cannot be one upside down.
func (e *Engine) upright(p *picture.Picture, f Face) bool {
	if e.pack.Detector.Kind == pack.TinyFace {
		return Measure(p, f).Occlusion <= covered
	}
	return f.Score >= certain
}

// better says that a picture the other way up shows more of a face.
func (e *Engine) better(p *picture.Picture, f Face, than *picture.Picture, other Face) bool {
	if e.pack.Detector.Kind == pack.TinyFace {
		return Measure(p, f).Occlusion <= Measure(than, other).Occlusion-covered/2
	}
	return f.Score > other.Score
}

// Acquire finds the one face of a still picture and makes its template.
func (e *Engine) Acquire(p *picture.Picture) (Template, gate.FaceQuality, error) {
	f, err := e.Portrait(p)
	if err != nil {
		return nil, gate.FaceQuality{}, err
	}
	q := Measure(p, f)
	t, err := e.Template(p, f)
	return t, q, err
}

// Template aligns the face and embeds it. It has length 1.
func (e *Engine) Template(p *picture.Picture, f Face) (Template, error) {
	in := e.pack.Embedder.Input
	to := make([]picture.Point, 5)
	for i, at := range e.pack.Embedder.Points {
		to[i] = picture.Point{X: at[0] * float64(in.Width), Y: at[1] * float64(in.Height)}
	}
	s, ok := picture.Fit(f.Points[:], to)
	if !ok {
		return nil, ErrNobody
	}
	aligned := p.Warp(s, in.Width, in.Height)
	defer aligned.Wipe()
	if err := e.embedder.run(aligned); err != nil {
		return nil, err
	}
	defer e.embedder.wipe()
	t := make(Template, len(e.embedder.values[0]))
	copy(t, e.embedder.values[0])
	return t, t.normalise()
}

func (t Template) normalise() error {
	var sum float64
	for _, v := range t {
		sum += float64(v) * float64(v)
	}
	if !(sum > 1e-12) || math.IsInf(sum, 0) {
		return errors.New("embedder gave no direction")
	}
	for i := range t {
		t[i] = float32(float64(t[i]) / math.Sqrt(sum))
	}
	return nil
}

// Cosine compares two templates of one pack: 1 the same, -1 the opposite, 0
// also when they cannot be compared.
func Cosine(a, b Template) float64 {
	if len(a) != len(b) {
		return 0
	}
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	if !(aa > 0 && bb > 0) {
		return 0
	}
	return max(-1, min(1, dot/math.Sqrt(aa*bb)))
}
