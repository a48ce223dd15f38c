package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"

	"github.com/ajroetker/go-jpeg2000"
)

func sqrt(v float64) float64 { return math.Sqrt(max(v, 0)) }

// Sniff tells the format by the first bytes; empty when it is none.
func Sniff(data []byte) Format {
	switch {
	case bytes.HasPrefix(data, []byte{0xFF, 0xD8, 0xFF}):
		return JPEG
	case bytes.HasPrefix(data, []byte{0xFF, 0x4F, 0xFF, 0x51}), bytes.HasPrefix(data, jp2Signature()):
		return JP2
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return PNG
	case len(data) > 2 && data[0] == 'P' && (data[1] == '5' || data[1] == '6'):
		return PNM
	}
	return ""
}

// Decode unpacks a picture. Its size is read and judged first.
func Decode(data []byte, f Format, l Limits) (*Picture, error) {
	if len(data) > l.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrHuge, len(data), l.Bytes)
	}
	if is := Sniff(data); is != f || is == "" {
		if film(data) {
			return nil, ErrAnimated
		}
		return nil, fmt.Errorf("%w (%q)", ErrFormat, f)
	}
	switch f {
	case JPEG:
		return decodeJPEG(data, l)
	case JP2:
		return decodeJP2(data, l)
	case PNG:
		return decodePNG(data, l)
	}
	return decodePNM(data, l)
}

// film recognises formats that hold many pictures.
func film(data []byte) bool {
	if bytes.HasPrefix(data, []byte("GIF8")) {
		return true
	}
	// The box "ftyp" of ISO/IEC 14496-12 files, which Motion JPEG 2000 is.
	return len(data) > 12 && string(data[4:8]) == "ftyp"
}

// torn names what a decoder of the standard library or of JPEG 2000 said. Its
// words are kept: they speak of markers and lengths, never of content.
func torn(err error) error { return fmt.Errorf("%w: %w", ErrTorn, err) }

func decodeJPEG(data []byte, l Limits) (*Picture, error) {
	if n := jpegPrecision(data); n != 0 && n != 8 {
		return nil, fmt.Errorf("%w: %d bits", ErrDepth, n)
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, torn(err)
	}
	if err := l.check(c.Width, c.Height); err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, torn(err)
	}
	return fromImage(img), nil
}

// jpegPrecision finds the sample precision in the frame header (ITU-T T.81
// section B.2.2); 0 when there is none.
func jpegPrecision(data []byte) int {
	for i := 2; i+4 < len(data); {
		if data[i] != 0xFF {
			return 0
		}
		m := data[i+1]
		switch {
		case m == 0xFF:
			i++
			continue
		case m >= 0xC0 && m <= 0xCF && m != 0xC4 && m != 0xC8 && m != 0xCC:
			return int(data[i+4])
		case m == 0xD9 || m == 0xDA:
			return 0
		}
		i += 2 + int(binary.BigEndian.Uint16(data[i+2:]))
	}
	return 0
}

func decodePNG(data []byte, l Limits) (*Picture, error) {
	if bytes.Contains(data[:min(len(data), 4096)], []byte("acTL")) {
		return nil, ErrAnimated
	}
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, torn(err)
	}
	switch c.ColorModel {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		return nil, fmt.Errorf("%w: 16 bits", ErrDepth)
	}
	if err := l.check(c.Width, c.Height); err != nil {
		return nil, err
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, torn(err)
	}
	return fromImage(img), nil
}

// decodePNM reads PGM (P5) and PPM (P6).
func decodePNM(data []byte, l Limits) (*Picture, error) {
	rest := data[2:]
	var n [3]int
	for i := range n {
		var err error
		if n[i], rest, err = pnmNumber(rest); err != nil {
			return nil, err
		}
	}
	if n[2] != 255 {
		return nil, fmt.Errorf("%w: samples up to %d", ErrDepth, n[2])
	}
	f, size := Gray, 1
	if data[1] == '6' {
		f, size = RGB, 3
	}
	if err := l.check(n[0], n[1]); err != nil {
		return nil, err
	}
	if len(rest) < 1+size*n[0]*n[1] {
		return nil, fmt.Errorf("%w: %d of %d bytes", ErrTorn, len(rest), 1+size*n[0]*n[1])
	}
	return Raw(n[0], n[1], f, rest[1:1+size*n[0]*n[1]], l)
}

