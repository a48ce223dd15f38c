package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gateagent/drivers/camera"
	"gateagent/gate"
	"gateagent/match/face"
	"gateagent/match/face/pack"
	simface "gateagent/sim/face"
	"gateagent/web"
)

// Where the models and the album of people who do not exist lie.
const (
	modelFolder = "../../models"
	albumFolder = "../../sim/face/testdata"
)

// faceKiosk is a kiosk's page in a real browser whose camera plays a file, and
// what compares faces, as run wires them; there is no chip and no lane.
type faceKiosk struct {
	t       *testing.T
	server  *web.Server
	faces   *face.Matcher
	browser context.Context
	film    string
	chosen  chan bool
}

// ChooseFace and the others are the desk behind the page.
func (k *faceKiosk) ChooseFace(_ context.Context, use bool) error { k.chosen <- use; return nil }
func (k *faceKiosk) Help(context.Context) error                   { return nil }
func (k *faceKiosk) EnterCAN(context.Context, gate.Secret) error  { return nil }
func (k *faceKiosk) Resolve(context.Context, string, string, string, string) error {
	return errors.New("nobody resolves here")
}

func newFaceKiosk(t *testing.T) *faceKiosk {
	t.Helper()
	library := filepath.Join(modelFolder, "onnxruntime", "libonnxruntime.so")
	models, err := pack.Open(filepath.Join(modelFolder, "demo"), pack.Options{Demo: true})
	if _, missing := os.Stat(library); err != nil || missing != nil {
		t.Skip("the demo pack or ONNX Runtime is not here: scripts/setup installs them")
	}
	k := &faceKiosk{t: t, film: filepath.Join(t.TempDir(), "camera.y4m"), chosen: make(chan bool, 1)}
	log := slog.New(slog.DiscardHandler)
	page := camera.NewPage()
	if k.server, err = web.New(web.Config{Listen: "127.0.0.1:0", Log: log, Camera: page, Demo: true}); err != nil {
		t.Fatal(err)
	}
	k.server.SetDesk(k)
	policy := face.DefaultPolicy()
	policy.PAD, policy.Challenge, policy.Answer = face.PADRequired, face.ChallengeTurn, 4*time.Second
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k.faces, err = face.New(face.Config{Command: []string{self, "face-worker"}, Pack: models, Library: library, Source: frames{page}, Policy: policy, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = k.server.Run(ctx) })
	all.Go(func() { _ = k.faces.Run(ctx) })
	t.Cleanup(func() { stop(); all.Wait() })
	k.play("print-front")
	k.openBrowser()
	return k
}

func (k *faceKiosk) openBrowser() {
	k.t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		k.t.Fatal("chromium is missing: run scripts/setup")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.UserDataDir(k.t.TempDir()),
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-video-capture", k.film))
	actx, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	k.t.Cleanup(stop)
	bctx, end := chromedp.NewContext(actx)
	k.t.Cleanup(end)
	if err := chromedp.Do(bctx, chromedp.Navigate("http://"+k.server.Addr()+"/"), chromedp.WaitVisible(chromedp.CSS("#help"))); err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(bctx, 2*time.Minute)
	k.t.Cleanup(cancel)
	k.browser = ctx
	for began := time.Now(); k.server.CameraProblem() != ""; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			k.t.Fatal(k.server.CameraProblem())
		}
	}
}

