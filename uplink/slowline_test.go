package uplink_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/central/enrol"
)

// slowLine passes bytes on after a delay in each direction, as many as come:
// it is far, not narrow.
type slowLine struct {
	l     net.Listener
	to    string
	delay time.Duration

	mu    sync.Mutex
	conns []net.Conn
}

// lineRoom is how many reads may be on their way; far more than the windows of
// those who use the line.
const lineRoom = 1 << 14

func newSlowLine(t testing.TB, to string, delay time.Duration) *slowLine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &slowLine{l: l, to: to, delay: delay}
	t.Cleanup(s.close)
	go s.accept()
	return s
}

func (s *slowLine) addr() string { return s.l.Addr().String() }

func (s *slowLine) close() {
	_ = s.l.Close() // twice is no harm
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
}

func (s *slowLine) accept() {
	for {
		in, err := s.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", s.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		s.mu.Lock()
		s.conns = append(s.conns, in, out)
		s.mu.Unlock()
		go s.carry(out, in)
		go s.carry(in, out)
	}
}

// carry passes on what one side says. Both threads end with the connections.
func (s *slowLine) carry(to, from net.Conn) {
	type piece struct {
		due  time.Time
		data []byte
	}
	way := make(chan piece, lineRoom)
	go func() {
		defer to.Close()
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
	}()
	defer close(way)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		way <- piece{time.Now().Add(s.delay), append([]byte(nil), buf[:n]...)}
	}
}

// benchBroker is mosquitto as the page for operators sets it up.
type benchBroker struct {
	addr string
	cmd  *exec.Cmd
}

func startBenchBroker(t testing.TB, reg *enrol.Registry) *benchBroker {
	t.Helper()
	const bin = "/usr/sbin/mosquitto"
	if _, err := os.Stat(bin); err != nil {
		t.Skip("mosquitto is not installed; scripts/setup installs it")
	}
	dir := t.TempDir()
	files, err := reg.BrokerFiles(t.Context(), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, conf, _ := strings.Cut(string(page), "```conf\n")
	conf, _, ok := strings.Cut(conf, "```")
	if !ok || !strings.Contains(conf, "listener 8883\n") {
		t.Fatal("docs/operations.md has no configuration of mosquitto")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &benchBroker{addr: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(b.addr)
	conf = strings.ReplaceAll(conf, "/etc/mosquitto/gate", dir)
	// The peers may have as many messages on their way as they like.
	conf = strings.Replace(conf, "listener 8883\n", "listener "+port+" 127.0.0.1\n", 1) + "max_inflight_messages 0\nmax_queued_messages 0\n"
	if os.Geteuid() == 0 {
		conf += "user root\n"
	}
	files["mosquitto.conf"] = []byte(conf)
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.cmd = exec.Command(bin, "-c", filepath.Join(dir, "mosquitto.conf"))
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill() // may have ended
		_ = b.cmd.Wait()
	})
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", b.addr, time.Second)
		if err == nil {
			_ = c.Close()
			return b
		}
		if time.Now().After(end) {
			t.Fatal("mosquitto does not listen")
		}
	}
}

// watchMemory forgets how much this process had resident so far, and gives at
// the end what it began with, the most that it had since, and the most of its
// heap.
func watchMemory() (end func() (idle, peak, heap uint64)) {
	debug.FreeOSMemory()
	// 5: the high water mark begins anew (proc(5), clear_refs).
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200); err != nil {
		return func() (uint64, uint64, uint64) { return 0, 0, 0 }
	}
	first, heap := resident("VmRSS"), uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				heap = max(heap, heapInUse())
			}
		}
	}()
	return func() (uint64, uint64, uint64) {
		close(stop)
		<-done
		return first, resident("VmHWM"), heap
	}
}

// heapInUse is what the heap holds that was not given back.
func heapInUse() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() + s[1].Value.Uint64()
}

// resident is what this process has in memory now (VmRSS) or had at most
// (VmHWM), of its own and of files.
func resident(what string) uint64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "\n"+what+":")
	var kib uint64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib << 10
}
