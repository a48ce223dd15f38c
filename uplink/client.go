package uplink

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"gateagent/gate/wire"
)

// Bounds of the MQTT connection.
const (
	keepAlive    = 15 * time.Second
	pingTimeout  = 10 * time.Second
	writeTimeout = 5 * time.Second
	goodbye      = time.Second // for the last messages of an orderly end
	ackBuffer    = 256
	timeBuffer   = 4
	// maxUnanswered is how many messages may wait for the broker's PUBACK. It
	// proves nothing, but one that never comes costs memory.
	maxUnanswered = 1024
	// handedMost is how many messages may wait to be written: the client
	// blocks whoever gives it more.
	handedMost = 2
)

// errNoPuback ends a connection to a broker that does not keep to MQTT.
var errNoPuback = errors.New("the broker acknowledges none of many messages")

// connection is one MQTT connection; it is never used again once it is lost.
type connection struct {
	client  mqtt.Client
	kiosk   string
	session string
	began   time.Time
	lost    chan error
	acks    chan []byte // payloads on the ack topic
	times   chan []byte // payloads on the topic of the time
	orders  chan []byte // payloads on the topic of commands
	// timeTopic: the broker lets us listen to the topic of the time.
	timeTopic bool

	route   *route
	watched watched

	// Those who publish own the following.
	handed     int64        // publications given to the client
	unanswered []mqtt.Token // of those that the broker has to acknowledge

	mu   sync.Mutex
	conn *packetConn // guarded by mu; nil before it is dialled
}

// keepAliveMetered saves bytes where each counts.
const keepAliveMetered = time.Minute

func (r *route) keepAlive() time.Duration {
	if r.metered() {
		return keepAliveMetered
	}
	return keepAlive
}

// connect dials a broker and subscribes to the acknowledgements.
func (u *Uplink) connect(ctx context.Context, r *route, broker string) (*connection, error) {
	id, limit := u.cfg.Identity, u.dialLimit(r)
	ctx, cancel := context.WithTimeout(ctx, 2*limit) // of all steps together
	defer cancel()
	c := &connection{route: r, kiosk: id.Name, session: wire.ClientID(id.Name), began: time.Now(),
		lost: make(chan error, 1), acks: make(chan []byte, ackBuffer), times: make(chan []byte, timeBuffer),
		orders: make(chan []byte, timeBuffer)}
	will, err := c.presence(false)
	if err != nil {
		return nil, err
	}
	opts := mqtt.NewClientOptions().AddBroker(broker).SetClientID(c.session).SetProtocolVersion(4).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).SetStore(noStore{}).
		SetOrderMatters(true).SetKeepAlive(r.keepAlive()).SetPingTimeout(pingTimeout).SetWriteTimeout(writeTimeout).
		SetConnectTimeout(limit).SetBinaryWill(wire.Topic(c.kiosk, wire.TopicPresence), will, 1, true).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.fail(err) }).
		SetCustomOpenConnectionFn(func(uri *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			conf := id.TLS(uri.Hostname())
			conf.Time = u.cfg.Now
			return c.dial(ctx, uri, limit, conf)
		})
	c.client = mqtt.NewClient(opts)
	if err := wait(ctx, c.client.Connect(), limit, "connect"); err != nil {
		c.cut()
		return nil, err
	}
	token := c.client.Subscribe(wire.Topic(c.kiosk, wire.TopicAck), 1, func(_ mqtt.Client, m mqtt.Message) {
		// A retained acknowledgement is from nobody we know: central never
		// retains one.
		if !m.Retained() && len(m.Payload()) <= wire.MaxAckBytes {
			push(c.acks, m.Payload())
		}
	})
	if err := errors.Join(wait(ctx, token, limit, "subscribe"), granted(token)); err != nil {
		c.cut()
		return nil, err
	}
	if err := errors.Join(c.listenAlso(ctx, u), c.listenForPushes(ctx, u)); err != nil {
		c.cut()
		return nil, err
	}
	return c, nil
}

// listenAlso subscribes to central's signed time and commands, where somebody
// here takes them. A broker whose rules are older than a topic keeps nothing
// else out.
func (c *connection) listenAlso(ctx context.Context, u *Uplink) error {
	to := map[string]chan []byte{}
	if u.cfg.Time != nil {
		to[wire.Topic(c.kiosk, wire.TopicTime)] = c.times
	}
	if u.cfg.Command != nil {
		to[wire.Topic(c.kiosk, wire.TopicCommand)] = c.orders
	}
	if len(to) == 0 {
		return nil
	}
	wanted := map[string]byte{}
	for topic := range to {
		wanted[topic] = 0
	}
	token := c.client.SubscribeMultiple(wanted, func(_ mqtt.Client, m mqtt.Message) {
		if !m.Retained() && len(m.Payload()) <= wire.MaxCommandBytes && to[m.Topic()] != nil {
			push(to[m.Topic()], m.Payload())
		}
	})
	if err := wait(ctx, token, u.cfg.Dial, "subscribe"); err != nil {
		return err
	}
	refused := refusedTopics(token)
	c.timeTopic = u.cfg.Time != nil && !refused[wire.Topic(c.kiosk, wire.TopicTime)]
	for topic := range refused {
		u.log.Warn("central's word on time or keys cannot be heard: look at the broker's access rules", "topic", topic)
	}
	return nil
}

