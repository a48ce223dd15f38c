package picture

import (
	"bytes"
	"runtime/debug"
	"testing"

	"github.com/ajroetker/go-jpeg2000"
)

// Whatever comes in, what comes out is an error of this package or a picture
// of the promised size. The decoder of JPEG 2000 is not ours and may give up
// with a panic of its own: in the agent that ends the worker process and
// refers one traveller. A panic anywhere else is a fault.
func FuzzDecode(f *testing.F) {
	p := pattern(40, 36)
	f.Add(packJPEG(f, p.image()))
	f.Add(packPNG(f, p.image()))
	f.Add(pnm("P6 40 36 255\n", p.Pix))
	f.Add(packJP2(f, p.image(), jpeg2000.EncodeOptions{Lossless: true, FileFormat: jpeg2000.FormatJP2}))
	f.Add(packJP2(f, p.image(), jpeg2000.EncodeOptions{Quality: 0.4}))
	f.Add([]byte("GIF89a"))
	limits := Limits{Bytes: 1 << 16, Side: 200, Pixels: 20000, MinSide: 8, Enough: 16}
	f.Fuzz(func(t *testing.T, raw []byte) {
		format := Sniff(raw)
		defer func() {
			if r := recover(); r != nil {
				if stack := debug.Stack(); !bytes.Contains(stack, []byte("go-jpeg2000@")) && !bytes.Contains(stack, []byte("go-jpeg2000.")) {
					t.Fatalf("%v\n%s", r, stack)
				}
				t.Skip("the decoder of JPEG 2000 gave up")
			}
		}()
		got, err := Decode(raw, format, limits)
		switch {
		case err != nil && Problem(err) == "":
			t.Fatalf("an error without a name: %v", err)
		case err != nil:
			return
		case len(got.Pix) != 3*got.Width*got.Height || got.Width < limits.MinSide || got.Width > limits.Side:
			t.Fatalf("%d×%d pixels in %d bytes", got.Width, got.Height, len(got.Pix))
		}
	})
}
