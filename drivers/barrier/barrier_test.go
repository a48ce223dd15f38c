package barrier_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"gateagent/drivers/barrier"
	"gateagent/drivers/serial"
	"gateagent/gate"
	"gateagent/sim/port"
)

// rig is a board on a pseudo-terminal with the real serial driver and the
// barrier on it.
type rig struct {
	board   *port.Relay
	barrier *barrier.Barrier
}

func modbus() barrier.Config {
	return barrier.Config{
		Profile: barrier.ProfileModbus, Active: barrier.EnergisedOpens, Relay: 1, Input: 1,
		Pulse: 200 * time.Millisecond, Window: time.Second,
	}
}

func devantech() barrier.Config {
	return barrier.Config{
		Profile: barrier.ProfileTimed, Open: `SR 1 on %{ms}\r\n`, Shut: `SR 1 off\r\n`, Ack: `Ok\r\n`, Passed: `PASS\r\n`,
		Pulse: 200 * time.Millisecond, Window: time.Second,
	}
}

// wire starts serial port and barrier on path and gives what stops them.
func wire(t testing.TB, path string, cfg barrier.Config) (*barrier.Barrier, context.CancelFunc) {
	t.Helper()
	p, err := serial.New(serial.Config{Path: path, Baud: 9600, Framing: serial.FrameRaw})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	b, err := barrier.New(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- p.Run(ctx) }()
	go func() { done <- b.Run(ctx) }()
	return b, func() {
		cancel()
		for range 2 {
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(5 * time.Second):
				t.Error("a task does not end")
			}
		}
	}
}

func newRig(t *testing.T, cfg barrier.Config, opts port.RelayOptions) rig {
	t.Helper()
	if cfg.Profile == barrier.ProfileTimed {
		opts.Protocol = port.ProtocolText
	}
	opts.EnergisedShuts = cfg.Active == barrier.EnergisedShuts
	board, err := port.NewRelay(t.TempDir(), "relay", opts)
	if err != nil {
		t.Fatal(err)
	}
	b, stop := wire(t, board.Path(), cfg)
	t.Cleanup(func() { stop(); _ = board.Close() })
	healthy(t, b)
	return rig{board, b}
}

func healthy(t testing.TB, b *barrier.Barrier) {
	t.Helper()
	eventually(t, "healthy", func() bool { return b.Healthy() == nil })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(8 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happened: " + what)
		}
	}
}

func (r rig) open(t *testing.T) (gate.PassageResult, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return r.barrier.Open(ctx, time.Now())
}

func TestPassed(t *testing.T) {
	for name, cfg := range map[string]barrier.Config{"modbus": modbus(), "timed": devantech()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, cfg, port.RelayOptions{AutoPass: 150 * time.Millisecond})
			for n := 1; n <= 2; n++ {
				if got, err := r.open(t); got != gate.PassagePassed || err != nil {
					t.Fatalf("%s, %v", got, err)
				}
				if r.board.Opened() != n {
					t.Errorf("opened %d times, want %d", r.board.Opened(), n)
				}
				eventually(t, "shut", func() bool { return !r.board.IsOpen() })
				time.Sleep(450 * time.Millisecond) // the walker leaves the beam
			}
			for _, e := range r.board.Events() {
				if !e.Open && !e.ByTimer {
					t.Error("the agent ended the pulse, not the board")
				}
			}
		})
	}
}

func TestTimedOut(t *testing.T) {
	for name, cfg := range map[string]barrier.Config{"modbus": modbus(), "timed": devantech()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, cfg, port.RelayOptions{})
			began := time.Now()
			if got, err := r.open(t); got != gate.PassageTimedOut || err != nil {
				t.Fatalf("%s, %v", got, err)
			}
			if d := time.Since(began); d < cfg.Window || d > cfg.Window+time.Second {
				t.Errorf("waited %v", d)
			}
		})
	}
}

func TestOpenedWithoutSensor(t *testing.T) {
	t.Parallel()
	cfg := modbus()
	cfg.Input = 0
	r := newRig(t, cfg, port.RelayOptions{})
	if got, err := r.open(t); got != gate.PassageOpened || err != nil {
		t.Fatalf("%s, %v", got, err)
	}
	if r.board.Opened() != 1 {
		t.Error("did not open")
	}
	eventually(t, "shut", func() bool { return !r.board.IsOpen() })
}

// TestEnergisedShuts: the gate is open until the agent is up, and the start
// shuts it.
func TestEnergisedShuts(t *testing.T) {
	t.Parallel()
	cfg := modbus()
	cfg.Active = barrier.EnergisedShuts
	r := newRig(t, cfg, port.RelayOptions{AutoPass: 50 * time.Millisecond})
	if r.board.IsOpen() {
		t.Fatal("open after the start")
	}
	if got, err := r.open(t); got != gate.PassagePassed || err != nil {
		t.Fatalf("%s, %v", got, err)
	}
	eventually(t, "shut", func() bool { return !r.board.IsOpen() })
}

