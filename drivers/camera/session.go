package camera

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"syscall"
	"time"

	"github.com/vladimirvivien/go4vl/v4l2"
)

// session is one opening of the device.
type session struct {
	k    kernel
	fd   uintptr
	px   pixels
	bufs [][]byte
	on   bool
}

// open takes the steps from the device to a running stream, in the order of
// the Video4Linux2 documentation (Linux Media Infrastructure, sections 1.1 and
// 3.2); whatever fails, nothing stays open.
func (c *V4L2) open() (s *session, err error) {
	fd, err := c.k.open(c.cfg.Path)
	if err != nil {
		return nil, sortOpen(err)
	}
	s = &session{k: c.k, fd: fd}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
			s = nil
		}
	}()
	card, ok, err := c.k.capture(fd)
	if err != nil {
		return s, sortOpen(err)
	}
	if !ok {
		return s, ErrNoCamera
	}
	if s.px, err = c.negotiate(fd); err != nil {
		return s, err
	}
	if err := c.k.rate(fd, uint32(c.cfg.FPS)); err != nil {
		c.log.Debug("the camera keeps its own rate", "err", err) // many have but one
	}
	if s.bufs, err = c.k.buffers(fd, wantBuffers); err != nil {
		return s, sortOpen(err)
	}
	if len(s.bufs) == 0 {
		return s, fmt.Errorf("%w: no buffers", ErrFormat)
	}
	for i := range s.bufs {
		if err := c.k.give(fd, uint32(i)); err != nil {
			return s, sortOpen(err)
		}
	}
	if err := c.k.on(fd); err != nil {
		return s, sortOpen(err)
	}
	s.on = true
	c.log.Debug("camera is on", "model", card, "width", s.px.width, "height", s.px.height)
	return s, nil
}

// sortOpen names an error of opening.
func sortOpen(err error) error {
	switch {
	case errors.Is(err, ErrNoCamera):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return ErrMissing
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission: add the agent's user to group video: %w", err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w by another program: end it: %w", ErrInUse, err)
	case gone(err):
		return fmt.Errorf("%w: %w", ErrVanished, err)
	}
	return err
}

// negotiate asks for Motion JPEG first: at USB 2.0 it alone has the rate.
func (c *V4L2) negotiate(fd uintptr) (pixels, error) {
	last := ErrFormat
	for _, code := range []uint32{v4l2.PixelFmtMJPEG, v4l2.PixelFmtYUYV, v4l2.PixelFmtGrey} {
		got, err := c.k.format(fd, pixels{layout{c.cfg.Width, c.cfg.Height, 0}, code})
		switch {
		case err != nil && (gone(err) || errors.Is(err, syscall.EBUSY)):
			return pixels{}, sortOpen(err)
		case err != nil:
			last = fmt.Errorf("%w: %w", ErrFormat, err)
		case got.code == code && got.width >= minSide && got.height >= minSide && got.width <= maxWide && got.height <= maxHigh:
			return got, nil
		}
	}
	return pixels{}, last
}

// close takes back all that open did, and goes on where a step fails: a
// mapping that stayed would keep the camera on.
func (s *session) close() error {
	var errs []error
	if s.on {
		err := s.k.off(s.fd)
		if err == nil {
			for _, b := range s.bufs {
				clear(b) // the driver will not write into it any more
			}
		}
		errs = append(errs, err)
	}
	for _, b := range s.bufs {
		errs = append(errs, s.k.unmap(b))
	}
	return errors.Join(append(errs, s.k.close(s.fd))...)
}

// frame copies the picture out of a driver's buffer.
func (s *session) frame(b []byte) (Frame, error) {
	switch s.px.code {
	case v4l2.PixelFmtMJPEG:
		return jpegFrame(b)
	case v4l2.PixelFmtYUYV:
		return yuyvFrame(b, s.px.layout)
	}
	return grayFrame(b, s.px.layout)
}

// pace watches over the pictures of one attempt, openings anew included.
type pace struct {
	wait    time.Duration // until the next picture must be there
	seed    maphash.Seed
	last    uint64    // hash of the last picture
	same    int       // how often it came again
	changed time.Time // when the last new picture came
	broken  int       // damaged ones in a row
	window  time.Time
	count   int // buffers since window began
}

// flood counts buffers by the second.
func (p *pace) flood(now time.Time) error {
	if now.Sub(p.window) > time.Second {
		p.window, p.count = now, 0
	}
	if p.count++; p.count > floodFPS {
		return ErrFlood
	}
	return nil
}

// fresh says whether pictures still change; a sensor has noise, so equal
// pictures mean that it hangs while its USB side goes on.
func (p *pace) fresh(picture []byte, now time.Time, limit time.Duration) error {
	h := maphash.Bytes(p.seed, picture)
	if h != p.last {
		p.last, p.same, p.changed = h, 0, now
		return nil
	}
	if p.same++; p.same >= sameFrames && now.Sub(p.changed) > limit {
		return fmt.Errorf("%w: the same picture again and again", ErrFrozen)
	}
	return nil
}

// stream delivers pictures until ctx ends or the camera fails.
func (c *V4L2) stream(ctx context.Context, s *session, out *box, p *pace) error {
	p.wait, p.broken = c.firstFrame, 0
	last := time.Now()
	for ctx.Err() == nil {
		ready, err := c.k.wait(s.fd, pollEvery)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", ErrVanished, err)
		case !ready && time.Since(last) > p.wait:
			return ErrFrozen
		case !ready:
			continue
		}
		t, err := c.k.take(s.fd)
		if errors.Is(err, syscall.EAGAIN) {
			if time.Since(last) > p.wait {
				return ErrFrozen
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrVanished, err)
		}
		now := time.Now()
		if err := c.picture(s, t, p, now, out); err != nil {
			return err
		}
		if p.broken == 0 {
			last, p.wait = now, c.freezeWait
		}
		if err := c.k.give(s.fd, t.index); err != nil {
			return fmt.Errorf("%w: %w", ErrVanished, err)
		}
	}
	return ctx.Err()
}

// picture delivers what one buffer holds, if it is good.
func (c *V4L2) picture(s *session, t taken, p *pace, now time.Time, out *box) error {
	if int(t.index) >= len(s.bufs) || int(t.used) > len(s.bufs[t.index]) {
		return fmt.Errorf("%w: a buffer that does not exist", ErrGarbled)
	}
	if err := p.flood(now); err != nil {
		return err
	}
	b := s.bufs[t.index][:t.used]
	var f Frame
	err := errTorn
	if !t.broken && len(b) > 0 {
		f, err = s.frame(b)
	}
	if err != nil {
		if p.broken++; p.broken >= maxBroken {
			return fmt.Errorf("%w: %w", ErrGarbled, err)
		}
		return nil
	}
	p.broken = 0
	if err := p.fresh(b, now, c.freezeWait); err != nil {
		f.Wipe()
		return err
	}
	f.At = now
	c.setFault(nil)
	out.put(f)
	return nil
}
