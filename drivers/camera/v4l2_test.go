package camera

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vladimirvivien/go4vl/v4l2"
)

// device is a camera behind the kernel calls. It keeps account of what is
// open, mapped and on, and fails where a test wants it to.
type device struct {
	t   *testing.T
	mu  sync.Mutex
	fd  uintptr
	log []string // calls in their order

	here    bool
	code    uint32           // the format that it has
	fails   map[string]error // by the name of the call
	hang    chan struct{}    // open waits for it
	silent  bool             // sends nothing
	broken  bool             // says that every picture is damaged
	index   uint32           // added to the index of buffers
	gap     time.Duration    // between pictures; 0: 5 ms
	picture func(n int) []byte

	opened, mapped, on int
	queued             []uint32
	bufs               [][]byte
	n                  int
}

func newDevice(t *testing.T) *device {
	d := &device{t: t, here: true, code: v4l2.PixelFmtMJPEG, fails: map[string]error{}, gap: 5 * time.Millisecond}
	var album [8][]byte // made beforehand: a flood must be quick
	for i := range album {
		album[i] = photo(t, 96, 80, uint64(i))
	}
	d.picture = func(n int) []byte { return album[n%len(album)] }
	return d
}

func (d *device) enter(call string) (func(), error) {
	d.mu.Lock()
	d.log = append(d.log, call)
	if !d.here && call != "off" && call != "unmap" && call != "close" {
		return d.mu.Unlock, v4l2.ErrorSystem // ENODEV
	}
	return d.mu.Unlock, d.fails[call]
}

func (d *device) kernel() kernel {
	k := kernel{}
	k.exists = func(string) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.here {
			return fs.ErrNotExist
		}
		return nil
	}
	k.open = func(string) (uintptr, error) {
		if d.hang != nil {
			<-d.hang
		}
		leave, err := d.enter("open")
		defer leave()
		if !d.here {
			err = fs.ErrNotExist
		}
		if err == nil {
			d.opened++
			d.fd++
		}
		return d.fd, err
	}
	k.capture = func(uintptr) (string, bool, error) {
		leave, err := d.enter("capture")
		defer leave()
		return "test camera", err == nil, err
	}
	k.format = func(_ uintptr, want pixels) (pixels, error) {
		leave, err := d.enter("format")
		defer leave()
		return pixels{layout{96, 80, 96 * 2}, d.code}, err
	}
	k.rate = func(uintptr, uint32) error { leave, err := d.enter("rate"); defer leave(); return err }
	k.close = func(uintptr) error { leave, err := d.enter("close"); defer leave(); d.opened--; return err }
	d.buffers(&k)
	return k
}

func (d *device) buffers(k *kernel) {
	k.buffers = func(_ uintptr, n uint32) ([][]byte, error) {
		leave, err := d.enter("buffers")
		defer leave()
		if err != nil {
			return nil, err
		}
		d.bufs, d.queued = make([][]byte, n), nil
		for i := range d.bufs {
			d.bufs[i] = make([]byte, 64<<10)
		}
		d.mapped += int(n)
		return append([][]byte(nil), d.bufs...), nil
	}
	k.give = func(_ uintptr, i uint32) error {
		leave, err := d.enter("give")
		defer leave()
		if err == nil {
			d.queued = append(d.queued, i)
		}
		return err
	}
	k.on = func(uintptr) error {
		leave, err := d.enter("on")
		defer leave()
		if err == nil {
			d.on++
		}
		return err
	}
	k.off = func(uintptr) error { leave, err := d.enter("off"); defer leave(); d.on--; return err }
	k.unmap = func([]byte) error { leave, err := d.enter("unmap"); defer leave(); d.mapped--; return err }
	k.wait = func(_ uintptr, limit time.Duration) (bool, error) {
		d.mu.Lock()
		quiet := d.silent && d.here
		gap := d.gap
		d.mu.Unlock()
		if quiet {
			time.Sleep(limit)
			return false, nil
		}
		time.Sleep(gap)
		return true, nil
	}
	k.take = func(uintptr) (taken, error) {
		leave, err := d.enter("take")
		defer leave()
		if err != nil || len(d.queued) == 0 {
			return taken{}, errors.Join(err, nilOr(len(d.queued) == 0 && err == nil, syscall.EAGAIN))
		}
		i := d.queued[0]
		d.queued = d.queued[1:]
		d.n++
		used := copy(d.bufs[i], d.picture(d.n))
		return taken{i + d.index, uint32(used), d.broken}, nil
	}
}

func nilOr(cond bool, err error) error {
	if cond {
		return err
	}
	return nil
}

