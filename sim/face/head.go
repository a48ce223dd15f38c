package face

import "math"

// material says what a point of the surface is.
type material uint8

const (
	skinStuff material = iota
	hairStuff
	clothStuff
	frameStuff
)

// head holds what the solid needs of a person and a moment, worked out once.
type head struct {
	Person
	s     Shot
	pose  turn
	noseA vec // bridge, between the eyes
	noseB vec // tip
	mouth vec
	eye   vec
	chinC vec
	wide  float64 // half the mouth as it is now
	iw    vec     // inverted width and height of the head

	skullE, faceE, jawE, cheekE, ridgeE, socketE, wingE, holeE, upE, lowE, earE, capE, longE, bodyE egg
}

func newHead(p Person, s Shot) *head {
	h := &head{Person: p, s: s, pose: newTurn(s.Yaw, s.Pitch, s.Roll)}
	h.eye = vec{p.eyeApart, p.eyeHigh, 0.575 - 0.035*p.eyeDeep}
	h.noseA = vec{0, p.eyeHigh + 0.06, 0.66 + 0.05*p.noseBridge}
	h.noseB = vec{0, p.eyeHigh - p.noseLong + 0.05 + p.noseUp, 0.86 + 0.06*p.noseTip}
	h.mouth = vec{0, -p.mouthLow, 0.70}
	h.chinC = vec{0, -0.52 - 0.36*p.jawLow, 0.42 + 0.05*p.chin}
	h.wide = p.mouthWide * (1 + 0.15*s.Smile)
	h.iw = vec{1 / p.headWide, 1 / p.headHigh, 1}
	h.skullE = newEgg(vec{0, 0.30, -0.10}, vec{0.76, 0.90, 0.84 + 0.03*p.forehead})
	h.faceE = newEgg(vec{0, -0.22, 0.10}, vec{0.62 * (0.75 + 0.25*p.jaw), 0.80, 0.60})
	h.jawE = newEgg(vec{0, -0.62, 0.14}, vec{0.47 * p.jaw, 0.36 * p.jawLow, 0.47})
	cheek := 0.17 + 0.09*p.cheek
	h.cheekE = newEgg(vec{0.40, -0.24 + 0.03*s.Smile, 0.38}, vec{cheek, cheek, cheek})
	h.ridgeE = newEgg(vec{0.26, p.eyeHigh + 0.22, 0.62}, vec{0.24, 0.07, 0.09})
	h.socketE = newEgg(vec{p.eyeApart, p.eyeHigh + 0.01, 0.80}, vec{0.19, 0.11, 0.13 + 0.03*p.eyeDeep})
	h.wingE = newEgg(vec{0.095 * p.noseWide, h.noseB.y - 0.015, h.noseB.z - 0.085}, vec{0.055 * p.noseWide, 0.055, 0.075})
	h.holeE = newEgg(vec{0.052 * p.noseWide, h.noseB.y - 0.075, h.noseB.z - 0.045}, vec{0.028 * p.noseWide, 0.03, 0.04})
	h.upE, h.lowE = newEgg(vec{0, 0, -9}, vec{1, 1, 1}), newEgg(vec{0, 0, -9}, vec{1, 1, 1})
	h.mouth.z = h.surface(h.mouth.y) - 0.03
	h.upE = newEgg(h.mouth.add(vec{0, 0.03 + p.lipUp*0.4, 0}), vec{h.wide * 0.9, 0.035 + p.lipUp*0.6, 0.075})
	h.lowE = newEgg(h.mouth.add(vec{0, -0.03 - p.lipLow*0.4, -0.005}), vec{h.wide * 0.75, 0.035 + p.lipLow*0.6, 0.085})
	h.earE = newEgg(vec{(0.77 + 0.05*p.earOut) * p.headWide, -0.02, -0.08}, vec{0.06 + 0.05*p.earOut, 0.20 * p.earBig, 0.12 * p.earBig})
	t := p.hairThick
	h.capE = newEgg(vec{0, 0.30, -0.12}, vec{0.76 + t, 0.90 + t, 0.84 + t})
	h.longE = newEgg(vec{0, -0.25, -0.28}, vec{0.92, 1.30, 0.62})
	h.bodyE = newEgg(vec{0.55, -2.45, -0.45}, vec{1.25, 0.95, 0.7})
	return h
}

