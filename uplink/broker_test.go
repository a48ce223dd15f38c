package uplink_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

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
