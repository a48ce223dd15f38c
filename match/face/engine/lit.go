package engine

import (
	"math"

	"gateagent/match/face/picture"
)

// Lit gives the mean light of the face and of what is behind it, as red, green
// and blue in [0,1], linear. What is behind is all that lies at a distance from
// the face and no lower than it: shoulders are lit by what lights the face.
func Lit(p *picture.Picture, f Face) (face, behind [3]float64) {
	var curve [256]float64
	for i := range curve {
		curve[i] = math.Pow(float64(i)/255, 2.2)
	}
	var faces, behinds float64
	cx, cy := f.Left+f.Width/2, f.Top+f.Height/2
	step := max(1, p.Width/160)
	for y := 0; y < p.Height; y += step {
		for x := 0; x < p.Width; x += step {
			u, v := (float64(x)-cx)/f.Width, (float64(y)-cy)/f.Height
			rgb := p.Pix[3*(y*p.Width+x):]
			switch {
			case 4*u*u+4*v*v < 0.6:
				faces++
				add(&face, rgb, &curve)
			case v < 0.5 && (math.Abs(u) > 0.9 || v < -0.9):
				behinds++
				add(&behind, rgb, &curve)
			}
		}
	}
	for c := range 3 {
		face[c], behind[c] = face[c]/max(1, faces), behind[c]/max(1, behinds)
	}
	return face, behind
}

func add(to *[3]float64, rgb []byte, curve *[256]float64) {
	for c := range 3 {
		to[c] += curve[rgb[c]]
	}
}
