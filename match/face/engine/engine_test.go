package engine

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"gateagent/gate"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
	"gateagent/match/face/recipe"
)

const (
	library = "../../../models/onnxruntime/libonnxruntime.so"
	demo    = "../../../models/demo"
	public  = "../../../../shared/models"
	people  = "../../../../shared/data/faces"
)

// packs gives the packs that are at hand, by kind.
func packs(t *testing.T) map[pack.Kind]*pack.Pack {
	t.Helper()
	if _, err := os.Stat(library); err != nil {
		t.Skipf("%s is not here: scripts/setup installs it", library)
	}
	out := map[pack.Kind]*pack.Pack{}
	if p, err := pack.Open(demo, pack.Options{}); err == nil {
		out[pack.Demo] = p
		if race { // each pack runs the same code; both are measured without the detector (scripts/test)
			return out
		}
	}
	r, err := recipe.For(pack.Recommended)
	if err != nil {
		t.Fatal(err)
	}
	src := map[string][]byte{}
	for _, name := range r.Names() {
		if raw, err := os.ReadFile(filepath.Join(public, name)); err == nil {
			src[name] = raw
		}
	}
	if m, models, err := r.Make(src); err == nil {
		dir := filepath.Join(t.TempDir(), "pack")
		if err := pack.Write(dir, m, models); err != nil {
			t.Fatal(err)
		}
		if out[pack.Recommended], err = pack.Open(dir, pack.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Skip("there is no model pack: scripts/setup installs the demo pack")
	}
	return out
}

// each runs a test on every pack at hand.
func each(t *testing.T, run func(*testing.T, *Engine)) {
	for kind, p := range packs(t) {
		t.Run(string(kind), func(t *testing.T) {
			e, err := Open(p, library)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			run(t, e)
		})
	}
}

func person(t *testing.T, who, which int) *picture.Picture {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(people, fmt.Sprintf("s%d", who), fmt.Sprintf("%d.pgm", which)))
	if err != nil {
		t.Skipf("the pictures of people are not in %s", people)
	}
	p, err := picture.Decode(raw, picture.PNM, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return p.Stretch(-20, -20, float64(p.Width)+40, float64(p.Height)+40, 3*(p.Width+40), 3*(p.Height+40))
}

func TestToldApart(t *testing.T) {
	each(t, func(t *testing.T, e *Engine) {
		var made []Template
		for _, who := range []int{5, 5, 9, 9, 12, 12} {
			v, q, err := e.Acquire(person(t, who, 1+len(made)%2))
			if err != nil {
				t.Fatalf("person %d: %v", who, err)
			}
			if q.InterEye < 60 || q.InterEye > 150 || q.Overall <= 0 {
				t.Errorf("person %d: %+v", who, q)
			}
			made = append(made, v)
		}
		for i := range made {
			for j := range i {
				got, same := Cosine(made[i], made[j]), i/2 == j/2
				if same != (got >= e.pack.Threshold()) {
					t.Errorf("pictures %d and %d: %.3f, threshold %.3f", i, j, got, e.pack.Threshold())
				}
			}
		}
	})
}

func TestSubject(t *testing.T) {
	each(t, func(t *testing.T, e *Engine) {
		one := person(t, 5, 1)
		two := picture.New(2*one.Width, one.Height)
		for y := range one.Height {
			copy(two.Pix[6*y*one.Width:], one.Pix[3*y*one.Width:3*(y+1)*one.Width])
			copy(two.Pix[6*y*one.Width+3*one.Width:], person(t, 9, 1).Pix[3*y*one.Width:3*(y+1)*one.Width])
		}
		wall := picture.New(300, 400)
		for i := range wall.Pix {
			wall.Pix[i] = byte(100 + i/900/8)
		}
		for _, c := range []struct {
			name string
			p    *picture.Picture
			want error
		}{
			{"one", one, nil},
			{"two", two, ErrSeveral},
			{"wall", wall, ErrNobody},
			{"black", picture.New(300, 400), ErrBlank},
			{"upside down", one.TurnOver(), ErrUpsideDown},
		} {
			if _, err := e.Portrait(c.p); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
	})
}

// Portraits upside down are named, and upright ones are not. Of two pictures of
// each of the 40 people, the demo pack named 75 of 80 and the recommended all.
func TestUpsideDown(t *testing.T) {
	each(t, func(t *testing.T, e *Engine) {
		missed := 0
		for _, who := range []int{1, 3, 4, 7, 8, 11, 20, 30} {
			p := person(t, who, 1)
			if _, err := e.Portrait(p); err != nil {
				t.Errorf("person %d upright: %v", who, err)
			}
			if _, err := e.Portrait(p.TurnOver()); !errors.Is(err, ErrUpsideDown) {
				missed++
			}
		}
		if missed > 1 {
			t.Errorf("%d of 8 upside down were not noticed", missed)
		}
	})
}

func TestLive(t *testing.T) {
	each(t, func(t *testing.T, e *Engine) {
		p := person(t, 5, 1)
		f, err := e.Subject(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Live(p, f)
		if err != nil {
			t.Fatal(err)
		}
		if has := len(e.pack.PAD) > 0; has != (got >= 0 && got <= 1) || !has && got != -1 {
			t.Errorf("score %v of %d models", got, len(e.pack.PAD))
		}
		for _, m := range e.attack { // a softmax, else the mean is none
			m.run(p.Stretch(0, 0, 200, 200, m.in.Width, m.in.Height))
			var sum float64
			for _, v := range m.values[0] {
				sum += float64(v)
			}
			if math.Abs(sum-1) > 1e-3 {
				t.Errorf("%s: its classes sum to %v", m.role, sum)
			}
		}
	})
}

// What spoils a picture lowers the component that is named after it.
func TestQualityFollows(t *testing.T) {
	each(t, func(t *testing.T, e *Engine) {
		p := person(t, 5, 1)
		f, err := e.Subject(p)
		if err != nil {
			t.Fatal(err)
		}
		good := Measure(p, f)
		change := func(run func(x, y int, v byte) byte) gate.FaceQuality {
			q := picture.New(p.Width, p.Height)
			for i, v := range p.Pix {
				q.Pix[i] = run(i/3%p.Width, i/3/p.Width, v)
			}
			return Measure(q, f)
		}
		small := p.Stretch(0, 0, float64(p.Width), float64(p.Height), p.Width/8, p.Height/8)
		blurred := Measure(small.Stretch(0, 0, float64(small.Width), float64(small.Height), p.Width, p.Height), f)
		dark := change(func(_, _ int, v byte) byte { return v / 8 })
		bright := change(func(_, _ int, v byte) byte { return byte(min(255, 3*int(v)+60)) })
		grey := change(func(_, _ int, v byte) byte { return 120 + v/32 })
		glasses := change(func(x, y int, v byte) byte {
			if math.Abs(float64(y)-f.Points[0].Y) < 0.25*f.InterEye() && x > int(f.Left) && x < int(f.Left+f.Width) {
				return 20
			}
			return v
		})
		for name, low := range map[string]bool{
			"blurred":           blurred.Sharpness < 0.5*good.Sharpness,
			"dark":              dark.Exposure < 0.3*good.Exposure,
			"bright":            bright.Exposure < 0.5*good.Exposure,
			"grey":              grey.Exposure < 0.3*good.Exposure,
			"dark glasses":      glasses.Occlusion > good.Occlusion+0.5,
			"overall, blurred":  blurred.Overall < good.Overall,
			"overall, in glass": glasses.Overall < good.Overall,
		} {
			if !low {
				t.Errorf("%s is not seen: good %+v, blurred %+v, dark %+v, bright %+v, grey %+v, glasses %+v", name, good, blurred, dark, bright, grey, glasses)
			}
		}
	})
}

func TestChangedGeometry(t *testing.T) {
	for kind, p := range packs(t) {
		for name, change := range map[string]func(*pack.Pack){
			"dimensions": func(p *pack.Pack) { p.Embedder.Dims += 16 },
			"input":      func(p *pack.Pack) { p.Embedder.Input.Width -= 30 },
			"output":     func(p *pack.Pack) { p.Embedder.Output = "none" },
		} {
			changed := *p
			change(&changed)
			if e, err := Open(&changed, library); err == nil {
				e.Close()
				t.Errorf("%s: changed %s was not noticed", kind, name)
			}
		}
	}
}
