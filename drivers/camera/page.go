package camera

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of what a page may send.
const (
	maxPageBytes = 1 << 20
	maxPageRate  = 40 // pictures a second; the page sends some ten
)

// Page is the camera of the kiosk page: its pictures come from outside through
// Offer. It makes the browser part of what is trusted, so it is for kiosks
// whose browser must own the camera. It is a Source; web feeds it.
type Page struct {
	firstFrame, freezeWait time.Duration // shorter in tests
	changes                chan bool

	mu     sync.Mutex // guards all below
	out    *box       // nil while off
	last   time.Time  // of the last picture, or of the start
	seen   bool       // a picture came in this attempt
	fault  error
	window time.Time
	count  int
}

// NewPage makes a page camera that is off.
func NewPage() *Page {
	return &Page{firstFrame: firstFrame, freezeWait: freezeWait, changes: make(chan bool, 1)}
}

// Active says whether pictures are wanted now.
func (p *Page) Active() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out != nil
}

// Changes tells when the camera shall go on or off. Only the newest change is
// kept. One reader only.
func (p *Page) Changes() <-chan bool { return p.changes }

// Healthy implements Source: what the last attempt ended with.
func (p *Page) Healthy() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

// Start implements Source: it asks the page for pictures.
func (p *Page) Start(ctx context.Context) (<-chan Frame, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil {
		return nil, fmt.Errorf("page camera: %w", ErrInUse)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("page camera: %w", err)
	}
	out := newBox()
	p.out, p.last, p.seen, p.window, p.count = out, time.Now(), false, time.Time{}, 0
	p.tell(true)
	go p.watch(ctx, out)
	return out.out, nil
}

// watch ends an attempt: with its context, or when pictures stop coming.
func (p *Page) watch(ctx context.Context, out *box) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.end(out, nil)
			return
		case <-tick.C:
		}
		p.mu.Lock()
		quiet, wait, over := time.Since(p.last), p.freezeWait, p.out != out
		if !p.seen {
			wait = p.firstFrame
		}
		seen := p.seen
		p.mu.Unlock()
		switch {
		case over:
			return
		case quiet > wait && seen:
			p.end(out, ErrFrozen)
			return
		case quiet > wait:
			p.end(out, fmt.Errorf("%w: no page of this kiosk sends pictures: is its browser open, and may it use the camera?", ErrMissing))
			return
		}
	}
}

// end switches the attempt off that out belongs to.
func (p *Page) end(out *box, fault error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == out {
		p.stop(fault)
	}
}

// stop is called with the lock held.
func (p *Page) stop(fault error) {
	if fault != nil {
		p.fault = fmt.Errorf("page camera: %w", fault)
	}
	p.out.close()
	p.out = nil
	p.tell(false)
}

// Offer takes one JPEG picture; it copies it, so that the caller can wipe its
// own. A page that floods loses the attempt.
func (p *Page) Offer(frame []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		return ErrOff
	}
	now := time.Now()
	if now.Sub(p.window) > time.Second {
		p.window, p.count = now, 0
	}
	if p.count++; p.count > maxPageRate {
		p.stop(ErrFlood)
		return fmt.Errorf("page camera: %w", ErrFlood)
	}
	if len(frame) > maxPageBytes {
		return fmt.Errorf("page camera: %w: %d bytes; at most %d are taken", ErrGarbled, len(frame), maxPageBytes)
	}
	f, err := jpegFrame(frame)
	if err != nil {
		return fmt.Errorf("page camera: %w: %w", ErrGarbled, err)
	}
	f.At = now
	p.last, p.seen, p.fault = now, true, nil
	p.out.put(f)
	return nil
}

// Lost ends the attempt because the page left: what another page sends later
// does not belong to it.
func (p *Page) Lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil {
		p.stop(errors.Join(ErrVanished, errors.New("the kiosk page left")))
	}
}

// tell keeps only the newest change; called with the lock held.
func (p *Page) tell(on bool) {
	select {
	case <-p.changes:
	default:
	}
	p.changes <- on
}
