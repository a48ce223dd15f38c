package serial_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/drivers/serial"
	"gateagent/sim/port"
)

// logBuffer is a log that a test may read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, cfg serial.Config) (*serial.Port, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p, err := serial.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run ended with %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("run does not end")
		}
	})
	select {
	case <-p.Ready():
	case <-time.After(5 * time.Second):
		t.Fatal("never ready")
	}
	return p, log
}

func scanner(t *testing.T) *port.Scanner {
	t.Helper()
	s, err := port.NewScanner(t.TempDir(), "scanner")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func frame(t *testing.T, p *serial.Port) string {
	t.Helper()
	select {
	case f := <-p.Frames():
		return string(f)
	case <-time.After(5 * time.Second):
		t.Fatal("no frame came")
		return ""
	}
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: " + what)
		}
	}
}

func TestFrames(t *testing.T) {
	s := scanner(t)
	p, _ := start(t, serial.Config{Path: s.Path(), Framing: serial.FrameCRLF})
	if err := p.Healthy(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "\x00\x03\x04\x11\x13\x1a\x7f\xff every byte passes", "l1\rl2"} {
		if err := s.Scan(text); err != nil {
			t.Fatal(err)
		}
		if got := frame(t, p); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

func TestReplug(t *testing.T) {
	s := scanner(t)
	p, log := start(t, serial.Config{Path: s.Path(), Framing: serial.FrameCRLF})
	for round := range 3 {
		if err := <-p.Changes(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := s.Scan("planted-secret"); err != nil {
			t.Fatal(err)
		}
		frame(t, p)
		if err := s.Raw([]byte("half a planted-secret")); err != nil {
			t.Fatal(err)
		}
		if err := s.Unplug(); err != nil {
			t.Fatal(err)
		}
		if err := <-p.Changes(); !errors.Is(err, serial.ErrDown) {
			t.Fatalf("round %d: unplugged, and the port says %v", round, err)
		}
		eventually(t, "unhealthy", func() bool { return p.Healthy() != nil })
		if err := p.Write(context.Background(), []byte("x")); !errors.Is(err, serial.ErrDown) {
			t.Errorf("write to an unplugged port: %v", err)
		}
		if err := s.Plug(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "open again", func() bool { return p.Healthy() == nil })
		for len(p.Changes()) > 1 {
			<-p.Changes()
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log holds what was scanned:\n%s", log)
	}
}

// TestAbsentThenPlugged: the agent may start before the device is there.
func TestAbsentThenPlugged(t *testing.T) {
	s := scanner(t)
	if err := s.Unplug(); err != nil {
		t.Fatal(err)
	}
	p, log := start(t, serial.Config{Path: s.Path(), Framing: serial.FrameCRLF})
	if !errors.Is(p.Healthy(), serial.ErrDown) {
		t.Fatal("healthy without a device")
	}
	time.Sleep(350 * time.Millisecond) // some attempts
	if err := s.Plug(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "open", func() bool { return p.Healthy() == nil })
	if err := s.Scan("hello"); err != nil || frame(t, p) != "hello" {
		t.Error("no frame after the plug", err)
	}
	if n := strings.Count(log.String(), "is down"); n != 1 {
		t.Errorf("%d log lines for one absence:\n%s", n, log)
	}
}

func TestStaleHalfIsDropped(t *testing.T) {
	s := scanner(t)
	p, log := start(t, serial.Config{Path: s.Path(), Framing: serial.FrameCRLF, IdleGap: 50 * time.Millisecond})
	if err := s.Raw([]byte("left over")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "drop", func() bool { return strings.Contains(log.String(), "dropped") })
	if err := s.Scan("good"); err != nil || frame(t, p) != "good" {
		t.Error("the leftover spoilt the next scan", err)
	}
}

func TestIdleGap(t *testing.T) {
	s := scanner(t)
	p, _ := start(t, serial.Config{Path: s.Path(), Framing: serial.FrameIdle, IdleGap: 50 * time.Millisecond})
	for _, text := range []string{"one", "two"} {
		if err := s.Raw([]byte(text)); err != nil || frame(t, p) != text {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestFlood: garbage that nobody takes neither blocks nor grows; the newest
// frames win, and one line of log is enough.
func TestFlood(t *testing.T) {
	s := scanner(t)
	p, log := start(t, serial.Config{Path: s.Path(), Framing: serial.FrameCRLF, MaxFrame: 256})
	if err := s.Raw(bytes.Repeat([]byte("garbage without end "), 50_000)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := s.Scan("\r\nold"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Scan("newest"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	n, last := 0, ""
	for last != "newest" {
		last = frame(t, p)
		n++
	}
	if n > 8 {
		t.Errorf("%d frames were kept", n)
	}
	if c := strings.Count(log.String(), "\n"); c > 3 {
		t.Errorf("%d lines of log:\n%s", c, log)
	}
}

func TestRefused(t *testing.T) {
	for name, cfg := range map[string]serial.Config{
		"no path":     {Framing: serial.FrameCR},
		"relative":    {Path: "ttyS0", Framing: serial.FrameCR},
		"ttyUSB":      {Path: "/dev/ttyUSB0", Framing: serial.FrameCR},
		"ttyACM":      {Path: "/dev/../dev/ttyACM12", Framing: serial.FrameCR},
		"no framing":  {Path: "/dev/ttyS0"},
		"bad framing": {Path: "/dev/ttyS0", Framing: "morse"},
		"frame":       {Path: "/dev/ttyS0", Framing: serial.FrameCR, MaxFrame: 1 << 20},
		"baud":        {Path: "/dev/ttyS0", Framing: serial.FrameCR, Baud: -1},
	} {
		if _, err := serial.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, cfg := range []serial.Config{
		{Path: "/dev/ttyUSB0", AllowUnstable: true, Framing: serial.FrameCR},
		{Path: "/dev/serial/by-id/usb-x", Framing: serial.FrameCR},
	} {
		if _, err := serial.New(cfg); err != nil {
			t.Error(err)
		}
	}
}

// TestNotADevice: a plain file at the path never becomes a port.
func TestNotADevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := serial.New(serial.Config{Path: path, Framing: serial.FrameCR})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := p.Run(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("run gave %v", err)
	}
}

// TestStuckWrite: a device that takes nothing costs the caller his deadline,
// and what he wrote is not sent later.
func TestStuckWrite(t *testing.T) {
	link := stuckDevice(t)
	p, _ := start(t, serial.Config{Path: link, Framing: serial.FrameRaw})
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := p.Write(ctx, make([]byte, 1<<20))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*time.Second {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	eventually(t, "opened anew", func() bool { return p.Healthy() == nil })
}
