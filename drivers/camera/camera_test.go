package camera

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"testing"
	"time"
)

// photo is a JPEG picture unlike any other of another seed.
func photo(t testing.TB, w, h int, seed uint64) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	rnd := rand.New(rand.NewPCG(seed, 1))
	for y := range h {
		for x := range w {
			img.SetGray(x, y, color.Gray{byte(x + y + rnd.IntN(16))})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bare takes the Huffman tables out, as Motion JPEG cameras do.
func bare(t testing.TB, b []byte) []byte {
	t.Helper()
	i := bytes.Index(b, []byte{0xFF, markDHT})
	n := int(b[i+2])<<8 | int(b[i+3])
	return append(bytes.Clone(b[:i]), b[i+2+n:]...)
}

func TestTheNewestFrameReplacesAnOlderOne(t *testing.T) {
	b := newBox()
	first, second, third := []byte{1, 1}, []byte{2, 2}, []byte{3, 3}
	b.put(Frame{Data: first})
	b.put(Frame{Data: second})
	if !bytes.Equal(first, []byte{0, 0}) {
		t.Error("the replaced picture was not wiped")
	}
	if f := <-b.out; f.Data[0] != 2 {
		t.Errorf("got picture %d", f.Data[0])
	}
	b.put(Frame{Data: third})
	b.close()
	b.close()
	if _, open := <-b.out; open || !bytes.Equal(third, []byte{0, 0}) {
		t.Error("the picture that nobody took outlived its attempt")
	}
	late := []byte{4}
	b.put(Frame{Data: late})
	if late[0] != 0 {
		t.Error("a late picture was not wiped")
	}
}

// Motion JPEG leaves the typical tables out: with them put back the picture is
// the same.
func TestMotionJPEGGetsItsTables(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 96, 80))
	for i := range img.Pix {
		img.Pix[i] = byte(i * 7 >> 3)
	}
	var whole bytes.Buffer
	if err := jpeg.Encode(&whole, img, nil); err != nil {
		t.Fatal(err)
	}
	without := append(bare(t, whole.Bytes()), 0, 0, 0, 0) // cameras pad, too
	if _, err := jpeg.Decode(bytes.NewReader(without)); err == nil {
		t.Fatal("the decoder needs no tables: this test proves nothing")
	}
	f, err := jpegFrame(without)
	if err != nil {
		t.Fatal(err)
	}
	got, err := jpeg.Decode(bytes.NewReader(f.Data))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := jpeg.Decode(bytes.NewReader(whole.Bytes()))
	if f.Width != 96 || f.Height != 80 || f.Format != JPEG || !bytes.Equal(got.(*image.YCbCr).Y, want.(*image.YCbCr).Y) || !bytes.Equal(got.(*image.YCbCr).Cb, want.(*image.YCbCr).Cb) {
		t.Error("the picture changed")
	}
	f2, err := jpegFrame(whole.Bytes())
	if err != nil || !bytes.Equal(f2.Data, whole.Bytes()) {
		t.Errorf("a whole file was changed: %v", err)
	}
}

func TestBadPicturesAreRefused(t *testing.T) {
	good := photo(t, 96, 80, 1)
	giant := bytes.Clone(good)
	sof := bytes.Index(giant, []byte{0xFF, 0xC0})
	copy(giant[sof+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
	endless := append(bytes.Clone(good[:2]), 0xFF, 0xE0, 0, 1)
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("hello, this is no picture"), "start only": good[:2], "torn": good[:len(good)-40],
		"half": good[:len(good)/2], "giant": giant, "tiny": photo(t, 16, 16, 1), "segment too short": endless,
		"png": []byte("\x89PNG\r\n\x1a\n0000IHDR"), "too many bytes": append(bytes.Clone(good), make([]byte, maxBytes)...),
	} {
		if f, err := jpegFrame(b); err == nil {
			t.Errorf("%s was taken as %d×%d", name, f.Width, f.Height)
		}
	}
}

func FuzzJPEG(f *testing.F) {
	good := photo(f, 96, 80, 1)
	f.Add(good)
	f.Add(bare(f, good))
	f.Add(good[:200])
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		fr, err := jpegFrame(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			return
		}
		if fr.Width < minSide || fr.Width > maxWide || fr.Height < minSide || fr.Height > maxHigh || len(fr.Data) > len(b)+600 {
			t.Fatalf("%d×%d in %d bytes", fr.Width, fr.Height, len(fr.Data))
		}
		if again, err := jpegFrame(fr.Data); err != nil || !bytes.Equal(again.Data, fr.Data) {
			t.Fatalf("not stable: %v", err)
		}
	})
}

