package uplink_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"

	"gateagent/gate/wire"
	"gateagent/offline"
	"gateagent/uplink"
)

const kiosk = "sgn-g12"

// patience bounds every wait of these tests, on a busy machine too.
const patience = 60 * time.Second

// pki is a small CA with what the parts need.
type pki struct {
	ca         *x509.Certificate
	key        *ecdsa.PrivateKey
	pool       *x509.CertPool
	dir        string // PEM files for mosquitto
	ackPub     ed25519.PublicKey
	ackKey     ed25519.PrivateKey
	signing    ed25519.PrivateKey
	signingPub ed25519.PublicKey
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir(), pool: x509.NewCertPool()}
	var err error
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, p.key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	p.pool.AddCert(p.ca)
	p.ackPub, p.ackKey, _ = ed25519.GenerateKey(rand.Reader)
	p.signingPub, p.signing, _ = ed25519.GenerateKey(rand.Reader)
	srv := p.issue(t, "127.0.0.1")
	keyDER, err := x509.MarshalPKCS8PrivateKey(srv.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem":     {Type: "CERTIFICATE", Bytes: der},
		"server.pem": {Type: "CERTIFICATE", Bytes: srv.Certificate[0]},
		"server.key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *pki) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(60 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, p.ca, key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *pki) identity(t *testing.T, addr string) *wire.Identity {
	return &wire.Identity{Name: kiosk, Certificate: p.issue(t, kiosk), CA: p.pool, Broker: []string{"tls://" + addr}, Signing: p.signing, AckKey: p.ackPub}
}

// broker is a real broker that can be killed and started again, empty, at the
// same address.
type broker interface {
	addr() string
	start(t *testing.T)
	kill(t *testing.T)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func waitPort(t *testing.T, addr string) {
	t.Helper()
	eventually(t, "the broker listens", func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// mosquitto is Debian's, a process of its own.
type mosquitto struct {
	p    *pki
	at   string
	cmd  *exec.Cmd
	done chan struct{}
}

func newMosquitto(t *testing.T, p *pki) *mosquitto {
	t.Helper()
	if _, err := exec.LookPath("/usr/sbin/mosquitto"); err != nil {
		t.Skip("mosquitto is not installed; scripts/setup installs it")
	}
	m := &mosquitto{p: p, at: freeAddr(t)}
	t.Cleanup(func() { m.kill(t) })
	return m
}

func (m *mosquitto) addr() string { return m.at }

func (m *mosquitto) start(t *testing.T) {
	t.Helper()
	_, port, _ := net.SplitHostPort(m.at)
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("user root\nlistener %s 127.0.0.1\ncafile %[2]s/ca.pem\ncertfile %[2]s/server.pem\nkeyfile %[2]s/server.key\n"+
		"require_certificate true\nuse_identity_as_username true\nallow_anonymous false\npersistence false\nlog_dest stderr\nlog_type error\n", port, m.p.dir)
	if os.Geteuid() != 0 {
		text = strings.TrimPrefix(text, "user root\n")
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.cmd = exec.Command("/usr/sbin/mosquitto", "-c", conf)
	m.cmd.Stderr = testWriter{t}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.done = make(chan struct{})
	go func() { _ = m.cmd.Wait(); close(m.done) }()
	waitPort(t, m.at)
}

func (m *mosquitto) kill(t *testing.T) {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill() // may have ended
	<-m.done
	m.cmd = nil
}

// natsBroker is nats-server with MQTT, inside the test.
type natsBroker struct {
	p   *pki
	crt tls.Certificate
	at  string
	srv *server.Server
}

func newNATS(t *testing.T, p *pki) *natsBroker {
	n := &natsBroker{p: p, crt: p.issue(t, "127.0.0.1"), at: freeAddr(t)}
	t.Cleanup(func() { n.kill(t) })
	return n
}

func (n *natsBroker) addr() string { return n.at }

func (n *natsBroker) start(t *testing.T) {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", n.at)
	if err != nil {
		t.Fatal(err)
	}
	opts := &server.Options{ServerName: "test", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: a.Port, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12,
			Certificates: []tls.Certificate{n.crt}, ClientCAs: n.p.pool, ClientAuth: tls.RequireAndVerifyClientCert}}}
	if n.srv, err = server.NewServer(opts); err != nil {
		t.Fatal(err)
	}
	go n.srv.Start()
	if !n.srv.ReadyForConnections(patience) {
		t.Fatal("nats-server did not start")
	}
	waitPort(t, n.at)
}

func (n *natsBroker) kill(*testing.T) {
	if n.srv != nil {
		n.srv.Shutdown()
		n.srv.WaitForShutdown()
		n.srv = nil
	}
}

// testWriter sends a log to the test, as long as it runs.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Logf("%s", bytes.TrimRight(b, "\n"))
	}
	return len(b), nil
}

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	buf := make([]byte, 1<<16)
	t.Fatalf("did not happen in %v: %s\n%s", patience, what, buf[:runtime.Stack(buf, true)])
}

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
	retained map[string][]byte // presence and status as last seen
	answer   func(b *wire.Batch, honest wire.Ack) []wire.Ack
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
	tok := client.SubscribeMultiple(map[string]byte{wire.Topic("+", wire.TopicResults): 0, wire.Topic("+", wire.TopicPresence): 0, wire.Topic("+", wire.TopicStatus): 0}, c.take)
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
	if c.silent {
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
	c.t.Logf("ledger %s decided=%d central=%d repeats absorbed=%d", c.t.Name(), n, i, c.repeats)
	if i != n {
		c.t.Fatalf("central has %d results, want %d", i, n)
	}
}

