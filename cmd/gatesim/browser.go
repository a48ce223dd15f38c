package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// maxTemp is how long the name of a folder may be in which Chromium makes a
// socket of its own (unix(7): 108 bytes, of which it takes some 50). In a
// deeper folder it uses the system's.
const maxTemp = 56

// openBrowser starts Chromium on the kiosk's page. It dies with us: the
// package has the kernel see to that.
func openBrowser(ctx context.Context, origin, dir, camera string) (*browser, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("%w: run scripts/setup", err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(dir, "chromium")),
		// The demo runs as root, for whom Chromium has no sandbox.
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-file-for-fake-video-capture", camera))
	if temp := filepath.Join(dir, "tmp"); len(temp) <= maxTemp {
		if err := os.MkdirAll(temp, 0o700); err != nil {
			return nil, err
		}
		opts = append(opts, chromedp.Env("TMPDIR="+temp))
	}
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

// text is what the screen says.
func (b *browser) text() (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, pressWithin)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
}

// hint is what the screen asks of the traveller, drawn as arrows.
func (b *browser) hint() (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, pressWithin)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.dataset.hint || ""`))
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