func TestRawPictures(t *testing.T) {
	const w, h, stride = 64, 64, 2*64 + 16
	for name, c := range map[string]struct {
		y, u, v byte
		rgb     [3]byte
	}{
		"black": {16, 128, 128, [3]byte{0, 0, 0}}, "white": {235, 128, 128, [3]byte{255, 255, 255}},
		"red": {81, 90, 240, [3]byte{255, 0, 0}}, "green": {145, 54, 34, [3]byte{0, 255, 0}}, "blue": {41, 240, 110, [3]byte{0, 0, 255}},
	} {
		b := make([]byte, stride*h)
		for y := range h {
			for x := 0; x < 2*w; x += 4 {
				copy(b[y*stride+x:], []byte{c.y, c.u, c.y, c.v})
			}
		}
		f, err := yuyvFrame(b, layout{w, h, stride})
		if err != nil || len(f.Data) != 3*w*h || f.Format != RGB {
			t.Fatalf("%s: %v", name, err)
		}
		for i, got := range f.Data {
			if d := int(got) - int(c.rgb[i%3]); d < -3 || d > 3 {
				t.Fatalf("%s: channel %d is %d", name, i%3, got)
			}
		}
	}
	b := make([]byte, 100*64)
	b[99*1] = 7
	f, err := grayFrame(b, layout{80, 64, 100})
	if err != nil || len(f.Data) != 80*64 || f.Data[79] != 0 {
		t.Errorf("grey: %v", err)
	}
	for _, l := range []layout{{64, 64, 100}, {64, 65, 128}, {65, 64, 130}, {32, 32, 64}, {4000, 2000, 8000}} {
		if _, err := yuyvFrame(make([]byte, 128*64), l); err == nil {
			t.Errorf("%+v was taken", l)
		}
	}
	if _, err := grayFrame(make([]byte, 10), layout{64, 64, 64}); err == nil {
		t.Error("a short grey picture was taken")
	}
}

// The mirror shows copies of all formats, and says when the camera goes off.
func TestMirror(t *testing.T) {
	p := NewPage()
	shown := make(chan []byte, 100)
	ctx, off := testContext(t)
	frames, err := WithMirror(p, func(b []byte) { shown <- b }).Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pic := photo(t, 96, 80, 1)
	if err := p.Offer(pic); err != nil {
		t.Fatal(err)
	}
	f := next(t, frames)
	if got := <-shown; !bytes.Equal(got, pic) || &got[0] == &f.Data[0] {
		t.Error("the mirror shows another picture, or shares its bytes")
	}
	off()
	if got := <-shown; got != nil {
		t.Error("the mirror shows pictures of a camera that is off")
	}
	wide := Frame{Width: 1280, Height: 720, Format: RGB, Data: make([]byte, 3*1280*720)}
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(asJPEG(wide)))
	if err != nil || cfg.Width != 640 || cfg.Height != 360 {
		t.Errorf("%v %+v", err, cfg)
	}
	if asJPEG(Frame{Width: 640, Height: 480, Format: Gray, Data: make([]byte, 5)}) != nil {
		t.Error("a picture without bytes was shown")
	}
}

// next waits for one picture.
func next(t *testing.T, c <-chan Frame) Frame {
	t.Helper()
	select {
	case f, ok := <-c:
		if !ok {
			t.Fatal("the camera went off")
		}
		return f
	case <-time.After(5 * time.Second):
		t.Fatal("no picture")
	}
	return Frame{}
}

// ended waits until the camera has gone off.
func ended(t *testing.T, c <-chan Frame) {
	t.Helper()
	limit := time.After(5 * time.Second)
	for {
		select {
		case _, ok := <-c:
			if !ok {
				return
			}
		case <-limit:
			t.Fatal("the camera stays on")
		}
	}
}
