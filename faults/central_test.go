//go:build faults

package faults

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/central/enrol"
	sim "gateagent/sim/kiosk"
)

// centre is gatecentral as it ships, as a process, with what an operator has
// beside it: the registry and a broker of their own.
type centre struct {
	t       *testing.T
	dir     string   // its state; the registry lies in it
	mqtt    string   // address of the embedded broker, or of the operator's
	brokers []string // tls://... when central is to use others
	http    string
	program *sim.Program
	reg     *enrol.Registry
	logs    string
}

// newCentre makes central's state. broker says that the operator has one of
// their own, at the address mqtt.
func newCentre(t *testing.T, broker bool) *centre {
	t.Helper()
	c := &centre{t: t, dir: filepath.Join(t.TempDir(), "central"), mqtt: freeAddr(t), http: freeAddr(t)}
	if broker {
		c.brokers = []string{"tls://" + c.mqtt}
	}
	c.logs = c.dir + ".log"
	c.open()
	t.Cleanup(func() {
		c.kill()
		if c.reg != nil {
			must(t, c.reg.Close())
		}
		if t.Failed() {
			text, _ := os.ReadFile(c.logs)
			t.Logf("central said:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return c
}

func (c *centre) open() {
	c.t.Helper()
	var err error
	c.reg, err = enrol.Open(context.Background(), c.dir)
	must(c.t, err)
}

// launch starts central and does not wait.
func (c *centre) launch(env ...string) {
	c.t.Helper()
	args := []string{filepath.Join(bin, "gatecentral"), "run", "--state", c.dir, "--mqtt", c.mqtt, "--http", c.http, "--announce", "tls://" + c.mqtt}
	for _, b := range c.brokers {
		args = append(args, "--broker", b)
	}
	var err error
	c.program, err = sim.Start(sim.Command{Name: "gatecentral", LogFile: c.logs, Env: env, Args: args})
	must(c.t, err)
}

func (c *centre) start(env ...string) {
	c.t.Helper()
	c.launch(env...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.program.AwaitLine(ctx, "fleet page  https://") // the line before the last
	must(c.t, err)
}

func (c *centre) kill() { c.program.Kill() }

func (c *centre) stop() { c.t.Helper(); must(c.t, c.program.Stop()) }

// backup copies the state of a central that does not run.
func (c *centre) backup() string {
	c.t.Helper()
	to := filepath.Join(c.t.TempDir(), "backup")
	must(c.t, os.CopyFS(to, os.DirFS(c.dir)))
	return to
}

// restore puts a backup in the place of the state.
func (c *centre) restore(from string) {
	c.t.Helper()
	must(c.t, c.reg.Close())
	must(c.t, os.RemoveAll(c.dir))
	must(c.t, os.CopyFS(c.dir, os.DirFS(from)))
	// Keys that others may read are refused.
	must(c.t, filepath.WalkDir(c.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(p, map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()])
	}))
	c.open()
}

// freeAddr finds an address below the range that the system hands out to
// outgoing connections, so that it stays free over a restart.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000)))
		if err == nil {
			must(t, l.Close())
			return l.Addr().String()
		}
	}
	t.Fatal("no free loopback port")
	return ""
}

// mosquitto is the operator's broker, Debian's, as docs/operations.md sets it
// up. It keeps nothing on disk: each start is from an empty state.
type mosquitto struct {
	t   *testing.T
	c   *centre
	at  string
	dir string
	cmd *exec.Cmd
}

func newMosquitto(t *testing.T, c *centre, at string) *mosquitto {
	t.Helper()
	m := &mosquitto{t: t, c: c, at: at, dir: t.TempDir()}
	page, err := os.ReadFile("../docs/operations.md")
	must(t, err)
	_, conf, _ := strings.Cut(string(page), "```conf\n")
	conf, _, ok := strings.Cut(conf, "```")
	if !ok || !strings.Contains(conf, "listener 8883\n") {
		t.Fatal("docs/operations.md has no configuration of mosquitto")
	}
	host, port, err := net.SplitHostPort(at)
	must(t, err)
	conf = strings.ReplaceAll(conf, "/etc/mosquitto/gate", m.dir)
	conf = strings.Replace(conf, "listener 8883\n", "listener "+port+" "+host+"\n", 1) + "log_dest stderr\nlog_type error\n"
	if os.Geteuid() == 0 {
		conf += "user root\n"
	}
	must(t, os.WriteFile(filepath.Join(m.dir, "mosquitto.conf"), []byte(conf), 0o600))
	m.files(time.Now())
	t.Cleanup(m.kill)
	return m
}

// files gives the broker new files of central's, as of a time.
func (m *mosquitto) files(at time.Time) {
	m.t.Helper()
	files, err := m.c.reg.BrokerFiles(context.Background(), []string{"127.0.0.1"}, at)
	must(m.t, err)
	for name, data := range files {
		must(m.t, os.WriteFile(filepath.Join(m.dir, name), data, 0o600))
	}
}

func (m *mosquitto) start() {
	m.t.Helper()
	m.cmd = exec.Command("/usr/sbin/mosquitto", "-c", filepath.Join(m.dir, "mosquitto.conf"))
	m.cmd.Stderr = os.Stderr
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(m.t, m.cmd.Start())
	eventually(m.t, "the broker listens", func() bool {
		conn, err := net.DialTimeout("tcp", m.at, time.Second)
		return err == nil && conn.Close() == nil
	})
}

func (m *mosquitto) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill() // it may have ended
	_ = m.cmd.Wait()         // says "killed"
	m.cmd = nil
}

// scene is central with its embedded broker, and a kiosk.
func scene(t *testing.T) (*centre, *kiosk) {
	t.Helper()
	c := newCentre(t, false)
	return c, newKiosk(t, c, "tls://"+c.mqtt)
}

// withBroker is central, a broker of the operator's own, and a kiosk.
func withBroker(t *testing.T) (*centre, *mosquitto, *kiosk) {
	t.Helper()
	c := newCentre(t, true)
	m := newMosquitto(t, c, c.mqtt)
	return c, m, newKiosk(t, c, "tls://"+c.mqtt)
}

// point is a place in a write where a process is killed or its disk fails.
type point struct {
	op, file string
	n        int
	how      string
}

func (p point) String() string { return fmt.Sprintf("%s %s %s", p.how, p.op, p.file) }

// env has a process meet the point.
func (p point) env() []string {
	return []string{"LD_PRELOAD=" + preload, "POINT_OP=" + p.op, "POINT_FILE=" + p.file, fmt.Sprintf("POINT_N=%d", p.n), "POINT_HOW=" + p.how}
}
