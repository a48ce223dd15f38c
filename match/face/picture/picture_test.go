package picture

import (
	"bytes"
	"cmp"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"testing"

	"github.com/ajroetker/go-jpeg2000"
	"pgregory.net/rapid"
)

// pattern is a smooth picture with every colour.
func pattern(w, h int) *Picture {
	p := New(w, h)
	for y := range h {
		for x := range w {
			p.set(x, y, byte(128+100*math.Sin(float64(x)/17)), byte(128+100*math.Cos(float64(y)/23)), byte(128+90*math.Sin(float64(x+y)/31)))
		}
	}
	return p
}

func (p *Picture) image() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(img.Pix[4*i:], p.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img
}

// distance is the root of the mean square difference.
func distance(t testing.TB, a, b *Picture) float64 {
	t.Helper()
	if a.Width != b.Width || a.Height != b.Height {
		t.Fatalf("%d×%d and %d×%d pixels", a.Width, a.Height, b.Width, b.Height)
	}
	var sum float64
	for i := range a.Pix {
		d := float64(a.Pix[i]) - float64(b.Pix[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(a.Pix)))
}

func packJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packJP2(t testing.TB, img image.Image, o jpeg2000.EncodeOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg2000.Encode(&b, img, &o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pnm(head string, pix []byte) []byte { return append([]byte(head), pix...) }

func TestDecode(t *testing.T) {
	want := pattern(133, 97)
	for _, c := range []struct {
		name   string
		format Format
		raw    []byte
		least  float64 // distance, at most
	}{
		{"JPEG", JPEG, packJPEG(t, want.image()), 4},
		{"PNG", PNG, packPNG(t, want.image()), 0},
		{"PPM", PNM, pnm("P6\n# comment\n133 97\n255\n", want.Pix), 0},
		{"JP2 lossless", JP2, packJP2(t, want.image(), jpeg2000.EncodeOptions{Lossless: true, FileFormat: jpeg2000.FormatJP2}), 0},
		{"JP2 lossy", JP2, packJP2(t, want.image(), jpeg2000.EncodeOptions{Quality: 0.9, FileFormat: jpeg2000.FormatJP2}), 3},
		{"codestream", JP2, packJP2(t, want.image(), jpeg2000.EncodeOptions{Lossless: true}), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if f := Sniff(c.raw); f != c.format {
				t.Errorf("sniffed %q", f)
			}
			got, err := Decode(c.raw, c.format, DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if d := distance(t, got, want); d > c.least {
				t.Errorf("it differs by %.2f", d)
			}
			got.Wipe()
			if !bytes.Equal(got.Pix, make([]byte, len(got.Pix))) {
				t.Error("it was not wiped")
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	p := pattern(100, 80)
	good, jp2 := packJPEG(t, p.image()), packJP2(t, p.image(), jpeg2000.EncodeOptions{Lossless: true, FileFormat: jpeg2000.FormatJP2})
	code := bytes.Index(jp2, []byte{0xFF, 0x4F, 0xFF, 0x51})
	with := func(raw []byte, at int, b ...byte) []byte {
		raw = bytes.Clone(raw)
		copy(raw[at:], b)
		return raw
	}
	sof := bytes.Index(good, []byte{0xFF, 0xC0})
	for _, c := range []struct {
		name   string
		format Format
		raw    []byte
		want   error
	}{
		{"nothing", JPEG, nil, ErrFormat},
		{"another format", JPEG, jp2, ErrFormat},
		{"no format", "", good, ErrFormat},
		{"JPEG, half", JPEG, good[:len(good)/2], ErrTorn},
		{"JPEG, head only", JPEG, good[:4], ErrTorn},
		{"JPEG, 12 bits", JPEG, with(good, sof+4, 12), ErrDepth},
		{"JPEG, wide", JPEG, with(good, sof+7, 0xFF, 0xFF), ErrHuge},
		{"JPEG, no height", JPEG, with(good, sof+5, 0, 0), ErrTiny},
		{"JPEG, small", JPEG, packJPEG(t, New(31, 100).image()), ErrTiny},
		{"PNG, 16 bits", PNG, packPNG(t, image.NewNRGBA64(image.Rect(0, 0, 50, 50))), ErrDepth},
		{"PNG, half", PNG, packPNG(t, p.image())[:200], ErrTorn},
		{"GIF", PNG, []byte("GIF89a"), ErrAnimated},
		{"film", JP2, []byte("\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00"), ErrAnimated},
		{"PGM, 16 bits", PNM, pnm("P5 40 40 65535\n", make([]byte, 3200)), ErrDepth},
		{"PGM, half", PNM, pnm("P5 40 40 255\n", make([]byte, 800)), ErrTorn},
		{"PGM, no end of a comment", PNM, []byte("P5 # and so on"), ErrTorn},
		{"PGM, large numbers", PNM, []byte("P5 99999999999999999999 40 255\n"), ErrDepth},
		{"JP2, half", JP2, jp2[:code+30], ErrTorn},
		{"JP2, no end", JP2, packJP2(t, p.image(), jpeg2000.EncodeOptions{Lossless: true})[:2000], ErrTorn},
		{"JP2, no codestream", JP2, jp2[:code-8], ErrTorn},
		{"JP2, box too long", JP2, with(jp2, code-8, 0x7F), ErrTorn},
		{"JP2, wide", JP2, with(jp2, code+8, 0, 0, 0x20), ErrHuge},
		{"JP2, 16 bits", JP2, with(jp2, code+42, 15), ErrDepth},
		{"JP2, tiles of one pixel", JP2, with(jp2, code+24, 0, 0, 0, 1, 0, 0, 0, 1), ErrHuge},
		{"JP2, tiles of nothing", JP2, with(jp2, code+24, 0, 0, 0, 0), ErrTorn},
		{"JP2, half the colour", JP2, with(jp2, code+46, 2, 2), ErrFormat},
		{"JP2, away from the origin", JP2, with(jp2, code+19, 3), ErrFormat},
		{"JP2, code blocks of 2^29", JP2, with(jp2, code+61, 27), ErrTorn},
		{"JP2, 65535 layers", JP2, with(jp2, code+57, 0xFF, 0xFF), ErrHuge},
		{"JP2, 32 levels", JP2, with(jp2, code+60, 32), ErrHuge},
		{"JP2, nothing sampled", JP2, with(jp2, code+43, 0, 1), ErrTorn},
		{"JP2, two components", JP2, with(jp2, code+40, 0, 2), ErrTorn},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := Decode(c.raw, c.format, DefaultLimits()); !errors.Is(err, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
	if _, err := Decode(good, JPEG, Limits{}); !errors.Is(err, ErrHuge) {
		t.Errorf("limits that are not set: %v", err)
	}
}

func TestRaw(t *testing.T) {
	l := DefaultLimits()
	if _, err := Raw(40, 40, RGB, make([]byte, 4799), l); !errors.Is(err, ErrTorn) {
		t.Errorf("short: %v", err)
	}
	if _, err := Raw(1<<40, 1<<40, Gray, nil, l); !errors.Is(err, ErrHuge) {
		t.Errorf("huge: %v", err)
	}
	if _, err := Raw(40, 40, JPEG, make([]byte, 1600), l); !errors.Is(err, ErrFormat) {
		t.Errorf("packed: %v", err)
	}
	p, err := Raw(40, 40, Gray, bytes.Repeat([]byte{7}, 1600), l)
	if err != nil || p.Pix[4799] != 7 {
		t.Errorf("%v", err)
	}
}

func TestTurnOver(t *testing.T) {
	p := pattern(41, 33)
	turned := p.TurnOver()
	if distance(t, p, turned) < 10 {
		t.Error("nothing was turned")
	}
	if distance(t, p, turned.TurnOver()) != 0 {
		t.Error("twice is not back")
	}
}

func TestContrast(t *testing.T) {
	if c := New(50, 50).Contrast(); c != 0 {
		t.Errorf("black: %v", c)
	}
	if c := pattern(50, 50).Contrast(); c < 20 {
		t.Errorf("pattern: %v", c)
	}
}

// A similarity that was applied to points is found again, and leads back.
func TestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := func(low, high float64, name string) float64 { return rapid.Float64Range(low, high).Draw(t, name) }
		want := Similarity{number(-3, 3, "a"), number(-3, 3, "b"), number(-500, 500, "x"), number(-500, 500, "y")}
		if want.Scale() < 0.01 {
			t.Skip("nothing is left of it")
		}
		from := []Point{{10, 20}, {number(100, 200, "far"), 40}, {50, number(100, 200, "low")}}
		var to []Point
		for _, p := range from {
			to = append(to, want.Apply(p))
		}
		got, ok := Fit(from, to)
		if !ok {
			t.Fatal("no fit")
		}
		for i, p := range from {
			q := got.Apply(p)
			if math.Hypot(q.X-to[i].X, q.Y-to[i].Y) > 1e-6 {
				t.Fatalf("point %d: %v, want %v", i, q, to[i])
			}
		}
	})
	if _, ok := Fit([]Point{{1, 1}, {1, 1}}, []Point{{0, 0}, {5, 5}}); ok {
		t.Error("points that coincide have a fit")
	}
	if _, ok := Fit([]Point{{math.NaN(), 1}, {1, 1}}, []Point{{0, 0}, {5, 5}}); ok {
		t.Error("no numbers have a fit")
	}
}

func TestWarp(t *testing.T) {
	p := pattern(200, 160)
	if d := distance(t, p.Warp(Similarity{A: 1}, 200, 160), p); d != 0 {
		t.Errorf("nothing moved, and it differs by %v", d)
	}
	moved := p.Warp(Similarity{A: 1, X: 7, Y: -3}, 200, 160)
	if *moved.pixel(50, 60) != *p.pixel(43, 63) {
		t.Error("it moved to somewhere else")
	}
	// Turned by a right angle: (x,y) goes to (-y,x).
	turned := p.Warp(Similarity{B: 1, X: 159}, 160, 200)
	if *turned.pixel(159-30, 20) != *p.pixel(20, 30) {
		t.Error("it was turned to somewhere else")
	}
	// Small by a large step and by small ones is the same, and large again
	// is what it was.
	small := p.Warp(Similarity{A: 0.2, X: -0.4, Y: -0.4}, 40, 32)
	if d := distance(t, small, p.Stretch(0, 0, 200, 160, 40, 32)); d > 1 {
		t.Errorf("stretch and warp differ by %v", d)
	}
	if d := distance(t, small.Stretch(0, 0, 40, 32, 200, 160), p); d > 12 {
		t.Errorf("small and large again differs by %v", d)
	}
	if *p.Stretch(-300, 0, 200, 160, 50, 50).pixel(10, 10) != [3]byte{} {
		t.Error("outside it is not black")
	}
}

func (p *Picture) pixel(x, y int) *[3]byte { return (*[3]byte)(p.Pix[3*(y*p.Width+x):]) }

func TestBrightness(t *testing.T) {
	p := New(32, 32)
	p.set(1, 0, 255, 255, 255)
	p.set(2, 0, 0, 255, 0)
	if b := p.Brightness(); b[0] != 0 || b[1] != 255 || b[2] != 150 {
		t.Errorf("%v", b[:3])
	}
}

func TestProblemNames(t *testing.T) {
	_, err := Decode(packJPEG(t, New(8, 8).image()), JPEG, DefaultLimits())
	if Problem(err) != "tiny" || Problem(errors.New("other")) != "" {
		t.Errorf("%v", err)
	}
}

// A large picture in JPEG 2000 is unpacked smaller, and shows the same.
func TestDecodeSmaller(t *testing.T) {
	p := pattern(413, 531)
	small := Limits{Bytes: 1 << 20, Side: 4096, Pixels: 1 << 20, MinSide: 8, Enough: 100}
	for name, o := range map[string]jpeg2000.EncodeOptions{
		"lossless":           {Lossless: true, FileFormat: jpeg2000.FormatJP2},
		"lossy":              {Quality: 0.8},
		"resolutions first":  {Quality: 0.8, Progression: 1},
		"layers first":       {Quality: 0.8, NumLayers: 3},
		"one level less":     {Quality: 0.8, NumResolutions: 2},
		"nothing to leave":   {Lossless: true, NumResolutions: 1},
		"small code blocks":  {Quality: 0.8, CodeBlockWidth: 16, CodeBlockHeight: 16},
		"many tiles, no way": {Quality: 0.8, TileWidth: 128, TileHeight: 128},
	} {
		if race && name != "lossy" && name != "many tiles, no way" { // ten times slower; all run without the detector (scripts/test)
			continue
		}
		t.Run(name, func(t *testing.T) {
			got, err := Decode(packJP2(t, p.image(), o), JP2, small)
			if err != nil {
				t.Fatal(err)
			}
			shrinks := map[string]int{"lossless": 104, "lossy": 104, "resolutions first": 104, "small code blocks": 104, "one level less": 207}
			if want := cmp.Or(shrinks[name], 413); got.Width != want {
				t.Fatalf("%d pixels wide, want %d", got.Width, want)
			}
			same := p.Stretch(0, 0, 413, 531, got.Width, got.Height)
			if d := distance(t, got, same); d > 8 {
				t.Errorf("it differs by %.1f", d)
			}
		})
	}
}
