package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/chromedp/chromedp"
)

// browser is the kiosk's screen: a real one without a window, whose camera
// plays a file.
type browser struct {
	ctx   context.Context
	close func()
}

// pressWithin bounds one touch of the screen.
const pressWithin = 6 * time.Second

// openBrowser starts Chromium on the kiosk's page. It dies with us: the
// package has the kernel see to that.
func openBrowser(ctx context.Context, origin, profile, camera string) (*browser, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("%w: run scripts/setup", err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(profile),
		// The demo runs as root, for whom Chromium has no sandbox.
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-video-capture", camera))
	actx, stop := chromedp.NewExecAllocator(ctx, opts...)
	bctx, end := chromedp.NewContext(actx)
	b := &browser{ctx: bctx, close: func() { end(); stop() }}
	began := make(chan error, 1)
	go func() {
		began <- chromedp.Do(bctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(origin+"/"), chromedp.WaitVisible(chromedp.CSS("#help")))
	}()
	select {
	case err = <-began:
	case <-time.After(readyWithin):
		err = fmt.Errorf("it was not ready within %v", readyWithin)
	}
	if err != nil {
		b.close()
		return nil, fmt.Errorf("chromium: %w", err)
	}
	return b, nil
}

// press touches one answer of the notice before the camera.
func (b *browser) press(answer string) error {
	ctx, cancel := context.WithTimeout(b.ctx, pressWithin)
	defer cancel()
	button := chromedp.CSS(`.choices button[data-choice=` + answer + `]`)
	if err := chromedp.Do(ctx, chromedp.WaitVisible(button), chromedp.WaitEnabled(button), chromedp.Click(button)); err != nil {
		return fmt.Errorf("press %q on the kiosk's screen: %w", answer, err)
	}
	return nil
}
