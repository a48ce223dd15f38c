// Package port simulates devices on serial ports: a scanner and a relay board
// on pseudo-terminals, reached by a stable name that can be unplugged and
// plugged. The agent's own serial driver opens them like real ones.
package port

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// errUnplugged is returned by what needs a plugged device.
var errUnplugged = errors.New("the simulated device is unplugged")

// sendWait bounds how long a device waits for an agent that does not read.
const sendWait = 5 * time.Second

// line is one pluggable pseudo-terminal behind a symbolic link.
type line struct {
	path    string
	receive func([]byte) // what the agent writes; called from one goroutine

	mu     sync.Mutex
	master *os.File // nil while unplugged
	slave  *os.File // kept open, so that the agent may come and go
	done   chan struct{}
}

// newLine describes a line; plug makes it exist.
func newLine(dir, name string, receive func([]byte)) *line {
	return &line{path: filepath.Join(dir, name), receive: receive}
}

// plug makes a new pseudo-terminal and points the link at it.
func (l *line) plug() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.master != nil {
		return nil
	}
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("simulated port %s: %w", l.path, err)
	}
	if err := errors.Join(raw(slave), os.RemoveAll(l.path), os.Symlink(slave.Name(), l.path)); err != nil {
		return errors.Join(fmt.Errorf("simulated port %s: %w", l.path, err), master.Close(), slave.Close())
	}
	if master, err = pollable(master); err != nil {
		return errors.Join(fmt.Errorf("simulated port %s: %w", l.path, err), slave.Close())
	}
	l.master, l.slave, l.done = master, slave, make(chan struct{})
	go l.read(master, l.done)
	return nil
}

// pollable gives the same terminal without blocking, so that closing it ends
// a read and deadlines work. It closes f.
func pollable(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "ptmx"), nil
}

// unplug removes the link and hangs up: the agent's descriptor fails.
func (l *line) unplug() error {
	l.mu.Lock()
	master, slave, done := l.master, l.slave, l.done
	l.master, l.slave = nil, nil
	l.mu.Unlock()
	if master == nil {
		return nil
	}
	err := errors.Join(os.Remove(l.path), slave.Close(), master.Close())
	<-done
	return err
}

func (l *line) read(master *os.File, done chan<- struct{}) {
	defer close(done)
	buf := make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		if n > 0 && l.receive != nil {
			l.receive(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (l *line) send(b []byte) error {
	l.mu.Lock()
	master := l.master
	l.mu.Unlock()
	if master == nil {
		return errUnplugged
	}
	if err := master.SetWriteDeadline(time.Now().Add(sendWait)); err != nil {
		return err
	}
	_, err := master.Write(b)
	return err
}

// raw switches off everything that a terminal does to bytes.
func raw(f *os.File) error {
	fd := int(f.Fd())
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// Scanner is a virtual hand-held or built-in scanner.
type Scanner struct {
	line *line
	// Prefix and Suffix go around every scan. NewScanner sets CR LF as the
	// suffix; set them before the first scan.
	Prefix, Suffix string
}

// NewScanner plugs a scanner in as dir/name.
func NewScanner(dir, name string) (*Scanner, error) {
	s := &Scanner{line: newLine(dir, name, nil), Suffix: "\r\n"}
	return s, s.line.plug()
}

// Path is the device's stable name.
func (s *Scanner) Path() string { return s.line.path }

// Scan sends what a code or zone says.
func (s *Scanner) Scan(text string) error { return s.line.send([]byte(s.Prefix + text + s.Suffix)) }

// Raw sends bytes as they are.
func (s *Scanner) Raw(b []byte) error { return s.line.send(b) }

// Unplug pulls the cable; Plug puts it back as a new device under the old
// name.
func (s *Scanner) Unplug() error { return s.line.unplug() }

// Plug is the opposite of Unplug.
func (s *Scanner) Plug() error { return s.line.plug() }

// Close unplugs for good.
func (s *Scanner) Close() error { return s.line.unplug() }