func (d *device) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// released waits until nothing of the device is in use any more.
func (d *device) released(c *V4L2) {
	d.t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		state := fmt.Sprint(d.opened, d.mapped, d.on, len(c.using))
		dirty := false
		for _, b := range d.bufs {
			dirty = dirty || (d.fails["off"] == nil && bytes.Count(b, []byte{0}) != len(b))
		}
		d.mu.Unlock()
		if state == "0 0 0 0" && !dirty {
			return
		}
		if time.Now().After(end) {
			d.t.Fatalf("opened, mapped, on, in use: %s; pictures left in buffers: %v", state, dirty)
		}
	}
}

// camera puts a camera on a device, with short waits.
func (d *device) camera() *V4L2 {
	d.t.Helper()
	c, err := NewV4L2(Config{Path: "/dev/v4l/by-id/test-video-index0"})
	if err != nil {
		d.t.Fatal(err)
	}
	c.k = d.kernel()
	c.openWait, c.firstFrame, c.freezeWait, c.giveUp, c.redial = 300*time.Millisecond, 300*time.Millisecond, 200*time.Millisecond, 700*time.Millisecond, 20*time.Millisecond
	return c
}

func TestCameraIsOnOnlyDuringAnAttempt(t *testing.T) {
	d := newDevice(t)
	c := d.camera()
	for range 3 {
		ctx, off := testContext(t)
		frames, err := c.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			f := next(t, frames)
			if cfg, err := jpeg.DecodeConfig(bytes.NewReader(f.Data)); err != nil || cfg.Width != 96 || f.Width != 96 || f.Format != JPEG {
				t.Fatalf("%v %+v", err, cfg)
			}
			f.Wipe()
		}
		off()
		ended(t, frames)
		d.released(c)
	}
	if err := c.Healthy(); err != nil {
		t.Error(err)
	}
}

func TestOneAttemptAtATime(t *testing.T) {
	d := newDevice(t)
	c := d.camera()
	ctx, off := testContext(t)
	if _, err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(ctx); !errors.Is(err, ErrInUse) {
		t.Errorf("a second attempt: %v", err)
	}
	off()
	d.released(c)
}

// Whatever fails while opening, nothing stays open, and the error says what.
func TestOpeningFails(t *testing.T) {
	for _, tc := range []struct {
		call      string
		err, want error
	}{
		{"open", fs.ErrNotExist, ErrMissing},
		{"open", fs.ErrPermission, fs.ErrPermission},
		{"open", syscall.EBUSY, ErrInUse},
		{"open", ErrNoCamera, ErrNoCamera},
		{"capture", v4l2.ErrorSystem, ErrVanished},
		{"format", syscall.EBUSY, ErrInUse},
		{"format", v4l2.ErrorBadArgument, ErrFormat},
		{"format", v4l2.ErrorSystem, ErrVanished},
		{"buffers", syscall.EBUSY, ErrInUse},
		{"buffers", v4l2.ErrorSystem, ErrVanished},
		{"give", v4l2.ErrorSystem, ErrVanished},
		{"on", syscall.ENODEV, ErrVanished},
	} {
		t.Run(tc.call+" "+tc.err.Error(), func(t *testing.T) {
			d := newDevice(t)
			d.fails[tc.call] = tc.err
			c := d.camera()
			ctx, off := testContext(t)
			defer off()
			if _, err := c.Start(ctx); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			d.released(c)
			if err := c.Healthy(); !errors.Is(err, tc.want) {
				t.Errorf("health: %v", err)
			}
			d.set(func() { delete(d.fails, tc.call) })
			frames, err := c.Start(ctx)
			if err != nil {
				t.Fatalf("after it was repaired: %v", err)
			}
			next(t, frames)
			if err := c.Healthy(); err != nil {
				t.Errorf("health after a good picture: %v", err)
			}
			off()
			d.released(c)
		})
	}
}

func TestNoRateIsNoFault(t *testing.T) {
	d := newDevice(t)
	d.fails["rate"] = v4l2.ErrorUnsupported
	c := d.camera()
	ctx, off := testContext(t)
	frames, err := c.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next(t, frames)
	off()
	d.released(c)
}

// Closing goes on where a step fails.
func TestClosingFails(t *testing.T) {
	d := newDevice(t)
	for _, call := range []string{"off", "unmap", "close"} {
		d.fails[call] = v4l2.ErrorSystem
	}
	c := d.camera()
	ctx, off := testContext(t)
	frames, err := c.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next(t, frames)
	off()
	d.released(c)
}

func TestOtherFormats(t *testing.T) {
	for code, want := range map[uint32]string{v4l2.PixelFmtYUYV: RGB, v4l2.PixelFmtGrey: Gray} {
		d := newDevice(t)
		d.code = code
		d.picture = func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 96*80*2) }
		c := d.camera()
		ctx, off := testContext(t)
		frames, err := c.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if f := next(t, frames); f.Format != want || f.Width != 96 {
			t.Errorf("%s %d×%d, want %s", f.Format, f.Width, f.Height, want)
		}
		off()
		d.released(c)
	}
}

