//go:build faults

package faults

import (
	"crypto/tls"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/gate/wire"
)

// mangler carries messages between the broker of a kiosk and that of central,
// and is a bad one: it loses, doubles, delays and reorders them, and brings up
// old ones again.
type mangler struct {
	t        *testing.T
	down, up mqtt.Client // at the kiosk's broker, and at central's

	mu     sync.Mutex
	random *rand.Rand
	past   map[string][][]byte // messages that once passed, by topic
	honest bool
	counts map[string]int
}

// newMangler joins both brokers: at the kiosk's it is central, at central's
// the kiosk.
func newMangler(t *testing.T, random *rand.Rand, c *centre, k *kiosk, broker string) *mangler {
	t.Helper()
	m := &mangler{t: t, random: rand.New(rand.NewPCG(random.Uint64(), 0)), past: map[string][][]byte{}, counts: map[string]int{}}
	id, err := wire.LoadIdentity(k.identity())
	must(t, err)
	own, err := c.reg.CA.Central(time.Now())
	must(t, err)
	m.down = m.join(broker, wire.CentralName, own, c)
	m.up = m.join("tls://"+c.mqtt, wire.ClientID(id.Name), id.Certificate, c)
	m.carry(m.down, m.up, wire.TopicResults)
	m.carry(m.up, m.down, wire.TopicAck)
	t.Cleanup(func() {
		m.down.Disconnect(0)
		m.up.Disconnect(0)
	})
	return m
}

func (m *mangler) join(broker, client string, cert tls.Certificate, c *centre) mqtt.Client {
	m.t.Helper()
	opts := mqtt.NewClientOptions().AddBroker(broker).SetClientID(client).SetAutoReconnect(true).SetOrderMatters(false).
		SetTLSConfig(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: c.reg.CA.Pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{cert}})
	cl := mqtt.NewClient(opts)
	if tok := cl.Connect(); !tok.WaitTimeout(patience) || tok.Error() != nil {
		m.t.Fatalf("join %s: %v", broker, tok.Error())
	}
	return cl
}

func (m *mangler) carry(from, to mqtt.Client, kind string) {
	m.t.Helper()
	topic := wire.Topic(kioskName, kind)
	tok := from.Subscribe(topic, 1, func(_ mqtt.Client, msg mqtt.Message) { m.take(to, topic, msg.Payload()) })
	if !tok.WaitTimeout(patience) || tok.Error() != nil {
		m.t.Fatalf("subscribe to %s: %v", topic, tok.Error())
	}
}

// take passes a message on, or does not, or not now, or not once.
func (m *mangler) take(to mqtt.Client, topic string, payload []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	send := func(p []byte, after time.Duration) {
		time.AfterFunc(after, func() { to.Publish(topic, 1, false, p) })
	}
	old := append(m.past[topic], payload)
	m.past[topic] = old[max(0, len(old)-200):]
	if m.honest {
		send(payload, 0)
		return
	}
	later := func() time.Duration { return time.Duration(m.random.Int64N(int64(400 * time.Millisecond))) }
	switch n := m.random.IntN(10); {
	case n == 0:
		m.counts["lost"]++
	case n <= 2:
		m.counts["doubled"]++
		send(payload, 0)
		send(payload, later())
	case n <= 5:
		m.counts["delayed"]++ // and so overtaken
		send(payload, later())
	case n == 6:
		m.counts["repeated"]++
		send(old[m.random.IntN(len(old))], 0)
		send(payload, 0)
	default:
		send(payload, 0)
	}
}

func (m *mangler) behave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.honest = true
}
