package face

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
	"gateagent/match/face/recipe"
	"gateagent/match/face/worker"
)

// The test program is its own worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		if err := worker.Main(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Where the runtime, the models and the pictures of people may be.
const (
	library = "../../models/onnxruntime/libonnxruntime.so"
	public  = "../../../shared/models"
	people  = "../../../shared/data/faces"
)

// openPack makes the recommended pack out of its public files.
func openPack(t testing.TB, o pack.Options) *pack.Pack {
	t.Helper()
	if _, err := os.Stat(library); err != nil {
		t.Skipf("%s is not here: scripts/setup installs it", library)
	}
	r, err := recipe.For(pack.Recommended)
	if err != nil {
		t.Fatal(err)
	}
	src := map[string][]byte{}
	for _, name := range r.Names() {
		raw, err := os.ReadFile(filepath.Join(public, name))
		if err != nil {
			t.Skipf("the recommended pack's files are not in %s", public)
		}
		src[name] = raw
	}
	m, models, err := r.Make(src)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "pack")
	if err := pack.Write(dir, m, models); err != nil {
		t.Fatal(err)
	}
	p, err := pack.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// person gives one picture of somebody, three times enlarged.
func person(t testing.TB, who, which int) *picture.Picture {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(people, fmt.Sprintf("s%d", who), fmt.Sprintf("%d.pgm", which)))
	if err != nil {
		t.Skipf("the pictures of people are not in %s", people)
	}
	p, err := picture.Decode(raw, picture.PNM, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return p.Stretch(0, 0, float64(p.Width), float64(p.Height), 3*p.Width, 3*p.Height)
}

func rgba(p *picture.Picture) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(img.Pix[4*i:], p.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img
}

func jpegOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 92}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// scene puts people side by side before a grey wall, as a camera sees them.
func scene(who ...*picture.Picture) *picture.Picture {
	out := picture.New(640, 480)
	for i := range out.Pix {
		out.Pix[i] = byte(110 + i/3%640/8) // lit from one side
	}
	for i, p := range who {
		left := 640*(2*i+1)/(2*len(who)) - p.Width/2
		for y := range p.Height {
			copy(out.Pix[3*((y+60)*640+left):], p.Pix[3*y*p.Width:3*(y+1)*p.Width])
		}
	}
	return out
}

// camera shows scenes in turn, each time with noise of its own.
type camera struct {
	scenes []*picture.Picture
	every  time.Duration
	frozen bool          // the noise stays the same
	lasts  time.Duration // then it vanishes; 0 for ever
	err    error

	mu    sync.Mutex
	given [][]byte // the frames' memory, which must be wiped
}

func (c *camera) Frames(ctx context.Context) (<-chan Frame, error) {
	if c.err != nil {
		return nil, c.err
	}
	out := make(chan Frame, 1)
	go func() {
		defer close(out)
		var end <-chan time.Time
		if c.lasts > 0 {
			end = time.After(c.lasts)
		}
		for i := 0; ; i++ {
			f := c.frame(i)
			select {
			case out <- f:
			case <-ctx.Done():
				clear(f.Data)
				return
			case <-end:
				clear(f.Data)
				return
			}
			if c.every > 0 {
				sleep(ctx, c.every)
			}
		}
	}()
	return out, nil
}

func (c *camera) frame(i int) Frame {
	s := c.scenes[i%len(c.scenes)]
	data := bytes.Clone(s.Pix)
	if !c.frozen {
		for range 5000 {
			data[rand.N(len(data))] ^= 1
		}
	}
	c.mu.Lock()
	c.given = append(c.given, data)
	c.mu.Unlock()
	return Frame{Width: s.Width, Height: s.Height, Format: "rgb", Data: data, At: time.Now()}
}

// rig is a matcher at work.
type rig struct {
	*Matcher
	t   testing.TB
	cam *camera
}

func newRig(t testing.TB, cam *camera, change ...func(*Config)) *rig {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if cam.every == 0 {
		cam.every = 30 * time.Millisecond
	}
	cfg := Config{
		Command: []string{self, "worker"}, Library: library, Source: cam, Policy: DefaultPolicy(),
		Request: 1500 * time.Millisecond, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	cfg.Policy.Stall = time.Second
	for _, c := range change {
		c(&cfg)
	}
	if cfg.Pack == nil {
		cfg.Pack = openPack(t, pack.Options{Demo: true})
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-m.Ready()
	return &rig{m, t, cam}
}

// attempt runs one traveller to the end.
func (r *rig) attempt(portrait []byte, format string, limit time.Duration) gate.FaceResult {
	r.t.Helper()
	a := r.Begin(context.Background(), "tx")
	defer a.Close()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begin := time.Now()
	res := a.Compare(ctx, gate.Portrait{Format: format, Bytes: len(portrait), Image: portrait})
	if took := time.Since(begin); took > limit+500*time.Millisecond {
		r.t.Errorf("it took %v, the deadline was %v", took, limit)
	}
	return res
}
