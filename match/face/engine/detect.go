package engine

import (
	"math"
	"slices"

	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

// Face is one face of a picture, in its pixels.
type Face struct {
	Left, Top, Width, Height float64
	// Points are the eyes, the tip of the nose and the corners of the mouth;
	// left ones, as seen in the picture, first.
	Points [5]picture.Point
	Score  float64 // the detector's, 0..1
}

// InterEye is the distance between the eyes in pixels.
func (f Face) InterEye() float64 {
	return math.Hypot(f.Points[1].X-f.Points[0].X, f.Points[1].Y-f.Points[0].Y)
}

func detectorSizes(d pack.Detector) []int {
	var cells []int
	for _, s := range d.Strides {
		cells = append(cells, d.Input.Width/s*(d.Input.Height/s))
	}
	if d.Kind == pack.TinyFace {
		return []int{cells[0] * 5 * len(d.Anchors)}
	}
	var out []int
	for _, each := range []int{1, 1, 4, 10} {
		for _, n := range cells {
			out = append(out, n*each)
		}
	}
	return out
}

// Faces finds the faces of a picture, largest first. A picture in which none
// is found is looked at again, smaller and with room around it: detectors
// overlook a face that fills the picture.
func (e *Engine) Faces(p *picture.Picture) ([]Face, error) {
	parts := []float64{1, 0.5}
	if e.pack.Detector.Kind == pack.TinyFace { // overlooks more
		parts = []float64{1, 0.5, 0.35, 0.7}
	}
	for _, part := range parts {
		faces, err := e.facesAt(p, part)
		if err != nil || len(faces) > 0 {
			return faces, err
		}
	}
	return nil, nil
}

// facesAt puts the picture into a part of the detector's input, top left for
// the whole of it, in the middle otherwise.
func (e *Engine) facesAt(p *picture.Picture, part float64) ([]Face, error) {
	in := e.detector.in
	scale := part * min(float64(in.Width)/float64(p.Width), float64(in.Height)/float64(p.Height))
	s := picture.Similarity{A: scale, X: 0.5*scale - 0.5, Y: 0.5*scale - 0.5}
	if part < 1 {
		s.X += (float64(in.Width) - scale*float64(p.Width)) / 2
		s.Y += (float64(in.Height) - scale*float64(p.Height)) / 2
	}
	small := p.Warp(s, in.Width, in.Height)
	defer small.Wipe()
	if err := e.detector.run(small); err != nil {
		return nil, err
	}
	defer e.detector.wipe()
	var faces []Face
	if e.pack.Detector.Kind == pack.TinyFace {
		faces = e.tinyFaces()
	} else {
		faces = e.yuNetFaces()
	}
	faces = apart(faces, e.pack.Detector.Overlap)
	for i := range faces {
		faces[i].back(s)
	}
	if e.landmarks != nil {
		for i := range faces {
			if err := e.findPoints(p, &faces[i]); err != nil {
				return nil, err
			}
		}
	}
	return slices.DeleteFunc(faces, func(f Face) bool { return !f.possible() }), nil
}

// back moves a face of the detector's input into the picture's pixels.
func (f *Face) back(s picture.Similarity) {
	f.Left, f.Top = (f.Left-s.X)/s.A, (f.Top-s.Y)/s.A
	f.Width, f.Height = f.Width/s.A, f.Height/s.A
	for i, q := range f.Points {
		f.Points[i] = picture.Point{X: (q.X - s.X) / s.A, Y: (q.Y - s.Y) / s.A}
	}
}

// possible says whether the points can be a face at all.
func (f Face) possible() bool {
	for _, v := range []float64{f.Left, f.Top, f.Width, f.Height} {
		if math.IsNaN(v) || math.Abs(v) > 1e6 {
			return false
		}
	}
	return f.Width > 1 && f.Height > 1 && f.InterEye() > 1
}

// yuNetFaces reads the outputs of YuNet, see pack.YuNet.
func (e *Engine) yuNetFaces() []Face {
	d, v := e.pack.Detector, e.detector.values
	n := len(d.Strides)
	var out []Face
	for k, stride := range d.Strides {
		cls, obj, box, kps := v[k], v[n+k], v[2*n+k], v[3*n+k]
		columns, size := d.Input.Width/stride, float64(stride)
		for i := range cls {
			score := math.Sqrt(clamp(float64(cls[i])) * clamp(float64(obj[i])))
			if score < d.Score {
				continue
			}
			x, y := float64(i%columns), float64(i/columns)
			b := box[4*i:]
			w, h := math.Exp(float64(b[2]))*size, math.Exp(float64(b[3]))*size
			f := Face{Score: score, Width: w, Height: h, Left: (x+float64(b[0]))*size - w/2, Top: (y+float64(b[1]))*size - h/2}
			for j := range f.Points {
				f.Points[j] = picture.Point{X: (x + float64(kps[10*i+2*j])) * size, Y: (y + float64(kps[10*i+2*j+1])) * size}
			}
			out = append(out, f)
		}
	}
	return out
}

// tinyFaces reads the output of the small detector, see pack.TinyFace. Its
// points are not set.
func (e *Engine) tinyFaces() []Face {
	d, v := e.pack.Detector, e.detector.values[0]
	size := float64(d.Strides[0])
	columns, rows := d.Input.Width/d.Strides[0], d.Input.Height/d.Strides[0]
	cells := columns * rows
	var out []Face
	for a, anchor := range d.Anchors {
		for i := range cells {
			at := func(j int) float64 { return float64(v[(5*a+j)*cells+i]) }
			score := sigmoid(at(4))
			if score < d.Score {
				continue
			}
			w, h := math.Exp(at(2))*anchor[0]*size, math.Exp(at(3))*anchor[1]*size
			x, y := (float64(i%columns)+sigmoid(at(0)))*size, (float64(i/columns)+sigmoid(at(1)))*size
			out = append(out, Face{Score: score, Left: x - w/2, Top: y - h/2, Width: w, Height: h})
		}
	}
	return out
}

// findPoints runs the landmark model on the face's box.
func (e *Engine) findPoints(p *picture.Picture, f *Face) error {
	l := e.pack.Landmarks
	w, h := f.Width*l.Box[2], f.Height*l.Box[3]
	x, y := f.Left+f.Width*l.Box[0]+w/2, f.Top+f.Height*l.Box[1]+h/2
	side := max(w, h)
	if !(side > 2 && side < 1e5) {
		return nil // possible drops it
	}
	square := p.Stretch(x-side/2, y-side/2, side, side, l.Input.Width, l.Input.Height)
	defer square.Wipe()
	if err := e.landmarks.run(square); err != nil {
		return err
	}
	defer e.landmarks.wipe()
	v := e.landmarks.values[0]
	for i, from := range l.Five {
		var q picture.Point
		for _, j := range from {
			q.X, q.Y = q.X+float64(v[2*j]), q.Y+float64(v[2*j+1])
		}
		n := float64(len(from))
		f.Points[i] = picture.Point{X: x - side/2 + q.X/n*side - 0.5, Y: y - side/2 + q.Y/n*side - 0.5}
	}
	return nil
}

// apart keeps the best of faces that overlap, and gives the largest first.
func apart(faces []Face, overlap float64) []Face {
	slices.SortFunc(faces, func(a, b Face) int { return compare(b.Score, a.Score) })
	var kept []Face
	for _, f := range faces {
		if !slices.ContainsFunc(kept, func(k Face) bool { return f.overlap(k) > overlap }) {
			kept = append(kept, f)
		}
		if len(kept) == 32 {
			break // a crowd; more of them change nothing
		}
	}
	slices.SortStableFunc(kept, func(a, b Face) int { return compare(b.Width*b.Height, a.Width*a.Height) })
	return kept
}

// overlap is the intersection over the union of the boxes.
func (f Face) overlap(g Face) float64 {
	w := min(f.Left+f.Width, g.Left+g.Width) - max(f.Left, g.Left)
	h := min(f.Top+f.Height, g.Top+g.Height) - max(f.Top, g.Top)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (f.Width*f.Height + g.Width*g.Height - w*h)
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func clamp(v float64) float64 { return max(0, min(1, v)) }

func sigmoid(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
