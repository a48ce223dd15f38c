package uplink

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// countedConn is a TCP connection that counts what it carries against a
// budget and remembers when it last heard something.
type countedConn struct {
	net.Conn
	budget *budget // nil: not metered
	heard  atomic.Int64
	acked  uint64 // by the other side's kernel; the watch's own
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

// Write implements net.Conn.
func (c *countedConn) Write(p []byte) (int, error) {
	if c.budget != nil && c.budget.left() < int64(len(p)) {
		return 0, errSpent
	}
	n, err := c.Conn.Write(p)
	c.count(n)
	return n, err
}

func (c *countedConn) count(n int) {
	if c.budget != nil && n > 0 {
		c.budget.add(int64(n))
	}
}

// uploading says whether the other side's kernel took something since the
// last look while more was waiting to go: over a slow path a batch may take
// longer than a dead path may be silent. Once all is taken that says nothing
// any more: something between us and the broker may have swallowed it.
func (c *countedConn) uploading() bool {
	s, ok := c.Conn.(syscall.Conn)
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
	moved := info.Bytes_acked != c.acked
	c.acked = info.Bytes_acked
	return moved && (info.Unacked > 0 || info.Notsent_bytes > 0)
}
