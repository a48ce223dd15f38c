package central_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// marker stands in everything that the hostile kiosk says.
const marker = "said-by-evil"

// spy is a connection with a valid certificate that notes all it hears.
type spy struct {
	k *kiosk

	mu    sync.Mutex
	heard []string // topics and what was said
}

func newSpy(t *testing.T, k *kiosk) *spy {
	s := &spy{k: k}
	s.connect(t)
	t.Cleanup(func() { s.k.conn.Disconnect(0) })
	return s
}

// connect makes a new connection: brokers cut clients that try too much.
func (s *spy) connect(t *testing.T) {
	t.Helper()
	s.k.conn = mqtt.NewClient(s.k.options(wire.ClientID(s.k.id.Name)).SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard = append(s.heard, fmt.Sprintf("%s retained=%v %.60q", m.Topic(), m.Retained(), m.Payload()))
	}))
	if err := settled(s.k.conn.Connect()); err != nil {
		t.Fatal(err)
	}
}

func (s *spy) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// say publishes and connects again where the broker took it amiss.
func (s *spy) say(t *testing.T, topic string, qos byte, retained bool) {
	t.Helper()
	s.k.conn.Publish(topic, qos, retained, marker).WaitTimeout(200 * time.Millisecond)
	if !s.k.conn.IsConnectionOpen() {
		s.connect(t)
	}
}

// An enrolled kiosk listens to whatever a name can be found for, while
// another kiosk and central talk: it hears nothing but its own.
func TestHostileListener(t *testing.T) {
	t.Parallel()
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		victim := enrolKiosk(t, c.reg, "victim", broker).connect(t)
		chatter := func() {
			b := victim.next(t, 1)
			victim.send(t, b)
			victim.acked(t, victim.n, b.Chain)
			if err := settled(victim.conn.Publish(wire.Topic("victim", wire.TopicStatus), 1, true, "{}")); err != nil {
				t.Fatal(err)
			}
		}
		chatter()
		s := newSpy(t, enrolKiosk(t, c.reg, "evil", broker))
		filters := []string{"#", "+", "+/#", "/#", "+/+/+/+", "$SYS/#", "$SYS/broker/clients/connected", "gate/#", "gate/v1/#", "gate/v1/+/ack",
			"gate/v1/victim/#", "gate/v1/victim/+", "gate/v1/+/+", "$share/x/gate/v1/victim/ack", "$share/x/#", "$queue/#",
			"$MQTT/#", "$JS/#", "$JS/API/#", "$JSC/#", "_INBOX/#", "gate.v1.victim.ack", "gate.v1.>", ">", "*",
			"gate/v1/evil/results", "gate/v1/evil/#"}
		for _, kind := range slices.Concat(wire.Upward(), wire.Downward()) {
			filters = append(filters, wire.Topic("victim", kind), wire.Topic("central", kind))
		}
		for _, f := range filters {
			s.k.conn.Subscribe(f, 1, nil).WaitTimeout(300 * time.Millisecond)
			if !s.k.conn.IsConnectionOpen() {
				s.connect(t)
			}
		}
		for range 5 {
			chatter()
		}
		time.Sleep(200 * time.Millisecond)
		if heard := s.all(); len(heard) != 0 {
			t.Errorf("the hostile kiosk heard %q", heard)
		}
		t.Logf("%d filters, nothing heard", len(filters))
	})
}

