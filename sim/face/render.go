package face

import (
	"image"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
)

// Shot is a moment in front of a camera. The zero value is a frontal picture
// in even light.
type Shot struct {
	Yaw, Pitch, Roll float64 // degrees; yaw towards the picture's right, pitch up
	X, Y             float64 // where the face is, in widths of the picture from its middle
	Size             float64 // distance between the eyes in widths of the picture; 0: 0.25
	LightFrom        float64 // degrees from the front, towards the picture's right
	LightUp          float64 // degrees above
	Hard             float64 // 0: even light, 1: one lamp
	Bright           float64 // 0: well exposed; in stops
	Warm             float64 // -1 bluish .. 1 yellowish
	Smile            float64 // 0..1
	Blink            float64 // 0..1, eyes closed at 1
	Look             float64 // the eyes, to the picture's right, -1..1
	Noise            float64 // of the sensor, 0..1
	Grain            uint64  // seed of the noise
	Behind           Behind
	Screen           [3]float64 // light of a screen below the camera: red, green, blue
}

// Behind is what is behind the person.
type Behind uint8

// Backgrounds.
const (
	Plain Behind = iota // as in a portrait
	Hall                // a hall, out of focus
)

const (
	eyeLine  = 5.2 // distance of the camera from the middle of the head
	far      = eyeLine + 3.5
	marchMax = 60
	near     = 0.0015
)

// scene is one picture being drawn.
type scene struct {
	*head
	w, h   int
	scale  float64 // world units a pixel in the plane of the eyes
	origin vec
	light  vec
	begin  []float64 // how far the rays of each block of pixels meet nothing
	blocks int       // blocks in a line
}

const block = 6 // pixels

// starts feels its way forward with a thick ray for each block, so that the
// thin ones need not begin at the camera.
func (sc *scene) starts() {
	sc.blocks = sc.w/block + 1
	lines := sc.h/block + 1
	sc.begin = make([]float64, sc.blocks*lines)
	thick := block * sc.scale // wider than half a block's diagonal, pixels aside
	rows(lines, func(y int) {
		for x := range sc.blocks {
			dir := sc.toward(float64(x*block+block/2), float64(y*block+block/2))
			t := eyeLine - 1.2
			for t < far {
				d, _ := sc.solid(sc.origin.add(dir.times(t)))
				if d < 1.3*thick {
					break
				}
				t += 0.88 * (d - thick)
			}
			sc.begin[y*sc.blocks+x] = t
		}
	})
}

// toward is the direction of a point of the picture.
func (sc *scene) toward(px, py float64) vec {
	u := (px-float64(sc.w)/2)*sc.scale - sc.s.X*float64(sc.w)*sc.scale
	v := -(py-float64(sc.h)/2)*sc.scale + sc.s.Y*float64(sc.w)*sc.scale
	return vec{u, v + sc.eyeHigh, 0.6}.sub(sc.origin).unit()
}

// Draw makes a picture of a person.
func Draw(p Person, s Shot, width, height int) *image.RGBA {
	if s.Size == 0 {
		s.Size = 0.25
	}
	h := newHead(p, s)
	sc := &scene{head: h, w: width, h: height, scale: 2 * p.eyeApart * p.headWide / (s.Size * float64(width))}
	sc.origin = vec{0, p.eyeHigh, eyeLine + 0.6}
	const d = math.Pi / 180
	sa, ca := math.Sincos((s.LightFrom + 12) * d)
	su, cu := math.Sincos((s.LightUp + 35) * d)
	sc.light = vec{sa * cu, su, ca * cu}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	b := &hits{width, height, make([]vec, width*height), make([]float64, width*height)}
	sc.starts()
	rows(height, func(y int) {
		for x := range width {
			b.light[y*width+x], b.depth[y*width+x] = sc.ray(float64(x)+0.5, float64(y)+0.5)
		}
	})
	rows(height, func(y int) { sc.row(img, y, b) })
	return img
}

// rows does all lines, on all processors.
func rows(n int, do func(y int)) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for i := range workers {
		wg.Go(func() {
			for y := i; y < n; y += workers {
				do(y)
			}
		})
	}
	wg.Wait()
}

// row draws one line: a ray through the middle of each pixel, and three more
// where it meets something else than its neighbours do.
func (sc *scene) row(img *image.RGBA, y int, hits *hits) {
	rnd := rand.New(rand.NewPCG(sc.s.Grain, uint64(y)))
	for x := range sc.w {
		c := hits.light[y*sc.w+x]
		if hits.edge(x, y) {
			for _, o := range [3][2]float64{{-0.33, -0.2}, {0.33, -0.1}, {0.02, 0.33}} {
				more, _ := sc.ray(float64(x)+0.5+o[0], float64(y)+0.5+o[1])
				c = c.add(more)
			}
			c = c.times(0.25)
		}
		c = sc.develop(c, rnd)
		i := img.PixOffset(x, y)
		img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = byte(c.x), byte(c.y), byte(c.z), 255
	}
}

