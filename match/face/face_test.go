package face

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

func show(t *testing.T, who ...int) *camera {
	c := &camera{}
	for _, w := range who {
		for i := 2; i <= 4; i++ {
			c.scenes = append(c.scenes, scene(person(t, w, i)))
		}
	}
	return c
}

func expect(t *testing.T, got gate.FaceResult, verdict gate.FaceVerdict, code gate.Code) {
	t.Helper()
	if got.Verdict != verdict || got.Code != code {
		t.Errorf("%s %d (%s), want %s %d: %+v", got.Verdict, got.Code, got.Code.Info().Name, verdict, code, got)
	}
}

func TestRightAndWrongPerson(t *testing.T) {
	r := newRig(t, show(t, 5))
	right, wrong := jpegOf(t, rgba(person(t, 5, 1))), jpegOf(t, rgba(person(t, 9, 1)))
	for range 2 { // the second traveller meets nothing of the first
		got := r.attempt(right, "jpeg", 5*time.Second)
		expect(t, got, gate.FaceMatched, 0)
		if (got.PAD >= 0) != (len(r.cfg.Pack.PAD) > 0) || got.PAD > 1 || got.Frames < 3 || !got.Admits || got.Pack == "" || got.Quality.InterEye < 60 || got.Score < got.Threshold {
			t.Errorf("numbers: %+v", got)
		}
		expect(t, r.attempt(wrong, "jpeg", 5*time.Second), gate.FaceMismatched, gate.CodeFaceMismatch)
	}
}

// A pack without a calibration scores, and admits nobody.
func TestUncalibrated(t *testing.T) {
	cam := show(t, 5)
	r := newRig(t, cam, func(c *Config) { c.Pack = openPack(t, pack.Options{}) })
	got := r.attempt(jpegOf(t, rgba(person(t, 5, 1))), "jpeg", 5*time.Second)
	expect(t, got, gate.FaceNotCompared, gate.CodeFaceUncalibrated)
	if got.Admits || got.Score < got.Threshold {
		t.Errorf("numbers: %+v", got)
	}
}

func TestWhoIsThere(t *testing.T) {
	a, b := person(t, 5, 2), person(t, 9, 2)
	dark := scene(a)
	for i := range dark.Pix {
		dark.Pix[i] /= 14
	}
	far := scene(a).Stretch(-800, -400, 2240, 1680, 640, 480)
	good := jpegOf(t, rgba(person(t, 5, 1)))
	for _, c := range []struct {
		name  string
		scene *picture.Picture
		code  gate.Code
		hint  gate.FaceHint
	}{
		{"nobody", scene(), gate.CodeFaceNobody, gate.HintLookHere},
		{"two people", scene(a, b), gate.CodeFaceSeveral, gate.HintOnePerson},
		{"too dark", dark, gate.CodeFaceQuality, gate.HintLight},
		{"too far", far, gate.CodeFaceQuality, gate.HintCloser},
		{"upside down", scene(a).TurnOver(), gate.CodeFaceQuality, gate.HintLookHere},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := at(t, &camera{scenes: []*picture.Picture{c.scene}})
			if c.name == "too far" && r.cfg.Pack.Detector.Kind == pack.TinyFace {
				t.Skip("the tiny detector does not see who is far away")
			}
			one := r.Begin(t.Context(), "tx")
			select {
			case h := <-one.Guidance():
				if h != c.hint {
					t.Errorf("hint %q, want %q", h, c.hint)
				}
			case <-time.After(3 * time.Second):
				t.Error("no hint")
			}
			one.Close()
			expect(t, r.attempt(good, "jpeg", 1500*time.Millisecond), gate.FaceNotCompared, c.code)
		})
	}
}

// One who steps in for another is the one who is compared.
func TestPersonChanges(t *testing.T) {
	first, second := person(t, 9, 2), person(t, 5, 2)
	cam := &camera{}
	cam.scenes = slices.Repeat([]*picture.Picture{scene(first)}, 6)
	cam.scenes = append(cam.scenes, slices.Repeat([]*picture.Picture{scene(second)}, 3000)...)
	one := at(t, cam).Begin(t.Context(), "tx")
	defer one.Close()
	time.Sleep(2 * time.Second)
	got := one.Compare(t.Context(), gate.Portrait{Format: "jpeg", Image: jpegOf(t, rgba(person(t, 9, 1)))})
	expect(t, got, gate.FaceMismatched, gate.CodeFaceMismatch)
}

