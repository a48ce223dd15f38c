package engine

import (
	"math"

	"gateagent/match/face/picture"
)

// Relief keeps a small picture of a face, to tell whether another picture of
// it can be that of a plane: a photograph that is turned, leaned or moved is
// the same picture but for an affine change, a head is not.
type Relief struct {
	light []float64
	mouth picture.Point // its middle
}

// Wipe overwrites the picture.
func (r Relief) Wipe() { clear(r.light) }

// None says that there is no picture.
func (r Relief) None() bool { return len(r.light) == 0 }

// reliefSide is the side of the small picture; eyes lie as in norm.
const reliefSide = 64

// NewRelief takes the small picture.
func NewRelief(p *picture.Picture, f Face) Relief {
	to := []picture.Point{{X: (normX - normEyes/2) / 2, Y: normY / 2}, {X: (normX + normEyes/2) / 2, Y: normY / 2}}
	s, ok := picture.Fit(f.Points[:2], to)
	if !ok {
		return Relief{}
	}
	left, right := s.Apply(f.Points[3]), s.Apply(f.Points[4])
	small := p.Warp(s, reliefSide, reliefSide)
	defer small.Wipe()
	light := small.Brightness()
	defer clear(light)
	return Relief{smooth(light), picture.Point{X: (left.X + right.X) / 2, Y: (left.Y + right.Y) / 2}}
}

// smooth blurs with a box of three twice, so that one picture slides towards
// another from some pixels off.
func smooth(light []byte) []float64 {
	a := make([]float64, len(light))
	for i, v := range light {
		a[i] = float64(v)
	}
	b := make([]float64, len(light))
	for range 2 {
		for y := 1; y < reliefSide-1; y++ {
			for x := 1; x < reliefSide-1; x++ {
				var sum float64
				for _, d := range [9]int{-reliefSide - 1, -reliefSide, -reliefSide + 1, -1, 0, 1, reliefSide - 1, reliefSide, reliefSide + 1} {
					sum += a[y*reliefSide+x+d]
				}
				b[y*reliefSide+x] = sum / 9
			}
		}
		a, b = b, a
	}
	clear(b)
	return a
}

// at samples bilinearly and gives the slopes.
func (r Relief) at(x, y float64) (v, dx, dy float64, ok bool) {
	i, j := int(math.Floor(x)), int(math.Floor(y))
	if i < 1 || j < 1 || i >= reliefSide-2 || j >= reliefSide-2 {
		return 0, 0, 0, false
	}
	u, w := x-float64(i), y-float64(j)
	p := r.light[j*reliefSide+i:]
	a, b, c, d := p[0], p[1], p[reliefSide], p[reliefSide+1]
	return a*(1-u)*(1-w) + b*u*(1-w) + c*(1-u)*w + d*u*w, (b-a)*(1-w) + (d-c)*w, (c-a)*(1-u) + (d-b)*u, true
}

// Flat is how well a plane explains both pictures: the highest correlation of
// this one with an affine change of other, 1 when nothing else happened. Steps
// follow the slope of the squared differences (Lucas and Kanade 1981) where
// brightness may differ by factor and offset.
func (r Relief) Flat(other Relief) float64 {
	if r.None() || other.None() {
		return -1
	}
	best := r.slide(other, [6]float64{})
	if down := r.mouth.Y - normY/2; down > 4 { // as the points say
		u, v := other.mouth.X-r.mouth.X, other.mouth.Y-r.mouth.Y
		m := [6]float64{2: u / down, 5: v / down}
		m[0], m[3] = m[2]*(middleY-normY/2), m[5]*(middleY-normY/2)
		best = max(best, r.slide(other, m))
	}
	return best
}

// reliefSteps are enough to stand still.
const reliefSteps = 25

// The middle of the face in the small picture, and how far it reaches.
const (
	middleX, middleY = 32, 34
	reachX, reachY   = 21, 26
)

// slide begins with the change a, x' = x + a0 + a1·x + a2·y from the middle of
// the face, y' likewise.
func (r Relief) slide(other Relief, a [6]float64) float64 {
	best := -1.0
	for i := range reliefSteps {
		h, g, like := r.slope(other, a)
		d, ok := solve(h, g)
		if still := like-best < 1e-4; !ok || still && i > 4 {
			return max(best, like)
		}
		best = max(best, like)
		for k := range a {
			a[k] += d[k]
		}
		if math.Abs(a[1]) > 0.6 || math.Abs(a[5]) > 0.6 || math.Abs(a[0]) > 12 || math.Abs(a[3]) > 12 {
			break
		}
	}
	return best
}

// slope gives the normal equations of one step and the correlation now.
func (r Relief) slope(other Relief, a [6]float64) (h [6][6]float64, g [6]float64, like float64) {
	type hit struct{ want, got, x, y, dx, dy float64 }
	var hits []hit
	var n, st, so, tt, oo, to float64
	for y := 4; y < reliefSide-4; y++ {
		for x := 4; x < reliefSide-4; x++ {
			u, v := float64(x-middleX), float64(y-middleY)
			if u*u/reachX/reachX+v*v/reachY/reachY > 1 {
				continue
			}
			got, dx, dy, ok := other.at(float64(x)+a[0]+a[1]*u+a[2]*v, float64(y)+a[3]+a[4]*u+a[5]*v)
			if !ok {
				continue
			}
			want := r.light[y*reliefSide+x]
			hits = append(hits, hit{want, got, u, v, dx, dy})
			n, st, so, tt, oo, to = n+1, st+want, so+got, tt+want*want, oo+got*got, to+want*got
		}
	}
	if n < 800 {
		return h, g, -1
	}
	vt, vo, co := tt/n-st/n*st/n, oo/n-so/n*so/n, to/n-st/n*so/n
	if !(vt > 1 && vo > 1) {
		return h, g, -1
	}
	gain := co / vt // brightness of other for that of this
	for _, p := range hits {
		e := so/n + gain*(p.want-st/n) - p.got
		j := [6]float64{p.dx, p.dx * p.x, p.dx * p.y, p.dy, p.dy * p.x, p.dy * p.y}
		for i := range j {
			g[i] += j[i] * e
			for k := range j {
				h[i][k] += j[i] * j[k]
			}
		}
	}
	return h, g, co / math.Sqrt(vt*vo)
}

// solve gives x of h·x = g by elimination.
func solve(h [6][6]float64, g [6]float64) (x [6]float64, ok bool) {
	for i := range h {
		h[i][i] *= 1.0001
		p := i
		for r := i + 1; r < 6; r++ {
			if math.Abs(h[r][i]) > math.Abs(h[p][i]) {
				p = r
			}
		}
		h[i], h[p], g[i], g[p] = h[p], h[i], g[p], g[i]
		if math.Abs(h[i][i]) < 1e-9 {
			return x, false
		}
		for r := i + 1; r < 6; r++ {
			f := h[r][i] / h[i][i]
			for c := i; c < 6; c++ {
				h[r][c] -= f * h[i][c]
			}
			g[r] -= f * g[i]
		}
	}
	for i := 5; i >= 0; i-- {
		x[i] = g[i]
		for c := i + 1; c < 6; c++ {
			x[i] -= h[i][c] * x[c]
		}
		x[i] /= h[i][i]
	}
	return x, true
}
