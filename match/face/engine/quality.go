package engine

import (
	"math"
	"slices"

	"gateagent/gate"
	"gateagent/match/face/picture"
)

// norm is the picture that quality is measured on: the face with the eyes
// level and 48 pixels apart, in brightness.
const (
	normSide = 128
	normEyes = 48
	normX    = 64 // middle between the eyes
	normY    = 48
)

// Measure gives the quality of a face in the components of ISO/IEC 29794-5:
// inter-eye distance, head pose, sharpness, exposure and occlusion. Pose
// comes from the five points; occlusion is a proxy: how much less the eyes
// and the mouth stand out than they do in an uncovered face.
func Measure(p *picture.Picture, f Face) gate.FaceQuality {
	q := gate.FaceQuality{InterEye: f.InterEye()}
	q.Yaw, q.Pitch, q.Roll = pose(f)
	to := []picture.Point{{X: normX - normEyes/2, Y: normY}, {X: normX + normEyes/2, Y: normY}}
	s, ok := picture.Fit(f.Points[:2], to)
	if !ok {
		return q
	}
	face := p.Warp(s, normSide, normSide)
	defer face.Wipe()
	light := face.Brightness()
	defer clear(light)
	q.Sharpness = sharpness(light)
	q.Exposure = exposure(light)
	var mouth picture.Point
	mouth.X = (s.Apply(f.Points[3]).X + s.Apply(f.Points[4]).X) / 2
	mouth.Y = (s.Apply(f.Points[3]).Y + s.Apply(f.Points[4]).Y) / 2
	q.Occlusion = occlusion(light, mouth)
	q.Overall = overall(q)
	return q
}

// Proportions of a head seen from the front, in distances between the eyes:
// how far the nose stands out of the plane of the eyes and the mouth, how far
// the mouth lies below the eyes, and where on that way the tip of the nose
// is. They are means over frontal pictures; single heads differ by some
// degrees.
const (
	noseDepth = 0.42
	mouthDown = 0.99
	noseDown  = 0.53
)

// pose estimates the angles of the head in degrees: yaw is positive when the
// head turns to the right of the picture, pitch when it looks down, roll when
// it leans to the right of the picture.
func pose(f Face) (yaw, pitch, roll float64) {
	dx, dy := f.Points[1].X-f.Points[0].X, f.Points[1].Y-f.Points[0].Y
	eyes := math.Hypot(dx, dy)
	if eyes < 1 {
		return 0, 0, 0
	}
	roll = degrees(math.Atan2(dy, dx))
	// Along and across the line of the eyes, from their middle.
	level := func(q picture.Point) (u, v float64) {
		x, y := q.X-(f.Points[0].X+f.Points[1].X)/2, q.Y-(f.Points[0].Y+f.Points[1].Y)/2
		return (x*dx + y*dy) / eyes, (y*dx - x*dy) / eyes
	}
	nu, nv := level(f.Points[2])
	mu, mv := level(picture.Point{X: (f.Points[3].X + f.Points[4].X) / 2, Y: (f.Points[3].Y + f.Points[4].Y) / 2})
	if mv < 1 {
		return 0, 90, roll // the mouth is not below the eyes
	}
	// What turning sideways does to the distance of the eyes cancels in the
	// quotient of sine and cosine.
	yaw = degrees(math.Atan((nu - mu*nv/mv) / eyes / noseDepth))
	pitch = degrees(math.Atan((nv/mv - noseDown) * mouthDown / noseDepth))
	return yaw, pitch, roll
}

// Parallax is how far the tip of the nose of a head with that yaw stands from
// the middle line between the eyes, in distances between the eyes.
func Parallax(yaw float64) float64 {
	return noseDepth * math.Tan(max(-80, min(80, yaw))*math.Pi/180)
}

func degrees(rad float64) float64 { return rad * 180 / math.Pi }

