package fleet_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// TestInABrowser logs in with a real browser, sees the page change by itself,
// and, where FLEET_SHOTS names a folder, leaves pictures there.
func TestInABrowser(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("chromium is not installed")
	}
	s := open(t)
	s.fill(t)
	for _, a := range []store.Alarm{
		{Kiosk: "sgn-g13", Kind: store.AlarmConflict, Text: "results 31 to 33 of epoch 0123456789abcdef0123456789abcdef contradict what is stored: both are kept, nothing was acknowledged", First: time.Now().Add(-3 * time.Minute)},
		{Kiosk: "han-t2-01", Kind: store.AlarmRevoked, Text: "a connection with a revoked certificate was refused", First: time.Now().Add(-40 * time.Second)},
	} {
		if err := s.store.RaiseAlarm(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("disable-background-networking", true))
	actx, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	defer stop()
	bctx, end := chromedp.NewContext(actx)
	defer end()
	if err := chromedp.Do(bctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(bctx, 60*time.Second)
	defer cancel()
	css := func(sel string) chromedp.CSS { return chromedp.CSS(sel) }
	if err := chromedp.Do(ctx,
		chromedp.EmulateViewport(1440, 1100),
		chromedp.Navigate(s.URL()), chromedp.WaitVisible(css(`input[name=password]`)), shot(t, "login"),
		chromedp.SendKeys(css(`input[name=operator]`), "admin"), chromedp.SendKeys(css(`input[name=password]`), s.password),
		chromedp.Click(css(`button`)), chromedp.WaitVisible(css(`table.kiosks`)), chromedp.WaitVisible(css(`.linkstate.on`)), shot(t, "overview"),
	); err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(ctx, chromedp.Text(css(`tr.absent`)))
	if err != nil || !strings.Contains(text, "sgn-g14") {
		t.Errorf("absent: %q, %v", text, err)
	}
	s.setUp("sgn-g14", t) // the page has to notice by itself
	if err := chromedp.Do(ctx, chromedp.WaitNotPresent(css(`tr.absent`)), chromedp.Navigate(s.URL()+"kiosks/sgn-g11"), chromedp.WaitVisible(css(`.facts`)), shot(t, "kiosk"),
		chromedp.EmulateViewport(420, 900), chromedp.Navigate(s.URL()), chromedp.WaitVisible(css(`table.kiosks`)), shot(t, "narrow")); err != nil {
		t.Fatal(err)
	}
}

// setUp makes a kiosk present.
func (s *site) setUp(name string, t *testing.T) {
	t.Helper()
	next := append([]store.Live{}, s.live...)
	for i, l := range next {
		if l.Kiosk == name {
			next[i] = live(t, name, true, time.Now(), time.Now(), wire.Status{Gate: "SGN-G14"})
		}
	}
	s.setLive(next)
}

// shot keeps a picture of the whole page.
func shot(t *testing.T, name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		dir := os.Getenv("FLEET_SHOTS")
		if dir == "" {
			return nil
		}
		png, err := chromedp.FullScreenshot(100)(ctx, target)
		if err != nil {
			return err
		}
		t.Logf("picture %s", name)
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	})
}
