package vpcd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// APDUHandler is a virtual chip. Its methods are called one at a time.
type APDUHandler interface {
	// ATR is the answer to reset.
	ATR() []byte
	// Reset is called when the chip loses its power and when it is reset.
	Reset()
	// Process answers one command APDU. An empty answer is no answer: the
	// chip is mute. Process may also block; the link can be removed
	// meanwhile.
	Process(apdu []byte) []byte
}

// Control bytes of the virtual reader's protocol (vsmartcard, VPCD_CTRL_*). A
// message is its length, two bytes big-endian, then as many bytes; a message
// of one byte is control.
const (
	controlOff   = 0
	controlOn    = 1
	controlReset = 2
	controlATR   = 4
)

const (
	dialWithin = 5 * time.Second
	// noticed is more than the 0.4 s after which pcscd looks at a reader
	// again. The driver may let go of a chip earlier, when a command fails,
	// and a new chip would then be taken for the old one.
	noticed    = 500 * time.Millisecond
	freeWithin = 3 * time.Second
	// removeWaits is how long Remove waits for a handler that is busy.
	removeWaits = 2 * time.Second
)

// Link is a chip in the field of a virtual reader.
type Link struct {
	daemon  *Daemon
	slot    int
	conn    *net.TCPConn
	handler APDUHandler
	log     *slog.Logger
	done    chan struct{} // closed when the handler will not be called again
	close   sync.Once
}

// Insert brings a chip into the field of slot 0 or 1. The daemon notices it
// within about a second. When another chip has just been removed, Insert first
// waits until the daemon must have noticed that, so that nobody takes the one
// for the other; a slot that stays taken is an error.
func (d *Daemon) Insert(slot int, h APDUHandler) (*Link, error) {
	if slot < 0 || slot >= slots {
		return nil, fmt.Errorf("virtual reader: slot %d: there are slots 0 to %d", slot, slots-1)
	}
	d.mu.Lock()
	left := d.left[slot]
	d.mu.Unlock()
	time.Sleep(time.Until(left.Add(noticed)))
	pid := d.PID()
	if pid == 0 {
		return nil, errors.New("virtual reader: its pcscd is stopped")
	}
	if !awaitEmpty(pid, slot) {
		return nil, fmt.Errorf("virtual reader: slot %d: another chip lies there: remove it first", slot)
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialWithin)
	defer cancel()
	conn, err := dialInside(ctx, pid, firstPort+slot)
	if err != nil {
		return nil, fmt.Errorf("virtual reader: slot %d: %w", slot, err)
	}
	l := &Link{daemon: d, slot: slot, conn: conn, handler: h, log: d.log, done: make(chan struct{})}
	go l.serve()
	return l, nil
}

// AwaitEmpty waits until the daemon has noticed that the chip of a slot was
// removed; false says that it has not within a few of its rounds.
func (d *Daemon) AwaitEmpty(slot int) bool {
	pid := d.PID()
	return pid == 0 || awaitEmpty(pid, slot)
}

func awaitEmpty(pid, slot int) bool {
	for end := time.Now().Add(freeWithin); taken(pid, slot); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Remove takes the chip out of the field, at any moment. It returns when the
// handler is idle, or after a short wait when the handler blocks. A transmit
// that waits for the chip meanwhile ends with an error or, with this driver,
// with success and an empty answer.
func (l *Link) Remove() {
	l.close.Do(func() {
		// An orderly end, never a reset: the driver takes a reset in the
		// middle of an answer for a length it has not received.
		_ = l.conn.Close()
		l.daemon.mu.Lock()
		defer l.daemon.mu.Unlock()
		l.daemon.left[l.slot] = time.Now()
	})
	select {
	case <-l.done:
	case <-time.After(removeWaits):
	}
}

// Done is closed when the link has ended, by Remove or by the daemon.
func (l *Link) Done() <-chan struct{} { return l.done }

func (l *Link) serve() {
	defer close(l.done)
	defer l.conn.Close()
	in := bufio.NewReader(quickReader{l.conn})
	for {
		message, err := readMessage(in)
		if err != nil {
			l.log.Debug("virtual chip unplugged", "slot", l.slot, "cause", err)
			return
		}
		answer := l.answer(message)
		if len(answer) == 0 {
			continue
		}
		if err := writeMessage(l.conn, answer); err != nil {
			l.log.Debug("virtual chip unplugged", "slot", l.slot, "cause", err)
			return
		}
	}
}

// answer gives the bytes to send back; none for power and reset.
func (l *Link) answer(message []byte) []byte {
	if len(message) != 1 {
		return l.handler.Process(message)
	}
	switch message[0] {
	case controlOff, controlOn, controlReset:
		l.handler.Reset()
	case controlATR:
		return l.handler.ATR()
	}
	return nil
}

func readMessage(in io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(in, message)
	return message, err
}

func writeMessage(out io.Writer, message []byte) error {
	if len(message) > math.MaxUint16 {
		return fmt.Errorf("virtual chip: an answer of %d bytes does not fit the virtual reader (%d)", len(message), math.MaxUint16)
	}
	// One write: the driver sends its length and its data separately and
	// would else wait on our side as well.
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	_, err := out.Write(append(framed, message...))
	return err
}

// quickReader acknowledges at once what it reads. The driver writes length and
// data in two segments; without this the second waits for the kernel's delayed
// acknowledgement of the first, some 40 ms for every APDU. The kernel leaves
// the mode by itself (tcp(7), TCP_QUICKACK), so it is set before each read.
type quickReader struct{ conn *net.TCPConn }

func (q quickReader) Read(p []byte) (int, error) {
	raw, err := q.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	}); err != nil {
		return 0, err
	}
	if set != nil {
		return 0, set
	}
	return q.conn.Read(p)
}
