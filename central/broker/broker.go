// Package broker is central's embedded MQTT broker: nats-server with its MQTT
// gateway, TLS with client certificates alone, each kiosk confined to its own
// topics. It carries messages and promises nothing: what matters is kept by
// the kiosk and by central's database.
package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"gateagent/gate/wire"
)

// Bounds of the broker.
const (
	readyTimeout = 15 * time.Second
	admitTimeout = 5 * time.Second
	// maxPayload leaves room for a batch and its topic.
	maxPayload = wire.MaxBatchBytes + 4096
	// maxStore bounds what JetStream keeps: sessions, retained messages and
	// what has not been delivered to QoS 1 subscribers.
	maxStore  = 1 << 30
	maxMemory = 64 << 20
)

// Config of the broker.
type Config struct {
	Addr string // host:port to listen on; port 0 takes a free one
	Dir  string // folder for its state
	TLS  *tls.Config
	// Admit judges a client certificate that the CA signed: central is true
	// for central's own, which may use every kiosk's topics. It is asked at
	// each connection.
	Admit func(context.Context, *x509.Certificate) (name string, central bool, err error)
}

// Broker is the running broker.
type Broker struct {
	srv  *server.Server
	gate *gatekeeper
	addr string
}

// Start starts the broker and waits until it listens.
func Start(c Config, log *slog.Logger) (*Broker, error) {
	host, portText, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("broker address %q: write it as HOST:PORT: %w", c.Addr, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return nil, fmt.Errorf("broker address %q: the port is no number up to 65535", c.Addr)
	}
	if err := free(c.Addr); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("broker's folder: %w", err)
	}
	if port == 0 {
		port = -1 // nats-server's word for a free one
	}
	opts := options(c, host, port)
	gate := &gatekeeper{admit: c.Admit, log: log, conns: map[string]connections{}}
	opts.CustomClientAuthentication = gate
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	fatal := &bridge{log: log}
	gate.cut = func(id uint64) bool { return srv.DisconnectClientByID(id) == nil } // else it has gone by itself
	srv.SetLoggerV2(fatal, false, false, false)
	srv.Start()
	b := &Broker{srv: srv, gate: gate}
	if !srv.ReadyForConnections(readyTimeout) {
		b.Close()
		return nil, fmt.Errorf("embedded broker on %s does not start: %s", c.Addr, fatal.last())
	}
	b.addr = net.JoinHostPort(host, strconv.Itoa(opts.MQTT.Port))
	return b, nil
}

func options(c Config, host string, port int) *server.Options {
	return &server.Options{
		ServerName: "gatecentral", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: c.Dir, JetStreamMaxMemory: maxMemory, JetStreamMaxStore: maxStore,
		MaxPayload: maxPayload,
		MQTT: server.MQTTOpts{Host: host, Port: port, TLSConfig: c.TLS, TLSTimeout: 5, AuthTimeout: 5,
			AckWait: 10 * time.Second, ConsumerMemoryStorage: true, ConsumerInactiveThreshold: 5 * time.Minute},
	}
}

// free finds out whether the address can be listened on, for a clear error:
// nats-server only logs it.
func free(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("embedded broker cannot listen on %s: %w: choose another address, or end what listens there", addr, err)
	}
	return l.Close()
}

// Addr is host:port of the MQTT listener.
func (b *Broker) Addr() string { return b.addr }

// Kick cuts every connection made with a certificate, given by its serial
// number in hex, and says how many there were.
func (b *Broker) Kick(serial string) int {
	return b.gate.cutAll(b.gate.forget(serial))
}

// KickName cuts every connection of a kiosk and says how many there were.
func (b *Broker) KickName(name string) int {
	n := 0
	for _, serial := range b.gate.serials(name) {
		n += b.Kick(serial)
	}
	return n
}

// Close stops the broker and waits until it has stopped.
func (b *Broker) Close() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

// gatekeeper lets in by certificate and confines by name.
type gatekeeper struct {
	admit func(context.Context, *x509.Certificate) (string, bool, error)
	log   *slog.Logger

	cut func(id uint64) bool

	mu    sync.Mutex
	conns map[string]connections // guarded by mu; by certificate serial
}