// inner calls visit for the pixels of the face itself, an ellipse from the
// forehead to the chin.
func inner(visit func(x, y, i int)) {
	for y := 1; y < normSide-1; y++ {
		for x := 1; x < normSide-1; x++ {
			u, v := float64(x-normX)/44, float64(y-68)/54
			if u*u+v*v <= 1 {
				visit(x, y, y*normSide+x)
			}
		}
	}
}

// sharpness compares the finest differences (the Laplacian) with the contrast
// of the face: a picture out of focus, moved or enlarged has few of them.
func sharpness(light []byte) float64 {
	var n, sum, squares, fine float64
	inner(func(_, _, i int) {
		v := float64(light[i])
		lap := 4*v - float64(light[i-1]) - float64(light[i+1]) - float64(light[i-normSide]) - float64(light[i+normSide])
		n, sum, squares, fine = n+1, sum+v, squares+v*v, fine+lap*lap
	})
	variance := squares/n - sum/n*sum/n
	if variance < 1 {
		return 0
	}
	return 1 - math.Exp(-fine/n/variance/sharpScale)
}

const sharpScale = 0.06

// exposure is 1 for a face in even light: its mean brightness is in the
// middle of the scale, it uses a good part of it, and nothing is cut off at
// either end.
func exposure(light []byte) float64 {
	var count [256]int
	n, sum := 0, 0
	inner(func(_, _, i int) {
		count[light[i]]++
		n, sum = n+1, sum+int(light[i])
	})
	mean := float64(sum) / float64(n)
	low, high, cut := -1, 0, 0
	for v, seen := 0, 0; v < 256; v++ {
		seen += count[v]
		if low < 0 && 20*seen >= n {
			low = v
		}
		if 20*seen <= 19*n {
			high = v
		}
		if v < 6 || v > 249 {
			cut += count[v]
		}
	}
	middle := min(ramp(mean, 20, 60), ramp(240-mean, 0, 40))
	return middle * ramp(float64(high-low), 10, 70) * (1 - ramp(float64(cut)/float64(n), 0.05, 0.5))
}

// occlusion: eyes and mouth have strong edges across; dark glasses, a mask
// or a hand take them away. The least visible of them counts.
func occlusion(light []byte, mouth picture.Point) float64 {
	var all []float64
	inner(func(_, _, i int) {
		all = append(all, math.Abs(float64(light[i+normSide])-float64(light[i-normSide])))
	})
	slices.Sort(all)
	usual := all[len(all)/2] + 1
	least := math.Inf(1)
	for _, c := range []picture.Point{{X: normX - normEyes/2, Y: normY}, {X: normX + normEyes/2, Y: normY}, mouth} {
		least = min(least, edges(light, c)/usual)
	}
	return 1 - ramp(least, 0.8, 1.8)
}

// edges is the mean vertical difference around a place.
func edges(light []byte, c picture.Point) float64 {
	const across, up = 11, 7
	var n, sum float64
	for y := max(1, int(c.Y)-up); y <= min(normSide-2, int(c.Y)+up); y++ {
		for x := max(1, int(c.X)-across); x <= min(normSide-2, int(c.X)+across); x++ {
			i := y*normSide + x
			n, sum = n+1, sum+math.Abs(float64(light[i+normSide])-float64(light[i-normSide]))
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

// overall is the product of what each component leaves.
func overall(q gate.FaceQuality) float64 {
	turned := math.Max(math.Abs(q.Yaw), math.Max(math.Abs(q.Pitch), math.Abs(q.Roll)))
	return ramp(q.InterEye, 10, 60) * (1 - ramp(turned, 15, 60)) * ramp(q.Sharpness, 0, 0.6) * ramp(q.Exposure, 0, 0.6) * (1 - ramp(q.Occlusion, 0.3, 1.3))
}

// ramp rises from 0 at from to 1 at to.
func ramp(v, from, to float64) float64 { return clamp((v - from) / (to - from)) }
