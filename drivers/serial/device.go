package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// closeWait bounds how long a close waits for a write that is stuck.
const closeWait = time.Second

// errNotSerial: there is something at the path that can never be a port.
var errNotSerial = errors.New("not a serial device: correct the path in the configuration")

// remedy says what to do about an error of the device.
type remedy int

const (
	retry remedy = iota // it may come back
	permanent
)

// sortError says whether trying again can help. Almost everything can: a
// device that is unplugged, busy, or whose udev rule has not run yet (no
// permission) comes back. Only what is no device at all cannot. The third
// kind, stop, is the end of the context and is looked at first.
func sortError(err error) remedy {
	if errors.Is(err, errNotSerial) {
		return permanent
	}
	var pe *bugst.PortError
	if errors.As(err, &pe) && pe.Code() == bugst.InvalidSpeed {
		return permanent
	}
	return retry
}

// openDevice opens a real device. What lay in its input buffer is thrown
// away: it belongs to somebody who stood here before.
func openDevice(path string, baud int) (device, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if st.Mode()&os.ModeCharDevice == 0 {
		return nil, errNotSerial
	}
	dev, err := bugst.Open(path, &bugst.Mode{BaudRate: baud, DataBits: 8, Parity: bugst.NoParity, StopBits: bugst.OneStopBit})
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if err := dev.ResetInputBuffer(); err != nil {
		return nil, errors.Join(fmt.Errorf("open: clear input: %w", err), dev.Close())
	}
	return dev, nil
}

// Write sends b as one piece. When ctx ends first the connection is dropped
// and its output thrown away, so that nothing is sent late; the port opens
// anew.
func (p *Port) Write(ctx context.Context, b []byte) error {
	if err := p.lockOutput(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	c, down := p.conn, p.down
	p.mu.Unlock()
	if c == nil {
		<-p.writing
		return down
	}
	done := make(chan error, 1)
	go func() {
		done <- writeAll(c.device, b)
		<-p.writing
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("serial port %s: write: %w", p.cfg.Path, err)
		}
		return nil
	case <-ctx.Done():
		close(c.lost)
		p.close(c, ctx.Err())
		return fmt.Errorf("serial port %s: the device takes no data, write given up: %w", p.cfg.Path, ctx.Err())
	}
}

func (p *Port) lockOutput(ctx context.Context) error {
	select {
	case p.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("serial port %s: an earlier write is stuck: %w", p.cfg.Path, ctx.Err())
	}
}

func writeAll(dev device, b []byte) error {
	for len(b) > 0 {
		n, err := dev.Write(b)
		b = b[n:]
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n == 0 && err == nil {
			return errors.New("the device takes no data")
		}
	}
	return nil
}

// close closes a connection once, never while a write is inside it: the
// number of its descriptor could then belong to another file. Throwing the
// output away frees a writer that flow control holds up. One that stays stuck
// all the same keeps its descriptor; the device is gone for us either way.
func (p *Port) close(c *conn, why error) {
	p.mu.Lock()
	ours := p.conn == c
	if ours {
		p.conn = nil
		p.down = fmt.Errorf("serial port %s: %w: %w", p.cfg.Path, ErrDown, why)
	}
	p.mu.Unlock()
	if !ours {
		return
	}
	_ = c.ResetOutputBuffer() // a vanished device answers with an error that says nothing new
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if p.lockOutput(ctx) != nil {
		p.log.Error("serial port: a write is stuck and was abandoned: replug the device")
		return
	}
	err := c.Close()
	<-p.writing
	if err != nil {
		p.log.Debug("serial port: close", "err", err)
	}
}
