package serial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// Bounds and defaults.
const (
	defaultBaud     = 115200 // Honeywell's and most USB devices' default, 8N1
	defaultMaxFrame = 1024   // an MRZ has 88 characters, a Vietnamese QR some 200 bytes
	maxMaxFrame     = 64 << 10
	frameBacklog    = 8
	firstRetry      = 100 * time.Millisecond
	lastRetry       = 2 * time.Second // a replugged device works again within this time
	dropLogEvery    = 10 * time.Second
)

// ErrDown is wrapped by Write and Healthy while the device is not open.
var ErrDown = errors.New("the device is not there")

// Config describes one port.
type Config struct {
	// Path is the device by a stable name, such as
	// /dev/serial/by-id/usb-Honeywell_..., or any symbolic link or
	// pseudo-terminal. Names that renumber at each plug (/dev/ttyUSB0,
	// /dev/ttyACM0) are refused unless AllowUnstable is set.
	Path          string
	AllowUnstable bool
	Baud          int     // 0: 115200; always 8N1
	Framing       Framing // must be set
	MaxFrame      int     // longest frame in bytes; 0: 1024
	// IdleGap ends a frame of FrameIdle (0: 100 ms); in the other profiles
	// a frame that pauses longer is dropped (0: 1 s).
	IdleGap time.Duration
	Log     *slog.Logger // nil: silent
}

// unstable matches the kernel's own names of hot-pluggable devices.
var unstable = regexp.MustCompile(`^/dev/tty(USB|ACM)[0-9]+$`)

