package face

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
)

// Portrait draws the picture for a chip (ISO/IEC 19794-5 full frontal: the eyes
// a quarter of the width apart, even light, plain background) as JPEG.
func Portrait(p Person, width, height, quality int) ([]byte, error) {
	return JPEG(Draw(p, Shot{Size: 0.25, Y: -0.03}, width, height), quality)
}

// JPEG encodes a picture.
func JPEG(img image.Image, quality int) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Live draws n pictures of somebody who stands before a camera: the head sways
// a little around base, the eyes blink once. Played to and fro they join.
func Live(p Person, base Shot, n, width, height int) []*image.RGBA {
	out := make([]*image.RGBA, n)
	for i := range out {
		t := 2 * math.Pi * float64(i) / float64(2*n)
		s := base
		s.Yaw += 2.5 * math.Sin(t)
		s.Pitch += 1.5 * math.Sin(2*t)
		s.X += 0.006 * math.Sin(t)
		s.Y += 0.004 * math.Cos(2*t)
		s.Grain = base.Grain + uint64(i)
		if n > 3 && i == n/2 {
			s.Blink = 0.9
		}
		out[i] = Draw(p, s, width, height)
	}
	return out
}

// Nobody draws the hall without anyone.
func Nobody(n, width, height int) []*image.RGBA {
	out := make([]*image.RGBA, n)
	for i := range out {
		out[i] = hall(i, width, height)
	}
	return out
}

// hall draws what is behind everybody; moment seeds the noise.
func hall(moment, width, height int) *image.RGBA {
	sc := &scene{head: &head{s: Shot{Behind: Hall, Noise: 0.3, Grain: uint64(moment)}}, w: width, h: height}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	rows(height, func(y int) {
		rnd := rand.New(rand.NewPCG(uint64(moment), uint64(y)))
		for x := range width {
			c := sc.develop(sc.behind(float64(x)/float64(width), float64(y)/float64(width)), rnd)
			out.SetRGBA(x, y, color.RGBA{byte(c.x), byte(c.y), byte(c.z), 255})
		}
	})
	return out
}

// Two draws two people side by side.
func Two(left, right Person, n, width, height int) []*image.RGBA {
	size := 0.11
	a := Live(left, Shot{Behind: Hall, Size: size, X: -0.22, Noise: 0.3}, n, width, height)
	b := Live(right, Shot{Behind: Hall, Size: size, X: 0.22, Noise: 0.3}, n, width, height)
	for i := range a {
		draw.Draw(a[i], image.Rect(width/2, 0, width, height), b[i], image.Pt(width/2, 0), draw.Src)
	}
	return a
}

// ToAndFro plays pictures forwards and backwards, so that a loop has no jump.
func ToAndFro[T any](frames []T) []T {
	out := append([]T(nil), frames...)
	for i := len(frames) - 2; i > 0; i-- {
		out = append(out, frames[i])
	}
	return out
}

// WriteMJPEG writes pictures as a browser's fake camera reads them
// (Chromium's --use-file-for-fake-video-capture with a name in .mjpeg): one
// JPEG file behind the other.
func WriteMJPEG(w io.Writer, frames []*image.RGBA, quality int) error {
	for _, f := range frames {
		b, err := JPEG(f, quality)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// WriteY4M writes pictures as YUV4MPEG2 with 4:2:0 chroma; width and height
// must be even.
func WriteY4M(w io.Writer, frames []*image.RGBA, fps int) error {
	if len(frames) == 0 {
		return fmt.Errorf("no pictures")
	}
	size := frames[0].Bounds().Size()
	if size.X%2 != 0 || size.Y%2 != 0 {
		return fmt.Errorf("pictures of %d×%d: width and height must be even", size.X, size.Y)
	}
	out := bufio.NewWriterSize(w, 1<<20)
	fmt.Fprintf(out, "YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n", size.X, size.Y, fps)
	for _, f := range frames {
		if f.Bounds().Size() != size {
			return fmt.Errorf("pictures of different sizes")
		}
		if _, err := out.WriteString("FRAME\n"); err != nil {
			return err
		}
		if _, err := out.Write(planes(f)); err != nil {
			return err
		}
	}
	return out.Flush()
}

// planes turns a picture into Y, Cb and Cr planes, the latter at half size.
func planes(f *image.RGBA) []byte {
	w, h := f.Bounds().Dx(), f.Bounds().Dy()
	out := make([]byte, w*h*3/2)
	luma, cb, cr := out[:w*h], out[w*h:w*h*5/4], out[w*h*5/4:]
	at := func(x, y int) []byte { return f.Pix[f.PixOffset(x, y):] }
	for y := range h {
		for x := range w {
			p := at(x, y)
			luma[y*w+x], _, _ = color.RGBToYCbCr(p[0], p[1], p[2])
		}
	}
	for y := 0; y < h; y += 2 {
		for x := 0; x < w; x += 2 {
			var sum [3]int
			for _, p := range [4][]byte{at(x, y), at(x+1, y), at(x, y+1), at(x+1, y+1)} {
				for c := range sum {
					sum[c] += int(p[c])
				}
			}
			_, b, r := color.RGBToYCbCr(byte(sum[0]/4), byte(sum[1]/4), byte(sum[2]/4))
			cb[y/2*w/2+x/2], cr[y/2*w/2+x/2] = b, r
		}
	}
	return out
}