// hits holds the first ray of every pixel: its light and how far it went.
type hits struct {
	w, h  int
	light []vec
	depth []float64
}

func (b *hits) edge(x, y int) bool {
	i := y*b.w + x
	for _, o := range [4][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}} {
		if u, v := x+o[0], y+o[1]; u >= 0 && v >= 0 && u < b.w && v < b.h && math.Abs(b.depth[v*b.w+u]-b.depth[i]) > 0.07 {
			return true
		}
	}
	return false
}

// develop is the camera: exposure, white balance, noise, gamma.
func (sc *scene) develop(c vec, rnd *rand.Rand) vec {
	gain := math.Exp2(sc.s.Bright)
	c = c.times(gain).mul(vec{1 + 0.08*sc.s.Warm, 1, 1 - 0.12*sc.s.Warm})
	tone := func(v float64) float64 {
		v = v / (1 + 0.15*v) * 1.1
		v = math.Pow(clamp(v, 0, 1), 1/2.2) * 255
		return clamp(v+rnd.NormFloat64()*(0.8+7*sc.s.Noise), 0, 255)
	}
	return vec{tone(c.x), tone(c.y), tone(c.z)}
}

// ray gives the light that comes from the direction of a pixel, and from how
// far.
func (sc *scene) ray(px, py float64) (vec, float64) {
	dir := sc.toward(px, py)
	at := int(py)/block*sc.blocks + int(px)/block
	t := sc.begin[min(max(at, 0), len(sc.begin)-1)]
	for range marchMax {
		p := sc.origin.add(dir.times(t))
		d, m := sc.solid(p)
		if d < near {
			return sc.shade(p, dir, m), t
		}
		if t += d * 0.88; t > far {
			return sc.behind(px/float64(sc.w), py/float64(sc.w)), 100
		}
	}
	p := sc.origin.add(dir.times(t)) // grazing an edge for so long is touching it
	_, m := sc.solid(p)
	return sc.shade(p, dir, m), t
}

func (sc *scene) behind(u, v float64) vec {
	if sc.s.Behind == Plain {
		return vec{0.80, 0.82, 0.85}.times(1 - 0.12*v)
	}
	g := 0.30 + 0.10*noise(vec{u * 3, v * 2.2, 1}, 77) + 0.05*noise(vec{u * 9, v * 5, 2}, 78)
	return vec{g * 1.02, g, g * 0.96}.add(vec{0.25, 0.24, 0.2}.times(bump(u, 0.8, 0.25) * bump(v, 0.05, 0.2)))
}

// normal is the direction of the surface.
func (sc *scene) normal(p vec) vec {
	const e = 0.004
	var n vec
	for _, k := range [4]vec{{1, -1, -1}, {-1, -1, 1}, {-1, 1, -1}, {1, 1, 1}} {
		d, _ := sc.solid(p.add(k.times(e)))
		n = n.add(k.times(d))
	}
	return n.unit()
}

// shade lights a point.
func (sc *scene) shade(p, dir vec, m material) vec {
	n := sc.normal(p)
	colour, gloss := sc.paint(p, n, m)
	// Corners get less light from around.
	open := 1.0
	for i := 1.0; i <= 2; i++ {
		d, _ := sc.solid(p.add(n.times(0.09 * i)))
		open -= (0.09*i - d) * 1.9 / i
	}
	open = clamp(open, 0.25, 1)
	hard := 0.45 + 0.55*sc.s.Hard
	diffuse := max(0, n.dot(sc.light))
	if m == skinStuff { // light wanders a little under the skin
		diffuse = max(0, (n.dot(sc.light)+0.25)/1.25)
	}
	diffuse *= sc.shadow(p, n)
	sky := 0.5 + 0.5*n.y
	front := max(0, n.z)
	ambient := vec{0.24, 0.25, 0.27}.times(0.5 + 0.5*sky).add(vec{0.30, 0.29, 0.28}.times(front)).times((1 - 0.72*sc.s.Hard) * open)
	lit := colour.mul(ambient.add(vec{0.98, 0.95, 0.90}.times(diffuse * hard)))
	screen := vec{0, -0.3, 1}.unit()
	lit = lit.add(colour.mul(vec{sc.s.Screen[0], sc.s.Screen[1], sc.s.Screen[2]}).times(max(0, n.dot(screen)) * open))
	half := sc.light.sub(dir).unit()
	shine := math.Pow(max(0, n.dot(half)), 8+gloss*110) * gloss * 0.55
	return lit.add(vec{1, 1, 1}.times(shine * (0.3 + 0.7*hard) * open))
}

// shadow is how much of the lamp a point sees.
func (sc *scene) shadow(p, n vec) float64 {
	if n.dot(sc.light) <= -0.2 {
		return 1
	}
	res, t := 1.0, 0.05
	from := p.add(n.times(0.02))
	for range 7 {
		d, _ := sc.solid(from.add(sc.light.times(t)))
		res = min(res, 0.5+0.5*d*9/t)
		if res <= 0 {
			return 0
		}
		t += clamp(d, 0.06, 0.35)
	}
	return clamp(res, 0, 1)
}
