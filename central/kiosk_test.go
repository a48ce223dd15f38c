package central_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gateagent/central"
	"gateagent/central/enrol"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// soon bounds every wait of these tests.
const soon = 10 * time.Second

// centre is a running service with the registry beside it, as gatectl opens
// it.
type centre struct {
	*central.Service
	reg    *enrol.Registry
	dir    string
	cancel context.CancelFunc
	done   chan error
}

func quiet() *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

func config(dir, broker string) central.Config {
	var brokers []string
	if broker != "" {
		brokers = []string{broker}
	}
	return central.Config{State: dir, MQTT: "127.0.0.1:0", HTTP: "127.0.0.1:0", Brokers: brokers, Names: []string{"127.0.0.1", "localhost"}, AssumeClock: true}
}

func registry(t testing.TB, dir string) *enrol.Registry {
	t.Helper()
	reg, err := enrol.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return reg
}

// launch starts a service and does not wait for its broker.
func launch(t testing.TB, dir, broker string) *centre {
	t.Helper()
	return launchWith(t, config(dir, broker))
}

func launchWith(t testing.TB, conf central.Config) *centre {
	t.Helper()
	dir := conf.State
	ctx, cancel := context.WithCancel(context.Background())
	s, err := central.Open(ctx, conf, quiet())
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	c := &centre{Service: s, dir: dir, cancel: cancel, done: make(chan error, 1)}
	go func() { c.done <- s.Run(ctx) }()
	t.Cleanup(func() { c.stop(t) })
	c.reg = registry(t, dir)
	return c
}

func start(t testing.TB, dir, broker string) *centre {
	t.Helper()
	c := launch(t, dir, broker)
	eventually(t, "central connects to its broker", c.Connected)
	return c
}

