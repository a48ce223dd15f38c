package face

import "math"

// paint gives colour and gloss of a point of the surface.
func (sc *scene) paint(w, n vec, m material) (vec, float64) {
	p := sc.pose.toHead(w)
	seed := uint32(sc.Seed)
	switch m {
	case clothStuff:
		return sc.cloth.times(0.85 + 0.1*noise(w.times(30), seed)), 0.02
	case frameStuff:
		return vec{0.03, 0.03, 0.035}.mix(vec{0.35, 0.22, 0.12}, 1-sc.glassDark), 0.7
	case hairStuff:
		return sc.strands(p, seed), 0.22
	}
	p.x += sc.skew * p.y
	q := vec{p.x / sc.headWide, p.y / sc.headHigh, p.z}
	c, gloss := sc.complexion(q, seed)
	if q.z > 0.25 {
		c, gloss = sc.features(q, c, gloss, seed)
	}
	return c, gloss
}

func (sc *scene) strands(p vec, seed uint32) vec {
	a := math.Atan2(p.x, p.z+0.3)
	s := noise(vec{a * 40, p.y * 4, p.z * 3}, seed) + 0.6*noise(vec{a * 110, p.y * 6, 0}, seed+1)
	return sc.hair.times(1 + 0.35*s).add(vec{0.012, 0.011, 0.010})
}

// complexion is bare skin: mottled, redder at cheeks and nose, with moles,
// wrinkles and whiskers.
func (sc *scene) complexion(q vec, seed uint32) (vec, float64) {
	c := sc.skin.times(1 + 0.035*noise(q.times(7), seed) + 0.03*noise(q.times(45), seed+2))
	if sc.patchy > 0 {
		c = c.times(1 - sc.patchy*step(0.05, 0.35, noise(q.times(3.1).add(vec{7, 3, 1}), seed+30)))
	}
	ax := math.Abs(q.x)
	red := 0.5*bump(ax, 0.42, 0.25)*bump(q.y, -0.25, 0.3) + 0.4*bump(ax, 0, 0.16)*bump(q.y, sc.noseB.y, 0.14)
	c = c.mul(vec{1, 1 - 0.16*red, 1 - 0.18*red})
	c = c.times(1 - 0.22*sc.age*bump(q.y, sc.eyeHigh-0.17, 0.06)*bump(ax, sc.eyeApart-0.03, 0.16)) // below the eyes
	fold := math.Abs(ax - (0.19 + 0.20*(sc.noseB.y-q.y)/0.35 + 0.02))
	if q.y < sc.noseB.y+0.05 && q.y > sc.mouth.y-0.08 {
		c = c.times(1 - (0.10+0.25*sc.age+0.2*sc.s.Smile)*step(0.035, 0, fold))
	}
	for _, y := range [3]float64{0.42, 0.50, 0.58} {
		line := y + 0.02*math.Cos(ax*6)
		c = c.times(1 - 0.22*sc.age*step(0.014, 0, math.Abs(q.y-line))*step(0.42, 0.25, ax))
	}
	for _, m := range sc.moles {
		if d := math.Hypot(q.x-m.x, q.y-m.y); d < m.z && q.z > 0 {
			c = c.mul(vec{0.45, 0.33, 0.28})
		}
	}
	gloss := 0.16
	if b := sc.whiskers(q); b > 0 {
		grain := 0.75 + 0.5*noise(vec{q.x * 60, q.y * 25, q.z * 60}, seed+5)
		c = c.mix(sc.hair.add(vec{0.02, 0.02, 0.02}).times(0.8+0.4*grain), clamp(b*grain*1.15, 0, 1))
		gloss *= 1 - b
	}
	if sc.style == bald || sc.style == short {
		if shadow := step(0.55, 0.75, q.y+0.9*(0.45-q.z)); shadow > 0 && sc.style == bald {
			c = c.mix(sc.hair, 0.14*shadow)
		}
	}
	return c, gloss
}

// features are eyes, brows, lips and nostrils.
func (sc *scene) features(q, c vec, gloss float64, seed uint32) (vec, float64) {
	ax := math.Abs(q.x)
	if l := sc.onLips(q); l > 0 {
		c = c.mix(sc.lips.times(1+0.06*noise(vec{q.x * 70, q.y * 12, 3}, seed)), 0.85*l)
		gloss = gloss*(1-l) + 0.35*l
	}
	wide := sc.wide
	slit := math.Abs(q.y-sc.mouthLine(q.x)) + 0.02*step(wide*0.85, wide*1.05, ax)
	if ax < wide*1.05 {
		c = c.mix(sc.lips.times(0.18), 0.9*step(0.020, 0.006, slit))
	}
	nx, ny := (ax-0.052*sc.noseWide)/(0.034*sc.noseWide), (q.y-sc.noseB.y+0.068)/0.024
	c = c.mix(sc.skin.times(0.12), 0.9*step(1.15, 0.5, nx*nx+ny*ny)*step(0.55, 0.65, q.z))
	c = sc.brow(q, c, seed)
	return sc.eyes(q, c, gloss)
}

