package uplink_test

import (
	"bytes"
	"crypto/tls"
	"sync"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/gate/wire"
)

// fakeCentral is what these tests need of a central: it verifies, keeps in
// memory, acknowledges, and can be made to misbehave.
type fakeCentral struct {
	t      *testing.T
	p      *pki
	client mqtt.Client

	mu       sync.Mutex
	kept     map[string][]wire.Entry // by epoch, without gaps
	repeats  int
	received int
	silent   bool
	swallow  func(*wire.Batch) bool // as if the broker had lost it
	retained map[string][]byte      // presence and status as last seen
	answer   func(b *wire.Batch, honest wire.Ack) []wire.Ack
	times    func(q *wire.TimeQuestion) []*wire.SignedTime // nil: no question is answered
}

func newFakeCentral(t *testing.T, p *pki) *fakeCentral {
	return &fakeCentral{t: t, p: p, kept: make(map[string][]wire.Entry), retained: make(map[string][]byte)}
}

// connect joins a broker; a new connection replaces the old one.
func (c *fakeCentral) connect(addr string) {
	c.t.Helper()
	c.leave()
	opts := mqtt.NewClientOptions().AddBroker("tls://" + addr).SetClientID(wire.ClientID("central")).SetAutoReconnect(false).
		SetTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.p.pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{c.p.issue(c.t, "central")}})
	client := mqtt.NewClient(opts)
	if tok := client.Connect(); !tok.WaitTimeout(patience) || tok.Error() != nil {
		c.t.Fatalf("central cannot connect: %v", tok.Error())
	}
	tok := client.SubscribeMultiple(map[string]byte{wire.Topic("+", wire.TopicResults): 0, wire.Topic("+", wire.TopicPresence): 0, wire.Topic("+", wire.TopicStatus): 0, wire.Topic("+", wire.TopicTimeQuestion): 0}, c.take)
	if !tok.WaitTimeout(patience) || tok.Error() != nil {
		c.t.Fatalf("central cannot subscribe: %v", tok.Error())
	}
	c.client = client
}

func (c *fakeCentral) leave() {
	if c.client != nil {
		c.client.Disconnect(10)
		c.client = nil
	}
}

func (c *fakeCentral) take(client mqtt.Client, m mqtt.Message) {
	_, kind, err := wire.SplitTopic(m.Topic())
	if err != nil {
		c.t.Error(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if kind == wire.TopicTimeQuestion {
		c.tellTime(client, m.Payload())
		return
	}
	if kind != wire.TopicResults {
		c.retained[kind] = m.Payload()
		return
	}
	b, err := wire.DecodeBatch(m.Payload())
	if err == nil {
		err = b.Verify(c.p.signingPub)
	}
	if err != nil {
		c.t.Error(err)
		return
	}
	c.received++
	if c.silent || c.swallow != nil && c.swallow(b) {
		return
	}
	honest := c.store(b)
	acks := []wire.Ack{honest}
	if c.answer != nil {
		acks = c.answer(b, honest)
	}
	for _, a := range acks {
		payload, err := a.Encode()
		if err != nil {
			c.t.Error(err)
		}
		client.Publish(wire.Topic(b.Kiosk, wire.TopicAck), 1, false, payload)
	}
}

// store keeps what follows on what it has and says where it stands.
func (c *fakeCentral) store(b *wire.Batch) wire.Ack {
	for _, e := range b.Entries {
		have := c.kept[b.Epoch]
		switch {
		case e.Number == uint64(len(have))+1 && bytes.Equal(e.Prev, c.chain(b.Epoch)):
			c.kept[b.Epoch] = append(have, e)
		case e.Number <= uint64(len(have)):
			c.repeats++
			if !bytes.Equal(have[e.Number-1].Hash, e.Hash) {
				c.t.Errorf("number %d came with two contents", e.Number)
			}
		}
	}
	return c.ack(b.Epoch)
}

// chain is the hash at the newest entry of an epoch.
func (c *fakeCentral) chain(epoch string) []byte {
	have := c.kept[epoch]
	if len(have) == 0 {
		return wire.ChainStart()
	}
	last := have[len(have)-1]
	h, err := wire.ChainNext(kiosk, epoch, last.Number, last.Prev, last.Hash)
	if err != nil {
		c.t.Error(err)
	}
	return h
}

func (c *fakeCentral) ack(epoch string) wire.Ack {
	a := wire.Ack{V: wire.AckVersion, Kiosk: kiosk, Epoch: epoch, Number: uint64(len(c.kept[epoch])), Chain: c.chain(epoch)}
	if err := a.Sign(c.p.ackKey); err != nil {
		c.t.Error(err)
	}
	return a
}

func (c *fakeCentral) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, e := range c.kept {
		n += len(e)
	}
	return n
}

func (c *fakeCentral) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// ledger checks that central has the transactions 0..n-1, each once, in order.
func (c *fakeCentral) ledger(n int) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	i := 0
	for _, entries := range c.kept {
		for _, e := range entries {
			rec, err := wire.DecodeRecord(e.Body)
			if err != nil || rec.Tx != tx(i) {
				c.t.Fatalf("entry %d holds %v, want transaction %s (%v)", e.Number, rec, tx(i), err)
			}
			i++
		}
	}
	c.t.Logf("ledger %s decided=%d central=%d lost=%d doubled=%d unreadable=0 reordered=0; %d repeats were absorbed", c.t.Name(), n, i, max(n-i, 0), max(i-n, 0), c.repeats)
	if i != n {
		c.t.Fatalf("central has %d results, want %d", i, n)
	}
}
