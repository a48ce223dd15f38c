package vpcd_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateagent/sim/vpcd"

	"github.com/ebfe/scard"
)

// echo is a chip that answers every command with its own bytes.
type echo struct {
	mu     sync.Mutex
	resets int
	block  chan struct{} // when set, Process waits for it
}

// ATR is a contactless storage card's as PC/SC part 3 section 3.1.3.2.3 forms
// it: TD1 and TD2 announce T=0 and T=1, the check byte is the XOR of the rest.
func (e *echo) ATR() []byte { return []byte{0x3B, 0x80, 0x80, 0x01, 0x01} }

func (e *echo) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resets++
}

func (e *echo) Process(apdu []byte) []byte {
	if e.block != nil {
		<-e.block
	}
	return append(bytes.Clone(apdu), 0x90, 0x00)
}

// parentVariable makes the test binary play a parent that will be killed.
const parentVariable = "VPCD_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		playParent(dir)
		return
	}
	os.Exit(run(m))
}

func playParent(dir string) {
	d, err := vpcd.StartDaemon(context.Background(), dir, nil)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("pid", d.PID())
	forever := make(chan os.Signal, 1)
	signal.Notify(forever, syscall.SIGUSR1)
	<-forever
}

// shared is the daemon that PC/SC calls of this process reach; libpcsclite
// reads its socket once.
var shared *vpcd.Daemon

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vpcd")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if shared, err = vpcd.StartDaemon(context.Background(), dir, nil); err != nil {
		fmt.Println(err)
		return 1
	}
	defer shared.Stop()
	os.Setenv(vpcd.SocketVariable, shared.Socket())
	return m.Run()
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// within retries for things that other processes do in their own time.
func within(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("not within %v: %s", limit, what)
}

func TestStopLeavesNothing(t *testing.T) {
	_, hadRun := os.Stat("/run/pcscd")
	d, err := vpcd.StartDaemon(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pid := d.PID()
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if got := strings.TrimSpace(string(comm)); got != "pcscd" {
		t.Fatalf("process %d is %q, want pcscd itself", pid, got)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Errorf("pcscd %d lives on", pid)
	}
	if _, err := os.Stat(d.Socket()); !os.IsNotExist(err) {
		t.Errorf("socket is left: %v", err)
	}
	if _, has := os.Stat("/run/pcscd"); os.IsNotExist(hadRun) != os.IsNotExist(has) {
		t.Error("/run/pcscd of the machine has changed")
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if strings.Contains(string(mounts), "gateagent-vpcd") {
		t.Error("a mount is left in the namespace of the machine")
	}
	if err := d.Stop(); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func TestContextStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d, err := vpcd.StartDaemon(ctx, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pid := d.PID()
	cancel()
	within(t, 5*time.Second, "pcscd ends with its context", func() bool { return !alive(pid) })
}

func TestDiesWithParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	var pid int
	if _, err := fmt.Sscanf(line, "pid %d", &pid); err != nil {
		t.Fatalf("parent said %q", line)
	}
	if !alive(pid) {
		t.Fatal("pcscd does not run")
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	within(t, 5*time.Second, "pcscd dies with a killed parent", func() bool { return !alive(pid) })
}

func TestLongPath(t *testing.T) {
	_, err := vpcd.StartDaemon(t.Context(), filepath.Join(t.TempDir(), strings.Repeat("x", 100)), nil)
	if err == nil || !strings.Contains(err.Error(), "shorter folder") {
		t.Fatalf("a socket path that is too long: %v", err)
	}
}

func connect(t *testing.T, slot int) *scard.Card {
	t.Helper()
	ctx, err := scard.EstablishContext()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ctx.Release() })
	var card *scard.Card
	within(t, 5*time.Second, "a card can be connected", func() bool {
		card, err = ctx.Connect(fmt.Sprintf("Virtual PCD 00 %02d", slot), scard.ShareShared, scard.ProtocolAny)
		return err == nil
	})
	t.Cleanup(func() { _ = card.Disconnect(scard.ResetCard) })
	return card
}

func TestTransmitAndRestart(t *testing.T) {
	for slot := range 2 {
		link, err := shared.Insert(slot, &echo{})
		if err != nil {
			t.Fatal(err)
		}
		card := connect(t, slot)
		apdu := []byte{0x00, 0xA4, 0x04, 0x0C, 0x00}
		start := time.Now()
		const rounds = 50
		for range rounds {
			got, err := card.Transmit(apdu)
			if err != nil || !bytes.Equal(got, append(bytes.Clone(apdu), 0x90, 0x00)) {
				t.Fatalf("slot %d: %X, %v", slot, got, err)
			}
		}
		// Without quick acknowledgements one takes 40 ms.
		if each := time.Since(start) / rounds; each > 10*time.Millisecond {
			t.Errorf("slot %d: %v for an APDU", slot, each)
		}
		link.Remove()
	}
	link, err := shared.Insert(0, &echo{})
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Restart(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-link.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the link does not notice the end of its daemon")
	}
	if link, err = shared.Insert(0, &echo{}); err != nil {
		t.Fatal(err)
	}
	defer link.Remove()
	connect(t, 0)
}

func TestRemoveBlockedHandler(t *testing.T) {
	chip := &echo{block: make(chan struct{})}
	link, err := shared.Insert(1, chip)
	if err != nil {
		t.Fatal(err)
	}
	card := connect(t, 1)
	ended := make(chan []byte, 1)
	go func() {
		answer, _ := card.Transmit([]byte{0, 0xB0, 0, 0, 0})
		ended <- answer
	}()
	time.Sleep(200 * time.Millisecond)
	link.Remove()
	select {
	case answer := <-ended:
		if len(answer) != 0 {
			t.Errorf("a torn card answered %X", answer)
		}
	case <-time.After(5 * time.Second):
		t.Error("removal does not end the transmit")
	}
	close(chip.block)
	<-link.Done()
}

func TestOneChipAtATime(t *testing.T) {
	first, err := shared.Insert(0, &echo{})
	if err != nil {
		t.Fatal(err)
	}
	connect(t, 0)
	if _, err := shared.Insert(0, &echo{}); err == nil || !strings.Contains(err.Error(), "another chip") {
		t.Errorf("a second chip in one slot: %v", err)
	}
	first.Remove()
	second, err := shared.Insert(0, &echo{})
	if err != nil {
		t.Fatalf("right after a removal: %v", err)
	}
	defer second.Remove()
	if _, err := connect(t, 0).Transmit([]byte{0, 0xB0, 0, 0, 0}); err != nil {
		t.Errorf("the second chip: %v", err)
	}
	if _, err := shared.Insert(2, &echo{}); err == nil {
		t.Error("there is no slot 2")
	}
}
