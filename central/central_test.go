package central_test

import (
	"crypto/ed25519"
	"net"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// onEachBroker runs a test over the embedded broker and over mosquitto.
func onEachBroker(t *testing.T, test func(t *testing.T, c *centre, broker string)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		c := start(t, t.TempDir(), "")
		test(t, c, c.Ready().Broker)
	})
	t.Run("mosquitto", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		broker := mosquitto(t, registry(t, dir))
		test(t, start(t, dir, broker), broker)
	})
}

func TestResultsInOnceAndAcknowledged(t *testing.T) {
	t.Parallel()
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		k := enrolKiosk(t, c.reg, "k1", broker).connect(t)
		first := k.next(t, 3)
		k.send(t, first)
		k.acked(t, 3, first.Chain)
		second := k.next(t, 50)
		k.send(t, second)
		k.acked(t, 53, second.Chain)
		k.send(t, first) // a true repeat is acknowledged up to what is stored
		k.acked(t, 53, second.Chain)
		k.send(t, k.next(t, 1))
		k.acked(t, 54, k.chain)
		got := c.results(t, "k1")
		if len(got) != 54 {
			t.Fatalf("%d results stored, want 54", len(got))
		}
		for i, r := range got {
			if r.Number != uint64(i+1) || r.Facts.Outcome != wire.OutcomeAdmit || r.Facts.Tx == "" {
				t.Fatalf("result %d: number %d, %+v", i, r.Number, r.Facts)
			}
		}
	})
}

func TestOverlapBringsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir(), "")
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker).connect(t)
	a := k.next(t, 2)
	b := k.next(t, 2)
	k.send(t, a)
	k.acked(t, 2, a.Chain)
	k.send(t, k.sign(t, wire.ChainStart(), append(a.Entries, b.Entries...), k.id.Signing))
	k.acked(t, 4, b.Chain)
	if n := len(c.results(t, "k1")); n != 4 {
		t.Fatalf("%d results", n)
	}
}

func TestConflictKeepsBothAndAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir(), "")
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker).connect(t)
	a := k.next(t, 3)
	k.send(t, a)
	k.acked(t, 3, a.Chain)

	other := a.Entries[2]
	other.Body = decision(newTx(), wire.OutcomeRefer, 6001)
	other.Hash = wire.BodyHash(other.Body)
	k.send(t, k.sign(t, other.Prev, []wire.Entry{other}, k.id.Signing))
	c.alarm(t, "k1", store.AlarmConflict)
	k.notAcked(t)
	if n, err := c.reg.Store.Conflicts(t.Context(), "k1"); err != nil || n != 1 {
		t.Fatalf("%d conflicts kept, %v", n, err)
	}
	// A cloned kiosk goes on from its own third result: the number is new,
	// the chain before it is not the stored one.
	chain, err := wire.ChainNext("k1", k.epoch, 3, other.Prev, other.Hash)
	if err != nil {
		t.Fatal(err)
	}
	body := decision(newTx(), wire.OutcomeAdmit)
	forked := wire.Entry{Number: 4, Prev: chain, Hash: wire.BodyHash(body), Body: body}
	k.send(t, k.sign(t, chain, []wire.Entry{forked}, k.id.Signing))
	eventually(t, "the fork is kept", func() bool {
		n, err := c.reg.Store.Conflicts(t.Context(), "k1")
		return err == nil && n == 2
	})
	k.notAcked(t)
	// The true chain goes on.
	k.send(t, k.next(t, 1))
	k.acked(t, 4, k.chain)
	if got := c.results(t, "k1"); len(got) != 4 || got[2].Facts.Outcome != wire.OutcomeAdmit {
		t.Fatalf("the stored result was replaced: %d", len(got))
	}
}

func TestForgedAndForeignAreRefused(t *testing.T) {
	t.Parallel()
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		k := enrolKiosk(t, c.reg, "k1", broker).connect(t)
		_, thief, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		b := k.next(t, 2)
		k.send(t, k.sign(t, wire.ChainStart(), b.Entries, thief))
		c.alarm(t, "k1", store.AlarmSignature)
		k.notAcked(t)

		other := enrolKiosk(t, c.reg, "k2", broker)
		data, err := other.next(t, 1).Encode()
		if err != nil {
			t.Fatal(err)
		}
		k.publish(t, "k1", wire.TopicResults, data) // k2's batch on k1's topic
		c.alarm(t, "k1", store.AlarmForeign)
		k.publish(t, "k1", wire.TopicResults, []byte("{garbage"))
		c.alarm(t, "k1", store.AlarmFormat)
		if n := len(c.results(t, "")); n != 0 {
			t.Fatalf("%d results stored", n)
		}
		k.send(t, b)
		k.acked(t, 2, b.Chain)
	})
}

func TestGapIsToldWhereToGoOn(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir(), "")
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker).connect(t)
	a, b, d := k.next(t, 2), k.next(t, 2), k.next(t, 2)
	k.send(t, b) // nothing stored yet: go on from 0
	k.acked(t, 0, wire.ChainStart())
	k.send(t, a)
	k.acked(t, 2, a.Chain)
	k.send(t, d)
	k.acked(t, 2, a.Chain)
	k.send(t, b)
	k.acked(t, 4, b.Chain)
	k.send(t, d)
	k.acked(t, 6, d.Chain)
	if n := len(c.results(t, "k1")); n != 6 {
		t.Fatalf("%d results", n)
	}
}

