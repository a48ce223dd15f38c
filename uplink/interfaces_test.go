package uplink_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/uplink"
)

// farBroker is the broker's address behind two interfaces.
const farBroker = "10.211.9.9"

// inside says that the test runs in its own network.
const inside = "GATEAGENT_TEST_NETWORK"

// Two interfaces to one broker address: the kernel's own route prefers the
// first for good; only the binding of each path to its interface lets the
// second be used when the first one is dead. The whole runs in network
// namespaces that end with their processes.
func TestPathsOverInterfaces(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Parallel()
		runInside(t)
		return
	}
	p := newPKI(t)
	m := newMosquitto(t, p)
	m.at = farBroker + ":8883"
	far := m.startFar(t)
	for i := range 3 { // the third is central's own
		sh(t, "ip link add gu%d type veth peer name gu%dp netns %d", i, i, far)
		sh(t, "ip addr add 10.211.%d.1/30 dev gu%d", i, i)
		sh(t, "ip link set gu%d up", i)
		sh(t, "nsenter -t %d -n ip addr add 10.211.%d.2/30 dev gu%dp", far, i, i)
		sh(t, "nsenter -t %d -n ip link set gu%dp up", far, i)
	}
	sh(t, "ip route add %s via 10.211.0.2 dev gu0 metric 100", farBroker)
	sh(t, "ip route add %s via 10.211.1.2 dev gu1 metric 200", farBroker)
	waitPort(t, m.at)
	c := newFakeCentral(t, p)
	c.connect("10.211.2.2:8883")
	t.Cleanup(c.leave)
	w := &ways{m: m, c: c, k: newMachine(t, p.identity(t, m.at))}
	w.k.cfg.AckTimeout, w.k.cfg.Stable, w.k.cfg.Look = 10*time.Second, 500*time.Millisecond, 100*time.Millisecond
	w.k.cfg.Paths = []uplink.Path{{Name: "fibre", Interface: "gu0"}, {Name: "mobile", Interface: "gu1"}}
	w.k.run()
	w.switched(t, "fibre")
	for _, fault := range []struct{ what, off, on string }{
		{"the far end is gone", fmt.Sprintf("nsenter -t %d -n ip link set gu0p down", far), fmt.Sprintf("nsenter -t %d -n ip link set gu0p up", far)},
		{"our interface is down", "ip link set gu0 down", "ip link set gu0 up && ip route add " + farBroker + " via 10.211.0.2 dev gu0 metric 100"},
	} {
		sh(t, "%s", fault.off)
		took := w.switched(t, "mobile")
		sh(t, "%s", fault.on)
		back := w.switched(t, "fibre")
		t.Logf("%s: fail-over took %v, back after %v", fault.what, took, back)
		if took > failOver {
			t.Errorf("%s: fail-over took %v, more than %v", fault.what, took, failOver)
		}
	}
	w.k.drained(c)
}

// runInside runs this test again in a network of its own.
func runInside(t *testing.T) {
	for _, tool := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("a network of its own needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout="+patience.String())
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if err != nil || strings.Contains(line, "took") || strings.Contains(line, "ledger") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatal("the test did not run inside")
	}
}

// startFar starts the broker in another network and gives its process.
func (m *mosquitto) startFar(t *testing.T) int {
	t.Helper()
	sh(t, "ip link set lo up")
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("user root\nlistener 8883\ncafile %[1]s/ca.pem\ncertfile %[1]s/server.pem\nkeyfile %[1]s/server.key\n"+
		"require_certificate true\nuse_identity_as_username true\nallow_anonymous false\npersistence false\nlog_dest stderr\nlog_type error\n", m.p.dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.cmd = exec.Command("/usr/sbin/mosquitto", "-c", conf)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	m.cmd.Stderr = testWriter{t}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.done = make(chan struct{})
	go func() { _ = m.cmd.Wait(); close(m.done) }()
	sh(t, "nsenter -t %d -n ip link set lo up", m.cmd.Process.Pid)
	sh(t, "nsenter -t %d -n ip addr add %s/32 dev lo", m.cmd.Process.Pid, farBroker)
	return m.cmd.Process.Pid
}

// sh runs one line as root in this network.
func sh(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}
