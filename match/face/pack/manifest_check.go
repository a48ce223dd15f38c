package pack

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

func (m *Manifest) check() error {
	switch {
	case m.Format != Format:
		return fmt.Errorf("format %d; this program reads format %d", m.Format, Format)
	case !nameForm.MatchString(m.Name), !nameForm.MatchString(m.Version):
		return fmt.Errorf("name %q, version %q: both are short words of a-z 0-9 . _ -", m.Name, m.Version)
	case m.Kind != Recommended && m.Kind != Demo:
		return fmt.Errorf("kind %q is neither %q nor %q", m.Kind, Recommended, Demo)
	case m.Origin == "" || m.Licence == "":
		return errors.New("origin and licence of the weights must be stated")
	}
	if err := m.checkFiles(); err != nil {
		return err
	}
	if err := m.Detector.check(); err != nil {
		return fmt.Errorf("detector: %w", err)
	}
	if err := m.checkLandmarks(); err != nil {
		return fmt.Errorf("landmarks: %w", err)
	}
	if err := m.Embedder.check(); err != nil {
		return fmt.Errorf("embedder: %w", err)
	}
	for i := range m.PAD {
		if err := m.PAD[i].check(); err != nil {
			return fmt.Errorf("pad %s: %w", m.PAD[i].Role, err)
		}
	}
	return nil
}

// checkFiles holds files and the parts that use them against each other:
// neither may lack the other.
func (m *Manifest) checkFiles() error {
	used := []Role{RoleDetector, RoleEmbedder}
	if m.Landmarks != nil {
		used = append(used, RoleLandmarks)
	}
	for _, p := range m.PAD {
		if !strings.HasPrefix(string(p.Role), "pad") {
			return fmt.Errorf("role %q of a presentation attack model does not begin with \"pad\"", p.Role)
		}
		used = append(used, p.Role)
	}
	for _, r := range used {
		if _, ok := m.Files[r]; !ok {
			return fmt.Errorf("no file for %s", r)
		}
	}
	if len(m.Files) != len(used) {
		return fmt.Errorf("%d files for %d uses: a role is used twice or not at all", len(m.Files), len(used))
	}
	names := map[string]bool{}
	for _, r := range m.Roles() {
		f := m.Files[r]
		switch {
		case !nameForm.MatchString(f.Name) || !strings.HasSuffix(f.Name, ".onnx") || names[f.Name]:
			return fmt.Errorf("file of %s: %q is no name of its own that ends in .onnx", r, f.Name)
		case !hashForm.MatchString(f.SHA256):
			return fmt.Errorf("file of %s: sha256 is not 64 hexadecimal digits", r)
		case f.Bytes <= 0 || f.Bytes > maxModel:
			return fmt.Errorf("file of %s: %d bytes, must be 1 to %d", r, f.Bytes, int64(maxModel))
		}
		names[f.Name] = true
	}
	return nil
}

// Roles lists the roles that have a file, in order.
func (m *Manifest) Roles() []Role {
	var out []Role
	for r := range m.Files {
		out = append(out, r)
	}
	slices.Sort(out)
	return out
}

func (in *Input) check() error {
	const most = 1024
	if in.Name == "" {
		return errors.New("input has no name")
	}
	if in.Width < 16 || in.Height < 16 || in.Width > most || in.Height > most {
		return fmt.Errorf("input of %d×%d, must be 16 to %d each way", in.Width, in.Height, most)
	}
	if in.Order != "bgr" && in.Order != "rgb" {
		return fmt.Errorf("order %q is neither bgr nor rgb", in.Order)
	}
	for i := range in.Scale {
		if !(in.Scale[i] > 0 && in.Scale[i] <= 255) || !(in.Mean[i] >= -255 && in.Mean[i] <= 255) {
			return errors.New("mean must be within -255 to 255 and scale above 0, at most 255")
		}
	}
	return nil
}