// skull is the skin without hair, in head space.
func (h *head) skull(p vec) float64 {
	q := vec{math.Abs(p.x+h.skew*p.y) * h.iw.x, p.y * h.iw.y, p.z}
	d := h.skullE.dist(q)
	d = join(d, h.faceE.dist(q), 0.18)
	d = join(d, h.jawE.dist(q), 0.22)
	d = join(d, ball(q, h.chinC, 0.13+0.05*h.chin), 0.22)
	if d > 0.6 {
		return d - 0.3 // nothing on the face stands out farther
	}
	if q.z < 0 {
		return d
	}
	if d > 0.4 {
		d -= 0.09 // more than the relief is ever high
	} else {
		d += h.relief(p)
	}
	d = join(d, h.cheekE.dist(q), 0.25)
	d = join(d, h.ridgeE.dist(q), 0.14)
	d = carve(d, h.socketE.dist(q), 0.14)
	d = join(d, ball(q, h.eye, 0.135), 0.05)
	return h.front(q, d)
}

// surface is how far the face comes forward at a height, lips left out.
func (h *head) surface(y float64) float64 {
	z := 1.2
	for range 60 {
		p := vec{-h.skew * y, y * h.headHigh, z}
		d := h.skull(p)
		if d < 0.002 {
			break
		}
		z -= d * 0.8
	}
	return z
}

// relief is what makes a face like no other: soft heights and hollows. The
// right side has its own.
func (h *head) relief(p vec) float64 {
	if p.z < 0 {
		return 0
	}
	n := noise(vec{p.x*2.2 + 11, p.y*2.2 + 5, p.z * 1.5}, uint32(h.Seed)+21)
	n += 0.5 * noise(vec{p.x*4.6 + 3, p.y*4.6 + 9, p.z * 3}, uint32(h.Seed)+22)
	return 0.075 * n * min(1, p.z*3) * step(0.75, 0.45, p.y)
}

// front adds nose and mouth.
func (h *head) front(q vec, d float64) float64 {
	if q.z < 0.2 || q.y > 0.5 || q.x > 0.6 {
		return d
	}
	d = join(d, rod(q, h.noseA, h.noseB.sub(vec{0, 0, 0.05}), 0.045+0.015*h.noseWide, 0.065*(0.6+0.4*h.noseTip)), 0.13)
	d = join(d, ball(q, h.noseB, 0.072*(0.5+0.5*h.noseTip)), 0.08)
	if d > 0.35 {
		return d - 0.15
	}
	d = join(d, h.wingE.dist(q), 0.05)
	d = carve(d, h.holeE.dist(q), 0.025)
	bent := vec{q.x, q.y, q.z + 0.5*q.x*q.x} // the mouth goes round the jaw
	d = join(d, h.upE.dist(bent), 0.07)
	d = join(d, h.lowE.dist(bent), 0.07)
	if q.x < h.wide {
		line := math.Abs(q.y - h.mouthLine(q.x))
		d += 0.014 * step(0.03, 0, line) * step(h.wide, h.wide*0.8, q.x) // the slit
	}
	return d
}

// mouthLine is the height of the slit at x.
func (h *head) mouthLine(x float64) float64 {
	t := x / h.mouthWide
	return h.mouth.y + (h.mouthBend+0.055*h.s.Smile)*t*t
}

// hairs is the distance to hair and beard.
func (h *head) hairs(p vec) float64 {
	q := vec{math.Abs(p.x) * h.iw.x, p.y * h.iw.y, p.z}
	d := 1e9
	if h.style != bald {
		over := h.capE.dist(q)
		// Hair grows above a line that runs from the forehead to behind the ears.
		line := (q.y - h.hairline) + 1.25*(0.50-q.z)
		if h.style == fringe {
			line = max(line, 0.9*(q.y-h.hairline+0.20)-0.25*max(0, q.x-0.5))
		}
		if h.style == swept {
			line += 0.18 * p.x * h.iw.x
		}
		d = max(over, -0.6*line)
	}
	switch h.style {
	case long:
		d = join(d, max(h.longE.dist(q), q.z-0.22-0.12*step(0.4, 0.8, q.x)), 0.1)
	case bun:
		d = join(d, ball(q, vec{0, 1.28, -0.25}, 0.30), 0.1)
	}
	if d < 0.06 {
		d += 0.018 * noise(vec{p.x * 9, p.y * 3.5, p.z * 9}, uint32(h.Seed))
	}
	return d
}

