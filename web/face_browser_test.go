package web

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gateagent/gate"
	"gateagent/sim/face"
)

func faceView(state gate.FaceState, hint gate.FaceHint) gate.View {
	return view(gate.StageReading, func(v *gate.View) { v.Step, v.Face = "dg2", &gate.FaceView{State: state, Hint: hint} })
}

// film writes a moving picture of somebody for the browser's fake camera.
func film(t *testing.T, w, h int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "camera.mjpeg")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	people := face.Live(face.NewPerson(3), face.Shot{Behind: face.Hall, Size: 0.16, Noise: 0.2}, 3, w/2, h/2)
	for i, p := range people {
		people[i] = twice(p)
	}
	if err := face.WriteMJPEG(f, face.ToAndFro(people), 88); err != nil {
		t.Fatal(err)
	}
	return name
}

// twice makes a picture twice as large: drawing it so would take longer.
func twice(p *image.RGBA) *image.RGBA {
	b := p.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, 2*b.Dx(), 2*b.Dy()))
	for y := range 2 * b.Dy() {
		for x := range 2 * b.Dx() {
			out.SetRGBA(x, y, p.RGBAAt(x/2, y/2))
		}
	}
	return out
}

// until waits for an expression to become true.
func until(expr string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for {
			ok, err := chromedp.Evaluate[bool](expr)(ctx, target)
			if ok || err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

type rect struct{ X, Y, Width, Height float64 }

func rectOf(t *testing.T, ctx context.Context, sel string) rect {
	t.Helper()
	r, err := chromedp.Run(ctx, chromedp.Evaluate[rect](`(() => { const r = document.querySelector(`+"`"+sel+"`"+`).getBoundingClientRect(); return { X: r.x, Y: r.y, Width: r.width, Height: r.height }; })()`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The notice offers two answers of equal weight, and waits: nothing is chosen
// before and nothing is sent by itself.
func TestNoticeAndConsent(t *testing.T) {
	s, d := serve(t)
	ctx := browser(t)
	css := func(sel string) chromedp.CSS { return chromedp.CSS(sel) }
	use, person := `.choices [data-choice=use]`, `.choices [data-choice=person]`
	for _, size := range [][2]int64{{1280, 800}, {1080, 1920}} {
		s.Show(faceView(gate.FaceAsk, ""))
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate("http://"+s.Addr()+"/"),
			chromedp.WaitVisible(css(`body[data-face=ask]`)), chromedp.WaitVisible(css(use)), shot("traveller-ask-"+map[int64]string{1280: "wide", 1080: "upright"}[size[0]])); err != nil {
			t.Fatal(err)
		}
		a, b := rectOf(t, ctx, use), rectOf(t, ctx, person)
		if a.Width != b.Width || a.Height != b.Height || a.Width < 200 || a.Height < 76 || a.Y != b.Y {
			t.Errorf("%v: the answers are not equal: %+v, %+v", size, a, b)
		}
		same, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => { const f = (x) => { const s = getComputedStyle(document.querySelector(x)); return [s.color, s.backgroundColor, s.fontSize, s.fontWeight, s.opacity, s.borderWidth].join(); }; return f("`+use+`") === f("`+person+`") && document.activeElement === document.body; })()`))
		if err != nil || !same {
			t.Errorf("%v: one answer looks stronger, or is chosen beforehand (%v)", size, err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	d.mu.Lock()
	if len(d.chosen) != 0 {
		t.Errorf("silence was taken as %v", d.chosen)
	}
	d.mu.Unlock()
	for i, sel := range []string{person, use} {
		s.Show(view(gate.StageReading))
		if err := chromedp.Do(ctx, chromedp.WaitNotVisible(css(use))); err != nil {
			t.Fatal(err)
		}
		s.Show(faceView(gate.FaceAsk, ""))
		if err := chromedp.Do(ctx, chromedp.WaitVisible(css(sel)), chromedp.WaitEnabled(css(sel)), chromedp.Click(css(sel))); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the answer did not reach the lane", func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return len(d.chosen) == i+1 && d.chosen[i] == (sel == use)
		})
	}
}

// The kiosk page's own camera, for real: pictures reach the agent only while
// an attempt runs, and the traveller sees the mirror with words for each hint.
func TestPageCameraInTheBrowser(t *testing.T) {
	k := newSink()
	s, _ := serveWith(t, func(c *Config) { c.Camera = k })
	ctx := browser(t, chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-video-capture", film(t, 640, 480)))
	css := func(sel string) chromedp.CSS { return chromedp.CSS(sel) }
	s.Show(view(gate.StageIdle))
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate("http://"+s.Addr()+"/"), chromedp.WaitVisible(css(`body[data-stage=idle]`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page does not connect", func() bool { return s.CameraProblem() == "" })
	time.Sleep(300 * time.Millisecond)
	if f, _ := k.got(); len(f) != 0 {
		t.Fatalf("%d pictures came while the camera was off", len(f))
	}
	k.changes <- true
	s.Show(faceView(gate.FaceCapture, ""))
	eventually(t, "no pictures", func() bool { f, _ := k.got(); return len(f) >= 5 })
	f, _ := k.got()
	img, err := jpeg.Decode(strings.NewReader(f[len(f)-1]))
	if err != nil || img.Bounds().Dx() < 640 || flat(img) {
		t.Fatalf("the last picture: %v", err)
	}
	said := map[string]gate.FaceHint{}
	for _, hint := range []gate.FaceHint{"", gate.HintLookHere, gate.HintCloser, gate.HintBack, gate.HintOnePerson, gate.HintLight, gate.HintHold, gate.HintTurnLeft, gate.HintTurnRight} {
		s.Show(faceView(gate.FaceCapture, hint))
		if err := chromedp.Do(ctx, chromedp.WaitVisible(css(`body[data-hint="`+string(hint)+`"] #video`)), shot("traveller-capture-"+string(hint))); err != nil {
			t.Fatal(err)
		}
		for _, lang := range []string{"#vi", "#en"} {
			text, err := chromedp.Run(ctx, chromedp.Text(css(lang)))
			if other, twice := said[text]; err != nil || text == "" || twice {
				t.Errorf("%s %s: %q, as for %q (%v)", hint, lang, text, other, err)
			}
			said[text] = hint
		}
	}
	challengesShow(t, ctx, s)
	k.changes <- false
	s.Show(faceView(gate.FaceCompare, ""))
	if err := chromedp.Do(ctx, chromedp.WaitNotPresent(css(`body[data-live]`)), shot("traveller-compare")); err != nil {
		t.Fatal(err)
	}
	before, _ := k.got()
	time.Sleep(400 * time.Millisecond)
	if after, lost := k.got(); len(after) > len(before)+1 || lost != 0 {
		t.Errorf("%d pictures came after the end; lost %d", len(after)-len(before), lost)
	}
	off, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.getElementById("video").srcObject === null`))
	if err != nil || !off {
		t.Errorf("the page keeps its camera (%v)", err)
	}
	// A second page gets nothing while the first is there; the first, loaded
	// anew, connects by itself.
	tab, end := chromedp.NewContext(ctx)
	defer end()
	if err := chromedp.Do(tab, chromedp.Navigate("http://"+s.Addr()+"/"), chromedp.WaitVisible(css(`#help`))); err != nil {
		t.Fatal(err)
	}
	k.changes <- true
	eventually(t, "the first page lost its camera to the second", func() bool { f, _ := k.got(); return len(f) > len(before)+5 })
	k.changes <- false
	end()
	if err := chromedp.Do(ctx, chromedp.Reload(), chromedp.WaitVisible(css(`#help`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page does not come back", func() bool { return s.CameraProblem() == "" })
	before, _ = k.got()
	k.changes <- true
	eventually(t, "no pictures after loading anew", func() bool { f, _ := k.got(); return len(f) > len(before) })
}

// challengesShow: what is asked for stays on the screen when the portrait is
// there, and a colour fills it, equally bright as every other (WCAG 2.3.1).
func challengesShow(t *testing.T, ctx context.Context, s *Server) {
	t.Helper()
	seen := map[string]bool{}
	for _, hint := range []gate.FaceHint{gate.HintGlowRose, gate.HintGlowGreen, gate.HintGlowBlue, gate.HintGlowAmber} {
		s.Show(faceView(gate.FaceCompare, hint))
		rgb, _ := hint.Glow()
		want := fmt.Sprintf("rgb(%d, %d, %d)", rgb[0], rgb[1], rgb[2])
		if err := chromedp.Do(ctx, until(`getComputedStyle(document.body).backgroundColor === "`+want+`" && document.body.dataset.hint === "glow"`), shot("traveller-"+string(hint))); err != nil {
			t.Fatal(err)
		}
		seen[want] = true
	}
	s.Show(faceView(gate.FaceCompare, gate.HintTurnLeft))
	if err := chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS(`body[data-hint=turn_left][data-face=capture]`))); err != nil {
		t.Fatal(err)
	}
	colour, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.style.backgroundColor`))
	if err != nil || colour != "" || len(seen) != 4 {
		t.Errorf("the screen keeps its colour %q; %d colours (%v)", colour, len(seen), err)
	}
}

// A browser that may not use its camera says so.
func TestPageWithoutACameraInTheBrowser(t *testing.T) {
	k := newSink()
	s, _ := serveWith(t, func(c *Config) { c.Camera = k })
	ctx := browser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate("http://"+s.Addr()+"/"), chromedp.WaitVisible(chromedp.CSS(`#help`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page does not connect", func() bool { return s.CameraProblem() == "" })
	k.changes <- true
	eventually(t, "the attempt goes on without a camera", func() bool { _, lost := k.got(); return lost > 0 })
	if p := s.CameraProblem(); !strings.Contains(p, "Error") {
		t.Errorf("staff learn %q", p)
	}
}

// The agent's camera in the page's mirror.
func TestMirrorInTheBrowser(t *testing.T) {
	s, _ := serveWith(t, func(c *Config) { c.MirrorAgent, c.Demo = true, true })
	ctx := browser(t)
	css := func(sel string) chromedp.CSS { return chromedp.CSS(sel) }
	s.Show(faceView(gate.FaceCapture, gate.HintHold))
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate("http://"+s.Addr()+"/"), chromedp.WaitVisible(css(`body[data-face=capture]`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page does not connect", func() bool { s.live.mu.Lock(); defer s.live.mu.Unlock(); return s.live.page != nil })
	pic, err := face.JPEG(twice(face.Draw(face.NewPerson(12), face.Shot{Behind: face.Hall, Size: 0.16}, 320, 240)), 88)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Mirror(bytes.Clone(pic))
		time.Sleep(50 * time.Millisecond)
	}
	if err := chromedp.Do(ctx, chromedp.WaitVisible(css(`body[data-live=agent] #mirror`)), until(`document.getElementById("mirror").width === 640`), shot("traveller-mirror")); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"/", "/staff"} {
		if _, text := newClient(t, s).do("GET", page, ""); !strings.Contains(text, "<body data-demo") {
			t.Errorf("%s does not say that it is a demonstration", page)
		}
	}
	s.Mirror(nil)
	if err := chromedp.Do(ctx, chromedp.WaitNotPresent(css(`body[data-live]`)), until(`document.getElementById("mirror").width === 1`)); err != nil {
		t.Errorf("the last picture stays on the screen: %v", err)
	}
}

// Staff see figures and no picture.
func TestStaffSeesTheFaceResult(t *testing.T) {
	s, _ := serve(t)
	ctx := browser(t)
	css := func(sel string) chromedp.CSS { return chromedp.CSS(sel) }
	r := gate.FaceResult{
		Verdict: gate.FaceMismatched, Code: gate.CodeFaceMismatch, Score: 0.312, Threshold: 0.45, Pack: "demo 1", PAD: 0.91, Frames: 14,
		Quality:   gate.FaceQuality{InterEye: 88, Yaw: -3.2, Pitch: 1.4, Roll: 0.3, Sharpness: 0.8, Exposure: 0.9, Occlusion: 0.05, Overall: 0.84},
		Challenge: &gate.FaceChallenge{Kind: gate.ChallengeTurn, Evidence: 0.012, Flat: 0.98, Score: 0.09},
	}
	s.Show(view(gate.StageSeeStaff, func(v *gate.View) { v.FaceOff, v.FaceResult, v.Reasons = false, &r, []gate.Code{gate.CodeFaceMismatch} }))
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate("http://"+s.Addr()+"/staff"), chromedp.WaitVisible(css(`#login`)),
		chromedp.SendKeys(css(`input[name=name]`), "An Nguyen"), chromedp.SendKeys(css(`input[name=pin]`), pin), chromedp.Click(css(`#login button`)),
		chromedp.WaitVisible(css(`#face .mismatched`)), shot("staff-face")); err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(ctx, chromedp.Text(css(`#face`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0.312", "0.450", "88 px", "84 %", "demo 1", "for evaluation only", "91 %", "not answered", "0.01", "98 %", "9 %"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing: %s", want, text)
		}
	}
	n, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll("img, video, canvas").length`))
	if err != nil || n != 0 {
		t.Errorf("%d pictures on the staff page (%v)", n, err)
	}
}

// flat says whether a picture shows but one shade.
func flat(img image.Image) bool {
	b := img.Bounds()
	lo, hi := uint32(0xFFFF), uint32(0)
	for y := b.Min.Y; y < b.Max.Y; y += 7 {
		for x := b.Min.X; x < b.Max.X; x += 7 {
			_, g, _, _ := img.At(x, y).RGBA()
			lo, hi = min(lo, g), max(hi, g)
		}
	}
	return hi-lo < 0x4000
}