// play puts a plate before the camera, with some noise as sensors have it; the
// camera reads its file as it goes.
func (k *faceKiosk) play(name string) {
	k.t.Helper()
	raw, err := os.ReadFile(filepath.Join(albumFolder, name+".jpg"))
	if err != nil {
		k.t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(raw))
	if err != nil {
		k.t.Fatal(err)
	}
	var film []*image.RGBA
	for i := range 4 {
		f := image.NewRGBA(img.Bounds())
		draw.Draw(f, f.Rect, img, image.Point{}, draw.Src)
		for j := i; j < len(f.Pix); j += 397 {
			f.Pix[j] ^= 3
		}
		film = append(film, f)
	}
	var out bytes.Buffer
	if err := simface.WriteY4M(&out, film, 10); err != nil {
		k.t.Fatal(err)
	}
	f, err := os.OpenFile(k.film, os.O_CREATE|os.O_WRONLY, 0o600) // in place: the camera may have it open
	if err != nil {
		k.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(out.Bytes()); err != nil {
		k.t.Fatal(err)
	}
}

func (k *faceKiosk) show(state gate.FaceState, hint gate.FaceHint) {
	k.server.Show(gate.View{Gate: "G", Stage: gate.StageReading, Step: "dg2", Since: time.Now(), Policy: "test", Face: &gate.FaceView{State: state, Hint: hint}})
}

// answer shows the notice and presses a button of the page.
func (k *faceKiosk) answer(choice string) bool {
	k.t.Helper()
	button := chromedp.CSS(".choices button[data-choice=" + choice + "]")
	k.server.Show(gate.View{Gate: "G", Stage: gate.StageReading, Since: time.Now(), Policy: "test"}) // the one before has gone
	if err := chromedp.Do(k.browser, chromedp.WaitNotVisible(button)); err != nil {
		k.t.Fatal(err)
	}
	k.show(gate.FaceAsk, "")
	if err := chromedp.Do(k.browser, chromedp.WaitVisible(button), chromedp.WaitEnabled(button), chromedp.Click(button)); err != nil {
		k.t.Fatal(err)
	}
	select {
	case use := <-k.chosen:
		return use
	case <-time.After(5 * time.Second):
		k.t.Fatal("the page's answer did not arrive")
	}
	return false
}

// compare runs one traveller who does what the screen says: who is who is
// before the camera.
func (k *faceKiosk) compare(who, portrait string) gate.FaceResult {
	k.t.Helper()
	k.play(who + "-front")
	raw, err := os.ReadFile(filepath.Join(albumFolder, portrait+".jpg"))
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	one := k.faces.Begin(ctx, "tx")
	defer one.Close()
	k.show(gate.FaceCapture, "")
	done := make(chan gate.FaceResult, 1)
	go func() { done <- one.Compare(ctx, gate.Portrait{Format: "jpeg", Bytes: len(raw), Image: raw}) }()
	doing := ""
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case h := <-one.Guidance():
			k.show(gate.FaceCompare, h)
		case <-look.C:
			said, err := chromedp.Run(k.browser, chromedp.Evaluate[string](`document.body.dataset.hint || ""`))
			if side, ok := map[string]string{"turn_left": "left", "turn_right": "right"}[said]; err == nil && ok && said != doing {
				doing = said
				time.Sleep(200 * time.Millisecond)
				k.play(who + "-" + side)
			}
		case res := <-done:
			return res
		}
	}
}

// The core of the demonstration of faces through the real page: consent, the
// right person who turns the head when asked, somebody else's portrait, a
// printed photo that is turned by hand, and who would rather see a person.
func TestFaceThroughThePage(t *testing.T) {
	k := newFaceKiosk(t)
	if k.answer("person") {
		t.Error("who would rather see a person was taken to agree")
	}
	for _, c := range []struct {
		who, portrait string
		verdict       gate.FaceVerdict
		code          gate.Code
	}{
		{"a", "a-portrait", gate.FaceMatched, 0},
		{"a", "b-portrait", gate.FaceMismatched, gate.CodeFaceMismatch},
		{"print", "a-portrait", gate.FaceNotCompared, gate.CodeFaceAttack},
	} {
		t.Run(fmt.Sprint(c.who, " before ", c.portrait), func(t *testing.T) {
			k.t = t
			if !k.answer("use") {
				t.Fatal("who agreed was taken to decline")
			}
			got := k.compare(c.who, c.portrait)
			if got.Challenge == nil {
				t.Fatalf("nothing was asked: %+v", got)
			}
			t.Logf("score %.3f of %.3f, %d pictures, %+v", got.Score, got.Threshold, got.Frames, *got.Challenge)
			if got.Verdict != c.verdict || got.Code != c.code || got.Challenge.Answered == (c.code == gate.CodeFaceAttack) {
				t.Errorf("%s %s, want %s %s", got.Verdict, got.Code.Info().Name, c.verdict, c.code.Info().Name)
			}
		})
	}
}
