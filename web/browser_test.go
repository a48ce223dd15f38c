package web

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gateagent/gate"
)

// browser starts a real one. GATEAGENT_SHOTS names a folder for pictures of
// every page, to look at.
func browser(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is missing: run scripts/setup")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-background-networking", true))
	actx, stop := chromedp.NewExecAllocator(t.Context(), append(opts, more...)...)
	t.Cleanup(stop)
	bctx, end := chromedp.NewContext(actx)
	t.Cleanup(end)
	if err := chromedp.Do(bctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(bctx, 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func shot(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		dir := os.Getenv("GATEAGENT_SHOTS")
		if dir == "" {
			return nil
		}
		time.Sleep(500 * time.Millisecond) // fonts and transitions
		png, err := chromedp.FullScreenshot(100)(ctx, target)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	})
}

// Every stage has its own words in both languages, in a real browser.
func TestTravellerScreen(t *testing.T) {
	s, d := serveWith(t, func(c *Config) { c.Messages = ownWords })
	ctx := browser(t)
	css := func(sel string) chromedp.CSS { return chromedp.CSS(sel) }
	s.Show(view(gate.StageIdle))
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate("http://"+s.Addr()+"/"),
		chromedp.WaitVisible(css(`body[data-stage=idle]`))); err != nil {
		t.Fatal(err)
	}
	said := map[string]gate.Stage{}
	for _, stage := range []gate.Stage{
		gate.StageIdle, gate.StageNeedCard, gate.StageRescan, gate.StageReading, gate.StageAdmitted,
		gate.StageSeeStaff, gate.StageTryAgain, gate.StageOutOfOrder, gate.StageHelpComing, gate.StageClosed,
	} {
		s.Show(view(stage, func(v *gate.View) { v.Step = "dg1" }))
		if err := chromedp.Do(ctx, chromedp.WaitVisible(css(`body[data-stage=`+string(stage)+`]`)), shot("traveller-"+string(stage))); err != nil {
			t.Fatalf("%s: %v", stage, err)
		}
		for _, lang := range []string{"#vi", "#en"} {
			text, err := chromedp.Run(ctx, chromedp.Text(css(lang)))
			if err != nil || text == "" {
				t.Errorf("%s %s: %q %v", stage, lang, text, err)
			}
			if other, ok := said[text]; ok {
				t.Errorf("%s and %s say the same: %s", stage, other, text)
			}
			said[text] = stage
		}
	}
	saysOwnWords(t, ctx, s)
	s.Show(view(gate.StageIdle))
	keys := []chromedp.Action[chromedp.Void]{
		chromedp.WaitVisible(css(`body[data-stage=idle]`)), chromedp.Click(css(`#keys`)), chromedp.WaitVisible(css(`#pad[open]`)), shot("traveller-keypad"),
	}
	for range 6 {
		keys = append(keys, chromedp.Click(css(`.keys button:nth-child(4)`)))
	}
	keys = append(keys, chromedp.Click(css(`.keys .ok`)), chromedp.WaitNotPresent(css(`#pad[open]`)))
	if err := chromedp.Do(ctx, keys...); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.can != "444444" {
		t.Errorf("the keypad sent %q", d.can)
	}
}

// The help button reaches an open staff page within a second, and the
// operator resolves the referral there.
func TestHelpReachesStaffAndIsResolved(t *testing.T) {
	s, d := serve(t)
	ctx := browser(t)
	css := func(sel string) chromedp.CSS { return chromedp.CSS(sel) }
	base := "http://" + s.Addr()
	s.Show(view(gate.StageIdle, func(v *gate.View) { v.Tx, v.Reasons, v.Checks, v.Outcome = "", nil, nil, gate.Refer }))
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(base+"/staff"), chromedp.WaitVisible(css(`#login`)), shot("staff-login"),
		chromedp.SendKeys(css(`input[name=name]`), "An Nguyen"), chromedp.SendKeys(css(`input[name=pin]`), pin), chromedp.Click(css(`#login button`)),
		chromedp.WaitVisible(css(`#app`)), chromedp.WaitNotVisible(css(`#login`)), chromedp.WaitVisible(css(`.referral`)), shot("staff-idle")); err != nil {
		t.Fatal(err)
	}
	if text, err := chromedp.Run(ctx, chromedp.Text(css(`#vitals`))); err != nil || !strings.Contains(text, "synchronised before, 3 h ago, good until") {
		t.Errorf("the page does not say where the time comes from: %q %v", text, err)
	}
	tab, end := chromedp.NewContext(ctx)
	defer end()
	if err := chromedp.Do(tab, chromedp.Navigate(base+"/"), chromedp.WaitVisible(css(`body[data-stage=idle]`))); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := chromedp.Do(tab, chromedp.Click(css(`#help`)), chromedp.WaitVisible(css(`body[data-stage=help_coming]`))); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.WaitVisible(css(`#help:not([hidden])`))); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the call reached the staff page after %v", took)
	}
	s.Show(view(gate.StageSeeStaff))
	if err := chromedp.Do(ctx, chromedp.WaitVisible(css(`.check.failed`)), shot("staff-failed"),
		chromedp.Click(css(`.resolve input[value=refused]`)), chromedp.SendKeys(css(`.resolve select`), "not entitled"),
		chromedp.Click(css(`.resolve button`))); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		d.mu.Lock()
		done := append([]string(nil), d.done...)
		d.mu.Unlock()
		if len(done) == 1 && done[0] == "t1/An Nguyen/refused/not entitled" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("resolved: %v", done)
		}
	}
}