// It writes wherever a name can be found for, plain and retained, also
// acknowledgements to itself: nobody hears it, and nothing stays behind.
func TestHostileWriter(t *testing.T) {
	t.Parallel()
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		bystander := newSpy(t, enrolKiosk(t, c.reg, "victim", broker))
		evil := newSpy(t, enrolKiosk(t, c.reg, "evil", broker))
		for _, s := range []*spy{bystander, evil} {
			for _, kind := range wire.Downward() {
				if err := settled(s.k.conn.Subscribe(wire.Topic(s.k.id.Name, kind), 1, nil)); err != nil {
					t.Fatal(err)
				}
			}
		}
		topics := []string{"x", "/", "$SYS/x", "gate/v1/victim", "gate/v1/victim/other", "gate/v1/evil/other", "gate/v1/evil/results/x",
			"gate.v1.victim.ack", "$JS/API/STREAM/DELETE/$MQTT_msgs", "$JS/API/STREAM/PURGE/$MQTT_rmsgs", "$MQTT/msgs/x", "$MQTT/JSA/x", "$SYS/REQ/SERVER/PING"}
		for _, kind := range slices.Concat(wire.Upward(), wire.Downward()) {
			topics = append(topics, wire.Topic("victim", kind), wire.Topic("central", kind))
		}
		for _, kind := range wire.Downward() {
			topics = append(topics, wire.Topic("evil", kind)) // to itself
		}
		for _, topic := range topics {
			evil.say(t, topic, 1, true)
			evil.say(t, topic, 0, false)
			evil.say(t, topic, 2, false)
		}
		for _, kind := range slices.Concat(wire.Upward(), wire.Downward()) {
			o := evil.k.options(wire.ClientID("evil")).SetBinaryWill(wire.Topic("victim", kind), []byte(marker), 1, true)
			dieWithoutAWord(t, o, evil.k.id.TLS("127.0.0.1"))
		}
		time.Sleep(300 * time.Millisecond)
		for _, s := range []*spy{bystander, evil} {
			if heard := s.all(); len(heard) != 0 {
				t.Errorf("%s heard %q", s.k.id.Name, heard)
			}
		}
		for _, l := range c.Live() {
			if l.Kiosk != "evil" {
				t.Errorf("central believes of %s: %+v", l.Kiosk, l)
			}
		}
		alarms, err := c.reg.Store.OpenAlarms(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range alarms {
			if a.Kiosk != "evil" {
				t.Errorf("an alarm about %s: %s", a.Kiosk, a.Text)
			}
		}
		later := newSpy(t, bystander.k)
		for _, kind := range wire.Downward() {
			if err := settled(later.k.conn.Subscribe(wire.Topic("victim", kind), 1, nil)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(200 * time.Millisecond)
		if heard := later.all(); len(heard) != 0 {
			t.Errorf("left behind: %q", heard)
		}
		t.Logf("%d topics, three ways and by last will: nobody heard anything", len(topics))
	})
}

// The control: with access rules that give everybody everything the same
// attempts are heard.
func TestHostileIsHeardWithoutRules(t *testing.T) {
	t.Parallel()
	dir, addr := t.TempDir(), freeAddr(t)
	broker := "tls://" + addr
	mosquittoWith(t, registry(t, dir), addr, []byte("topic readwrite #\npattern readwrite #\n"))
	c := start(t, dir, broker)
	victim := enrolKiosk(t, c.reg, "victim", broker).connect(t)
	s := newSpy(t, enrolKiosk(t, c.reg, "evil", broker))
	if err := settled(s.k.conn.Subscribe("#", 1, nil)); err != nil {
		t.Fatal(err)
	}
	b := victim.next(t, 1)
	victim.send(t, b)
	victim.acked(t, 1, b.Chain)
	s.say(t, wire.Topic("victim", wire.TopicAck), 1, true)
	for _, want := range []string{wire.Topic("victim", wire.TopicResults), wire.Topic("victim", wire.TopicAck), marker} {
		eventually(t, want+" is heard", func() bool { return strings.Contains(strings.Join(s.all(), "\n"), want) })
	}
	// And still nothing is believed: the forged acknowledgement has no
	// signature, and central's books hold what the victim signed.
	if n := len(c.results(t, "victim")); n != 1 {
		t.Errorf("%d results", n)
	}
}

// dieWithoutAWord connects and cuts the connection, so that the last will is
// due.
func dieWithoutAWord(t *testing.T, o *mqtt.ClientOptions, conf *tls.Config) {
	t.Helper()
	var raw net.Conn
	o.SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (c net.Conn, err error) {
		raw, err = tls.Dial("tcp", u.Host, conf)
		return raw, err
	})
	conn := mqtt.NewClient(o)
	if err := settled(conn.Connect()); err != nil {
		return // refused at once: good
	}
	_ = raw.Close()
	conn.Disconnect(0)
}

// It takes the client id of another kiosk, even the very one that is in use:
// the other stays connected, and its results arrive.
func TestHostileClientID(t *testing.T) {
	t.Parallel()
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		victim := enrolKiosk(t, c.reg, "victim", broker)
		id := wire.ClientID("victim")
		victim.conn = mqtt.NewClient(victim.options(id))
		if err := settled(victim.conn.Connect()); err != nil {
			t.Fatal(err)
		}
		defer victim.conn.Disconnect(0)
		if err := settled(victim.listen()); err != nil {
			t.Fatal(err)
		}
		evil := enrolKiosk(t, c.reg, "evil", broker)
		for _, stolen := range []string{id, "victim", "central", wire.ClientID("victim"), wire.ClientID("central")} {
			conn := mqtt.NewClient(evil.options(stolen))
			if err := settled(conn.Connect()); err == nil {
				defer conn.Disconnect(0)
			}
		}
		time.Sleep(200 * time.Millisecond)
		if !victim.conn.IsConnectionOpen() || !c.Connected() {
			t.Errorf("thrown off: the kiosk %v, central %v", !victim.conn.IsConnectionOpen(), !c.Connected())
		}
		b := victim.next(t, 3)
		victim.send(t, b)
		victim.acked(t, 3, b.Chain)
	})
}