func TestCameraFailsOnTheWay(t *testing.T) {
	same := photo(t, 96, 80, 1)
	for name, tc := range map[string]struct {
		change func(*device)
		want   error
	}{
		"freezes":            {func(d *device) { d.silent = true }, ErrFrozen},
		"repeats itself":     {func(d *device) { d.picture = func(int) []byte { return same } }, ErrFrozen},
		"vanishes":           {func(d *device) { d.here = false }, ErrMissing},
		"floods":             {func(d *device) { d.gap = 0 }, ErrFlood},
		"says damaged":       {func(d *device) { d.broken = true }, ErrGarbled},
		"sends torn ones":    {func(d *device) { d.picture = func(int) []byte { return same[:len(same)/2] } }, ErrGarbled},
		"sends empty ones":   {func(d *device) { d.picture = func(int) []byte { return nil } }, ErrGarbled},
		"names a wild index": {func(d *device) { d.index = 77 }, ErrGarbled},
		"cannot queue":       {func(d *device) { d.fails["give"] = syscall.EINVAL }, syscall.EINVAL},
		"cannot dequeue":     {func(d *device) { d.fails["take"] = v4l2.ErrorSystem }, ErrVanished},
		"never has one":      {func(d *device) { d.fails["take"] = syscall.EAGAIN }, ErrFrozen},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			c := d.camera()
			ctx, off := testContext(t)
			defer off()
			frames, err := c.Start(ctx)
			if err != nil {
				t.Fatal(err)
			}
			next(t, frames)
			begin := time.Now()
			d.set(func() { tc.change(d) })
			ended(t, frames)
			if took := time.Since(begin); took > 4*time.Second {
				t.Errorf("it took %v to notice", took)
			}
			d.released(c)
			d.set(func() { d.here = true }) // the name is there again: what was is still told
			if err := c.Healthy(); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

// A camera that is plugged in again within the attempt goes on.
func TestReplugged(t *testing.T) {
	d := newDevice(t)
	c := d.camera()
	ctx, off := testContext(t)
	frames, err := c.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next(t, frames)
	for range 3 {
		d.set(func() { d.here = false })
		time.Sleep(100 * time.Millisecond)
		select {
		case f := <-frames: // the last one before the plug was pulled
			f.Wipe()
		default:
		}
		d.set(func() { d.here = true })
		next(t, frames)
	}
	if err := c.Healthy(); err != nil {
		t.Error(err)
	}
	off()
	ended(t, frames)
	d.released(c)
	d.set(func() { d.here = false })
	if err := c.Healthy(); !errors.Is(err, ErrMissing) {
		t.Errorf("unplugged between attempts: %v", err)
	}
}

// A driver that hangs holds up neither the attempt nor the end of the program;
// once it answers, its camera is closed again.
func TestDriverHangs(t *testing.T) {
	d := newDevice(t)
	d.hang = make(chan struct{})
	c := d.camera()
	ctx, off := testContext(t)
	defer off()
	begin := time.Now()
	if _, err := c.Start(ctx); !errors.Is(err, ErrStuck) || time.Since(begin) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if err := c.Healthy(); !errors.Is(err, ErrStuck) {
		t.Errorf("health: %v", err)
	}
	if _, err := c.Start(ctx); !errors.Is(err, ErrInUse) {
		t.Errorf("while it hangs: %v", err)
	}
	quick, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if _, err := c.Start(quick); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an attempt that ends first: %v", err)
	}
	close(d.hang)
	d.released(c)
	frames, err := c.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next(t, frames)
	off()
	d.released(c)
}

func TestConfigIsChecked(t *testing.T) {
	ok := "/dev/v4l/by-id/usb-A_B-video-index0"
	for _, cfg := range []Config{
		{}, {Path: "video0"}, {Path: "/dev/video0"}, {Path: "/dev/../dev/video12"}, {Path: ok, Width: 10, Height: 10},
		{Path: ok, Width: 4000, Height: 3000}, {Path: ok, FPS: 1000}, {Path: ok, FPS: -1}, {Path: ok, Width: 640},
	} {
		if _, err := NewV4L2(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	for _, cfg := range []Config{{Path: ok}, {Path: "/dev/video0", AllowUnstable: true}, {Path: ok, Width: 640, Height: 480, FPS: 30}} {
		if _, err := NewV4L2(cfg); err != nil {
			t.Error(err)
		}
	}
}

// The real calls, on what is no camera.
func TestRealCallsOnNoCamera(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{"/dev/null": ErrNoCamera, file: ErrNoCamera, file + "-missing": ErrMissing} {
		c, err := NewV4L2(Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		ctx, off := testContext(t)
		before := openFiles(t)
		if _, err := c.Start(ctx); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		for end := time.Now().Add(time.Second); len(c.using) > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		if n := openFiles(t); n > before {
			t.Errorf("%s: %d files stayed open", path, n-before)
		}
		off()
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}
