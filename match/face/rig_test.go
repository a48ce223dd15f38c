package face

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
	"gateagent/match/face/recipe"
	"gateagent/match/face/worker"
	sim "gateagent/sim/face"
)

// program is the worker of these tests.
var program struct {
	once sync.Once
	path string
	dir  string
	err  error
}

// workerProgram is the test program itself; under the race detector one that is
// built without it.
func workerProgram(t testing.TB) string {
	t.Helper()
	program.once.Do(func() {
		if program.path, program.err = os.Executable(); program.err != nil || !race {
			return
		}
		if program.dir, program.err = os.MkdirTemp("", "face-worker-"); program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "worker")
		if out, err := exec.Command("go", "build", "-o", program.path, "./testdata/worker").CombinedOutput(); err != nil {
			program.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// The test program is its own worker.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		if err := worker.Main(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if common.stop != nil {
		common.stop()
	}
	if program.dir != "" {
		os.RemoveAll(program.dir)
	}
	os.Exit(code)
}

// common is one matcher for all tests that change only the camera: starting a
// worker takes longer than a traveller.
var common rig

// at gives the common matcher, with another camera before it.
func at(t testing.TB, cam FrameSource) *rig {
	t.Helper()
	if common.Matcher == nil {
		dir, err := os.MkdirTemp("", "face-pack-")
		if err != nil {
			t.Fatal(err)
		}
		pk := openPack(t, pack.Options{})
		if err := os.CopyFS(dir, os.DirFS(pk.Dir())); err != nil {
			t.Fatal(err)
		}
		if pk, err = pack.Open(dir, pack.Options{Demo: true}); err != nil {
			t.Fatal(err)
		}
		common.switched = &switched{}
		common.Matcher, common.stop = launch(t, common.switched, func(c *Config) { c.Pack, c.KeepWorker = pk, true })
		stop := common.stop
		common.stop = func() {
			stop()
			os.RemoveAll(dir)
		}
	}
	r := common
	r.t = t
	r.switched.FrameSource = cam
	return &r
}

// switched is a camera that tests exchange between two travellers.
type switched struct{ FrameSource }

// Where the runtime, the models and the pictures of people may be.
const (
	library = "../../models/onnxruntime/libonnxruntime.so"
	public  = "../../../shared/models"
	people  = "../../../shared/data/faces"
	demo    = "../../models/demo"
)

// made is the recommended pack, imported once: that takes longer than a test.
var made struct {
	once     sync.Once
	manifest pack.Manifest
	models   map[pack.Role][]byte
	err      error
}

// openPack makes the recommended pack out of its public files, or takes the
// demo pack where those are not at hand.
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
			return demoPack(t, o)
		}
		src[name] = raw
	}
	made.once.Do(func() { made.manifest, made.models, made.err = r.Make(src) })
	if made.err != nil {
		t.Fatal(made.err)
	}
	dir := filepath.Join(t.TempDir(), "pack")
	if err := pack.Write(dir, made.manifest, made.models); err != nil {
		t.Fatal(err)
	}
	p, err := pack.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// demoPack copies the demo pack: tests put a calibration into it.
func demoPack(t testing.TB, o pack.Options) *pack.Pack {
	t.Helper()
	if _, err := pack.Open(demo, o); err != nil {
		t.Skipf("there is no model pack, neither in %s nor in %s", public, demo)
	}
	dir := filepath.Join(t.TempDir(), "pack")
	if err := os.CopyFS(dir, os.DirFS(demo)); err != nil {
		t.Fatal(err)
	}
	p, err := pack.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// person gives one picture of somebody, as wide as 276 pixels: of the AT&T
// faces, or of the people who do not exist where those are not at hand.
func person(t testing.TB, who, which int) *picture.Picture {
	t.Helper()
	key := [2]int{who, which}
	if p, ok := drawnBefore[key]; ok {
		return p
	}
	p := portray(t, who, which)
	drawnBefore[key] = p
	return p
}

// drawnBefore keeps pictures of people; drawing one takes a while.
var drawnBefore = map[[2]int]*picture.Picture{}

func portray(t testing.TB, who, which int) *picture.Picture {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(people, fmt.Sprintf("s%d", who), fmt.Sprintf("%d.pgm", which)))
	if err != nil {
		cast := sim.Cast()
		return drawn(sim.Draw(cast[who%len(cast)], sim.Shot{Size: 0.33, Yaw: float64(which - 1), LightFrom: float64(4 * which)}, 276, 336))
	}
	p, err := picture.Decode(raw, picture.PNM, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return p.Stretch(0, 0, float64(p.Width), float64(p.Height), 3*p.Width, 3*p.Height)
}

func drawn(img *image.RGBA) *picture.Picture {
	p := picture.New(img.Rect.Dx(), img.Rect.Dy())
	for i := range p.Width * p.Height {
		copy(p.Pix[3*i:3*i+3], img.Pix[4*i:])
	}
	return p
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
			sleep(ctx, cmp.Or(c.every, 20*time.Millisecond))
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
	t        testing.TB
	switched *switched
	stop     func()
}

// newRig starts a matcher of its own.
func newRig(t testing.TB, cam *camera, change ...func(*Config)) *rig {
	t.Helper()
	m, stop := launch(t, cam, change...)
	t.Cleanup(stop)
	return &rig{Matcher: m, t: t}
}

func launch(t testing.TB, source FrameSource, change ...func(*Config)) (*Matcher, func()) {
	t.Helper()
	cfg := Config{
		Command: []string{workerProgram(t), "worker"}, Library: library, Source: source, Policy: DefaultPolicy(),
		Request: 1500 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
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
	<-m.Ready()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
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
