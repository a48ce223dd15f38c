package uplink

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"gateagent/gate/wire"
)

func TestPacketLengths(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header []byte
		size   int
		ok     bool
	}{
		"ping":         {[]byte{0xd0, 0}, 0, true},
		"one byte":     {[]byte{0x30, 127}, 127, true},
		"two bytes":    {[]byte{0x30, 0x80, 1}, 128, true},
		"four bytes":   {[]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, 268_435_455, true},
		"five bytes":   {[]byte{0x30, 0x80, 0x80, 0x80, 0x80}, maxPacket + 1, false},
		"not complete": {[]byte{0x30, 0x81}, 1, false},
	} {
		var h headerReader
		var size int
		var ok bool
		for range 2 { // the second packet is read as the first
			for _, b := range tc.header {
				size, ok = h.next(b)
			}
			if size != tc.size || ok != tc.ok {
				t.Errorf("%s: %d %v, want %d %v", name, size, ok, tc.size, tc.ok)
			}
			if !ok {
				break
			}
		}
	}
}

// deafClient is a client whose broker acknowledges nothing.
type deafClient struct{ mqtt.Client }

type openToken struct{ mqtt.DummyToken }

func (*openToken) Done() <-chan struct{} { return nil }

func (deafClient) Publish(string, byte, bool, any) mqtt.Token { return &openToken{} }

// A broker that never acknowledges a message is left before the tokens fill
// the memory; heartbeats, which nobody acknowledges, do not count.
func TestBrokerWithoutPuback(t *testing.T) {
	t.Parallel()
	publish := func(client mqtt.Client, qos byte) (n int, err error) {
		c := &connection{client: client, kiosk: modelKiosk}
		for n = 0; err == nil && n < 3*maxUnanswered; n++ {
			err = c.publish(wire.TopicResults, qos, false, nil)
		}
		return n, err
	}
	if n, err := publish(deafClient{}, 1); !errors.Is(err, errNoPuback) || n != maxUnanswered {
		t.Errorf("after %d messages: %v", n, err)
	}
	if n, err := publish(deafClient{}, 0); err != nil {
		t.Errorf("after %d heartbeats: %v", n, err)
	}
	if n, err := publish(&line{w: &world{}}, 1); err != nil {
		t.Errorf("after %d acknowledged messages: %v", n, err)
	}
}

// tcpPair gives the two ends of a connection, of which the second takes little
// at once.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if far, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	if err := errors.Join(far.SetReadBuffer(128<<10), near.SetWriteBuffer(128<<10)); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// A write goes on as long as bytes leave, and not when none does.
func TestSlowWrite(t *testing.T) {
	t.Parallel()
	const stall = 400 * time.Millisecond
	near, far := tcpPair(t)
	c := &countedConn{Conn: near, stall: stall}
	if err := c.SetWriteDeadline(time.Now()); err != nil { // the client's, for a whole message
		t.Fatal(err)
	}
	const size = 4 << 20
	taken := make(chan error, 1)
	go func() {
		buf := make([]byte, 128<<10)
		for left := size; left > 0; {
			time.Sleep(stall / 8)
			n, err := far.Read(buf)
			if left -= n; err != nil {
				taken <- err
				return
			}
		}
		taken <- nil
	}()
	begin := time.Now()
	if n, err := c.Write(make([]byte, size)); n != size || err != nil {
		t.Errorf("%d bytes written, then %v", n, err)
	}
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < stall {
		t.Errorf("it took %v, the test proves nothing", took)
	}
	begin = time.Now()
	if n, err := c.Write(make([]byte, size)); !errors.Is(err, os.ErrDeadlineExceeded) || n == size {
		t.Errorf("%d bytes written to somebody who takes none, then %v", n, err)
	}
	if took := time.Since(begin); took > 20*stall {
		t.Errorf("a dead connection was held for %v", took)
	}
}

// The client's store keeps nothing.
func TestNothingIsStored(t *testing.T) {
	t.Parallel()
	var s mqtt.Store = noStore{}
	s.Open()
	s.Put("o.1", packets.NewControlPacket(packets.Publish))
	if len(s.All()) != 0 || s.Get("o.1") != nil {
		t.Error("a message is kept")
	}
}