func (c *centre) stop(t testing.TB) {
	t.Helper()
	if c.cancel == nil {
		return
	}
	c.cancel()
	c.cancel = nil
	select {
	case err := <-c.done:
		if err != nil {
			t.Errorf("central ended with %v", err)
		}
	case <-time.After(soon):
		t.Error("central does not end")
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %s: %s", soon, what)
}

// kiosk is a kiosk's side as far as these tests need one.
type kiosk struct {
	id    *wire.Identity
	epoch string
	chain []byte // at number
	n     uint64
	conn  mqtt.Client
	acks  chan *wire.Ack
	lost  chan error
}

func enrolKiosk(t testing.TB, reg *enrol.Registry, name, broker string) *kiosk {
	t.Helper()
	keys, err := wire.NewKioskKeys(name)
	if err != nil {
		t.Fatal(err)
	}
	req, err := keys.Request(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := enrol.Encode(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := reg.Add(t.Context(), data, enrol.Options{Broker: []string{broker}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := wire.NewIdentity(keys, b)
	if err != nil {
		t.Fatal(err)
	}
	var e [16]byte
	_, _ = rand.Read(e[:])
	return &kiosk{id: id, epoch: hex.EncodeToString(e[:]), chain: wire.ChainStart(), acks: make(chan *wire.Ack, 1024), lost: make(chan error, 1)}
}

func (k *kiosk) options(clientID string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker(k.id.Broker[0]).SetClientID(clientID).SetTLSConfig(k.id.TLS("127.0.0.1")).
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(5 * time.Second).SetWriteTimeout(5 * time.Second).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) {
			select {
			case k.lost <- err:
			default:
			}
		})
}

func (k *kiosk) dial() error {
	k.conn = mqtt.NewClient(k.options(wire.ClientID(k.id.Name)))
	if err := settled(k.conn.Connect()); err != nil {
		return err
	}
	return settled(k.listen())
}

// listen asks for acknowledgements.
func (k *kiosk) listen() mqtt.Token {
	return k.conn.Subscribe(wire.Topic(k.id.Name, wire.TopicAck), 1, func(_ mqtt.Client, m mqtt.Message) {
		if a, err := wire.DecodeAck(m.Payload()); err == nil {
			k.acks <- a
		}
	})
}

func (k *kiosk) connect(t testing.TB) *kiosk {
	t.Helper()
	if err := k.dial(); err != nil {
		t.Fatalf("kiosk %s: %v", k.id.Name, err)
	}
	t.Cleanup(func() { k.conn.Disconnect(0) })
	return k
}

func settled(tok mqtt.Token) error {
	if !tok.WaitTimeout(soon) {
		return fmt.Errorf("no answer within %s", soon)
	}
	return tok.Error()
}

func decision(tx string, outcome string, reasons ...uint32) []byte {
	r := wire.Record{V: 1, Kind: wire.KindDecision, Tx: tx, Gate: "T-G1", At: time.Now().UTC(),
		Decision: &wire.Decision{Outcome: outcome, Reasons: reasons, Policy: "test", Face: "off"}}
	body, err := r.Encode()
	if err != nil {
		panic(err) // a mistake in the test
	}
	return body
}

func newTx() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// next makes the next batch of n results and moves on.
func (k *kiosk) next(t testing.TB, n int) *wire.Batch {
	t.Helper()
	prev := k.chain
	var entries []wire.Entry
	for range n {
		body := decision(newTx(), wire.OutcomeAdmit)
		k.n++
		e := wire.Entry{Number: k.n, Prev: k.chain, Hash: wire.BodyHash(body), Body: body}
		entries = append(entries, e)
		var err error
		if k.chain, err = wire.ChainNext(k.id.Name, k.epoch, k.n, k.chain, e.Hash); err != nil {
			t.Fatal(err)
		}
	}
	return k.sign(t, prev, entries, k.id.Signing)
}

func (k *kiosk) sign(t testing.TB, prev []byte, entries []wire.Entry, key ed25519.PrivateKey) *wire.Batch {
	t.Helper()
	b, err := wire.NewBatch(k.id.Name, k.epoch, prev, entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Sign(key); err != nil {
		t.Fatal(err)
	}
	return b
}

func (k *kiosk) send(t *testing.T, b *wire.Batch) {
	t.Helper()
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.publish(t, k.id.Name, wire.TopicResults, data)
}

func (k *kiosk) publish(t *testing.T, name, kind string, data []byte) {
	t.Helper()
	if err := settled(k.conn.Publish(wire.Topic(name, kind), 1, false, data)); err != nil {
		t.Fatal(err)
	}
}

// acked waits for the acknowledgement of number and checks it.
func (k *kiosk) acked(t *testing.T, number uint64, chain []byte) {
	t.Helper()
	for {
		select {
		case a := <-k.acks:
			if err := a.Verify(k.id.AckKey); err != nil {
				t.Fatal(err)
			}
			if a.Number < number {
				continue
			}
			if a.Kiosk != k.id.Name || a.Epoch != k.epoch || a.Number != number || !bytes.Equal(a.Chain, chain) {
				t.Fatalf("acknowledged %s %s %d, want %d", a.Kiosk, a.Epoch, a.Number, number)
			}
			return
		case <-time.After(soon):
			t.Fatalf("no acknowledgement of %d", number)
		}
	}
}

// notAcked says that nothing is acknowledged for a while.
func (k *kiosk) notAcked(t *testing.T) {
	t.Helper()
	select {
	case a := <-k.acks:
		t.Fatalf("acknowledged up to %d", a.Number)
	case <-time.After(300 * time.Millisecond):
	}
}

func (c *centre) results(t *testing.T, kiosk string) []store.Result {
	t.Helper()
	r, err := c.reg.Store.Results(t.Context(), kiosk, 0, time.UnixMilli(0), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (c *centre) alarm(t *testing.T, kiosk, kind string) {
	t.Helper()
	eventually(t, "alarm "+kind+" of "+kiosk, func() bool {
		all, err := c.reg.Store.OpenAlarms(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if a.Kiosk == kiosk && a.Kind == kind {
				return true
			}
		}
		return false
	})
}

// mosquitto starts Debian's broker with the files that central makes for it
// and gives its address. The process ends with the test.
func mosquitto(t *testing.T, reg *enrol.Registry) string {
	t.Helper()
	addr := freeAddr(t)
	mosquittoAt(t, reg, addr)
	return "tls://" + addr
}

// mosquittoAt starts it on an address and gives a way to end it early.
func mosquittoAt(t *testing.T, reg *enrol.Registry, addr string) (kill func()) {
	t.Helper()
	return mosquittoWith(t, reg, addr, nil)
}

// mosquittoWith starts it with other access rules, where they are given.
func mosquittoWith(t *testing.T, reg *enrol.Registry, addr string, rules []byte) (kill func()) {
	t.Helper()
	bin, err := exec.LookPath("mosquitto")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Skip("mosquitto is not installed")
		}
	}
	dir := t.TempDir()
	files, err := reg.BrokerFiles(t.Context(), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if rules != nil {
		files["acl"] = rules
	}
	_, port, _ := strings.Cut(addr, ":")
	// As the page for operators has it.
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, conf, _ := strings.Cut(string(page), "```conf\n")
	conf, _, ok := strings.Cut(conf, "```")
	if !ok || !strings.Contains(conf, "listener 8883\n") {
		t.Fatal("docs/operations.md has no configuration of mosquitto")
	}
	conf = strings.ReplaceAll(conf, "/etc/mosquitto/gate", dir)
	files["mosquitto.conf"] = []byte(strings.Replace(conf, "listener 8883\n", "listener "+port+" 127.0.0.1\n", 1) + "user root\n")
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(bin, "-c", filepath.Join(dir, "mosquitto.conf"))
	if testing.Verbose() {
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill() // it may have ended
			_ = cmd.Wait()
		})
	}
	t.Cleanup(kill)
	return kill
}
