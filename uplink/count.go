package uplink

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// countedConn is a TCP connection that counts what it carries against a
// budget and remembers when it last heard something.
type countedConn struct {
	net.Conn
	budget *budget       // nil: not metered
	stall  time.Duration // without any byte that left, before a write fails
	heard  atomic.Int64
}

func (c *countedConn) hear() { c.heard.Store(time.Now().UnixNano()) }

func (c *countedConn) lastHeard() time.Time { return time.Unix(0, c.heard.Load()) }

// Read implements net.Conn. An overdrawn budget ends the connection: that is
// the last line, the uplink itself stops long before.
func (c *countedConn) Read(p []byte) (int, error) {
	if c.budget != nil && c.budget.left() <= 0 {
		return 0, errSpent
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.hear()
		c.count(n)
	}
	return n, err
}

// Write implements net.Conn. It goes on as long as bytes leave, however slowly:
// a large batch takes a while over a narrow line.
func (c *countedConn) Write(p []byte) (int, error) {
	if c.budget != nil && c.budget.left() < int64(len(p)) {
		return 0, errSpent
	}
	leaves := upload{conn: c}
	leaves.moves()
	for sent := 0; ; {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(p[sent:])
		c.count(n)
		sent += n
		if moved := leaves.moves(); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 && !moved {
			return sent, err
		}
	}
}

// SetWriteDeadline implements net.Conn. The client's deadline is for a whole
// message; ours is for the next few bytes of one.
func (c *countedConn) SetWriteDeadline(time.Time) error { return nil }

func (c *countedConn) count(n int) {
	if c.budget != nil && n > 0 {
		c.budget.add(int64(n))
	}
}

// upload looks at what leaves over a connection; each onlooker has one.
type upload struct {
	conn  *countedConn // nil: nothing leaves
	acked uint64       // by the other side's kernel, when last looked at
}

// moves says whether the other side's kernel took something since the last
// look while more was waiting to go: over a slow path a batch may take longer
// than a dead path may be silent. Once all is taken that says nothing any
// more: something between us and the broker may have swallowed it.
func (u *upload) moves() bool {
	if u.conn == nil {
		return false
	}
	s, ok := u.conn.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	var info *unix.TCPInfo
	if cerr := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); cerr != nil || err != nil {
		return false
	}
	moved := info.Bytes_acked != u.acked
	u.acked = info.Bytes_acked
	return moved && (info.Unacked > 0 || info.Notsent_bytes > 0)
}
