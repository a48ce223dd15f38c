package e2e

import (
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gateagent/sim/kiosk"
)

// TestServiceManager: the agent says READY once it serves and not before,
// feeds the watchdog while the lane turns, and says STOPPING.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := filepath.Join(dir, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() }) // it may be closed below
	r := newRig(t, func(o *kiosk.Options) { o.Env = []string{"NOTIFY_SOCKET=" + at, "WATCHDOG_USEC=2400000"} })
	hear := func(limit time.Duration) []string {
		t.Helper()
		var said []string
		buf := make([]byte, 4096)
		if err := socket.SetReadDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := socket.Read(buf)
			if err != nil {
				return said
			}
			said = append(said, string(buf[:n]))
		}
	}
	r.start()
	said := hear(3500 * time.Millisecond)
	fed := 0
	for _, s := range said[min(1, len(said)):] {
		if s == "WATCHDOG=1" {
			fed++
		}
	}
	if len(said) == 0 || said[0] != "READY=1" || fed < 3 || fed != len(said)-1 {
		t.Errorf("in some seconds the service manager heard %q", said)
	}
	if err := r.Agent.Stop(); err != nil {
		t.Fatal(err)
	}
	if said := hear(200 * time.Millisecond); !slices.Contains(said, "STOPPING=1") {
		t.Errorf("at the end the service manager heard %q", said)
	}
}
