package engine

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"gateagent/gate"
	"gateagent/match/face/picture"
)

// head gives the five points of a head that is turned, seen from far away.
func head(yaw, pitch, roll, eyes float64) Face {
	rad := math.Pi / 180
	// Across, down and towards the camera, in distances between the eyes.
	at := [5][3]float64{{-0.5, 0, 0}, {0.5, 0, 0}, {0, noseDown * mouthDown, noseDepth}, {-0.4, mouthDown, 0}, {0.4, mouthDown, 0}}
	var f Face
	for i, q := range at {
		x, y, z := q[0], q[1], q[2]
		y, z = y*math.Cos(pitch*rad)+z*math.Sin(pitch*rad), z*math.Cos(pitch*rad)-y*math.Sin(pitch*rad)
		x = x*math.Cos(yaw*rad) + z*math.Sin(yaw*rad)
		x, y = x*math.Cos(roll*rad)-y*math.Sin(roll*rad), x*math.Sin(roll*rad)+y*math.Cos(roll*rad)
		f.Points[i] = picture.Point{X: 300 + eyes*x, Y: 200 + eyes*y}
	}
	f.Left, f.Top, f.Width, f.Height = 300-eyes, 200-eyes, 2*eyes, 3*eyes
	return f
}

func TestPose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		angle := func(most float64, name string) float64 { return rapid.Float64Range(-most, most).Draw(t, name) }
		wantYaw, wantPitch, wantRoll := angle(35, "yaw"), angle(20, "pitch"), angle(40, "roll")
		yaw, pitch, roll := pose(head(wantYaw, wantPitch, wantRoll, rapid.Float64Range(30, 200).Draw(t, "eyes")))
		if math.Abs(yaw-wantYaw) > 6 || math.Abs(pitch-wantPitch) > 6 || math.Abs(roll-wantRoll) > 0.1 {
			t.Fatalf("yaw %.1f pitch %.1f roll %.1f, want %.1f %.1f %.1f", yaw, pitch, roll, wantYaw, wantPitch, wantRoll)
		}
	})
	if _, pitch, _ := pose(Face{Points: [5]picture.Point{{X: 1}, {X: 9}, {X: 5, Y: 2}, {X: 2, Y: -5}, {X: 8, Y: -5}}}); pitch != 90 {
		t.Error("a mouth above the eyes")
	}
}

// Measures stay in their range whatever the picture and the points.
func TestMeasureStaysInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := picture.New(rapid.IntRange(1, 80).Draw(t, "w"), rapid.IntRange(1, 80).Draw(t, "h"))
		seed := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "pixels")
		for i := range p.Pix {
			p.Pix[i] = seed[i*7%16]
		}
		var f Face
		for i := range f.Points {
			f.Points[i] = picture.Point{X: rapid.Float64Range(-50, 130).Draw(t, "x"), Y: rapid.Float64Range(-50, 130).Draw(t, "y")}
		}
		q := Measure(p, f)
		for _, v := range []float64{q.Sharpness, q.Exposure, q.Occlusion, q.Overall} {
			if !(v >= 0 && v <= 1) {
				t.Fatalf("%+v", q)
			}
		}
		for _, v := range []float64{q.Yaw, q.Pitch, q.Roll} {
			if !(math.Abs(v) <= 180) {
				t.Fatalf("%+v", q)
			}
		}
	})
	if q := Measure(picture.New(50, 50), Face{}); q != (gate.FaceQuality{}) {
		t.Errorf("no face has a quality: %+v", q)
	}
}

func TestCosine(t *testing.T) {
	for _, c := range []struct {
		a, b Template
		want float64
	}{
		{Template{1, 0}, Template{2, 0}, 1},
		{Template{1, 0}, Template{0, 3}, 0},
		{Template{1, 1}, Template{-1, -1}, -1},
		{Template{1, 0}, Template{1}, 0},
		{Template{0, 0}, Template{1, 0}, 0},
		{nil, nil, 0},
	} {
		if got := Cosine(c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%v %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestApart(t *testing.T) {
	box := func(x, w, score float64) Face { return Face{Left: x, Top: 0, Width: w, Height: w, Score: score} }
	got := apart([]Face{box(0, 10, 0.7), box(1, 10, 0.9), box(100, 20, 0.6), box(50, 10, 0.8)}, 0.3)
	if len(got) != 3 || got[0].Left != 100 || got[1].Left != 1 || got[2].Left != 50 {
		t.Errorf("%+v", got)
	}
	var crowd []Face
	for i := range 1000 {
		crowd = append(crowd, box(float64(100*i), 10, 0.5))
	}
	if n := len(apart(crowd, 0.3)); n != 32 {
		t.Errorf("%d faces of a crowd", n)
	}
}

func TestSurroundings(t *testing.T) {
	p := picture.New(640, 480)
	x, y, w, h := surroundings(p, Face{Left: 270, Top: 180, Width: 100, Height: 120}, 2.7)
	if math.Abs(w-270) > 1e-9 || math.Abs(h-324) > 1e-9 || math.Abs(x-185) > 1e-9 || math.Abs(y-78) > 1e-9 {
		t.Errorf("%v %v %v %v", x, y, w, h)
	}
	x, y, w, h = surroundings(p, Face{Left: 0, Top: 0, Width: 300, Height: 400}, 4)
	if x < 0 || y < 0 || x+w > 640 || y+h > 480 || math.Abs(w/h-0.75) > 1e-9 {
		t.Errorf("near: %v %v %v %v", x, y, w, h)
	}
}