// whiskers is how much beard or moustache covers a point of the skin.
func (h *head) whiskers(q vec) float64 {
	if h.beard == 0 && h.moustache == 0 && h.stubble == 0 || q.z < -0.3 || q.y > 0.05 {
		return 0
	}
	ax := math.Abs(q.x)
	low := step(h.mouth.y+0.14, h.mouth.y-0.06, q.y+0.55*(0.42-ax)*step(0.25, 0.5, ax)-0.28*step(0.3, 0.6, ax))
	under := bump(q.y, h.mouth.y+0.115, 0.09) * step(h.mouthWide+0.06, h.mouthWide-0.04, ax)
	lips := h.onLips(q)
	low *= step(h.chinC.y-0.22, h.chinC.y-0.10, q.y) * step(-0.15, 0.1, q.z)
	return clamp(max(low*max(h.beard, h.stubble*0.55), under*max(h.moustache, h.stubble*0.55)), 0, 1) * (1 - lips)
}

// onLips is 1 on the lips.
func (h *head) onLips(q vec) float64 {
	if q.z < 0.4 {
		return 0
	}
	ax := math.Abs(q.x)
	wide := h.wide
	t := clamp(1-ax*ax/(wide*wide), 0, 1)
	y := q.y - h.mouthLine(q.x)
	bow := 1 - 0.35*bump(ax, 0, 0.06)
	up, low := (h.lipUp+0.035)*math.Sqrt(t)*bow, -(h.lipLow+0.04)*math.Sqrt(t)
	return step(up+0.012, up-0.008, y) * step(low-0.015, low+0.01, y) * step(wide+0.01, wide-0.02, ax)
}

// spectacles is the distance to the frame of glasses.
func (h *head) spectacles(p vec) float64 {
	if h.glasses == 0 || p.z < -0.4 || p.y > 0.5 || p.y < -0.4 {
		return 1e9
	}
	ax := math.Abs(p.x)
	q := vec{ax - h.eyeApart*h.headWide - 0.01, p.y - h.eyeHigh*h.headHigh + 0.01, p.z - 0.80 + 0.25*ax*ax}
	corner := 0.05 + 0.12*h.glasses
	wx, wy := 0.225-corner, 0.175-corner+0.02*h.glasses
	dx, dy := math.Abs(q.x)-wx, math.Abs(q.y)-wy
	ring := math.Hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - corner
	d := math.Hypot(ring, q.z) - 0.017 - 0.012*h.glassDark
	d = min(d, rod(p, vec{-0.1, h.eyeHigh + 0.06, 0.80}, vec{0.1, h.eyeHigh + 0.06, 0.80}, 0.02, 0.02))
	return min(d, rod(vec{ax, p.y, p.z}, vec{0.55 * h.headWide, h.eyeHigh + 0.05, 0.70}, vec{0.84 * h.headWide, h.eyeHigh + 0.06, -0.1}, 0.022, 0.022))
}

// reach is a ball around the whole head, hair included.
const reach = 1.75

// solid is the distance from a world point to the person, and of what.
func (h *head) solid(w vec) (float64, material) {
	body := h.bodyE.dist(vec{math.Abs(w.x), w.y, w.z})
	if far := w.len() - reach; far > 0.3 {
		return min(far, body), clothStuff
	}
	p := h.pose.toHead(w)
	d, m := h.skull(p), skinStuff
	if d < 0.5 {
		d = join(d, h.earE.dist(vec{math.Abs(p.x), p.y, p.z}), 0.06)
	}
	if h.beard > 0 && d < 0.12 {
		if c := h.whiskers(p); c > 0.3 {
			d -= 0.025 * (c - 0.3) * h.beard
		}
	}
	d = join(d, rod(w, vec{0, -0.6, -0.25}, vec{0, -1.6, -0.35}, 0.40*h.headWide, 0.46*h.headWide), 0.15)
	if b := h.hairs(p); b < d {
		d, m = b, hairStuff
	}
	if h.glasses > 0 && d < 0.4 {
		if b := h.spectacles(p); b < d {
			d, m = b, frameStuff
		}
	}
	if body < d {
		d, m = body, clothStuff
	}
	return d, m
}
