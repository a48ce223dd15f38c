package central

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/central/ca"
	"gateagent/gate/wire"
)

// Times of the link to the broker.
const (
	dialTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	keepAlive    = 15 * time.Second
	pingTimeout  = 10 * time.Second
	redialFirst  = 200 * time.Millisecond
	redialMost   = 5 * time.Second
	maxOutbound  = 4096 // messages waiting to be sent
)

// link is central's MQTT connection to one broker. Each connection is a new client: paho's
// own reconnection completes tokens of messages that nobody ever received.
// Nothing here depends on what arrives: a lost acknowledgement is sent again
// when the kiosk sends its batch again.
type link struct {
	broker  string // tls://host:port
	ca      *ca.Authority
	deliver func(topic string, retained bool, payload []byte)
	log     *slog.Logger
	out     chan outbound

	mu      sync.Mutex
	problem string // guarded by mu; empty while connected
	since   time.Time
	kept    map[string][]byte // guarded by mu; newest of each topic that the broker keeps
}

type outbound struct {
	topic   string
	payload []byte
	kept    bool
}

func newLink(broker string, authority *ca.Authority, deliver func(string, bool, []byte), log *slog.Logger) *link {
	return &link{broker: broker, ca: authority, deliver: deliver, log: log, out: make(chan outbound, maxOutbound),
		kept:    map[string][]byte{},
		problem: "not connected yet", since: time.Now()}
}

// State says whether the broker is connected: empty when it is, else why not.
func (l *link) State() (problem string, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.problem, l.since
}

func (l *link) set(problem string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if (l.problem == "") != (problem == "") {
		l.since = time.Now()
	}
	l.problem = problem
}

// Send queues a message; when the queue is full it is dropped, and the kiosk
// asks again.
func (l *link) Send(topic string, payload []byte) {
	select {
	case l.out <- outbound{topic: topic, payload: payload}:
	default:
		l.log.Warn("message dropped: the broker takes them too slowly", "topic", topic)
	}
}

// Keep publishes a message that the broker keeps for those who come later. A
// broker may forget it: each connection begins with the newest of each topic.
func (l *link) Keep(topic string, payload []byte) {
	l.mu.Lock()
	l.kept[topic] = payload
	l.mu.Unlock()
	select {
	case l.out <- outbound{topic, payload, true}:
	default:
		l.log.Warn("message dropped: the broker takes them too slowly", "topic", topic)
	}
}

// keepAgain publishes what the broker is to keep.
func (l *link) keepAgain(client mqtt.Client) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, payload := range l.kept {
		if t := client.Publish(topic, 0, true, payload); t.Error() != nil {
			return fmt.Errorf("publish: %w", t.Error())
		}
	}
	return nil
}

// Run keeps the link up until ctx ends.
func (l *link) Run(ctx context.Context) error {
	wait := redialFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := l.session(ctx)
		if ctx.Err() != nil {
			break
		}
		l.set(err.Error())
		l.log.Warn("link to the broker", "broker", l.broker, "err", err)
		if time.Since(began) > time.Minute {
			wait = redialFirst
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(wait*2, redialMost)
	}
	return nil
}

// session is one connection from dial to loss.
func (l *link) session(ctx context.Context) error {
	lost := make(chan error, 1)
	opts, err := l.options(lost)
	if err != nil {
		return err
	}
	client := mqtt.NewClient(opts)
	defer client.Disconnect(100)
	if err := wait(ctx, client.Connect(), dialTimeout, "connect"); err != nil {
		return err
	}
	handler := func(_ mqtt.Client, m mqtt.Message) { l.deliver(m.Topic(), m.Retained(), m.Payload()) }
	// QoS 0: a batch that gets lost here comes again, since only central's
	// own acknowledgement counts, and the broker need not store it.
	token := client.SubscribeMultiple(map[string]byte{
		wire.Topic("+", wire.TopicResults):  0,
		wire.Topic("+", wire.TopicPresence): 0,
		wire.Topic("+", wire.TopicStatus):   0,
	}, handler)
	if err := wait(ctx, token, dialTimeout, "subscribe"); err != nil {
		return err
	}
	if err := granted(token); err != nil {
		return err
	}
	// A broker whose rules are older than this topic must not keep results
	// out.
	asked := client.Subscribe(wire.Topic("+", wire.TopicTimeQuestion), 0, handler)
	if err := wait(ctx, asked, dialTimeout, "subscribe"); err != nil {
		return err
	}
	if err := granted(asked); err != nil {
		l.log.Warn("kiosks get no time from here", "err", err)
	}
	if err := l.keepAgain(client); err != nil {
		return err
	}
	l.set("")
	l.log.Info("link to the broker is up", "broker", l.broker)
	return l.send(ctx, client, lost)
}

// granted finds a subscription that the broker refused: paho reports it as a
// return code of 0x80 and no error (MQTT 3.1.1 section 3.9.3).
func granted(token mqtt.Token) error {
	t, ok := token.(*mqtt.SubscribeToken)
	if !ok {
		return errors.New("subscribe: unexpected token")
	}
	for topic, code := range t.Result() {
		if code > 2 {
			return fmt.Errorf("the broker refuses central the topic %s: look at its access rules", topic)
		}
	}
	return nil
}

// send publishes what is queued until the connection is lost.
func (l *link) send(ctx context.Context, client mqtt.Client, lost <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			return fmt.Errorf("connection lost: %w", err)
		case m := <-l.out:
			if t := client.Publish(m.topic, 0, m.kept, m.payload); t.Error() != nil {
				return fmt.Errorf("publish: %w", t.Error())
			}
		}
	}
}

func (l *link) options(lost chan<- error) (*mqtt.ClientOptions, error) {
	u, err := url.Parse(l.broker)
	if err != nil {
		return nil, fmt.Errorf("broker address %q: %w", l.broker, err)
	}
	cert, err := l.ca.Central(time.Now())
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: l.ca.Pool(), ServerName: u.Hostname(),
		Certificates: []tls.Certificate{cert}}
	return mqtt.NewClientOptions().AddBroker(l.broker).SetClientID(wire.ClientID(wire.CentralName)).
		SetTLSConfig(conf).SetProtocolVersion(4).SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).
		SetOrderMatters(true).SetConnectTimeout(dialTimeout).SetWriteTimeout(writeTimeout).
		SetKeepAlive(keepAlive).SetPingTimeout(pingTimeout).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) {
			select {
			case lost <- err:
			default:
			}
		}), nil
}

// wait waits for a paho token within a bound.
func wait(ctx context.Context, t mqtt.Token, bound time.Duration, what string) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	select {
	case <-t.Done():
		if t.Error() != nil {
			return fmt.Errorf("%s: %w", what, t.Error())
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}
