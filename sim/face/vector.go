package face

import "math"

// vec is a point, direction or colour.
type vec struct{ x, y, z float64 }

func (a vec) add(b vec) vec            { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) sub(b vec) vec            { return vec{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vec) times(s float64) vec      { return vec{a.x * s, a.y * s, a.z * s} }
func (a vec) mul(b vec) vec            { return vec{a.x * b.x, a.y * b.y, a.z * b.z} }
func (a vec) dot(b vec) float64        { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vec) len() float64             { return math.Sqrt(a.dot(a)) }
func (a vec) unit() vec                { return a.times(1 / (a.len() + 1e-12)) }
func (a vec) mix(b vec, t float64) vec { return a.times(1 - t).add(b.times(t)) }

// turn holds a rotation: roll, then pitch, then yaw, and takes world to head.
type turn struct{ a, b, c vec }

// newTurn takes angles in degrees: yaw turns the face towards +x, pitch
// raises it, roll tilts it towards the shoulder at +x.
func newTurn(yaw, pitch, roll float64) turn {
	const d = math.Pi / 180
	sy, cy := math.Sincos(yaw * d)
	sp, cp := math.Sincos(-pitch * d)
	sr, cr := math.Sincos(-roll * d)
	// Rows of the inverse of yaw·pitch·roll.
	return turn{
		vec{cr*cy + sr*sp*sy, sr * cp, -cr*sy + sr*sp*cy},
		vec{-sr*cy + cr*sp*sy, cr * cp, sr*sy + cr*sp*cy},
		vec{cp * sy, -sp, cp * cy},
	}
}

// toHead takes a world point into the head.
func (t turn) toHead(p vec) vec { return vec{t.a.dot(p), t.b.dot(p), t.c.dot(p)} }

func clamp(v, lo, hi float64) float64 { return max(lo, min(hi, v)) }

// step rises smoothly from 0 at a to 1 at b; b may lie below a.
func step(a, b, v float64) float64 {
	t := clamp((v-a)/(b-a), 0, 1)
	return t * t * (3 - 2*t)
}

// bump is 1 at c and 0 beyond w from it.
func bump(v, c, w float64) float64 {
	d := (v - c) / w
	if d < -1 || d > 1 {
		return 0
	}
	d = 1 - d*d
	return d * d
}

// Distances to solids; negative inside.

// egg is an ellipsoid: its middle, its radii inverted, and these squared.
type egg struct{ c, i, ii vec }

func newEgg(c, r vec) egg {
	i := vec{1 / r.x, 1 / r.y, 1 / r.z}
	return egg{c, i, i.mul(i)}
}

func (e *egg) dist(p vec) float64 {
	q := p.sub(e.c)
	k0 := q.mul(e.i).len()
	return k0 * (k0 - 1) / (q.mul(e.ii).len() + 1e-9)
}

func ball(p, c vec, r float64) float64 { return p.sub(c).len() - r }

// rod is a line from a to b with radii ra and rb.
func rod(p, a, b vec, ra, rb float64) float64 {
	ab, ap := b.sub(a), p.sub(a)
	t := clamp(ap.dot(ab)/ab.dot(ab), 0, 1)
	return ap.sub(ab.times(t)).len() - (ra + (rb-ra)*t)
}

// join unites two solids with a seam of width k; carve takes b out of a.
func join(a, b, k float64) float64 {
	h := k - math.Abs(a-b)
	if h <= 0 {
		return min(a, b)
	}
	return min(a, b) - h*h/(4*k)
}

func carve(a, b, k float64) float64 { return -join(-a, b, k) }

// hash gives a number in [0,1) that looks random.
func hash(x, y, z int32, seed uint32) float64 {
	h := uint32(x)*0x8da6b343 ^ uint32(y)*0xd8163841 ^ uint32(z)*0xcb1ab31f ^ seed*0x9e3779b9
	h ^= h >> 15
	h *= 0x2c1b3c6d
	h ^= h >> 12
	h *= 0x297a2d39
	h ^= h >> 15
	return float64(h) / (1 << 32)
}

// noise is smooth, in [-1,1], about one feature a unit.
func noise(p vec, seed uint32) float64 {
	fx, fy, fz := math.Floor(p.x), math.Floor(p.y), math.Floor(p.z)
	x, y, z := int32(fx), int32(fy), int32(fz)
	tx, ty, tz := p.x-fx, p.y-fy, p.z-fz
	tx, ty, tz = tx*tx*(3-2*tx), ty*ty*(3-2*ty), tz*tz*(3-2*tz)
	lerp := func(a, b, t float64) float64 { return a + (b-a)*t }
	plane := func(z int32) float64 {
		return lerp(lerp(hash(x, y, z, seed), hash(x+1, y, z, seed), tx), lerp(hash(x, y+1, z, seed), hash(x+1, y+1, z, seed), tx), ty)
	}
	return 2*lerp(plane(z), plane(z+1), tz) - 1
}
