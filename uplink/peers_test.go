package uplink_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	queuefile "github.com/eclipse/paho.golang/autopaho/queue/file"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
	"github.com/eclipse/paho.golang/paho/store/memory"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"gateagent/gate/wire"
)

// The peers send single messages of the size of our results over the same line
// to the same broker, and are done when the broker has acknowledged all. That
// promises less than central's word, and none of them syncs what it keeps.
const (
	peerBare      = "bare"      // QoS 1 from memory, many on their way
	peerAutopaho  = "autopaho"  // the file queue of autopaho
	peerFileStore = "filestore" // the file store of paho.mqtt.golang
)

// bareWindow is how many messages the bare publisher has on its way: more make
// it no faster.
const bareWindow = 10_000

func playPeer(task drainTask) error {
	id, err := wire.LoadIdentity(filepath.Join(task.Dir, wire.IdentityFolder))
	if err != nil {
		return err
	}
	uri, err := url.Parse(task.Broker)
	if err != nil {
		return err
	}
	p := &peer{task: task, id: id, uri: uri, body: make([]byte, task.Size), topic: wire.Topic(kiosk, wire.TopicResults)}
	if _, err := rand.Read(p.body); err != nil {
		return err
	}
	var send func() error
	switch task.Role {
	case peerBare:
		send = p.bare
	case peerAutopaho:
		send, err = p.autopaho()
	case peerFileStore:
		send, err = p.fileStore()
	}
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	memory := watchMemory()
	begin := time.Now()
	if err := send(); err != nil {
		return err
	}
	out := drained{Results: task.Results, Took: time.Since(begin)}
	out.Idle, out.Peak, out.Heap = memory()
	return json.NewEncoder(os.Stdout).Encode(out)
}

type peer struct {
	task  drainTask
	id    *wire.Identity
	uri   *url.URL
	body  []byte
	topic string
	acked atomic.Int64
}

func (p *peer) wait() error {
	for end := time.Now().Add(5 * patience); p.acked.Load() < int64(p.task.Results); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s: %d of %d acknowledged", p.task.Role, p.acked.Load(), p.task.Results)
		}
	}
	return nil
}

func (p *peer) options() *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(p.task.Broker).SetClientID(wire.ClientID(kiosk)).SetProtocolVersion(4).
		SetAutoReconnect(false).SetTLSConfig(p.id.TLS(p.uri.Hostname())).SetOrderMatters(false)
}

// bare publishes from memory.
func (p *peer) bare() error {
	c := mqtt.NewClient(p.options().SetCleanSession(true).SetStore(mqtt.NewMemoryStore()))
	if t := c.Connect(); t.WaitTimeout(patience) && t.Error() != nil {
		return t.Error()
	}
	defer c.Disconnect(100)
	tokens := make([]mqtt.Token, bareWindow)
	for n := range p.task.Results + bareWindow {
		i := n % bareWindow
		if t := tokens[i]; t != nil && (!t.WaitTimeout(patience) || t.Error() != nil) {
			return fmt.Errorf("message %d: %w", n-bareWindow, t.Error())
		}
		tokens[i] = nil
		if n < p.task.Results {
			tokens[i] = c.Publish(p.topic, 1, false, p.body)
		}
	}
	return nil
}

// countedStore counts what the session lets go of: that is acknowledged.
type countedStore struct {
	*memory.Store
	acked *atomic.Int64
}

func (s countedStore) Delete(id uint16) error {
	s.acked.Add(1)
	return s.Store.Delete(id)
}

// autopaho fills its queue and gives what sends it.
func (p *peer) autopaho() (func() error, error) {
	q, err := queuefile.New(filepath.Join(p.task.Dir, "queue"), "result-", ".msg")
	if err != nil {
		return nil, err
	}
	for range p.task.Results {
		var b bytes.Buffer
		if _, err := (&paho.Publish{QoS: 1, Topic: p.topic, Payload: p.body}).Packet().WriteTo(&b); err != nil {
			return nil, err
		}
		if err := q.Enqueue(&b); err != nil {
			return nil, err
		}
	}
	return func() error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		c, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{ServerUrls: []*url.URL{p.uri}, TlsCfg: p.id.TLS(p.uri.Hostname()), KeepAlive: 15,
			Queue: q, ClientConfig: paho.ClientConfig{ClientID: wire.ClientID(kiosk), Session: state.New(countedStore{memory.New(), &p.acked}, memory.New())}})
		if err != nil {
			return err
		}
		if err := p.wait(); err != nil {
			return err
		}
		return c.Disconnect(ctx)
	}, nil
}

// countedFiles does the same for paho.mqtt.golang's file store.
type countedFiles struct {
	*mqtt.FileStore
	acked *atomic.Int64
}

func (s countedFiles) Del(key string) {
	s.acked.Add(1)
	s.FileStore.Del(key)
}

// fileStore fills a store as Publish does while there is no connection, and
// gives what sends it.
func (p *peer) fileStore() (func() error, error) {
	s := countedFiles{mqtt.NewFileStore(filepath.Join(p.task.Dir, "store")), &p.acked}
	s.Open()
	for n := range p.task.Results {
		m := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		m.Qos, m.TopicName, m.Payload, m.MessageID = 1, p.topic, p.body, uint16(n+1)
		s.Put(fmt.Sprintf("o.%d", m.MessageID), m)
	}
	s.Close()
	return func() error {
		c := mqtt.NewClient(p.options().SetCleanSession(false).SetStore(s))
		if t := c.Connect(); t.WaitTimeout(patience) && t.Error() != nil {
			return t.Error()
		}
		defer c.Disconnect(100)
		return p.wait()
	}, nil
}
