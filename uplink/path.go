package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Path is one way to the broker.
type Path struct {
	Name      string
	Interface string   // network interface to leave by; empty: as the kernel's routes say
	Brokers   []string // tls://host:port; those of Config when empty
	Budget    int64    // bytes that it may carry in each period; 0: not metered
	Period    string   // PeriodDay or PeriodMonth, with a budget
}

// Paces of several paths. A path in use is dead after deadAfter without a
// sign of life; with the tick and a new connection that stays below 5 s.
const (
	askAfter  = time.Second            // without a sign of life, before the broker is asked for one
	deadAfter = 3 * time.Second        // without a sign of life, before the path is given up
	watchTick = 250 * time.Millisecond // how often that is looked at
	dialQuick = 2 * time.Second        // bound of the first connection attempt while there are other paths
	// maxHold bounds, as a multiple of Stable, how long a path that keeps
	// failing must work before it is gone back to.
	maxHold = 16
	// silentMetered is the pause before a metered path is tried again over
	// which central was silent; it doubles up to longMetered.
	silentMetered = 10 * time.Minute
	longMetered   = time.Hour
	// backupEvery: how many times less often a path is looked at that is not
	// better than the one in use, and (again) one that is metered.
	backupEvery  = 12
	meteredEvery = 60
)

// route is a path with what is known of it. Run owns broker, wait and
// failed; the rest is guarded by Uplink.mu.
type route struct {
	Path
	rank   int     // 0 is the best
	budget *budget // nil: not metered
	broker int     // which of Brokers is next
	wait   time.Duration
	failed int // connection attempts since the last success

	retryAt time.Time
	hold    time.Duration // how long it must work before it is gone back to
	known   bool          // whether works says anything
	works   bool
	since   time.Time // works without a break
	problem error
	looked  time.Time // when it was last looked at from another path
}

// metered: every byte over it counts.
func (r *route) metered() bool { return r != nil && r.budget != nil }

// bind makes sockets leave by the path's interface. SO_BINDTODEVICE needs no
// privilege for a socket that is not bound yet since Linux 5.7; a source
// address alone would not choose the way out.
func (r *route) bind(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), r.Interface) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return &interfaceError{r.Interface, err}
	}
	return nil
}

// interfaceError is a socket that cannot leave by an interface.
type interfaceError struct {
	name string
	err  error
}

func (e *interfaceError) Error() string {
	return fmt.Sprintf("network interface %q cannot be used: %v", e.name, e.err)
}

func (e *interfaceError) Unwrap() error { return e.err }

// dial opens a TLS connection over the path; what it carries is counted.
func (r *route) dial(ctx context.Context, uri *url.URL, limit time.Duration, conf *tls.Config) (*tls.Conn, *countedConn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	d := net.Dialer{KeepAlive: keepAlive}
	if r.Interface != "" {
		d.Control = r.bind
	}
	raw, err := d.DialContext(ctx, "tcp", uri.Host)
	if err != nil {
		return nil, nil, err
	}
	keepShort(raw)
	counted := &countedConn{Conn: raw, budget: r.budget, stall: writeTimeout}
	conn := tls.Client(counted, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, errors.Join(err, ignoreClosed(raw.Close()))
	}
	counted.hear()
	return conn, counted, nil
}

// unsentMost is how much may wait in the kernel behind what is on its way: a
// ping has to get past it in time.
const unsentMost = 16 << 10

// keepShort bounds that. A kernel that cannot do it is no reason to do without
// the connection.
func keepShort(conn net.Conn) {
	if s, ok := conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentMost)
			})
		}
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// probe says whether a broker answers over the path: TCP and TLS, no more.
func (u *Uplink) probe(ctx context.Context, r *route) error {
	var last error
	for _, b := range r.Brokers {
		uri, err := url.Parse(b)
		if err != nil {
			return err
		}
		conf := u.cfg.Identity.TLS(uri.Hostname())
		conf.Time = u.cfg.Now
		conn, _, err := r.dial(ctx, uri, dialQuick, conf)
		if err == nil {
			return conn.Close()
		}
		last = err
	}
	return last
}
