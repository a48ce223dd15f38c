package face

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/match/face/engine"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
	"gateagent/match/face/recipe"
)

const (
	library = "../../models/onnxruntime/libonnxruntime.so"
	demo    = "../../models/demo"
	public  = "../../../shared/models"
)

// packs gives the packs that are at hand, by kind.
func packs(t *testing.T) map[pack.Kind]*pack.Pack {
	t.Helper()
	if _, err := os.Stat(library); err != nil {
		t.Skipf("%s is not here: scripts/setup installs it", library)
	}
	out := map[pack.Kind]*pack.Pack{}
	if p, err := pack.Open(demo, pack.Options{}); err == nil {
		out[pack.Demo] = p
	}
	r, err := recipe.For(pack.Recommended)
	if err != nil {
		t.Fatal(err)
	}
	src := map[string][]byte{}
	for _, name := range r.Names() {
		if raw, err := os.ReadFile(filepath.Join(public, name)); err == nil {
			src[name] = raw
		}
	}
	if m, models, err := r.Make(src); err == nil {
		dir := filepath.Join(t.TempDir(), "pack")
		if err := pack.Write(dir, m, models); err != nil {
			t.Fatal(err)
		}
		if out[pack.Recommended], err = pack.Open(dir, pack.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Skip("there is no model pack: scripts/setup installs the demo pack")
	}
	return out
}

// each runs a test on every pack at hand.
func each(t *testing.T, run func(t *testing.T, e *engine.Engine, threshold float64)) {
	t.Helper()
	for kind, p := range packs(t) {
		t.Run(string(kind), func(t *testing.T) {
			e, err := engine.Open(p, library)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			run(t, e, p.Embedder.StartThreshold)
		})
	}
}

func template(t *testing.T, e *engine.Engine, img image.Image) (engine.Template, error) {
	t.Helper()
	raw, err := JPEG(img, 88)
	if err != nil {
		t.Fatal(err)
	}
	pic, err := picture.Decode(raw, picture.JPEG, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	f, err := e.Subject(pic)
	if err != nil {
		return nil, err
	}
	return e.Template(pic, f)
}

// The reason why these faces can stand for travellers: a pack finds them, knows
// them again in another light and pose, and does not take one for another.
func TestPacksTellTheCastApart(t *testing.T) {
	live := []Shot{
		{Size: 0.15, Behind: Hall, LightFrom: 15, Hard: 0.3, Noise: 0.3, Grain: 1},
		{Size: 0.14, Behind: Hall, Yaw: 9, Pitch: 3, Roll: -2, LightFrom: -30, Hard: 0.5, Noise: 0.4, Grain: 2, Smile: 0.4, Warm: 0.5},
	}
	cast := Cast()
	cast = cast[:min(people, len(cast))]
	pictures := make([][]*image.RGBA, len(cast))
	for i, p := range cast {
		pictures[i] = []*image.RGBA{Draw(p, Shot{Y: -0.03}, 180, 232)}
		for _, s := range live {
			pictures[i] = append(pictures[i], Draw(p, s, 360, 270))
		}
	}
	each(t, func(t *testing.T, e *engine.Engine, threshold float64) {
		tm := make([][]engine.Template, len(cast))
		for i := range cast {
			for k, img := range pictures[i] {
				one, err := template(t, e, img)
				if err != nil {
					t.Fatalf("person %d, picture %d: %v", cast[i].Seed, k, err)
				}
				tm[i] = append(tm[i], one)
			}
		}
		judge(t, tm, threshold)
	})
}

// judge compares each portrait with every live picture.
func judge(t *testing.T, tm [][]engine.Template, threshold float64) {
	t.Helper()
	var same, known, other, apart int
	least, most := 1.0, -1.0
	for i := range tm {
		for j := range tm {
			for _, x := range tm[j][1:] {
				c := engine.Cosine(tm[i][0], x)
				if i == j {
					same, least = same+1, min(least, c)
					if c >= threshold {
						known++
					}
					continue
				}
				other, most = other+1, max(most, c)
				if c < threshold {
					apart++
				}
			}
		}
	}
	t.Logf("threshold %.3f: %d of %d genuine above (lowest %.3f), %d of %d impostors below (highest %.3f)", threshold, known, same, least, apart, other, most)
	if known*100 < same*95 || apart*100 < other*95 {
		t.Error("the cast cannot stand for travellers: choose it anew")
	}
}

// What the other pictures are for.
func TestPacksSeeWhatIsThere(t *testing.T) {
	c := Cast()
	nobody, two, printed := Nobody(1, 400, 300)[0], Two(c[0], c[1], 1, 400, 300)[0], Printed(c[0], 1, 400, 300)[0]
	each(t, func(t *testing.T, e *engine.Engine, _ float64) {
		if _, err := template(t, e, nobody); !errors.Is(err, engine.ErrNobody) {
			t.Errorf("the empty hall: %v", err)
		}
		if _, err := template(t, e, two); !errors.Is(err, engine.ErrSeveral) {
			t.Errorf("two people: %v", err)
		}
		if _, err := template(t, e, printed); err != nil {
			t.Errorf("a printed picture: %v", err)
		}
	})
}

func TestTheSamePersonIsDrawnTheSame(t *testing.T) {
	p := NewPerson(5)
	a, b := Draw(p, Shot{}, 80, 100), Draw(NewPerson(5), Shot{}, 80, 100)
	if !bytes.Equal(a.Pix, b.Pix) {
		t.Error("one seed gives two faces")
	}
	for name, other := range map[string]*image.RGBA{
		"another person": Draw(NewPerson(6), Shot{}, 80, 100), "turned": Draw(p, Shot{Yaw: 20}, 80, 100),
		"in the dark": Draw(p, Shot{Bright: -2}, 80, 100), "eyes closed": Draw(p, Shot{Blink: 1}, 80, 100),
	} {
		if bytes.Equal(a.Pix, other.Pix) {
			t.Errorf("%s looks the same", name)
		}
	}
}

func TestStreams(t *testing.T) {
	frames := ToAndFro(Live(NewPerson(1), Shot{Behind: Hall}, 3, 64, 48))
	if len(frames) != 4 || frames[1] != frames[3] {
		t.Fatalf("%d pictures", len(frames))
	}
	var y4m, mjpeg bytes.Buffer
	if err := WriteY4M(&y4m, frames, 15); err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(y4m.String(), "\n")
	if head != "YUV4MPEG2 W64 H48 F15:1 Ip A1:1 C420jpeg" || len(rest) != 4*(len("FRAME\n")+64*48*3/2) {
		t.Errorf("%q and %d bytes", head, len(rest))
	}
	if err := WriteMJPEG(&mjpeg, frames, 80); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(mjpeg.Bytes(), []byte{0xFF, 0xD8, 0xFF}); n != 4 {
		t.Errorf("%d JPEG files", n)
	}
	if err := WriteY4M(&y4m, nil, 15); err == nil {
		t.Error("a stream of nothing")
	}
	if err := WriteY4M(&y4m, []*image.RGBA{image.NewRGBA(image.Rect(0, 0, 63, 48))}, 15); err == nil {
		t.Error("an odd width")
	}
	raw, err := Portrait(NewPerson(1), 90, 120, 80)
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err := jpeg.DecodeConfig(bytes.NewReader(raw)); err != nil || cfg.Width != 90 || cfg.Height != 120 {
		t.Errorf("%+v %v", cfg, err)
	}
}

func BenchmarkPortrait(b *testing.B) {
	for b.Loop() {
		Draw(NewPerson(1), Shot{Y: -0.03}, 413, 531)
	}
}