func pnmNumber(b []byte) (int, []byte, error) {
	for len(b) > 0 {
		switch {
		case b[0] == '#':
			end := bytes.IndexByte(b, '\n')
			if end < 0 {
				end = len(b) - 1
			}
			b = b[end+1:]
		case b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r':
			b = b[1:]
		default:
			n, digits := 0, 0
			for digits < len(b) && digits < 7 && b[digits] >= '0' && b[digits] <= '9' {
				n = 10*n + int(b[digits]-'0')
				digits++
			}
			if digits == 0 {
				return 0, nil, fmt.Errorf("%w: no number in its head", ErrTorn)
			}
			return n, b[digits:], nil
		}
	}
	return 0, nil, fmt.Errorf("%w: the head ends", ErrTorn)
}

func decodeJP2(data []byte, l Limits) (*Picture, error) {
	code, err := codestream(data)
	if err != nil {
		return nil, err
	}
	s, err := readSIZ(code)
	if err != nil {
		return nil, err
	}
	if err := s.check(l); err != nil {
		return nil, err
	}
	c, err := readCoding(code, s)
	if err != nil {
		return nil, err
	}
	if fewer, small := c.smaller(code, l.Enough); small.width != s.width {
		data, s = fewer, small
		defer clear(fewer)
	}
	img, err := jpeg2000.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, torn(err)
	}
	b := img.Bounds()
	if b.Dx() != s.width || b.Dy() != s.height {
		return nil, fmt.Errorf("%w: %d×%d pixels were promised, %d×%d are there", ErrTorn, s.width, s.height, b.Dx(), b.Dy())
	}
	return fromImage(img), nil
}

// fromImage copies what a decoder made and wipes the decoder's own pixels.
func fromImage(img image.Image) *Picture {
	b := img.Bounds()
	p := New(b.Dx(), b.Dy())
	switch src := img.(type) {
	case *image.YCbCr:
		p.fromYCbCr(src)
		clear(src.Y)
		clear(src.Cb)
		clear(src.Cr)
	case *image.Gray:
		for y := range p.Height {
			row := src.Pix[y*src.Stride:]
			for x := range p.Width {
				p.set(x, y, row[x], row[x], row[x])
			}
		}
		clear(src.Pix)
	case *image.RGBA:
		p.fromRGBA(src)
		clear(src.Pix)
	default:
		tmp := image.NewRGBA(b)
		draw.Draw(tmp, b, img, b.Min, draw.Src)
		p.fromRGBA(tmp)
		clear(tmp.Pix)
		wipeRare(img)
	}
	return p
}

func wipeRare(img image.Image) {
	switch src := img.(type) {
	case *image.CMYK:
		clear(src.Pix)
	case *image.NRGBA:
		clear(src.Pix)
	case *image.Paletted:
		clear(src.Pix)
	}
}

func (p *Picture) set(x, y int, r, g, b byte) {
	i := 3 * (y*p.Width + x)
	p.Pix[i], p.Pix[i+1], p.Pix[i+2] = r, g, b
}

func (p *Picture) fromYCbCr(src *image.YCbCr) {
	across := 1 // luma samples for each of chroma
	switch src.SubsampleRatio {
	case image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio422:
		across = 2
	case image.YCbCrSubsampleRatio410, image.YCbCrSubsampleRatio411:
		across = 4
	}
	left := src.Rect.Min.X
	for y := range p.Height {
		light := src.Y[src.YOffset(left, src.Rect.Min.Y+y):]
		c := src.COffset(left, src.Rect.Min.Y+y)
		blue, red := src.Cb[c:], src.Cr[c:]
		out := p.Pix[3*y*p.Width : 3*(y+1)*p.Width]
		for x := range p.Width {
			i := (left+x)/across - left/across
			out[3*x], out[3*x+1], out[3*x+2] = color.YCbCrToRGB(light[x], blue[i], red[i])
		}
	}
}

func (p *Picture) fromRGBA(src *image.RGBA) {
	for y := range p.Height {
		row := src.Pix[y*src.Stride:]
		for x := range p.Width {
			copy(p.Pix[3*(y*p.Width+x):], row[4*x:4*x+3])
		}
	}
}

// Problem names what Decode found wrong in one word for logs; empty when err
// is none of its errors.
func Problem(err error) string {
	for _, p := range []struct {
		err  error
		word string
	}{{ErrFormat, "format"}, {ErrTorn, "torn"}, {ErrHuge, "huge"}, {ErrTiny, "tiny"}, {ErrDepth, "depth"}, {ErrAnimated, "animated"}} {
		if errors.Is(err, p.err) {
			return p.word
		}
	}
	return ""
}