// dial opens the TLS connection, within the context: paho itself would wait
// for its own timeout.
func (c *connection) dial(ctx context.Context, uri *url.URL, limit time.Duration, conf *tls.Config) (net.Conn, error) {
	secured, counted, err := c.route.dial(ctx, uri, limit, conf)
	if err != nil {
		return nil, err
	}
	conn := newPacketConn(secured, counted)
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	return conn, nil
}

// socket is the connection below the client; nil before it is dialled.
func (c *connection) socket() *packetConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// granted finds a refused subscription: a return code of 0x80 and no error
// (MQTT 3.1.1, section 3.9.3).
func granted(token mqtt.Token) error {
	for topic := range refusedTopics(token) {
		return fmt.Errorf("the broker refuses the topic %s: look at its access rules", topic)
	}
	return nil
}

func refusedTopics(token mqtt.Token) map[string]bool {
	out := map[string]bool{}
	if t, ok := token.(*mqtt.SubscribeToken); ok {
		for topic, code := range t.Result() {
			if code > 2 {
				out[topic] = true
			}
		}
	}
	return out
}

// push never blocks: when nobody listens, the oldest goes. A later
// acknowledgement covers those before it.
func push(to chan []byte, payload []byte) {
	for {
		select {
		case to <- payload:
			return
		default:
		}
		select {
		case <-to:
		default:
		}
	}
}

func (c *connection) fail(err error) {
	select {
	case c.lost <- err:
	default:
	}
}

func (c *connection) presence(up bool) ([]byte, error) {
	p := wire.Presence{V: wire.PresenceVersion, Up: up, Session: c.session, At: c.began.UTC()}
	return p.Encode()
}

// publish hands a message to the client. Success means nothing; only a
// failure is believed.
func (c *connection) publish(kind string, qos byte, retained bool, payload []byte) error {
	t := c.client.Publish(wire.Topic(c.kiosk, kind), qos, retained, payload)
	select {
	case <-t.Done():
		if err := t.Error(); err != nil {
			return fmt.Errorf("publish %s: %w", kind, err)
		}
	default:
	}
	c.handed++
	if qos == 0 {
		return nil
	}
	c.unanswered = append(c.unanswered, t)
	if len(c.unanswered) < maxUnanswered {
		return nil
	}
	c.unanswered = slices.DeleteFunc(c.unanswered, func(t mqtt.Token) bool {
		select {
		case <-t.Done():
			return true
		default:
			return false
		}
	})
	if len(c.unanswered) > maxUnanswered/2 {
		return errNoPuback
	}
	return nil
}

// busy says whether whoever publishes now would have to wait until something
// else is written, which takes long over a narrow line.
func (c *connection) busy() bool {
	conn := c.socket()
	return conn != nil && c.handed-conn.written.Load() >= handedMost
}

// leave ends the connection in order: an orderly end keeps the broker from
// sending the last will, so the kiosk says itself that it is gone.
func (c *connection) leave() {
	if c.client.IsConnectionOpen() && !c.watched.dead.Load() && !c.busy() {
		if down, err := c.presence(false); err == nil {
			c.client.Publish(wire.Topic(c.kiosk, wire.TopicPresence), 1, true, down).WaitTimeout(goodbye)
		}
		c.client.Disconnect(uint(goodbye.Milliseconds()))
	}
	c.cut()
}

// cut closes the connection without a word; the broker sends the last will.
func (c *connection) cut() {
	if conn := c.socket(); conn != nil {
		_ = conn.Close() // it is gone either way
	}
	c.client.Disconnect(0)
}

// wait waits for a token within a bound.
func wait(ctx context.Context, t mqtt.Token, limit time.Duration, what string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-t.Done():
		if err := t.Error(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer: %w", what, ctx.Err())
	}
}

// reason says in a few words for staff why there is no connection. The log
// has the whole error.
func reason(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	var iface *interfaceError
	switch {
	case err == nil:
		return "the connection ended"
	case errors.Is(err, errNoAck):
		return "central does not acknowledge"
	case errors.As(err, &iface):
		return iface.Error() + ": look at the cable, and at `ip link`"
	case errors.Is(err, errHuge), errors.Is(err, errNoPuback):
		return "the broker does not behave as one: is it ours, and in order?"
	case errors.Is(err, errDead):
		return "the broker fell silent: check the network"
	case errors.Is(err, wire.ErrRevoked):
		return "the broker's certificate is revoked: give the broker a new one at central"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate has ended: renew it at central, or look at this kiosk's clock"
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return "the broker's certificate is not central's: check address and clock, or install a new bundle"
	case strings.Contains(err.Error(), "remote error: tls: expired"):
		return "this kiosk's certificate has ended: renew it at central and install the new bundle"
	case strings.Contains(err.Error(), "remote error: tls: revoked"), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		return "this kiosk is revoked or not enrolled here: enrol it anew at central and install the new bundle"
	case strings.Contains(err.Error(), "remote error: tls"):
		return "the broker refuses this kiosk's certificate: renew it at central and install the new bundle"
	case errors.As(err, &dns):
		return "the broker's name is not known: check the network and the broker address"
	case errors.Is(err, context.DeadlineExceeded):
		return "the broker does not answer: check the network"
	}
	return "the broker cannot be reached: check the network"
}