func TestRevokedIsCutOffAndRefused(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir(), "")
	k := enrolKiosk(t, c.reg, "k1", c.Ready().Broker).connect(t)
	k.send(t, k.next(t, 1))
	k.acked(t, 1, k.chain)
	if err := c.reg.Revoke(t.Context(), "k1", "stolen", time.Now()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-k.lost:
	case <-time.After(soon):
		t.Fatal("the connection of a revoked kiosk stays up")
	}
	if err := k.dial(); err == nil {
		t.Fatal("a revoked kiosk connected")
	}
	c.alarm(t, "k1", store.AlarmRevoked)
}

func TestRevokedIsRefusedBehindAnyBroker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broker := mosquitto(t, registry(t, dir))
	c := start(t, dir, broker)
	k := enrolKiosk(t, c.reg, "k1", broker).connect(t)
	k.send(t, k.next(t, 1))
	k.acked(t, 1, k.chain)
	if err := c.reg.Revoke(t.Context(), "k1", "stolen", time.Now()); err != nil {
		t.Fatal(err)
	}
	k.send(t, k.next(t, 1))
	c.alarm(t, "k1", store.AlarmRevoked)
	k.notAcked(t)
	if n := len(c.results(t, "k1")); n != 1 {
		t.Fatalf("%d results", n)
	}
}

// TestHostileKiosk: an enrolled kiosk with a valid certificate tries what
// belongs to others.
func TestHostileKiosk(t *testing.T) {
	t.Parallel()
	onEachBroker(t, func(t *testing.T, c *centre, broker string) {
		victim := enrolKiosk(t, c.reg, "victim", broker).connect(t)
		evil := enrolKiosk(t, c.reg, "evil", broker)
		will, err := (&wire.Presence{V: 1, Up: true, Session: "forged", At: time.Now()}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		evil.connect(t)
		ack := &wire.Ack{V: 1, Kiosk: "victim", Epoch: victim.epoch, Number: 1, Chain: make([]byte, 32)}
		if err := ack.Sign(evil.id.Signing); err != nil {
			t.Fatal(err)
		}
		forged, err := ack.Encode()
		if err != nil {
			t.Fatal(err)
		}
		batch, err := victim.next(t, 1).Encode()
		if err != nil {
			t.Fatal(err)
		}
		for kind, data := range map[string][]byte{wire.TopicAck: forged, wire.TopicResults: batch, wire.TopicPresence: will} {
			tok := evil.conn.Publish(wire.Topic("victim", kind), 1, false, data)
			tok.WaitTimeout(time.Second) // whatever it says: brokers acknowledge what they refuse
			if !evil.conn.IsConnectionOpen() {
				if err := evil.dial(); err != nil {
					t.Fatal(err)
				}
			}
		}
		overhears(t, evil, wire.Topic("victim", wire.TopicAck))
		overhears(t, evil, "gate/v1/+/results")
		overhears(t, evil, "#")
		victim.notAcked(t)
		if n := len(c.results(t, "")); n != 0 {
			t.Fatalf("a foreign kiosk's message became a result")
		}
		// With a will on another's topic.
		o := evil.options(wire.ClientID("evil")).SetBinaryWill(wire.Topic("victim", wire.TopicPresence), will, 1, true)
		dying := mqtt.NewClient(o)
		if err := settled(dying.Connect()); err == nil {
			dying.Disconnect(0)
		}
		for _, l := range liveOf(t, c) {
			if l.Kiosk == "victim" {
				t.Errorf("a foreign will made the victim's presence")
			}
		}
	})
}

// overhears fails when the kiosk can listen to a filter: what the victim and
// central say while it tries must not arrive.
func overhears(t *testing.T, k *kiosk, filter string) {
	t.Helper()
	got := make(chan string, 16)
	tok := k.conn.Subscribe(filter, 0, func(_ mqtt.Client, m mqtt.Message) {
		select {
		case got <- m.Topic():
		default:
		}
	})
	tok.WaitTimeout(2 * time.Second)
	select {
	case topic := <-got:
		t.Errorf("heard %s through %s", topic, filter)
	case <-time.After(50 * time.Millisecond):
	}
	if !k.conn.IsConnectionOpen() {
		if err := k.dial(); err != nil {
			t.Fatal(err)
		}
		return
	}
	if st, ok := tok.(*mqtt.SubscribeToken); ok && filter != "#" {
		if code, ok := st.Result()[filter]; ok && code != 0x80 {
			t.Logf("subscription to %s was granted with %d; nothing arrives", filter, code)
		}
	}
}

func liveOf(t *testing.T, c *centre) []store.Live {
	t.Helper()
	time.Sleep(100 * time.Millisecond)
	return c.Live()
}

// TestForeignClientID: nobody throws another off the embedded broker by
// taking its client id.
func TestForeignClientID(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir(), "")
	evil := enrolKiosk(t, c.reg, "evil", c.Ready().Broker)
	for _, id := range []string{wire.ClientID("victim"), "evil", "evilx:1", ""} {
		conn := mqtt.NewClient(evil.options(id))
		if err := settled(conn.Connect()); err == nil {
			t.Errorf("the client id %q was accepted", id)
			conn.Disconnect(0)
		}
	}
}

func TestStrangersDoNotConnect(t *testing.T) {
	t.Parallel()
	c := start(t, t.TempDir(), "")
	foreign := registry(t, t.TempDir()) // another central's CA
	k := enrolKiosk(t, foreign, "k1", c.Ready().Broker)
	k.id.CA = c.reg.CA.Pool()
	if err := k.dial(); err == nil {
		t.Error("a kiosk of another CA connected")
	}
	bare := enrolKiosk(t, c.reg, "k2", c.Ready().Broker)
	bare.id.Certificate.Certificate = nil
	bare.id.Certificate.PrivateKey = nil
	if err := bare.dial(); err == nil {
		t.Error("a client without a certificate connected")
	}
}
