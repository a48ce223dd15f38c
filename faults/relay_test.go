//go:build faults

package faults

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// relay stands between a client and a broker. It can be slow, keep everything
// back (a partition: what was sent arrives when it is over, as TCP has it),
// swallow everything (a connection that is half open), cut and refuse.
type relay struct {
	l  net.Listener
	to string

	mu      sync.Mutex
	open    map[net.Conn]bool
	refused bool
	held    chan struct{} // closed when the partition is over; nil without one
	swallow [2]bool       // towards the broker, and back
	delay   time.Duration
	pace    int // bytes in a second; 0: as they come
	bytes   int64
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &relay{l: l, to: to, open: make(map[net.Conn]bool)}
	go r.serve()
	t.Cleanup(func() {
		_ = l.Close()
		r.release()
		r.cut()
	})
	return r
}

func (r *relay) addr() string { return "tls://" + r.l.Addr().String() }

func (r *relay) serve() {
	for {
		in, err := r.l.Accept()
		if err != nil {
			return
		}
		r.mu.Lock()
		refused := r.refused
		r.mu.Unlock()
		out, err := net.DialTimeout("tcp", r.to, time.Second)
		if err != nil || refused {
			_ = in.Close()
			if err == nil {
				_ = out.Close()
			}
			continue
		}
		r.mu.Lock()
		r.open[in], r.open[out] = true, true
		r.mu.Unlock()
		go r.pipe(out, in, 0)
		go r.pipe(in, out, 1)
	}
}

// chunk is what was read, and when it is to be passed on.
type chunk struct {
	data []byte
	at   time.Time
}

// pipe passes bytes on. A slow line takes time for each, and keeps the order.
func (r *relay) pipe(to, from net.Conn, way int) {
	queue := make(chan chunk, 1024)
	go func() {
		defer r.drop(to)
		for c := range queue {
			time.Sleep(time.Until(c.at))
			if !r.pass(way) {
				continue
			}
			if _, err := to.Write(c.data); err != nil {
				r.drop(from)
				for range queue { // let the reader end
				}
				return
			}
		}
	}()
	defer close(queue)
	for {
		buf := make([]byte, 16<<10)
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		at, pace := time.Now().Add(r.delay), r.pace
		r.bytes += int64(n)
		r.mu.Unlock()
		if pace > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(pace))
		}
		queue <- chunk{buf[:n], at}
	}
}

// pass waits until a partition is over, and says whether bytes get through.
func (r *relay) pass(way int) bool {
	r.mu.Lock()
	held := r.held
	r.mu.Unlock()
	if held != nil {
		<-held
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.swallow[way]
}

func (r *relay) drop(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, c)
	_ = c.Close() // it is gone either way
}

// hold begins a partition; release ends it.
func (r *relay) hold() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = make(chan struct{})
	}
}

func (r *relay) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held != nil {
		close(r.held)
		r.held = nil
	}
}

// deaf swallows the bytes of a direction, or no longer.
func (r *relay) deaf(towards, back bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swallow = [2]bool{towards, back}
}

// cut resets every connection.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	clear(r.open)
}

func (r *relay) refuse(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = on
}

func (r *relay) slow(delay time.Duration, pace int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.delay, r.pace = delay, pace
}

// fault does one fault of chance to the line, for a time of chance, and says
// which.
func (r *relay) fault(random *rand.Rand, most time.Duration) string {
	length := between(random, 5*time.Millisecond, most)
	switch random.IntN(6) {
	case 0:
		r.hold()
		time.Sleep(length)
		r.release()
		return "partition"
	case 1:
		r.hold()
		time.Sleep(length)
		r.cut() // what was on its way is gone
		r.release()
		return "partition, then cut"
	case 2:
		r.refuse(true)
		r.cut()
		time.Sleep(length)
		r.refuse(false)
		return "refused"
	case 3:
		r.deaf(random.IntN(2) == 0, true)
		time.Sleep(length)
		r.cut()
		r.deaf(false, false)
		return "half open"
	case 4:
		r.slow(between(random, 0, 200*time.Millisecond), 20_000+random.IntN(200_000))
		time.Sleep(length)
		r.slow(0, 0)
		return "slow"
	}
	r.cut()
	return "cut"
}
