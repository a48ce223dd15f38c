package camera

import (
	"context"
	"errors"
	"testing"
	"time"
)

func testContext(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx, cancel
}

// change waits for a change and wants it to be on.
func change(t *testing.T, p *Page, on bool) {
	t.Helper()
	select {
	case got := <-p.Changes():
		if got != on {
			t.Errorf("the page is told %v, want %v", got, on)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the page is told nothing")
	}
}

func TestPageIsOnOnlyDuringAnAttempt(t *testing.T) {
	p := NewPage()
	pic := photo(t, 96, 80, 1)
	if err := p.Offer(pic); !errors.Is(err, ErrOff) || p.Active() {
		t.Errorf("a camera that is off takes pictures: %v", err)
	}
	ctx, off := testContext(t)
	frames, err := p.Start(ctx)
	if err != nil || !p.Active() {
		t.Fatal(err)
	}
	change(t, p, true)
	if _, err := p.Start(ctx); !errors.Is(err, ErrInUse) {
		t.Errorf("a second attempt: %v", err)
	}
	if err := p.Offer(pic); err != nil {
		t.Fatal(err)
	}
	clear(pic) // the caller's bytes are its own
	if f := next(t, frames); f.Width != 96 || f.Height != 80 || f.Data[0] != 0xFF || time.Since(f.At) > time.Second {
		t.Errorf("%d×%d at %v", f.Width, f.Height, f.At)
	}
	off()
	ended(t, frames)
	change(t, p, false)
	if p.Active() || p.Healthy() != nil {
		t.Errorf("active %v, %v", p.Active(), p.Healthy())
	}
	if err := p.Offer(photo(t, 96, 80, 2)); !errors.Is(err, ErrOff) {
		t.Errorf("a late picture: %v", err)
	}
	ctx, off = testContext(t)
	defer off()
	if _, err := p.Start(ctx); err != nil {
		t.Errorf("the next attempt: %v", err)
	}
}

func TestPageFaultsAreNamed(t *testing.T) {
	pic := photo(t, 96, 80, 1)
	for name, tc := range map[string]struct {
		do   func(*Page)
		want error
	}{
		"no page": {func(*Page) {}, ErrMissing},
		"freezes": {func(p *Page) { _ = p.Offer(pic) }, ErrFrozen},
		"garbage": {func(p *Page) { _ = p.Offer([]byte("no picture")) }, ErrMissing},
		"leaves":  {func(p *Page) { _ = p.Offer(pic); p.Lost() }, ErrVanished},
		"floods": {func(p *Page) {
			for range maxPageRate + 1 {
				_ = p.Offer(pic)
			}
		}, ErrFlood},
		"leaves early": {(*Page).Lost, ErrVanished},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := NewPage()
			p.firstFrame, p.freezeWait = 250*time.Millisecond, 250*time.Millisecond
			ctx, off := testContext(t)
			defer off()
			frames, err := p.Start(ctx)
			if err != nil {
				t.Fatal(err)
			}
			tc.do(p)
			ended(t, frames)
			if err := p.Healthy(); !errors.Is(err, tc.want) || p.Active() {
				t.Errorf("%v, want %v", err, tc.want)
			}
			frames, err = p.Start(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Offer(pic); err != nil || p.Healthy() != nil {
				t.Errorf("a good picture: %v, %v", err, p.Healthy())
			}
			next(t, frames)
		})
	}
}

func TestPageRefusesBadPictures(t *testing.T) {
	p := NewPage()
	ctx, off := testContext(t)
	defer off()
	if _, err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"nothing": nil, "text": []byte("not a picture at all"), "huge": append(photo(t, 96, 80, 1), make([]byte, maxPageBytes)...)} {
		if err := p.Offer(b); !errors.Is(err, ErrGarbled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dead, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := NewPage().Start(dead); !errors.Is(err, context.Canceled) {
		t.Errorf("an attempt that is over: %v", err)
	}
}
