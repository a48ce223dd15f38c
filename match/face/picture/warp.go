package picture

import "math"

// Point is a place in a picture; the middle of the first pixel is (0,0).
type Point struct{ X, Y float64 }

// Similarity turns, scales and moves: x' = A·x - B·y + X, y' = B·x + A·y + Y.
type Similarity struct{ A, B, X, Y float64 }

// Fit gives the similarity that brings from onto to with the least sum of
// squared distances. Points that coincide give the zero value and false.
func Fit(from, to []Point) (Similarity, bool) {
	if len(from) != len(to) || len(from) < 2 {
		return Similarity{}, false
	}
	n := float64(len(from))
	var f, t Point
	for i := range from {
		f.X, f.Y, t.X, t.Y = f.X+from[i].X/n, f.Y+from[i].Y/n, t.X+to[i].X/n, t.Y+to[i].Y/n
	}
	var a, b, size float64
	for i := range from {
		x, y, u, v := from[i].X-f.X, from[i].Y-f.Y, to[i].X-t.X, to[i].Y-t.Y
		a, b, size = a+x*u+y*v, b+x*v-y*u, size+x*x+y*y
	}
	if !(size > 1e-9) || !(a*a+b*b > 1e-12) {
		return Similarity{}, false
	}
	s := Similarity{A: a / size, B: b / size}
	s.X, s.Y = t.X-s.A*f.X+s.B*f.Y, t.Y-s.B*f.X-s.A*f.Y
	return s, true
}

// Apply moves one point.
func (s Similarity) Apply(p Point) Point {
	return Point{s.A*p.X - s.B*p.Y + s.X, s.B*p.X + s.A*p.Y + s.Y}
}

// Scale is how much longer distances become.
func (s Similarity) Scale() float64 { return math.Hypot(s.A, s.B) }

// Warp gives a picture of w×h whose pixels lie at s of those of p, sampled
// bilinearly; outside p it is black. Where s makes much smaller, p is halved
// first, so that nothing falls between the samples.
func (p *Picture) Warp(s Similarity, w, h int) *Picture {
	return p.through(matrix{s.A, -s.B, s.X, s.B, s.A, s.Y}, w, h)
}

// Stretch gives the rectangle of p with the given corner and size as a picture
// of w×h, sides apart; outside p it is black.
func (p *Picture) Stretch(left, top, width, height float64, w, h int) *Picture {
	sx, sy := float64(w)/width, float64(h)/height
	// Pixels are areas here: their middles lie half a pixel inside.
	return p.through(matrix{sx, 0, (0.5-left)*sx - 0.5, 0, sy, (0.5-top)*sy - 0.5}, w, h)
}

// matrix brings (x,y) to (xx·x + xy·y + x0, yx·x + yy·y + y0).
type matrix struct{ xx, xy, x0, yx, yy, y0 float64 }

func (m matrix) inverse() matrix {
	d := m.xx*m.yy - m.xy*m.yx
	i := matrix{xx: m.yy / d, xy: -m.xy / d, yx: -m.yx / d, yy: m.xx / d}
	i.x0, i.y0 = -(i.xx*m.x0 + i.xy*m.y0), -(i.yx*m.x0 + i.yy*m.y0)
	return i
}

// scale is the larger of what the two sides are multiplied with.
func (m matrix) scale() float64 {
	return max(math.Hypot(m.xx, m.yx), math.Hypot(m.xy, m.yy))
}

func (p *Picture) through(m matrix, w, h int) *Picture {
	src := p
	for m.scale() < 0.5 && src.Width >= 2 && src.Height >= 2 {
		half := src.half()
		if src != p {
			src.Wipe()
		}
		src = half
		// A place x of the half is 2x + 0.5 of the whole.
		m.x0, m.y0 = m.x0+0.5*(m.xx+m.xy), m.y0+0.5*(m.yx+m.yy)
		m.xx, m.xy, m.yx, m.yy = 2*m.xx, 2*m.xy, 2*m.yx, 2*m.yy
	}
	out := New(w, h)
	src.sample(m.inverse(), out)
	if src != p {
		src.Wipe()
	}
	return out
}

// sample fills out with the pixels of p at the places that back gives.
func (p *Picture) sample(back matrix, out *Picture) {
	const one = 1 << 11 // weights are eleven-bit fractions
	right, bottom := p.Width-1, p.Height-1
	for y := range out.Height {
		for x := range out.Width {
			sx := back.xx*float64(x) + back.xy*float64(y) + back.x0
			sy := back.yx*float64(x) + back.yy*float64(y) + back.y0
			if !(sx > -1 && sy > -1 && sx < float64(p.Width) && sy < float64(p.Height)) {
				continue
			}
			x0, y0 := int(sx+1)-1, int(sy+1)-1 // floor: both are above -1
			wx, wy := int((sx-float64(x0))*one), int((sy-float64(y0))*one)
			o := out.Pix[3*(y*out.Width+x):][:3:3]
			if x0 >= 0 && y0 >= 0 && x0 < right && y0 < bottom {
				a := p.Pix[3*(y0*p.Width+x0):][:6:6]
				b := p.Pix[3*((y0+1)*p.Width+x0):][:6:6]
				for c := range 3 {
					top := int(a[c])*(one-wx) + int(a[c+3])*wx
					low := int(b[c])*(one-wx) + int(b[c+3])*wx
					o[c] = byte((top*(one-wy) + low*wy + one*one/2) >> 22)
				}
				continue
			}
			for c := range 3 {
				top := p.at(x0, y0, c)*(one-wx) + p.at(x0+1, y0, c)*wx
				low := p.at(x0, y0+1, c)*(one-wx) + p.at(x0+1, y0+1, c)*wx
				o[c] = byte((top*(one-wy) + low*wy + one*one/2) >> 22)
			}
		}
	}
}

// at is one sample, black outside.
func (p *Picture) at(x, y, c int) int {
	if x < 0 || y < 0 || x >= p.Width || y >= p.Height {
		return 0
	}
	return int(p.Pix[3*(y*p.Width+x)+c])
}

// half gives the picture at half its size, each pixel the mean of four.
func (p *Picture) half() *Picture {
	out := New(p.Width/2, p.Height/2)
	for y := range out.Height {
		a, b := p.Pix[3*(2*y*p.Width):], p.Pix[3*((2*y+1)*p.Width):]
		o := out.Pix[3*y*out.Width:]
		for x := range out.Width {
			for c := range 3 {
				i := 6*x + c
				o[3*x+c] = byte((int(a[i]) + int(a[i+3]) + int(b[i]) + int(b[i+3]) + 2) / 4)
			}
		}
	}
	return out
}