// It floods, each way for a second: garbage, true batches again and again,
// heartbeats, as large as may be and larger, many connections, and one that
// never reads. Another kiosk's results arrive all the same, in bounded time.
func TestHostileFlood(t *testing.T) {
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		victim := enrolKiosk(t, c.reg, "victim", broker).connect(t)
		for i, way := range []struct {
			name string
			run  func(*flood, context.Context)
		}{
			{"garbage", func(f *flood, ctx context.Context) { f.publish(ctx, wire.TopicResults, 0, []byte(marker)) }},
			{"large garbage", func(f *flood, ctx context.Context) {
				f.publish(ctx, wire.TopicResults, 0, f.garbage(wire.MaxBatchBytes-100))
			}},
			{"larger than may be", func(f *flood, ctx context.Context) {
				f.publish(ctx, wire.TopicResults, 1, f.garbage(8*wire.MaxBatchBytes))
			}},
			{"one batch again and again", func(f *flood, ctx context.Context) { f.publish(ctx, wire.TopicResults, 1, f.batch) }},
			{"heartbeats", func(f *flood, ctx context.Context) { f.publish(ctx, wire.TopicStatus, 0, []byte("{}")) }},
			{"refused topics", func(f *flood, ctx context.Context) { f.publish(ctx, "ack", 0, []byte(marker)) }},
			{"connections", (*flood).connections},
			{"a reader that does not read", (*flood).neverReads},
		} {
			// A kiosk of its own each: a kiosk that flooded is not listened to
			// for a while.
			f := newFlood(t, enrolKiosk(t, c.reg, fmt.Sprintf("evil%d", i), broker))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			f.wg.Go(func() { way.run(f, ctx) })
			var took []time.Duration
			for ctx.Err() == nil {
				b := victim.next(t, 2)
				begin := time.Now()
				victim.deliver(t, b)
				took = append(took, time.Since(begin))
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
			f.wg.Wait()
			slices.Sort(took)
			t.Logf("%s (%d messages, %d MiB, %d connections): %d deliveries, p50 %v, longest %v", way.name, f.messages.Load(), f.bytes.Load()>>20, f.conns.Load(),
				len(took), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
			if f.messages.Load()+f.conns.Load() == 0 {
				t.Errorf("%s: there was no flood; the test proves nothing", way.name)
			}
			if longest := took[len(took)-1]; longest > bounded {
				t.Errorf("%s: a result took %v to central and back, more than %v", way.name, longest, bounded)
			}
		}
		got := len(c.results(t, "victim"))
		t.Logf("ledger %s decided=%d central=%d lost=%d doubled=0 unreadable=0 reordered=0", t.Name(), victim.n, got, int(victim.n)-got)
		if got != int(victim.n) {
			t.Errorf("central has %d results of %d", got, victim.n)
		}
		c.alarm(t, "evil0", store.AlarmFlood)
	})
}

// It signs true batches of new results in which each body begins a context of
// its own, a key agreement each for central, and sends them as fast as messages
// may come. Another kiosk's results arrive all the same, and it is found out.
func TestHostileContexts(t *testing.T) {
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		victim := enrolKiosk(t, c.reg, "victim", broker).connect(t)
		evil := enrolKiosk(t, c.reg, "evil", broker)
		flood := contextBatches(t, evil, 250)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			conn := mqtt.NewClient(evil.options(wire.ClientID("evil")))
			if settled(conn.Connect()) != nil {
				return
			}
			defer conn.Disconnect(0)
			for _, data := range flood {
				tok := conn.Publish(wire.Topic("evil", wire.TopicResults), 0, false, data)
				if ctx.Err() != nil || !tok.WaitTimeout(time.Second) || tok.Error() != nil {
					return
				}
				time.Sleep(time.Second / 1200) // within what it may send
			}
		})
		longest := time.Duration(0)
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			b := victim.next(t, 2)
			begin := time.Now()
			victim.deliver(t, b)
			longest = max(longest, time.Since(begin))
		}
		t.Logf("longest %v", longest)
		if longest > bounded {
			t.Errorf("a result took %v to central and back, more than %v", longest, bounded)
		}
		c.alarm(t, "evil", store.AlarmFlood)
	})
}

