package face

import (
	"image"
	"image/color"
	"math"
)

// Sheet is how a photograph on paper is held before the camera. The zero value
// is upright, flat and facing it.
type Sheet struct {
	Turn float64 // degrees about the upright axis, like Shot.Yaw
	Lean float64 // degrees in the plane of the picture
	// Bend is how many degrees the paper goes round, left to right, with its
	// middle nearest.
	Bend float64
	X    float64 // where it is, in widths of the picture from its middle
}

// Paper is the photograph that Hold shows.
func Paper(p Person, height int) *image.RGBA {
	return Draw(p, Shot{Size: 0.25, Y: -0.03}, height*3/4, height*15/16)
}

// Printed draws somebody's picture on paper, held before the camera by a hand
// that is not quite still.
func Printed(p Person, n, width, height int) []*image.RGBA {
	paper := Paper(p, height)
	out := make([]*image.RGBA, n)
	for i := range out {
		t := 2 * math.Pi * float64(i) / float64(2*n)
		out[i] = Hold(paper, Sheet{Lean: 2.9 + 1.1*math.Sin(t), X: 0.01 * math.Sin(t)}, i, width, height)
	}
	return out
}

// Hold draws a sheet of paper before the hall; moment seeds the noise.
func Hold(paper *image.RGBA, s Sheet, moment, width, height int) *image.RGBA {
	out := hall(moment, width, height)
	sin, cos := math.Sincos(s.Lean * math.Pi / 180)
	cx, cy := float64(width)*(0.5+s.X), float64(height)*0.52
	pw, ph := float64(paper.Rect.Dx()), float64(paper.Rect.Dy())
	columns := s.columns(pw, ph)
	rows(height, func(y int) {
		for x := range width {
			dx, dy := float64(x)-cx, float64(y)-cy
			at, ok := columns[int(math.Round(cos*dx+sin*dy))]
			if !ok {
				continue
			}
			u, v := at.u+pw/2, (cos*dy-sin*dx)/at.scale+ph/2
			if v < -edge || v >= ph+edge {
				continue
			}
			c := color.RGBA{214, 212, 206, 255} // the paper's edge
			if u >= 0 && v >= 0 && u < pw && v < ph {
				c = ink(paper.RGBAAt(int(u), int(v)), u/pw+v/ph)
			}
			out.SetRGBA(x, y, c)
		}
	})
	return out
}

// edge is the white border of the paper in pixels.
const edge = 12

// afar is the camera's distance in heights of the sheet: a photograph of life
// size at half a metre.
const afar = 2.2

// column is what one upright line of the picture shows of the sheet.
type column struct {
	u, scale, depth float64
}

// columns projects the sheet, which is a part of an upright cylinder, turned,
// through a camera without distortion.
func (s Sheet) columns(pw, ph float64) map[int]column {
	sin, cos := math.Sincos(s.Turn * math.Pi / 180)
	out := map[int]column{}
	for u := -pw/2 - edge; u <= pw/2+edge; u += 0.25 {
		x, z := u, 0.0 // z towards the camera
		if s.Bend != 0 {
			r := pw / (s.Bend * math.Pi / 180)
			x, z = r*math.Sin(u/r), r*(math.Cos(u/r)-1)
		}
		x, z = x*cos+z*sin, z*cos-x*sin
		scale := afar * ph / (afar*ph - z)
		i := int(math.Round(x * scale))
		if old, ok := out[i]; !ok || z > old.depth {
			out[i] = column{u, scale, z}
		}
	}
	return out
}

// ink is what print makes of a colour: flat blacks and whites, with the sheen
// of the paper across.
func ink(c color.RGBA, along float64) color.RGBA {
	sheen := 26 * bump(along, 1.1, 0.5)
	f := func(v byte) byte { return byte(clamp(38+0.66*float64(v)+sheen, 0, 255)) }
	return color.RGBA{f(c.R), f(c.G), f(c.B), 255}
}
