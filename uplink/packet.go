package uplink

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"gateagent/gate/wire"
)

// maxPacket is what one MQTT packet of the broker may have at most. The
// largest that anybody has to say to a kiosk is a timestamp; what is a little
// larger than it ought to be is refused where it is read, with its own words.
const maxPacket = 4 * max(wire.MaxTimestampBytes, wire.MaxCommandBytes, wire.MaxAckBytes, wire.MaxTimeBytes)

// errHuge ends a connection over which a packet comes that is larger than
// maxPacket: MQTT lets it have 256 MiB, and the client would make room for it
// before anybody here sees it.
var errHuge = errors.New("the broker sends a packet larger than any that a kiosk is sent")

// uploadMost is how long a batch may take on its way out, as long as bytes
// leave at all. A line over which the largest one takes longer is given
// smaller ones.
const uploadMost = 10 * time.Minute

// packetConn is a connection to a broker as the MQTT client sees it. It knows
// where packets begin.
type packetConn struct {
	*tls.Conn
	below *countedConn

	// Of the packet that is being read; the reader's own.
	length headerReader
	left   int

	written atomic.Int64  // publications that went out
	went    chan struct{} // has a token after one did
}

func newPacketConn(conn *tls.Conn, below *countedConn) *packetConn {
	return &packetConn{Conn: conn, below: below, went: make(chan struct{}, 1)}
}

// Read implements net.Conn. What would tell the reader of too large a packet
// is not given to it.
func (c *packetConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for b := p[:n]; len(b) > 0; {
		if c.left > 0 {
			skip := min(c.left, len(b))
			c.left, b = c.left-skip, b[skip:]
			continue
		}
		size, ok := c.length.next(b[0])
		if size > maxPacket {
			return 0, errHuge
		}
		if b = b[1:]; ok {
			c.left = size
		}
	}
	return n, err
}

// headerReader reads fixed headers: a byte for the type, and the length of
// what follows in up to four more (MQTT 3.1.1, section 2.2).
type headerReader struct {
	at, size int
}

// next takes a byte and says, when it was the header's last, how much follows.
func (h *headerReader) next(b byte) (size int, ok bool) {
	if h.at == 0 {
		h.at = 1
		return 0, false
	}
	h.size |= int(b&0x7f) << (7 * (h.at - 1))
	h.at++
	size = h.size
	if b&0x80 == 0 {
		*h = headerReader{}
		return size, true
	}
	if h.at > 4 {
		return maxPacket + 1, false // a length of five bytes, which there is not
	}
	return size, false
}

// Write implements net.Conn. The client gives it one packet at a time.
func (c *packetConn) Write(p []byte) (int, error) {
	limit := time.AfterFunc(uploadMost, func() { _ = c.below.Close() }) // it is gone either way
	defer limit.Stop()
	n, err := c.Conn.Write(p)
	if err == nil && len(p) > 0 && p[0]>>4 == packets.Publish {
		c.written.Add(1)
		select {
		case c.went <- struct{}{}:
		default:
		}
	}
	return n, err
}

// noStore is the client's store of messages that are not acknowledged, which
// keeps nothing: they would be there for a later connection, and nothing is
// resumed by one. A broker that acknowledges nothing would fill the memory.
type noStore struct{}

var _ mqtt.Store = noStore{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}