// machine is the kiosk: an outbox and an uplink that can be stopped and
// started.
type machine struct {
	t    *testing.T
	dir  string
	cfg  uplink.Config
	box  *offline.Outbox
	up   *uplink.Uplink
	stop func()
	next int

	mu     sync.Mutex
	status wire.Status // guarded by mu
}

func newMachine(t *testing.T, id *wire.Identity) *machine {
	k := &machine{t: t, dir: filepath.Join(t.TempDir(), "state"), status: wire.Status{Version: "test", Gate: "G12", Stage: "idle"}}
	k.cfg = uplink.Config{Identity: id, Log: logger(t), AckTimeout: 400 * time.Millisecond, RedialMin: 20 * time.Millisecond, RedialMax: 200 * time.Millisecond, Heartbeat: 300 * time.Millisecond}
	k.open()
	t.Cleanup(func() { k.halt(); k.close() })
	return k
}

func (k *machine) open() {
	k.t.Helper()
	box, err := offline.Open(context.Background(), offline.Config{Dir: k.dir, Kiosk: kiosk, MinFree: -1, Timeout: patience, Log: k.cfg.Log})
	if err != nil {
		k.t.Fatal(err)
	}
	k.box = box
}

func (k *machine) close() {
	if err := k.box.Close(); err != nil {
		k.t.Error(err)
	}
}

func (k *machine) run() {
	k.t.Helper()
	cfg := k.cfg
	cfg.Store = k.box
	cfg.Status = func() wire.Status {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.status
	}
	up, err := uplink.New(cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	k.up = up
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- up.Run(ctx) }()
	k.stop = func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				k.t.Errorf("Run = %v", err)
			}
		case <-time.After(patience):
			k.t.Error("Run did not end")
		}
	}
}

func (k *machine) halt() {
	if k.stop != nil {
		k.stop()
		k.stop = nil
	}
}

func tx(n int) string { return fmt.Sprintf("%032x", n) }

// decide appends n decisions.
func (k *machine) decide(n int) {
	k.t.Helper()
	for range n {
		rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: tx(k.next), Gate: "G12", At: time.Now(),
			Decision: &wire.Decision{Outcome: wire.OutcomeAbort, Reasons: []uint32{6003}, Overall: "aborted"}}
		if _, err := k.box.Append(context.Background(), rec); err != nil {
			k.t.Fatal(err)
		}
		k.next++
	}
}

func (k *machine) hasNotice(source, level string) bool {
	for _, n := range k.up.Notices() {
		if n.Source == source && n.Level == level {
			return true
		}
	}
	return false
}

func (k *machine) drained(c *fakeCentral) {
	k.t.Helper()
	eventually(k.t, "everything is acknowledged", func() bool { return k.box.Depth() == 0 })
	c.ledger(k.next)
}
