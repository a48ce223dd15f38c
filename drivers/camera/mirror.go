package camera

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"time"
)

// Bounds of the live mirror on the screen.
const (
	mirrorEvery   = 80 * time.Millisecond
	mirrorWidth   = 640
	mirrorQuality = 70
)

// WithMirror gives a camera that also shows its pictures, as JPEG, some twelve
// a second: show gets a copy that it owns, and nil when the camera goes off.
// It must not block.
func WithMirror(s Source, show func(jpeg []byte)) Source { return mirrored{s, show} }

type mirrored struct {
	Source
	show func([]byte)
}

// Start implements Source.
func (m mirrored) Start(ctx context.Context) (<-chan Frame, error) {
	in, err := m.Source.Start(ctx)
	if err != nil {
		return nil, err
	}
	out := newBox()
	go func() {
		defer out.close()
		defer m.show(nil)
		var last time.Time
		for f := range in {
			if time.Since(last) >= mirrorEvery {
				last = time.Now()
				if picture := asJPEG(f); picture != nil {
					m.show(picture)
				}
			}
			out.put(f)
		}
	}()
	return out.out, nil
}

// asJPEG copies a frame as JPEG; uncompressed ones made smaller. Nil when it
// is none.
func asJPEG(f Frame) []byte {
	var img image.Image
	step := max(1, (f.Width+mirrorWidth-1)/mirrorWidth)
	switch {
	case f.Format == JPEG:
		return bytes.Clone(f.Data)
	case f.Format == RGB && len(f.Data) == 3*f.Width*f.Height:
		img = thinned{f, step, 3}
	case f.Format == Gray && len(f.Data) == f.Width*f.Height:
		img = thinned{f, step, 1}
	default:
		return nil
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, img, &jpeg.Options{Quality: mirrorQuality}); err != nil {
		return nil
	}
	return buf.Bytes()
}

// thinned is a picture of every step-th pixel.
type thinned struct {
	f              Frame
	step, channels int
}

// ColorModel implements image.Image.
func (t thinned) ColorModel() color.Model { return color.RGBAModel }

// Bounds implements image.Image.
func (t thinned) Bounds() image.Rectangle {
	return image.Rect(0, 0, t.f.Width/t.step, t.f.Height/t.step)
}

// At implements image.Image.
func (t thinned) At(x, y int) color.Color {
	p := t.f.Data[(y*t.step*t.f.Width+x*t.step)*t.channels:]
	if t.channels == 1 {
		return color.RGBA{p[0], p[0], p[0], 255}
	}
	return color.RGBA{p[0], p[1], p[2], 255}
}