// contextBatches makes true batches of sealed bodies, each with an encapsulated
// key of its own that cost nothing to make.
func contextBatches(t *testing.T, k *kiosk, n int) (out [][]byte) {
	t.Helper()
	sample, err := wire.NewSealer(k.id.SealTo, k.id.Name, k.epoch, time.Now).Seal(1, wire.ChainStart(), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		prev := k.chain
		var entries []wire.Entry
		for range wire.MaxBatchEntries {
			body := bytes.Clone(sample)
			_, _ = rand.Read(body[10:42]) // never fails
			k.n++
			e := wire.Entry{Number: k.n, Prev: k.chain, Hash: wire.BodyHash(body), Body: body}
			entries = append(entries, e)
			if k.chain, err = wire.ChainNext(k.id.Name, k.epoch, k.n, k.chain, e.Hash); err != nil {
				t.Fatal(err)
			}
		}
		data, err := k.sign(t, prev, entries, k.id.Signing).Encode()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

// bounded is how long another's results may take while one kiosk floods.
const bounded = 5 * time.Second

// deliver sends as a kiosk does: again after a second without an answer, over
// a new connection where the old one is lost.
func (k *kiosk) deliver(t *testing.T, b *wire.Batch) {
	t.Helper()
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(soon); time.Now().Before(end); {
		if !k.conn.IsConnectionOpen() {
			if err := k.dial(); err != nil {
				continue
			}
		}
		k.conn.Publish(wire.Topic(k.id.Name, wire.TopicResults), 1, false, data)
		for again := time.After(time.Second); again != nil; {
			select {
			case a := <-k.acks:
				if a.Number == b.Last && bytes.Equal(a.Chain, b.Chain) {
					return
				}
			case <-again:
				again = nil
			}
		}
	}
	t.Fatalf("batch %d to %d was not acknowledged within %v", b.First, b.Last, soon)
}

// flood is what one hostile kiosk sends.
type flood struct {
	k                      *kiosk
	batch                  []byte
	wg                     sync.WaitGroup
	messages, bytes, conns atomic.Int64
}

func newFlood(t *testing.T, k *kiosk) *flood {
	batch, err := k.next(t, 50).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return &flood{k: k, batch: batch}
}

func (f *flood) garbage(n int) []byte { return bytes.Repeat([]byte("["), n) }

// publish sends one thing as fast as the broker takes it, and connects again
// when it is cut off.
func (f *flood) publish(ctx context.Context, kind string, qos byte, data []byte) {
	for ctx.Err() == nil {
		conn := mqtt.NewClient(f.k.options(wire.ClientID(f.k.id.Name)))
		if settled(conn.Connect()) != nil {
			continue
		}
		for ctx.Err() == nil && conn.IsConnectionOpen() {
			tok := conn.Publish(wire.Topic(f.k.id.Name, kind), qos, kind == wire.TopicStatus, data)
			f.messages.Add(1)
			f.bytes.Add(int64(len(data)))
			if !tok.WaitTimeout(time.Second) || tok.Error() != nil {
				break
			}
		}
		conn.Disconnect(0)
	}
}

// connections opens as many as it gets and keeps them.
func (f *flood) connections(ctx context.Context) {
	for ctx.Err() == nil {
		conn := mqtt.NewClient(f.k.options(wire.ClientID(f.k.id.Name)))
		if settled(conn.Connect()) == nil {
			f.conns.Add(1)
			defer conn.Disconnect(0)
		}
	}
}

// neverReads asks for acknowledgements, makes central give many, and lets
// them lie.
func (f *flood) neverReads(ctx context.Context) {
	u, err := url.Parse(f.k.id.Broker[0])
	if err != nil {
		return
	}
	conn, err := tls.Dial("tcp", u.Host, f.k.id.TLS(u.Hostname()))
	if err != nil {
		return
	}
	defer conn.Close()
	hello := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	hello.ProtocolName, hello.ProtocolVersion, hello.CleanSession, hello.ClientIdentifier = "MQTT", 4, true, wire.ClientID(f.k.id.Name)
	listen := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	listen.MessageID, listen.Topics, listen.Qoss = 1, []string{wire.Topic(f.k.id.Name, wire.TopicAck)}, []byte{1}
	if hello.Write(conn) != nil || listen.Write(conn) != nil {
		return
	}
	f.conns.Add(1)
	again := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	again.TopicName, again.Payload = wire.Topic(f.k.id.Name, wire.TopicResults), f.batch
	for ctx.Err() == nil && again.Write(conn) == nil {
		f.messages.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// The rules that the broker's files hold name no topic but those of the wire.
func TestAccessRulesAreTight(t *testing.T) {
	t.Parallel()
	files, err := registry(t, t.TempDir()).BrokerFiles(t.Context(), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	who := ""
	for line := range strings.Lines(string(files["acl"])) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "user":
			who = words[1]
		case words[0] == "pattern" && strings.Contains(words[2], "/%u/") && !strings.ContainsAny(words[2], "+#"):
		case words[0] == "pattern" && words[1] == "read" && words[2] == wire.TopicTimestamp: // the same for all, and none may write it
		case words[0] == "topic" && who == wire.CentralName && !strings.Contains(words[2], "#"):
		default:
			t.Errorf("rule %q", strings.TrimSpace(line))
		}
	}
}
