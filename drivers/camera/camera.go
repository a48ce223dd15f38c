// Package camera delivers live pictures for one attempt at a time: from a
// camera that the agent owns (Video4Linux2), or from the kiosk page's camera.
// It looks at no face and keeps no picture: a camera is on only between Start
// and the end of its context, the newest picture replaces an older one, and
// what nobody takes is wiped.
package camera

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Formats of frames.
const (
	JPEG = "jpeg" // a whole baseline or progressive JPEG file
	RGB  = "rgb"  // Width*Height*3 bytes, rows without padding
	Gray = "gray" // Width*Height bytes
)

// Bounds of a picture, whatever a camera claims.
const (
	minSide  = 64
	maxWide  = 1920
	maxHigh  = 1920    // a camera may be mounted upright
	maxBytes = 4 << 20 // YUYV at 1920×1080 has 4,147,200 bytes
)

// Frame is one picture. Whoever received it owns Data and wipes it.
type Frame struct {
	Width, Height int
	Format        string // JPEG, RGB or Gray
	Data          []byte
	At            time.Time // when the agent had it, with a monotonic reading
}

// Wipe overwrites the picture.
func (f *Frame) Wipe() {
	clear(f.Data)
	f.Data = nil
}

// Source is a camera.
type Source interface {
	// Start switches the camera on. The channel holds the newest frame only;
	// it is closed when ctx ends, at which the camera goes off, or when the
	// camera failed for good: then Healthy says why. One attempt at a time.
	Start(ctx context.Context) (<-chan Frame, error)
	// Healthy says what is wrong with the camera, in use or not; nil when
	// nothing is known to be. It does not block.
	Healthy() error
}

// What can be wrong with a camera. Errors of this package wrap one of these.
var (
	ErrInUse    = errors.New("the camera is in use")
	ErrMissing  = errors.New("the camera is not there: check its cable and its name")
	ErrVanished = errors.New("the camera was unplugged or lost power")
	ErrFrozen   = errors.New("the camera sends no new picture: replug it")
	ErrFlood    = errors.New("the camera sends far more than was asked for: replace it")
	ErrGarbled  = errors.New("the camera sends no usable pictures: check cable and hub")
	ErrStuck    = errors.New("the camera's driver does not answer: replug the camera")
	ErrFormat   = errors.New("the camera offers none of Motion JPEG, YUYV and grey in a usable size: use another model")
	ErrNoCamera = errors.New("the device is no camera: correct the path; a camera's pictures come from its -video-index0")
	ErrOff      = errors.New("the camera is off: no attempt is running")
)

// box hands over the newest frame and wipes what it replaces.
type box struct {
	mu     sync.Mutex // one writer or closer at a time
	out    chan Frame
	closed bool
}

func newBox() *box { return &box{out: make(chan Frame, 1)} }

// put takes ownership of f.
func (b *box) put(f Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		f.Wipe()
		return
	}
	b.empty()
	b.out <- f // there is room: only put fills it, and under the lock
}

func (b *box) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.empty()
		close(b.out)
	}
}

func (b *box) empty() {
	select {
	case old := <-b.out:
		old.Wipe()
	default:
	}
}
