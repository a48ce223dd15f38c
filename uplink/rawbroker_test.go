package uplink_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"gateagent/gate/wire"
	"gateagent/uplink"
)

// rawBroker speaks as much MQTT as is needed, and is central besides. It never
// acknowledges a publication itself.
type rawBroker struct {
	l    net.Listener
	p    *pki
	huge int          // size of a packet that is sent after a subscription; 0: none is
	took atomic.Int64 // bytes of it that the kiosk took
	rate int          // bytes a second that it takes; 0: all that come

	dialled atomic.Int64
	heard   atomic.Int64 // bytes, under TLS
}

func (r *rawBroker) start(t *testing.T) *rawBroker {
	t.Helper()
	r.p = newPKI(t)
	var err error
	if r.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.l.Close() })
	conf := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{r.p.issue(t, "127.0.0.1")}}
	go func() {
		for {
			c, err := r.l.Accept()
			if err != nil {
				return
			}
			r.dialled.Add(1)
			if tcp, ok := c.(*net.TCPConn); ok && r.rate > 0 {
				_ = tcp.SetReadBuffer(32 << 10) // what lies there counts as taken
			}
			go r.serve(tls.Server(&narrowEnd{c, r}, conf))
		}
	}()
	return r
}

// narrowEnd is the broker's end of a line that carries so many bytes a second
// towards it.
type narrowEnd struct {
	net.Conn
	r *rawBroker
}

func (e *narrowEnd) Read(p []byte) (int, error) {
	if e.r.rate > 0 {
		p = p[:min(len(p), 2<<10)]
	}
	n, err := e.Conn.Read(p)
	e.r.heard.Add(int64(n))
	if e.r.rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(e.r.rate))
	}
	return n, err
}

func (r *rawBroker) serve(c net.Conn) {
	defer c.Close()
	for {
		cp, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		switch m := cp.(type) {
		case *packets.ConnectPacket:
			err = packets.NewControlPacket(packets.Connack).Write(c)
		case *packets.SubscribePacket:
			a := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
			a.MessageID, a.ReturnCodes = m.MessageID, make([]byte, len(m.Topics))
			if err = a.Write(c); r.huge > 0 {
				r.flood(c)
				return
			}
		case *packets.PingreqPacket:
			err = packets.NewControlPacket(packets.Pingresp).Write(c)
		case *packets.PublishPacket:
			err = r.answer(c, m)
		}
		if err != nil {
			return
		}
	}
}

// answer says as central that it has what came.
func (r *rawBroker) answer(c net.Conn, m *packets.PublishPacket) error {
	if _, kind, err := wire.SplitTopic(m.TopicName); err != nil || kind != wire.TopicResults {
		return err
	}
	b, err := wire.DecodeBatch(m.Payload)
	if err != nil {
		return err
	}
	a := wire.Ack{V: wire.AckVersion, Kiosk: b.Kiosk, Epoch: b.Epoch, Number: b.Last, Chain: b.Chain}
	if err := a.Sign(r.p.ackKey); err != nil {
		return err
	}
	out := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	out.TopicName = wire.Topic(b.Kiosk, wire.TopicAck)
	if out.Payload, err = a.Encode(); err != nil {
		return err
	}
	return out.Write(c)
}

// flood sends one acknowledgement of a size that none has.
func (r *rawBroker) flood(c net.Conn) {
	topic := wire.Topic(kiosk, wire.TopicAck)
	n := r.huge
	head := []byte{packets.Publish << 4, byte(n&0x7f | 0x80), byte(n>>7&0x7f | 0x80), byte(n>>14&0x7f | 0x80), byte(n >> 21), 0, byte(len(topic))}
	if _, err := c.Write(append(head, topic...)); err != nil {
		return
	}
	chunk := make([]byte, 64<<10)
	for left := n - 2 - len(topic); left > 0; left -= len(chunk) {
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		n, err := c.Write(chunk[:min(len(chunk), left)])
		r.took.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// manyLarge is a store of n results that share one body.
type manyLarge struct {
	body   []byte
	chains [][]byte
	notify chan struct{}

	mu    sync.Mutex
	acked uint64 // guarded by mu
}

const manyEpoch = "000102030405060708090a0b0c0d0e0f"

func newManyLarge(t *testing.T, n, size int) *manyLarge {
	t.Helper()
	m := &manyLarge{body: append([]byte("{"), make([]byte, size-1)...), chains: [][]byte{wire.ChainStart()}, notify: make(chan struct{})}
	hash := wire.BodyHash(m.body)
	for i := range n {
		next, err := wire.ChainNext(kiosk, manyEpoch, uint64(i+1), m.chains[i], hash)
		if err != nil {
			t.Fatal(err)
		}
		m.chains = append(m.chains, next)
	}
	return m
}

func (m *manyLarge) Queue() wire.Queue {
	m.mu.Lock()
	defer m.mu.Unlock()
	return wire.Queue{Epoch: manyEpoch, Last: uint64(len(m.chains) - 1), Acknowledged: m.acked}
}

func (m *manyLarge) Notify() <-chan struct{} { return m.notify }

func (m *manyLarge) Pending(_ context.Context, after uint64, most, room int) (string, []wire.Entry, error) {
	hash := wire.BodyHash(m.body)
	var out []wire.Entry
	for n := after + 1; n < uint64(len(m.chains)) && len(out) < most; n++ {
		if room -= wire.EncodedSize(len(m.body)); room < 0 && len(out) > 0 {
			break
		}
		out = append(out, wire.Entry{Number: n, Prev: m.chains[n-1], Hash: hash, Body: m.body})
	}
	return manyEpoch, out, nil
}

func (m *manyLarge) Acknowledge(_ context.Context, a wire.Ack) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acked = max(m.acked, a.Number)
	return nil
}

func (m *manyLarge) Rewind(context.Context, wire.Ack) error { return nil }

func (m *manyLarge) drained() bool { q := m.Queue(); return q.Acknowledged == q.Last }

// deliver runs an uplink from a store to the broker until the test ends.
func (r *rawBroker) deliver(t *testing.T, store uplink.Store, ackTimeout time.Duration) *uplink.Uplink {
	t.Helper()
	up, err := uplink.New(uplink.Config{Identity: r.p.identity(t, r.l.Addr().String()), Store: store, AckTimeout: ackTimeout,
		RedialMin: 20 * time.Millisecond, RedialMax: 200 * time.Millisecond, Status: func() wire.Status { return wire.Status{} }, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- up.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return up
}
