package doc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"io"
)

// Picture draws an abstract grey picture, no face, as a JPEG of exactly size
// bytes: compressed small enough, then filled up with comment segments.
func Picture(random io.Reader, size int) ([]byte, error) {
	var shape [8]byte
	if _, err := io.ReadFull(random, shape[:]); err != nil {
		return nil, err
	}
	scales := []int{1, 4}
	if size < 2500 { // it would not fit, and trying costs time
		scales = scales[1:]
	}
	for _, scale := range scales {
		img := draw(shape, 413/scale, 531/scale)
		for quality := 75; quality > 0; quality -= 12 {
			var b bytes.Buffer
			if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
				return nil, err
			}
			if b.Len() == size || b.Len()+minSegment <= size {
				return padJPEG(b.Bytes(), size), nil
			}
		}
	}
	return nil, fmt.Errorf("sim/doc: no picture fits into %d bytes", size)
}

// draw paints rings around a centre over a slope.
func draw(shape [8]byte, w, h int) image.Image {
	img := image.NewGray(image.Rect(0, 0, w, h))
	cx, cy := w/2+int(shape[0]%32)-16, h/2+int(shape[1]%32)-16
	ring := w*w/40 + int(shape[2])*w/8 + 1
	for y := 0; y < h; y++ {
		for x := 0; x < w; x++ {
			dx, dy := x-cx, y-cy
			v := 90 + int(shape[3]%40) + 60*y/h + 40*((dx*dx+dy*dy)/ring%2)
			img.Pix[y*img.Stride+x] = uint8(v)
		}
	}
	return img
}

const (
	minSegment = 4      // marker and length
	maxSegment = 0xFFFF // what the length field can say, itself included
)

// padJPEG inserts comment segments (ITU-T T.81 section B.2.4.5) behind the
// start marker.
func padJPEG(img []byte, size int) []byte {
	out := append([]byte(nil), img[:2]...)
	for rest := size - len(img); rest > 0; {
		n := min(rest-2, maxSegment)
		if left := rest - 2 - n; left > 0 && left < minSegment {
			n -= minSegment
		}
		out = append(out, 0xFF, 0xFE)
		out = binary.BigEndian.AppendUint16(out, uint16(n))
		out = append(out, make([]byte, n-2)...)
		rest -= n + 2
	}
	return append(out, img[2:]...)
}
