package camera

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// Bounds and defaults of a camera that the agent owns.
const (
	defaultWidth  = 1280
	defaultHeight = 720
	defaultFPS    = 15
	maxFPS        = 60
	minWanted     = 240 // the smaller side of what may be asked for
	maxBuffers    = 8
	wantBuffers   = 4

	openWait   = 3 * time.Second        // until the driver must have opened the camera
	firstFrame = 4 * time.Second        // sensors and their exposure take their time
	freezeWait = 2 * time.Second        // between two pictures later on
	giveUp     = 5 * time.Second        // without a new picture, replugging included
	redial     = 200 * time.Millisecond // between two tries to open a lost camera
	pollEvery  = 100 * time.Millisecond // how soon an ended attempt is noticed
	sameFrames = 10                     // so many equal pictures for freezeWait: the sensor hangs
	floodFPS   = 400                    // no camera that was asked for maxFPS sends this
	maxBroken  = 30                     // damaged pictures in a row
)

// Config describes a camera that the agent owns.
type Config struct {
	// Path is the camera by a stable name, such as
	// /dev/v4l/by-id/usb-Vendor_Model-video-index0. Names that renumber at
	// each plug (/dev/video0) are refused unless AllowUnstable is set.
	Path          string
	AllowUnstable bool
	Width, Height int // asked for; 0: 1280×720. The driver may give another size
	FPS           int // asked for; 0: 15
	Log           *slog.Logger
}

// unstable matches the kernel's own names of video devices.
var unstable = regexp.MustCompile(`^/dev/video[0-9]+$`)

func (c *Config) check() error {
	if !filepath.IsAbs(c.Path) {
		return fmt.Errorf("camera %q: the path must be absolute, for example /dev/v4l/by-id/NAME-video-index0", c.Path)
	}
	if unstable.MatchString(filepath.Clean(c.Path)) && !c.AllowUnstable {
		return fmt.Errorf("camera %s: this name changes when devices are plugged: use its name in /dev/v4l/by-id", c.Path)
	}
	if c.Width == 0 && c.Height == 0 {
		c.Width, c.Height = defaultWidth, defaultHeight
	}
	if c.FPS == 0 {
		c.FPS = defaultFPS
	}
	if min(c.Width, c.Height) < minWanted || c.Width > maxWide || c.Height > maxHigh || c.FPS < 1 || c.FPS > maxFPS {
		return fmt.Errorf("camera %s: %d×%d at %d pictures a second: width and height from %d to %d, rate from 1 to %d",
			c.Path, c.Width, c.Height, c.FPS, minWanted, maxWide, maxFPS)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// V4L2 is a camera that the agent owns. It is a Source.
type V4L2 struct {
	cfg Config
	log *slog.Logger
	k   kernel

	// Waits, shorter in tests.
	openWait, firstFrame, freezeWait, giveUp, redial time.Duration

	using chan struct{} // holds one token while an attempt has the device

	mu    sync.Mutex // guards the fault
	fault error      // what the last use ended with; nil after a good picture
}

// NewV4L2 checks the configuration. Nothing is opened before Start.
func NewV4L2(cfg Config) (*V4L2, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &V4L2{
		cfg: cfg, log: cfg.Log.With("camera", cfg.Path), k: realKernel(), using: make(chan struct{}, 1),
		openWait: openWait, firstFrame: firstFrame, freezeWait: freezeWait, giveUp: giveUp, redial: redial,
	}, nil
}

// Healthy implements Source. A camera not in use is looked for, not opened:
// then its light would go on.
func (c *V4L2) Healthy() error {
	if len(c.using) == 0 {
		if err := c.k.exists(c.cfg.Path); err != nil {
			return c.named(ErrMissing)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

func (c *V4L2) named(err error) error { return fmt.Errorf("camera %s: %w", c.cfg.Path, err) }

func (c *V4L2) setFault(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		err = c.named(err)
	}
	c.fault = err
}

// Start implements Source. It comes back when the camera is on, and at once
// when it cannot be. A camera that is lost later is opened anew when it is
// back in time.
func (c *V4L2) Start(ctx context.Context) (<-chan Frame, error) {
	patience := time.NewTimer(c.openWait)
	defer patience.Stop()
	select {
	case c.using <- struct{}{}: // the attempt before may still be closing it
	case <-ctx.Done():
		return nil, c.named(ctx.Err())
	case <-patience.C:
		return nil, c.named(ErrInUse)
	}
	out, opened := newBox(), make(chan error, 1)
	on, off := context.WithCancel(ctx)
	context.AfterFunc(on, out.close) // even while the driver hangs
	go func() {
		defer func() { <-c.using }()
		defer off()
		c.run(on, out, opened)
	}()
	var err error
	select {
	case err = <-opened:
	case <-ctx.Done():
		err = ctx.Err()
	case <-patience.C:
		err = ErrStuck
		c.setFault(err)
	}
	if err != nil {
		off()
		return nil, c.named(err)
	}
	return out.out, nil
}

// run has the device to itself until ctx ends or it is lost for good.
func (c *V4L2) run(ctx context.Context, out *box, opened chan<- error) {
	p := &pace{seed: maphash.MakeSeed(), changed: time.Now()}
	for first := true; ; first = false {
		s, err := c.open()
		if err != nil && ctx.Err() == nil {
			c.setFault(err)
		}
		if first {
			opened <- err
		}
		if err == nil {
			err = c.stream(ctx, s, out, p)
			if ctx.Err() == nil {
				c.setFault(err)
			}
			if cerr := s.close(); cerr != nil {
				c.log.Debug("closing the camera", "err", cerr)
			}
		}
		if ctx.Err() != nil {
			return
		}
		c.log.Warn("camera failed", "err", err)
		if first && s == nil || time.Since(p.changed) > c.giveUp || errors.Is(err, ErrNoCamera) || errors.Is(err, ErrFlood) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.redial):
		}
	}
}