func (c *Config) check() error {
	if !filepath.IsAbs(c.Path) {
		return fmt.Errorf("serial port %q: the path must be absolute, for example /dev/serial/by-id/NAME", c.Path)
	}
	if unstable.MatchString(filepath.Clean(c.Path)) && !c.AllowUnstable {
		return fmt.Errorf("serial port %s: this name changes when devices are plugged: use its name in /dev/serial/by-id", c.Path)
	}
	if err := c.Framing.check(); err != nil {
		return fmt.Errorf("serial port %s: %w", c.Path, err)
	}
	if c.Baud < 0 || c.MaxFrame < 0 || c.MaxFrame > maxMaxFrame || c.IdleGap < 0 {
		return fmt.Errorf("serial port %s: baud rate, frame length (at most %d) and gap must not be negative", c.Path, maxMaxFrame)
	}
	if c.Baud == 0 {
		c.Baud = defaultBaud
	}
	if c.MaxFrame == 0 {
		c.MaxFrame = defaultMaxFrame
	}
	if c.IdleGap == 0 {
		c.IdleGap = c.Framing.defaultGap()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// device is one open serial device; go.bug.st/serial's Port has it.
type device interface {
	io.ReadWriteCloser
	ResetInputBuffer() error
	ResetOutputBuffer() error
}

// conn is one opening of the device.
type conn struct {
	device
	lost chan struct{} // closed when a write gave the connection up
}

// Port is one serial port. Run must be running for anything to happen.
type Port struct {
	cfg     Config
	log     *slog.Logger
	open    func(path string, baud int) (device, error) // tests replace it
	frames  chan []byte
	changes chan error
	ready   chan struct{}

	writing chan struct{} // held while a write or a close is under way

	mu       sync.Mutex // guards all below
	conn     *conn      // nil while down
	down     error      // why, nil while open
	lastDrop time.Time
	drops    int
}

// New checks the configuration. Nothing is opened before Run.
func New(cfg Config) (*Port, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Port{
		cfg:     cfg,
		log:     cfg.Log.With("port", cfg.Path),
		open:    openDevice,
		frames:  make(chan []byte, frameBacklog),
		changes: make(chan error, 1),
		ready:   make(chan struct{}),
		writing: make(chan struct{}, 1),
		down:    fmt.Errorf("serial port %s: not opened yet: %w", cfg.Path, ErrDown),
	}, nil
}

// Frames delivers whole frames; the receiver owns them and should wipe them.
// When nobody takes them the oldest are thrown away.
func (p *Port) Frames() <-chan []byte { return p.frames }

// Changes tells of every change of health, nil when the device has just been
// opened (also when it was opened anew in between). Only the newest change is
// kept, so a reader that is late misses none that matters. One reader only.
func (p *Port) Changes() <-chan error { return p.changes }

// Ready is closed once opening was tried for the first time.
func (p *Port) Ready() <-chan struct{} { return p.ready }

// Healthy says why the port cannot be used now; nil when it can.
func (p *Port) Healthy() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

// Run keeps the port open until ctx ends, which returns nil. An error means
// that no retry can help.
func (p *Port) Run(ctx context.Context) error {
	wait := firstRetry
	var told string
	first := true
	for ctx.Err() == nil {
		dev, err := p.open(p.cfg.Path, p.cfg.Baud)
		c := &conn{device: dev, lost: make(chan struct{})}
		if err == nil {
			told = ""
			p.up(c)
		}
		if first {
			close(p.ready)
			first = false
		}
		began := time.Now()
		if err == nil {
			err = p.serve(ctx, c)
			p.close(c, err)
		}
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry
		}
		p.fail(err)
		if sortError(err) == permanent {
			return fmt.Errorf("serial port %s: %w", p.cfg.Path, err)
		}
		if s := err.Error(); s != told {
			told = s
			p.log.Warn("serial port is down, trying again until it is back: check plug and udev rules", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, lastRetry)
	}
	p.fail(errors.New("stopped"))
	return nil
}

func (p *Port) up(c *conn) {
	p.mu.Lock()
	p.conn, p.down = c, nil
	p.mu.Unlock()
	p.log.Info("serial port is open", "baud", p.cfg.Baud, "framing", string(p.cfg.Framing))
	p.tell(nil)
}

func (p *Port) fail(err error) {
	err = fmt.Errorf("serial port %s: %w: %w", p.cfg.Path, ErrDown, err)
	p.mu.Lock()
	p.conn, p.down = nil, err
	p.mu.Unlock()
	p.tell(err)
}

// tell keeps only the newest change.
func (p *Port) tell(change error) {
	for {
		select {
		case p.changes <- change:
			return
		default:
		}
		select {
		case <-p.changes:
		default:
		}
	}
}

// serve reads the open device until it fails or ctx ends.
func (p *Port) serve(ctx context.Context, c *conn) error {
	split := newSplitter(p.cfg.Framing, p.cfg.MaxFrame, p.deliver, p.dropped)
	defer split.reset()
	chunks, failed, done := make(chan []byte), make(chan error, 1), make(chan struct{})
	defer close(done)
	go read(c.device, chunks, failed, done)
	gap := time.NewTimer(p.cfg.IdleGap)
	defer gap.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.lost:
			return errors.New("the device took no data")
		case err := <-failed:
			return err
		case <-gap.C:
			split.idle()
		case chunk := <-chunks:
			split.feed(chunk)
			clear(chunk)
			if split.pending() {
				gap.Reset(p.cfg.IdleGap)
			} else {
				gap.Stop()
			}
		}
	}
}

// read pumps the device until it fails; closing the device ends it.
func read(dev device, chunks chan<- []byte, failed chan<- error, done <-chan struct{}) {
	buf := make([]byte, 512)
	for {
		n, err := dev.Read(buf)
		if n > 0 {
			chunk := bytes.Clone(buf[:n])
			clear(buf[:n])
			select {
			case chunks <- chunk:
			case <-done:
				clear(chunk)
				return
			}
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			failed <- fmt.Errorf("read: %w", err)
			return
		}
	}
}

func (p *Port) deliver(frame []byte) {
	for {
		select {
		case p.frames <- frame:
			return
		default:
		}
		select {
		case old := <-p.frames:
			clear(old)
			p.dropped("nobody took it")
		default:
		}
	}
}

// dropped logs that a message was thrown away, never what it was, and at most
// one line in ten seconds however much garbage comes.
func (p *Port) dropped(why string) {
	p.mu.Lock()
	p.drops++
	n, quiet := p.drops, time.Since(p.lastDrop) < dropLogEvery
	if !quiet {
		p.drops, p.lastDrop = 0, time.Now()
	}
	p.mu.Unlock()
	if !quiet {
		p.log.Warn("a message of the device was dropped: check baud rate and framing", "why", why, "dropped", n)
	}
}