// brow paints hairs along a curve above the eye.
func (sc *scene) brow(q, c vec, seed uint32) vec {
	ax := math.Abs(q.x)
	from, to := sc.browApart, sc.eyeApart+sc.eyeWide+0.07
	t := (ax - from) / (to - from)
	if t < -0.1 || t > 1.1 {
		return c
	}
	y := sc.eyeHigh + sc.browHigh + sc.browArch*(1-4*(t-0.6)*(t-0.6)) - 0.02 + sc.browTilt*(t-0.5)*0.25
	thick := sc.browThick * (1 - 0.6*step(0.55, 1.05, t))
	d := math.Abs(q.y-y) / thick
	hairs := 0.75 + 0.45*noise(vec{q.x*55 + q.y*40, q.y * 18, 1}, seed+9)
	cover := step(1.25, 0.55, d) * step(-0.1, 0.08, t) * step(1.1, 0.9, t) * hairs
	dark := sc.hair.times(0.8)
	if sc.hair.x > 0.5 {
		dark = sc.hair.times(0.55)
	}
	return c.mix(dark, clamp(cover, 0, 1)*0.92)
}

// eyes paints what lies between the lids, and the lids' edges.
func (sc *scene) eyes(q, c vec, gloss float64) (vec, float64) {
	side := 1.0
	if q.x < 0 {
		side = -1
	}
	ax := math.Abs(q.x)
	ex := (ax - sc.eyeApart) / sc.eyeWide
	if ex < -1.5 || ex > 1.5 || math.Abs(q.y-sc.eyeHigh) > 0.22 {
		return c, gloss
	}
	y := q.y - sc.eyeHigh - sc.eyeTilt*(ax-sc.eyeApart)
	open := sc.eyeOpen * (1 - sc.s.Blink) * (1 - 0.2*sc.s.Smile)
	almond := math.Sqrt(clamp(1-ex*ex, 0, 1))
	up, low := 0.078*open*almond, -0.045*open*almond
	inside := step(0.006, -0.006, y-up) * step(-0.006, 0.006, y-low) * step(1.02, 0.96, math.Abs(ex))
	if fold := math.Abs(y - up - 0.045 - 0.02*sc.lidFold); sc.lidFold > 0.3 && math.Abs(ex) < 1.15 {
		c = c.times(1 - 0.28*sc.lidFold*step(0.018, 0, fold))
	}
	c = c.times(1 - (0.14+sc.makeup)*bump(ex, 0, 1.4)*bump(y, 0.04, 0.16))
	if inside > 0 {
		white := vec{0.86, 0.84, 0.82}.times(0.78 + 0.22*step(0.0, 0.05, up-y))
		gx := (ax - sc.eyeApart) - side*0.045*sc.s.Look
		gy := y - 0.012
		r := math.Hypot(gx, gy) / (0.066 + 0.06*(sc.eyeWide-0.15))
		eye := white
		if r < 1.1 {
			iris := sc.iris.times(0.75 + 0.5*noise(vec{math.Atan2(gy, gx) * 5, r * 3, 4}, uint32(sc.Seed))).times(0.7 + 0.5*step(1, 0.4, r))
			eye = white.mix(iris, step(1.06, 0.94, r)).mix(vec{0.01, 0.01, 0.01}, step(0.46, 0.38, r))
			glint := math.Hypot(gx-0.02*side*0-0.02, gy-0.025)
			eye = eye.mix(vec{1.1, 1.1, 1.1}, step(0.017, 0.009, glint))
		}
		eye = eye.mul(vec{1, 0.93, 0.91}.mix(vec{1, 1, 1}, step(1, 0.7, math.Abs(ex))))
		c, gloss = c.mix(eye, inside), gloss*(1-inside)+0.5*inside
	}
	lash := step(0.017, 0.004, math.Abs(y-up)) * step(1.12, 0.95, math.Abs(ex))
	lower := step(0.009, 0.002, math.Abs(y-low)) * step(1.05, 0.9, math.Abs(ex)) * 0.5
	return c.mix(vec{0.03, 0.02, 0.02}, clamp(lash*0.9+lower, 0, 1)), gloss
}
