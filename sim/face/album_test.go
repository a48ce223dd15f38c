package face

import (
	"bytes"
	"flag"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "draw the album anew")

// plateQuality is that of the album's JPEG files.
const plateQuality = 90

// The album is what the renderer draws. Two plates are drawn to see that; all
// with -update, which writes them.
func TestAlbum(t *testing.T) {
	for _, p := range Album() {
		path := filepath.Join("testdata", p.Name+".jpg")
		if *update {
			raw, err := JPEG(p.Draw(), plateQuality)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, raw, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if people < 5 || p.Name != "a-front" && p.Name != "print-left" {
			continue
		}
		kept, err := jpeg.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		drawn := p.Draw()
		var sum, n float64
		for y := range drawn.Rect.Dy() {
			for x := range drawn.Rect.Dx() {
				r, _, _, _ := kept.At(x, y).RGBA()
				d := float64(r>>8) - float64(drawn.RGBAAt(x, y).R)
				sum, n = sum+d*d, n+1
			}
		}
		if sum/n > 40 {
			t.Errorf("%s is not what is drawn now (mean square %.1f): draw the album anew with -update", p.Name, sum/n)
		}
	}
}
