// Package face draws people who do not exist: a head built of smooth solids,
// painted, lit and seen through a camera, from a handful of numbers. The same
// person can be drawn at any pose, light and distance, so that simulated
// travellers have a portrait on the chip and a live picture that belong
// together. It ships in no product.
package face

import "math/rand/v2"

// Person is one invented face. Lengths are in units of half a head's width.
type Person struct {
	Seed uint64 // everything below follows from it

	headWide, headHigh, jaw, jawLow, chin, cheek, forehead float64
	eyeApart, eyeHigh, eyeWide, eyeOpen, eyeTilt, eyeDeep  float64
	lidFold                                                float64
	browHigh, browThick, browArch, browTilt, browApart     float64
	noseLong, noseWide, noseTip, noseBridge, noseUp        float64
	mouthLow, mouthWide, lipUp, lipLow, mouthBend          float64
	earOut, earBig, skew                                   float64
	skin, hair, iris, lips, cloth                          vec
	style                                                  hairStyle
	hairline, hairThick, beard, moustache, stubble, age    float64
	glasses                                                float64 // 0: none; else roundness
	glassDark                                              float64
	patchy, makeup                                         float64 // pigment in patches; make-up around the eyes
	moles                                                  []vec   // position and size
}

type hairStyle uint8

const (
	bald hairStyle = iota
	short
	fringe
	long
	swept
	bun
	styles
)

// NewPerson invents a person; the same seed is the same person everywhere.
func NewPerson(seed uint64) Person {
	rnd := rand.New(rand.NewPCG(seed, 0x6661636573))
	// Wide, not normal, so that few people look alike.
	in := func(lo, hi float64) float64 { return lo + (hi-lo)*rnd.Float64() }
	p := Person{
		Seed:     seed,
		headWide: in(0.80, 1.16), headHigh: in(0.88, 1.12), jaw: in(0.70, 1.30), jawLow: in(0.75, 1.25), chin: in(0.5, 1.6), cheek: in(-0.2, 1.3), forehead: in(-1, 1),
		eyeApart: in(0.255, 0.385), eyeHigh: in(-0.05, 0.13), eyeWide: in(0.105, 0.185), eyeOpen: in(0.38, 1.2), eyeTilt: in(-0.26, 0.34), eyeDeep: in(0, 1), lidFold: in(0, 1),
		browHigh: in(0.15, 0.32), browThick: in(0.012, 0.075), browArch: in(-0.01, 0.12), browTilt: in(-0.35, 0.35), browApart: in(0.03, 0.19),
		noseLong: in(0.34, 0.60), noseWide: in(0.60, 1.75), noseTip: in(0.6, 1.6), noseBridge: in(0.1, 1.4), noseUp: in(-0.07, 0.10),
		mouthLow: in(0.57, 0.72), mouthWide: in(0.19, 0.40), lipUp: in(0.01, 0.095), lipLow: in(0.025, 0.125), mouthBend: in(-0.045, 0.055),
		earOut: in(0, 1), earBig: in(0.8, 1.25), skew: in(-0.04, 0.04),
		hairline: in(0.46, 0.76), hairThick: in(0.05, 0.16), age: max(0, in(-0.6, 1)),
	}
	below := p.noseLong - p.eyeHigh - p.noseUp // the mouth lies below the nose
	p.mouthLow = max(p.mouthLow, below+0.10+0.8*p.lipUp)
	p.colours(rnd)
	p.style = hairStyle(rnd.IntN(int(styles)))
	if rnd.IntN(3) > 0 && p.style != long && p.style != bun {
		switch rnd.IntN(4) {
		case 0, 3:
			p.beard, p.moustache = in(0.6, 1), in(0.6, 1)
		case 1:
			p.moustache = 1
		case 2:
			p.stubble = in(0.4, 0.9)
		}
	}
	if rnd.IntN(4) == 0 {
		p.glasses, p.glassDark = in(0.2, 1), in(0, 1)
	}
	if p.patchy = in(-0.5, 0.34); rnd.IntN(3) == 0 {
		p.makeup = in(0.2, 0.6)
	}
	for range rnd.IntN(3) {
		p.moles = append(p.moles, vec{in(-0.5, 0.5), in(-0.8, 0.5), in(0.012, 0.028)})
	}
	return p
}

func (p *Person) colours(rnd *rand.Rand) {
	skins := []vec{{0.93, 0.76, 0.66}, {0.88, 0.69, 0.56}, {0.80, 0.60, 0.46}, {0.69, 0.49, 0.36}, {0.52, 0.35, 0.25}, {0.36, 0.24, 0.17}}
	hairs := []vec{{0.05, 0.04, 0.04}, {0.10, 0.07, 0.05}, {0.22, 0.13, 0.07}, {0.42, 0.27, 0.13}, {0.70, 0.55, 0.32}, {0.45, 0.18, 0.08}, {0.62, 0.61, 0.60}, {0.85, 0.84, 0.82}}
	irises := []vec{{0.16, 0.09, 0.05}, {0.28, 0.17, 0.08}, {0.33, 0.38, 0.22}, {0.30, 0.42, 0.52}}
	i := rnd.IntN(len(skins))
	p.skin = skins[i].times(0.95 + 0.1*rnd.Float64())
	limit := len(hairs)
	if i > 2 {
		limit = 3 // dark skin, dark hair, mostly
	}
	p.hair = hairs[rnd.IntN(limit)]
	if p.age > 0.6 && rnd.IntN(2) == 0 {
		p.hair = hairs[6+rnd.IntN(2)]
	}
	p.iris = irises[rnd.IntN(len(irises))]
	if i > 2 {
		p.iris = irises[rnd.IntN(2)]
	}
	p.lips = p.skin.mul(vec{0.86, 0.55, 0.55}).mix(vec{0.72, 0.25, 0.28}, 0.45*rnd.Float64())
	p.cloth = vec{0.1 + 0.7*rnd.Float64(), 0.1 + 0.7*rnd.Float64(), 0.1 + 0.7*rnd.Float64()}
}
