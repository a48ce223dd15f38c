package camera

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/vladimirvivien/go4vl/v4l2"
	"golang.org/x/sys/unix"
)

// kernel holds the calls of Video4Linux2 that a camera needs; tests replace
// them, so that everything above can be made to fail.
//
// go4vl's own device package is not used: it keeps pictures in a pool that
// lives as long as the process, unwiped, and after a cancelled stream leaves
// the buffers mapped, which keeps the camera on.
//
// The tests run the functions below only on devices that are no cameras: open,
// capability, close. Negotiating a format and a rate, mapping, queueing and
// taking buffers, streaming on and off, and what a driver answers when its
// camera is unplugged need a camera or the v4l2loopback module to be run.
type kernel struct {
	exists  func(path string) error
	open    func(path string) (fd uintptr, err error)
	capture func(fd uintptr) (card string, ok bool, err error)
	format  func(fd uintptr, want pixels) (pixels, error)
	rate    func(fd uintptr, fps uint32) error
	buffers func(fd uintptr, n uint32) ([][]byte, error)
	give    func(fd uintptr, index uint32) error
	on      func(fd uintptr) error
	wait    func(fd uintptr, d time.Duration) (bool, error)
	take    func(fd uintptr) (taken, error)
	off     func(fd uintptr) error
	unmap   func(buf []byte) error
	close   func(fd uintptr) error
}

// pixels is a negotiated format.
type pixels struct {
	layout
	code uint32 // four characters, V4L2_PIX_FMT_*
}

// taken is a buffer that the driver filled.
type taken struct {
	index, used uint32
	broken      bool // the driver itself says that the picture is damaged
}

func realKernel() kernel {
	return kernel{
		exists: func(path string) error { _, err := os.Stat(path); return err },
		open:   openNode, capture: canCapture, format: setFormat, rate: setRate, buffers: mapBuffers,
		give: func(fd uintptr, i uint32) error {
			_, err := v4l2.QueueBuffer(fd, v4l2.IOTypeMMAP, v4l2.BufTypeVideoCapture, i)
			return err
		},
		on:    func(fd uintptr) error { return v4l2.StreamOn(stream{fd: fd}) },
		wait:  waitReadable,
		take:  takeBuffer,
		off:   func(fd uintptr) error { return v4l2.StreamOff(stream{fd: fd}) },
		unmap: unix.Munmap,
		close: v4l2.CloseDevice,
	}
}

func openNode(path string) (uintptr, error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if st.Mode()&os.ModeCharDevice == 0 {
		return 0, ErrNoCamera
	}
	return v4l2.OpenDevice(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

func canCapture(fd uintptr) (string, bool, error) {
	c, err := v4l2.GetCapability(fd)
	if errors.Is(err, v4l2.ErrorUnsupported) {
		return "", false, nil // ENOTTY: no Video4Linux2 device at all
	}
	flags := c.GetCapabilities()
	return c.Card, flags&v4l2.CapVideoCapture != 0 && flags&v4l2.CapStreaming != 0, err
}

// setFormat asks for a format and gives what the driver made of it.
func setFormat(fd uintptr, want pixels) (pixels, error) {
	ask := v4l2.PixFormat{Width: uint32(want.width), Height: uint32(want.height), PixelFormat: want.code, Field: v4l2.FieldNone}
	if err := v4l2.SetPixFormat(fd, ask); err != nil {
		return pixels{}, err
	}
	got, err := v4l2.GetPixFormat(fd)
	return pixels{layout{int(got.Width), int(got.Height), int(got.BytesPerLine)}, got.PixelFormat}, err
}

func setRate(fd uintptr, fps uint32) error {
	return v4l2.SetStreamParam(fd, v4l2.BufTypeVideoCapture, v4l2.StreamParam{
		Capture: v4l2.CaptureParam{TimePerFrame: v4l2.Fract{Numerator: 1, Denominator: fps}},
	})
}

// mapBuffers asks for n buffers and maps what the driver gave.
func mapBuffers(fd uintptr, n uint32) ([][]byte, error) {
	got, err := v4l2.InitBuffers(stream{fd: fd, count: n})
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for i := range min(got.Count, maxBuffers) {
		b, err := v4l2.GetBuffer(stream{fd: fd}, i)
		if err == nil && b.Length > 2*maxBytes {
			err = fmt.Errorf("a buffer of %d bytes", b.Length)
		}
		var mem []byte
		if err == nil {
			mem, err = unix.Mmap(int(fd), int64(b.Info.Offset), int(b.Length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		}
		if err != nil {
			for _, m := range out {
				err = errors.Join(err, unix.Munmap(m))
			}
			return nil, err
		}
		out = append(out, mem)
	}
	return out, nil
}

// waitReadable waits for a filled buffer. A device that is gone is readable:
// taking the buffer then tells.
func waitReadable(fd uintptr, d time.Duration) (bool, error) {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(d.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}

func takeBuffer(fd uintptr) (taken, error) {
	b, err := v4l2.DequeueBuffer(fd, v4l2.IOTypeMMAP, v4l2.BufTypeVideoCapture)
	return taken{b.Index, b.BytesUsed, b.Flags&v4l2.BufFlagError != 0}, err
}

// gone says whether an error means that the device left: go4vl folds ENODEV,
// ENXIO and EIO into one.
func gone(err error) bool {
	return errors.Is(err, v4l2.ErrorSystem) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO)
}

// stream is what go4vl's calls want to know of a stream (its StreamingDevice).
type stream struct {
	v4l2.StreamingDevice // never called: Start and Stop are ours
	fd                   uintptr
	count                uint32
}

func (s stream) Fd() uintptr              { return s.fd }
func (s stream) BufferType() v4l2.BufType { return v4l2.BufTypeVideoCapture }
func (s stream) MemIOType() v4l2.IOType   { return v4l2.IOTypeMMAP }
func (s stream) BufferCount() uint32      { return s.count }
