package pcsc_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/drivers/pcsc"
	"gateagent/gate"
	"gateagent/sim/vpcd"
)

// daemon is the pcscd of this test process. libpcsclite reads its socket once,
// so that all tests share it; tests that restart it must not be parallel.
var daemon *vpcd.Daemon

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pcsc")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if daemon, err = vpcd.StartDaemon(context.Background(), dir, nil); err != nil {
		fmt.Fprintln(os.Stderr, "these tests run against the real PC/SC daemon:", err)
		return 1
	}
	defer daemon.Stop()
	if err := os.Setenv(vpcd.SocketVariable, daemon.Socket()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// slotName is how pcscd names the virtual reader's slots.
func slotName(slot int) string { return fmt.Sprintf("Virtual PCD 00 %02d", slot) }

// chip answers every command with its own bytes.
type chip struct {
	mute   chan struct{} // when set, no answer before it is closed
	resets atomic.Int64
	answer []byte // when set, instead of the echo
}

// ATR is that of a contactless chip without historical bytes (PC/SC part 3
// section 3.1.3.2.3).
func (c *chip) ATR() []byte { return []byte{0x3B, 0x80, 0x80, 0x01, 0x01} }

func (c *chip) Reset() { c.resets.Add(1) }

func (c *chip) Process(apdu []byte) []byte {
	if c.mute != nil {
		<-c.mute
	}
	if c.answer != nil {
		return c.answer
	}
	return append(bytes.Clone(apdu), 0x90, 0x00)
}

// start runs a reader for the length of a test.
func start(t testing.TB, cfg pcsc.Config) *pcsc.Reader {
	t.Helper()
	r := pcsc.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run ended with %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run does not end with its context")
		}
	})
	return r
}

// until reads events up to one that fits.
func until(t testing.TB, r *pcsc.Reader, what string, limit time.Duration, fits func(gate.CardEvent) bool) gate.CardEvent {
	t.Helper()
	var seen []gate.CardEvent
	timeout := time.After(limit)
	for {
		select {
		case e := <-r.Events():
			if fits(e) {
				return e
			}
			seen = append(seen, e)
		case <-timeout:
			t.Fatalf("no event %q within %v; events: %+v", what, limit, seen)
		}
	}
}

func present(e gate.CardEvent) bool   { return e.Healthy && e.Present }
func empty(e gate.CardEvent) bool     { return e.Healthy && !e.Present }
func unhealthy(e gate.CardEvent) bool { return !e.Healthy && e.Problem != "" }

// insert brings a chip into the field until the test ends.
func insert(t testing.TB, slot int, c vpcd.APDUHandler) *vpcd.Link {
	t.Helper()
	link, err := daemon.Insert(slot, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Remove)
	return link
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func connect(t testing.TB, r *pcsc.Reader) gate.Card {
	t.Helper()
	card, err := r.Connect(within(t, 5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// records collects log lines.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *records) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
