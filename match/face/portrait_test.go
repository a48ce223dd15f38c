package face

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/face/picture"
)

func flat(w, h int, c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, c)
		}
	}
	return img
}

// sized changes the height and width that a JPEG's frame header promises.
func sized(t *testing.T, raw []byte, w, h uint16) []byte {
	t.Helper()
	raw = bytes.Clone(raw)
	i := bytes.Index(raw, []byte{0xFF, 0xC0})
	if i < 0 {
		t.Fatal("no frame header")
	}
	binary.BigEndian.PutUint16(raw[i+5:], h)
	binary.BigEndian.PutUint16(raw[i+7:], w)
	return raw
}

// jp2With changes bytes of the SIZ segment.
func jp2With(t *testing.T, raw []byte, at int, b ...byte) []byte {
	t.Helper()
	raw = bytes.Clone(raw)
	i := bytes.Index(raw, []byte{0xFF, 0x4F, 0xFF, 0x51})
	if i < 0 {
		t.Fatal("no codestream")
	}
	copy(raw[i+at:], b)
	return raw
}

// Every portrait that cannot be used gives its outcome well within the
// deadline, and the worker serves on.
func TestBadPortraits(t *testing.T) {
	who := person(t, 5, 1)
	good := jpegOf(t, rgba(who))
	jp2 := jp2Of(t, rgba(who), 15)
	var gray16 bytes.Buffer
	if err := png.Encode(&gray16, image.NewGray16(image.Rect(0, 0, 200, 200))); err != nil {
		t.Fatal(err)
	}
	landscape := scene()
	r := at(t, show(t, 5))
	for _, c := range []struct {
		name, format string
		raw          []byte
	}{
		{"empty", "jpeg", nil},
		{"no picture", "jpeg", []byte("not a picture at all")},
		{"unknown format", "tiff", good},
		{"the other format", "jp2", good},
		{"black", "jpeg", jpegOf(t, flat(400, 500, color.Black))},
		{"white", "jpeg", jpegOf(t, flat(400, 500, color.White))},
		{"no face", "jpeg", jpegOf(t, rgba(landscape))},
		{"torn JPEG", "jpeg", good[:len(good)/2]},
		{"torn JPEG head", "jpeg", good[:30]},
		{"torn JP2", "jp2", jp2[:60]},
		{"huge JPEG", "jpeg", sized(t, good, 65000, 65000)},
		{"tall JPEG", "jpeg", sized(t, good, 300, 5000)},
		{"huge JP2", "jp2", jp2With(t, jp2, 8, 0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF)},
		{"JP2 of a million tiles", "jp2", jp2With(t, jp2, 24, 0, 0, 0, 1, 0, 0, 0, 1)},
		{"JP2 of 16 bits", "jp2", jp2With(t, jp2, 42, 15)},
		{"tiny", "jpeg", jpegOf(t, flat(8, 8, color.White))},
		{"one pixel", "jpeg", jpegOf(t, flat(1, 1, color.White))},
		{"PNG of 16 bits", "png", gray16.Bytes()},
		{"GIF", "jpeg", []byte("GIF89a\x10\x00\x10\x00\x80\x00\x00")},
		{"animated PNG", "png", append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x08acTL"), make([]byte, 40)...)},
		{"Motion JPEG 2000", "jp2", append([]byte("\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypmjp2"), make([]byte, 40)...)},
		{"upside down", "jpeg", jpegOf(t, rgba(who.TurnOver()))},
		{"two people", "jpeg", jpegOf(t, rgba(scene(who, person(t, 9, 1))))},
		{"more than 16 MiB", "jpeg", append(bytes.Clone(good), make([]byte, 17<<20)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin := time.Now()
			r.t = t
			got := r.attempt(c.raw, c.format, 5*time.Second)
			expect(t, got, gate.FaceNotCompared, gate.CodeFacePortrait)
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if err := r.Problem(); err != nil {
				t.Errorf("the worker is gone: %v", err)
			}
		})
	}
	t.Run("good ones afterwards", func(t *testing.T) {
		r.t = t
		expect(t, r.attempt(good, "jpeg", 5*time.Second), gate.FaceMatched, 0)
		expect(t, r.attempt(jp2, "jp2", 5*time.Second), gate.FaceMatched, 0)
		expect(t, r.attempt(cmykJPEG(t, who), "jpeg", 5*time.Second), gate.FaceMatched, 0)
		var gray bytes.Buffer
		if err := jpeg.Encode(&gray, grayOf(who), nil); err != nil {
			t.Fatal(err)
		}
		expect(t, r.attempt(gray.Bytes(), "jpeg", 5*time.Second), gate.FaceMatched, 0)
	})
}

func grayOf(p *picture.Picture) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, p.Width, p.Height))
	copy(img.Pix, p.Brightness())
	return img
}

// cmykJPEG packs a picture in four inks, as print shops do: four grey JPEGs
// become the four scans of one (ITU-T T.81 section B.2.3), inverted as in
// Adobe's files.
func cmykJPEG(t *testing.T, p *picture.Picture) []byte {
	t.Helper()
	out := []byte{0xFF, 0xD8, 0xFF, 0xEE, 0, 14}
	out = append(out, "Adobe\x00\x64\x00\x00\x00\x00\x00"...)
	for ink := range byte(4) {
		img := image.NewGray(image.Rect(0, 0, p.Width, p.Height))
		for i := range img.Pix {
			img.Pix[i] = 255
			if ink < 3 {
				img.Pix[i] = p.Pix[3*i+int(ink)]
			}
		}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 92}); err != nil {
			t.Fatal(err)
		}
		raw := b.Bytes()
		for i := 2; raw[i+1] != 0xD9; {
			n := 2 + int(binary.BigEndian.Uint16(raw[i+2:]))
			segment := bytes.Clone(raw[i : i+n])
			switch segment[1] {
			case 0xC0: // frame header: four components instead of one
				segment = append(segment[:9], 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0)
				binary.BigEndian.PutUint16(segment[2:], uint16(len(segment)-2))
			case 0xDA: // scan header: this component, and all that follows
				segment[5] = ink + 1
				out = append(append(out, segment...), raw[i+n:len(raw)-2]...)
				i = len(raw) - 2
				continue
			}
			if ink == 0 {
				out = append(out, segment...)
			}
			i += n
		}
	}
	return append(out, 0xFF, 0xD9)
}