// TestHeldLevel: with a long pulse the passage, or the end of the window,
// ends the opening.
func TestHeldLevel(t *testing.T) {
	t.Parallel()
	cfg := modbus()
	cfg.Pulse, cfg.Window, cfg.EndOnPassage = 5*time.Second, 500*time.Millisecond, true
	r := newRig(t, cfg, port.RelayOptions{})
	if got, err := r.open(t); got != gate.PassageTimedOut || err != nil || r.board.IsOpen() {
		t.Fatalf("%s, %v, open %v", got, err, r.board.IsOpen())
	}
	time.AfterFunc(150*time.Millisecond, r.board.Pass)
	if got, err := r.open(t); got != gate.PassagePassed || err != nil || r.board.IsOpen() {
		t.Fatalf("%s, %v, open %v", got, err, r.board.IsOpen())
	}
}

// TestStuckSensor: a beam that is interrupted all the time proves no passage.
func TestStuckSensor(t *testing.T) {
	t.Parallel()
	r := newRig(t, modbus(), port.RelayOptions{})
	r.board.Sensor(true)
	if got, err := r.open(t); got != gate.PassageTimedOut || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

// TestRefusals: nothing but a fresh admission opens.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, modbus(), port.RelayOptions{})
	now := time.Now()
	for name, admitted := range map[string]time.Time{
		"zero":          {},
		"old":           now.Add(-5001 * time.Millisecond),
		"future":        now.Add(time.Second),
		"wall clock":    now.Round(0),
		"from a record": time.UnixMilli(now.UnixMilli()),
	} {
		got, err := r.barrier.Open(context.Background(), admitted)
		if got != gate.PassageRefused || !errors.Is(err, gate.ErrAdmitTooOld) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := r.barrier.Open(over, time.Now()); got != gate.PassageRefused || err == nil {
		t.Errorf("cancelled: %s, %v", got, err)
	}
	if r.board.Opened() != 0 {
		t.Fatal("a refused admission opened the gate")
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	r := newRig(t, modbus(), port.RelayOptions{})
	results := make(chan gate.PassageResult, 5)
	for range cap(results) {
		go func() {
			got, _ := r.barrier.Open(context.Background(), time.Now())
			results <- got
		}()
	}
	count := map[gate.PassageResult]int{}
	for range cap(results) {
		count[<-results]++
	}
	if count[gate.PassageTimedOut] != 1 || count[gate.PassageRefused] != 4 || r.board.Opened() != 1 {
		t.Errorf("%v, opened %d times", count, r.board.Opened())
	}
}

// TestUnplugged: without its board the gate refuses, and says so; when the
// board is back it is driven shut before it may open.
func TestUnplugged(t *testing.T) {
	t.Parallel()
	r := newRig(t, modbus(), port.RelayOptions{AutoPass: 50 * time.Millisecond})
	if err := r.board.Unplug(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "unhealthy", func() bool { return r.barrier.Healthy() != nil })
	if got, err := r.open(t); got != gate.PassageRefused || err == nil {
		t.Errorf("%s, %v", got, err)
	}
	before := r.board.Commands()
	if err := r.board.Plug(); err != nil {
		t.Fatal(err)
	}
	healthy(t, r.barrier)
	if r.board.Commands() == before || r.board.Opened() != 0 {
		t.Errorf("%d commands after the return, opened %d times", r.board.Commands()-before, r.board.Opened())
	}
	if got, err := r.open(t); got != gate.PassagePassed || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

// TestUnpluggedWhileOpen: what happened at the gate is not known then, and the
// board's own timer shuts it.
func TestUnpluggedWhileOpen(t *testing.T) {
	for name, cfg := range map[string]barrier.Config{"modbus": modbus(), "timed": devantech()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, cfg, port.RelayOptions{})
			time.AfterFunc(100*time.Millisecond, func() { _ = r.board.Unplug() })
			began := time.Now()
			got, err := r.open(t)
			if got != gate.PassageUnknown || err == nil || time.Since(began) > cfg.Window {
				t.Errorf("%s, %v after %v", got, err, time.Since(began))
			}
			eventually(t, "shut", func() bool { return !r.board.IsOpen() })
		})
	}
}

// TestMuteBoard: a board that does not answer is out of order, never assumed
// to work.
func TestMuteBoard(t *testing.T) {
	t.Parallel()
	board, err := port.NewRelay(t.TempDir(), "relay", port.RelayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	board.Mute(true)
	b, stop := wire(t, board.Path(), modbus())
	defer func() { stop(); _ = board.Close() }()
	<-b.Ready()
	if got, err := b.Open(context.Background(), time.Now()); got != gate.PassageRefused || err == nil {
		t.Errorf("%s, %v", got, err)
	}
	board.Mute(false)
	healthy(t, b)
	board.Mute(true)
	got, err := b.Open(context.Background(), time.Now())
	if got != gate.PassageUnknown || err == nil || b.Healthy() == nil {
		t.Errorf("%s, %v, healthy %v", got, err, b.Healthy())
	}
	eventually(t, "shut", func() bool { return !board.IsOpen() })
}

// TestGivenUp: the caller's deadline ends the wait.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, devantech(), port.RelayOptions{})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if got, err := r.barrier.Open(ctx, time.Now()); got != gate.PassageUnknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s, %v", got, err)
	}
}