func TestCameraFails(t *testing.T) {
	good := jpegOf(t, rgba(person(t, 5, 1)))
	for name, cam := range map[string]*camera{
		"is not there": {err: errors.New("no such device")},
		"vanishes":     {scenes: []*picture.Picture{scene()}, lasts: 300 * time.Millisecond},
		"freezes":      {scenes: []*picture.Picture{scene(person(t, 5, 2))}, frozen: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := at(t, cam)
			expect(t, r.attempt(good, "jpeg", 5*time.Second), gate.FaceNotCompared, gate.CodeFaceCamera)
		})
	}
	t.Run("floods", func(t *testing.T) {
		cam := show(t, 5)
		cam.every = time.Microsecond
		r := at(t, cam)
		expect(t, r.attempt(good, "jpeg", 5*time.Second), gate.FaceMatched, 0)
	})
}

// A worker that dies, hangs or grows costs one traveller at most.
func TestWorkerFails(t *testing.T) {
	good := jpegOf(t, rgba(person(t, 5, 1)))
	for name, signal := range map[string]syscall.Signal{"crash": syscall.SIGSEGV, "killed": syscall.SIGKILL, "hang": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			r := at(t, show(t, 5))
			one := r.Begin(t.Context(), "tx")
			defer one.Close()
			<-one.Guidance()
			r.mu.Lock()
			pid := r.proc.PID()
			r.mu.Unlock()
			if err := syscall.Kill(pid, signal); err != nil {
				t.Fatal(err)
			}
			expect(t, one.Compare(t.Context(), gate.Portrait{Format: "jpeg", Image: good}), gate.FaceNotCompared, gate.CodeFaceWorker)
			one.Close()
			expect(t, r.attempt(good, "jpeg", 8*time.Second), gate.FaceMatched, 0)
		})
	}
	t.Run("leak", func(t *testing.T) {
		r := newRig(t, show(t, 5), func(c *Config) { c.KeepWorker, c.MaxResident = true, 1<<20 })
		for range 2 {
			before := r.pid()
			expect(t, r.attempt(good, "jpeg", 8*time.Second), gate.FaceMatched, 0)
			if r.pid() == before {
				t.Error("a worker that is too large serves the next traveller")
			}
		}
	})
	t.Run("never starts", func(t *testing.T) {
		r := newRig(t, show(t, 5), func(c *Config) { c.Library = "/none" })
		expect(t, r.attempt(good, "jpeg", 500*time.Millisecond), gate.FaceNotCompared, gate.CodeFaceModel)
		if r.Problem() == nil {
			t.Error("there is no problem")
		}
	})
}

// pid waits for a worker and gives its process id.
func (r *rig) pid() int {
	r.t.Helper()
	p, err := r.process(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return p.PID()
}

// Each traveller has a worker of their own, unless it is to be kept.
func TestOneWorkerEach(t *testing.T) {
	good := jpegOf(t, rgba(person(t, 5, 1)))
	for _, keep := range []bool{false, true} {
		r := newRig(t, show(t, 5), func(c *Config) { c.KeepWorker = keep })
		before := r.pid()
		expect(t, r.attempt(good, "jpeg", 8*time.Second), gate.FaceMatched, 0)
		gone := syscall.Kill(before, 0) != nil
		if gone == keep {
			t.Errorf("keep %v: the worker is gone: %v", keep, gone)
		}
		if same := r.pid() == before; same != keep {
			t.Errorf("keep %v: it serves the next: %v", keep, same)
		}
		if err := r.Problem(); err != nil {
			t.Errorf("keep %v: %v", keep, err)
		}
	}
}

func TestDeadline(t *testing.T) {
	cam := show(t, 5)
	cam.every = 700 * time.Millisecond
	r := at(t, cam)
	good := jpegOf(t, rgba(person(t, 5, 1)))
	expect(t, r.attempt(good, "jpeg", 1300*time.Millisecond), gate.FaceNotCompared, gate.CodeFaceDeadline)
}

func TestPADRequired(t *testing.T) {
	needPAD(t)
	r := newRig(t, show(t, 5), func(c *Config) { c.Policy.PAD, c.Policy.LeastPAD = PADRequired, 1 })
	got := r.attempt(jpegOf(t, rgba(person(t, 5, 1))), "jpeg", 5*time.Second)
	expect(t, got, gate.FaceNotCompared, gate.CodeFaceAttack)
	if got.PAD < 0 || got.Score == 0 {
		t.Errorf("nothing is recorded: %+v", got)
	}
}

// needPAD skips where the pack at hand has no presentation attack model.
func needPAD(t *testing.T) {
	t.Helper()
	if p := openPack(t, pack.Options{}); len(p.PAD) == 0 {
		t.Skipf("pack %s has no presentation attack model", p.Title())
	}
}
