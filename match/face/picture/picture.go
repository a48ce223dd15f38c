// Package picture turns the bytes of a portrait or of a camera's frame into
// pixels, within bounds of size that are checked before anything is
// unpacked, and brings faces into the geometry that a model wants.
package picture

import (
	"errors"
	"fmt"
)

// Format names how the bytes of a picture are packed.
type Format string

// Formats. JPEG and JP2 are those of a portrait (ISO/IEC 19794-5, image data
// type; ICAO 9303-10 section 4.7.2); RGB and Gray are frames of a camera,
// eight bits a sample without padding; PNG and PNM are for tools.
const (
	JPEG Format = "jpeg"
	JP2  Format = "jp2" // a JP2 file or a bare codestream
	PNG  Format = "png"
	PNM  Format = "pnm" // PGM and PPM, binary
	RGB  Format = "rgb"
	Gray Format = "gray"
)

// What may be wrong with a picture. Every error of Decode wraps one of them.
var (
	ErrFormat   = errors.New("not a picture of the stated format")
	ErrTorn     = errors.New("the picture is torn or damaged")
	ErrHuge     = errors.New("the picture is too large")
	ErrTiny     = errors.New("the picture is too small")
	ErrDepth    = errors.New("the picture does not have 8 bits a sample")
	ErrAnimated = errors.New("the picture is a film")
)

// Limits bound what is unpacked. The zero value refuses every picture.
type Limits struct {
	Bytes   int // of the packed picture
	Side    int // most pixels of a side
	Pixels  int // most pixels in all
	MinSide int // least pixels of a side
	// Enough: a picture in JPEG 2000 may be given at half its size, a
	// quarter, and so on, as long as both sides keep this many pixels; 0 for
	// the whole size.
	Enough int
}

// DefaultLimits fit portraits and cameras: 12 million pixels, and sides that
// still hold a face. A portrait of 200 pixels a side has the eyes some 50
// apart, which is what models for faces take.
func DefaultLimits() Limits {
	return Limits{Bytes: 16 << 20, Side: 4096, Pixels: 12_000_000, MinSide: 32, Enough: 200}
}

// check judges the size before memory is taken for it.
func (l Limits) check(w, h int) error {
	switch {
	case w <= 0 || h <= 0 || w < l.MinSide || h < l.MinSide:
		return fmt.Errorf("%w: %d×%d pixels, a side has at least %d", ErrTiny, w, h, l.MinSide)
	case w > l.Side || h > l.Side || w*h > l.Pixels:
		return fmt.Errorf("%w: %d×%d pixels, at most %d a side and %d in all", ErrHuge, w, h, l.Side, l.Pixels)
	}
	return nil
}

// Picture is pixels in memory: red, green and blue, eight bits each, row by
// row without padding.
type Picture struct {
	Width, Height int
	Pix           []byte
}

// New makes a black picture.
func New(w, h int) *Picture {
	return &Picture{Width: w, Height: h, Pix: make([]byte, 3*w*h)}
}

// Wipe overwrites the pixels.
func (p *Picture) Wipe() {
	if p != nil {
		clear(p.Pix)
	}
}

// Raw takes a frame of eight-bit samples that are not packed. The pixels are
// copied.
func Raw(w, h int, f Format, data []byte, l Limits) (*Picture, error) {
	if err := l.check(w, h); err != nil {
		return nil, err
	}
	switch {
	case f == RGB && len(data) == 3*w*h:
		p := New(w, h)
		copy(p.Pix, data)
		return p, nil
	case f == Gray && len(data) == w*h:
		p := New(w, h)
		for i, v := range data {
			p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2] = v, v, v
		}
		return p, nil
	case f == RGB || f == Gray:
		return nil, fmt.Errorf("%w: %d bytes are no %s frame of %d×%d", ErrTorn, len(data), f, w, h)
	}
	return nil, fmt.Errorf("%w: %q is no kind of frame", ErrFormat, f)
}

// TurnOver gives the picture upside down.
func (p *Picture) TurnOver() *Picture {
	out := New(p.Width, p.Height)
	n := p.Width * p.Height
	for i := range n {
		copy(out.Pix[3*i:3*i+3], p.Pix[3*(n-1-i):])
	}
	return out
}

// Contrast is the standard deviation of the brightness; a picture of nothing
// has almost none.
func (p *Picture) Contrast() float64 {
	var n, sum, squares float64
	for i := 0; i+2 < len(p.Pix); i += 3 * 7 { // every seventh pixel tells enough
		v := luma(p.Pix[i:])
		n, sum, squares = n+1, sum+v, squares+v*v
	}
	if n == 0 {
		return 0
	}
	return sqrt(squares/n - sum/n*sum/n)
}

// luma is the brightness of a pixel, Recommendation ITU-R BT.601-7 section
// 2.5.1.
func luma(rgb []byte) float64 {
	return 0.299*float64(rgb[0]) + 0.587*float64(rgb[1]) + 0.114*float64(rgb[2])
}

// Brightness gives one byte for each pixel.
func (p *Picture) Brightness() []byte {
	out := make([]byte, p.Width*p.Height)
	for i := range out {
		out[i] = byte(luma(p.Pix[3*i:]) + 0.5)
	}
	return out
}