// connections are the latest of one certificate.
type connections struct {
	name string
	ids  []uint64
}

// maxConns is how many connections one certificate may have: a kiosk uses
// one, and its newest may come before the broker has noticed that the others
// are dead. The oldest beyond it is cut.
const maxConns = 4

// remember notes a connection and gives those that are too many.
func (g *gatekeeper) remember(serial, name string, id uint64) (over []uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := append(g.conns[serial].ids, id)
	n := max(0, len(ids)-maxConns)
	g.conns[serial] = connections{name, ids[n:]}
	return ids[:n]
}

func (g *gatekeeper) forget(serial string) []uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := g.conns[serial].ids
	delete(g.conns, serial)
	return ids
}

func (g *gatekeeper) serials(name string) (out []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for serial, c := range g.conns {
		if c.name == name {
			out = append(out, serial)
		}
	}
	return out
}

func (g *gatekeeper) cutAll(ids []uint64) int {
	n := 0
	for _, id := range ids {
		if g.cut(id) {
			n++
		}
	}
	return n
}

// Check implements server.Authentication.
func (g *gatekeeper) Check(c server.ClientAuthentication) bool {
	err := g.check(c)
	if err != nil {
		g.log.Warn("broker refused a client", "remote", remote(c), "err", err)
	}
	return err == nil
}

func (g *gatekeeper) check(c server.ClientAuthentication) error {
	state := c.GetTLSConnectionState()
	if state == nil || len(state.VerifiedChains) == 0 {
		return errors.New("it shows no certificate of this central")
	}
	ctx, cancel := context.WithTimeout(context.Background(), admitTimeout)
	defer cancel()
	cert := state.VerifiedChains[0][0]
	// Remembered first: a revocation between the look-up and here must find
	// the connection.
	over := g.remember(cert.SerialNumber.Text(16), cert.Subject.CommonName, c.GetID())
	if len(over) > 0 {
		go g.cutAll(over) // the broker is in the middle of letting this one in
	}
	name, central, err := g.admit(ctx, cert)
	if err != nil {
		return err
	}
	if central {
		g.forget(cert.SerialNumber.Text(16)) // never revoked, and new at each connection
	}
	if id := clientID(c); !strings.HasPrefix(id, name+":") {
		return fmt.Errorf("%s came with the MQTT client id %q: it has to begin with its own name and a colon", name, id)
	}
	c.RegisterUser(&server.User{Username: name, Permissions: permissions(name, central)})
	return nil
}

// clientID finds the MQTT client id, which nats-server shows nowhere but in
// the client's own description: `ADDRESS - mid:N - "ID"`.
func clientID(c server.ClientAuthentication) string {
	s, ok := c.(fmt.Stringer)
	if !ok {
		return ""
	}
	text := s.String()
	i := strings.LastIndex(text, ` - "`)
	if i < 0 {
		return ""
	}
	id, err := strconv.Unquote(text[i+3:])
	if err != nil {
		return ""
	}
	return id
}

func remote(c server.ClientAuthentication) string {
	if a := c.RemoteAddress(); a != nil {
		return a.String()
	}
	return "unknown"
}

// permissions are subjects: nats-server writes the topic gate/v1/k/ack as the
// subject gate.v1.k.ack.
func permissions(name string, central bool) *server.Permissions {
	up, down := wire.Upward(), wire.Downward()
	stamp := subject(wire.TopicTimestamp) // one for all
	if central {
		p := &server.Permissions{Publish: allow("*", down), Subscribe: allow("*", up)}
		p.Publish.Allow = append(p.Publish.Allow, stamp)
		return p
	}
	p := &server.Permissions{Publish: allow(name, up), Subscribe: allow(name, down)}
	p.Subscribe.Allow = append(p.Subscribe.Allow, stamp)
	return p
}

func subject(topic string) string { return strings.ReplaceAll(topic, "/", ".") }

func allow(name string, kinds []string) *server.SubjectPermission {
	var p server.SubjectPermission
	for _, k := range kinds {
		p.Allow = append(p.Allow, subject(wire.Topic(name, k)))
	}
	return &p
}
