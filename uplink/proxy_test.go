package uplink_test

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// holeProxy passes bytes until it is told to swallow them, connections open.
type holeProxy struct {
	l      net.Listener
	mu     sync.Mutex
	on     bool
	shut   bool
	open   map[net.Conn]bool
	passed atomic.Int64 // bytes in both directions

	dialled atomic.Int64 // connections that were taken
}

// refuse cuts every connection, and each new one.
func (h *holeProxy) refuse(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shut = on
	for c := range h.open {
		if on {
			_ = c.Close()
		}
	}
}

// keep notes a connection; it says whether it may go on.
func (h *holeProxy) keep(c net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.shut {
		h.open[c] = true
	}
	return !h.shut
}

func (h *holeProxy) drop(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
}

func (h *holeProxy) swallow(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = on
}

func (h *holeProxy) swallowing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.on
}

func newProxy(t *testing.T, to string) *holeProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &holeProxy{l: l, open: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			h.dialled.Add(1)
			out, err := net.Dial("tcp", to)
			if err == nil && !h.keep(in) {
				_ = out.Close()
				_ = in.Close()
				continue
			}
			if err != nil {
				_ = in.Close()
				continue
			}
			go h.pipe(out, in)
			go h.pipe(in, out)
		}
	}()
	return h
}

func (h *holeProxy) pipe(to, from net.Conn) {
	defer h.drop(from)
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if h.swallowing() {
			continue
		}
		h.passed.Add(int64(n))
		if _, err := io.Copy(to, bytes.NewReader(buf[:n])); err != nil {
			return
		}
	}
}

// A connection that is open and dead is given up, because acknowledgements do
// not come; and a kiosk that stops meanwhile does not hang.
func TestHalfOpenConnection(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	m := newMosquitto(t, p)
	m.start(t)
	h := newProxy(t, m.addr())
	c := newFakeCentral(t, p)
	c.connect(m.addr())
	t.Cleanup(c.leave)
	k := newMachine(t, p.identity(t, h.l.Addr().String()))
	k.cfg.Dial, k.cfg.AckTimeout = time.Second, 300*time.Millisecond
	k.run()
	k.decide(10)
	k.drained(c)
	h.swallow(true)
	k.decide(30)
	eventually(t, "the connection is given up", func() bool { return !k.up.Up() })
	h.swallow(false)
	k.drained(c)
	h.swallow(true)
	begin := time.Now()
	k.halt()
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("stopping on a dead connection took %v", d)
	}
}

// The last will says that a kiosk is gone when it is cut off without a word.
func TestLastWill(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	m := newMosquitto(t, p)
	m.start(t)
	h := newProxy(t, m.addr())
	c := newFakeCentral(t, p)
	c.connect(m.addr())
	t.Cleanup(c.leave)
	k := newMachine(t, p.identity(t, h.l.Addr().String()))
	k.run()
	up := func(want bool) func() bool {
		return func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			pr, err := wire.DecodePresence(c.retained[wire.TopicPresence])
			return err == nil && pr.Up == want
		}
	}
	eventually(t, "up", up(true))
	h.swallow(true)
	k.halt() // its last word is swallowed; the broker sees the connection end
	h.swallow(false)
	eventually(t, "down by the last will", up(false))
}