func (d *Detector) check() error {
	if err := d.Input.check(); err != nil {
		return err
	}
	outputs, strides, anchors := 0, len(d.Strides), 0
	switch d.Kind {
	case YuNet:
		outputs = 4 * strides
	case TinyFace:
		outputs, anchors = 1, len(d.Anchors)
		if strides != 1 || anchors == 0 || anchors > 16 {
			return errors.New("tiny_face has one stride and 1 to 16 anchors")
		}
	default:
		return fmt.Errorf("kind %q is unknown", d.Kind)
	}
	if len(d.Outputs) != outputs || outputs == 0 || len(d.Anchors) != anchors {
		return fmt.Errorf("%d outputs and %d anchors do not fit kind %s with %d strides", len(d.Outputs), len(d.Anchors), d.Kind, strides)
	}
	for _, s := range d.Strides {
		if s < 1 || d.Input.Width%s != 0 || d.Input.Height%s != 0 {
			return fmt.Errorf("stride %d does not divide the input", s)
		}
	}
	for _, a := range d.Anchors {
		if !(a[0] > 0 && a[1] > 0 && a[0] < 64 && a[1] < 64) {
			return errors.New("an anchor is not within 0 to 64 cells")
		}
	}
	if !fraction(d.Score) || !fraction(d.Overlap) {
		return errors.New("score and overlap must lie between 0 and 1")
	}
	return nil
}

func (m *Manifest) checkLandmarks() error {
	l := m.Landmarks
	if (m.Detector.Kind == YuNet) != (l == nil) {
		return fmt.Errorf("a %s detector and landmarks of their own do not fit", m.Detector.Kind)
	}
	if l == nil {
		return nil
	}
	if err := l.Input.check(); err != nil {
		return err
	}
	if l.Output == "" || l.Points < 5 || l.Points > 512 {
		return errors.New("an output with 5 to 512 points is needed")
	}
	if !(math.Abs(l.Box[0]) < 1 && math.Abs(l.Box[1]) < 1 && l.Box[2] > 0.1 && l.Box[2] < 4 && l.Box[3] > 0.1 && l.Box[3] < 4) {
		return errors.New("box must be fractions of the detector's box")
	}
	for i, from := range l.Five {
		if len(from) == 0 {
			return fmt.Errorf("five: point %d is made of none", i)
		}
		for _, p := range from {
			if p < 0 || p >= l.Points {
				return fmt.Errorf("five: there is no point %d", p)
			}
		}
	}
	return nil
}

func (e *Embedder) check() error {
	if err := e.Input.check(); err != nil {
		return err
	}
	if e.Output == "" || e.Dims < 16 || e.Dims > 4096 {
		return errors.New("an output of 16 to 4096 dimensions is needed")
	}
	for _, p := range e.Points {
		if !fraction(p[0]) || !fraction(p[1]) {
			return errors.New("the alignment points must lie inside the picture")
		}
	}
	if e.Points[0][0] >= e.Points[1][0] || e.Points[3][0] >= e.Points[4][0] || e.Points[0][1] >= e.Points[3][1] {
		return errors.New("the alignment points are mirrored or upside down")
	}
	if !fraction(e.StartThreshold) {
		return errors.New("start_threshold must lie between 0 and 1")
	}
	return nil
}

func (p *PAD) check() error {
	if err := p.Input.check(); err != nil {
		return err
	}
	switch {
	case p.Kind != MiniFASNet:
		return fmt.Errorf("kind %q is unknown", p.Kind)
	case p.Output == "":
		return errors.New("output has no name")
	case !(p.Crop >= 1 && p.Crop <= 8):
		return errors.New("crop must be 1 to 8")
	case p.Class < 2 || p.Class > 16 || p.Live < 0 || p.Live >= p.Class:
		return errors.New("live is not one of the classes")
	}
	return nil
}

// fraction says whether v lies strictly between 0 and 1; NaN does not.
func fraction(v float64) bool { return v > 0 && v < 1 }
