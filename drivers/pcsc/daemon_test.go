package pcsc_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/drivers/pcsc"
	"gateagent/gate"
)

// restoreDaemon leaves the daemon as the other tests expect it.
func restoreDaemon(t *testing.T) {
	t.Cleanup(func() {
		daemon.SetReader(true)
		if err := daemon.Restart(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDaemonNotYetRunning(t *testing.T) {
	restoreDaemon(t)
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	r := start(t, pcsc.Config{Reader: slotName(0)})
	e := until(t, r, "no daemon", 5*time.Second, unhealthy)
	if !strings.Contains(e.Problem, "systemctl start pcscd") || e.Reader != slotName(0) || e.Present {
		t.Errorf("event %+v", e)
	}
	if _, err := r.Connect(within(t, time.Second)); !errors.Is(err, gate.ErrReaderFault) {
		t.Errorf("connect without a daemon: %v", err)
	}
	if _, err := pcsc.Readers(within(t, time.Second)); !errors.Is(err, gate.ErrReaderFault) ||
		!strings.Contains(err.Error(), "systemctl start pcscd") {
		t.Errorf("readers without a daemon: %v", err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, r, "ready", 5*time.Second, empty)
	insert(t, 0, &chip{})
	until(t, r, "card", 5*time.Second, present)
}

func TestDaemonRestart(t *testing.T) {
	restoreDaemon(t)
	t.Run("orderly", func(t *testing.T) { surviveRestart(t, daemon.Stop) })
	t.Run("crash", func(t *testing.T) {
		surviveRestart(t, func() error { daemon.Kill(); return nil })
	})
}

func surviveRestart(t *testing.T, stop func() error) {
	r := start(t, pcsc.Config{Reader: slotName(0), Exclusive: true})
	until(t, r, "empty", 5*time.Second, empty)
	insert(t, 0, &chip{})
	until(t, r, "card", 5*time.Second, present)
	card := connect(t, r)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	until(t, r, "daemon gone", 5*time.Second, unhealthy)
	if _, err := card.Transmit(within(t, time.Second), selectMF); !errors.Is(err, gate.ErrReaderFault) {
		t.Errorf("transmit without the daemon: %v", err)
	}
	_ = card.Close() // whatever it says, it must return
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, r, "daemon back", 8*time.Second, empty)
	insert(t, 0, &chip{})
	until(t, r, "card again", 5*time.Second, present)
	card = connect(t, r)
	if _, err := card.Transmit(within(t, time.Second), selectMF); err != nil {
		t.Errorf("transmit after the restart: %v", err)
	}
	if err := card.Close(); err != nil {
		t.Error(err)
	}
}

func TestRestartDuringTransmit(t *testing.T) {
	restoreDaemon(t)
	r := start(t, pcsc.Config{Reader: slotName(0), Exclusive: true})
	until(t, r, "empty", 5*time.Second, empty)
	c := &chip{mute: make(chan struct{})}
	defer close(c.mute)
	insert(t, 0, c)
	until(t, r, "card", 5*time.Second, present)
	card := connect(t, r)
	defer card.Close()
	ended := make(chan error, 1)
	ctx := within(t, 20*time.Second)
	go func() {
		_, err := card.Transmit(ctx, selectMF)
		ended <- err
	}()
	time.Sleep(100 * time.Millisecond)
	daemon.Kill()
	select {
	case err := <-ended:
		if !errors.Is(err, gate.ErrReaderFault) {
			t.Errorf("transmit over the end of the daemon: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the transmit outlives the daemon")
	}
}

func TestReaderMissing(t *testing.T) {
	restoreDaemon(t)
	daemon.SetReader(false)
	if err := daemon.Restart(); err != nil {
		t.Fatal(err)
	}
	r := start(t, pcsc.Config{Reader: slotName(0)})
	e := until(t, r, "reader missing", 5*time.Second, unhealthy)
	if !strings.Contains(e.Problem, "there is no card reader") {
		t.Errorf("problem %q", e.Problem)
	}
	if names, err := pcsc.Readers(within(t, time.Second)); err != nil || len(names) != 0 {
		t.Errorf("readers: %q, %v", names, err)
	}
	daemon.SetReader(true)
	if err := daemon.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, r, "reader plugged", 8*time.Second, empty)
	daemon.SetReader(false)
	if err := daemon.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, r, "reader unplugged", 8*time.Second, func(e gate.CardEvent) bool {
		return unhealthy(e) && strings.Contains(e.Problem, "there is no card reader")
	})
}

// TestDaemonHangs: a daemon that lives but does not answer must hold up
// neither a caller nor the end of the task.
func TestDaemonHangs(t *testing.T) {
	restoreDaemon(t)
	r := start(t, pcsc.Config{Reader: slotName(0), Exclusive: true})
	until(t, r, "empty", 5*time.Second, empty)
	insert(t, 0, &chip{})
	until(t, r, "card", 5*time.Second, present)

	signal := func(s syscall.Signal) {
		if err := syscall.Kill(daemon.PID(), s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	t.Cleanup(func() { signal(syscall.SIGCONT) }) // a second one does no harm
	begun := time.Now()
	if _, err := r.Connect(within(t, 200*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("connect: %v", err)
	}
	if _, err := pcsc.Readers(within(t, 200*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("readers: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := pcsc.New(pcsc.Config{Reader: slotName(1)}).Run(ctx); err != nil {
		t.Errorf("a second task: %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the callers were held up for %v", took)
	}
	until(t, r, "out of order", 5*time.Second, unhealthy)
	signal(syscall.SIGCONT)
	until(t, r, "recovery", 5*time.Second, present)
	card := connect(t, r)
	if _, err := card.Transmit(within(t, time.Second), selectMF); err != nil {
		t.Error(err)
	}
	if err := card.Close(); err != nil {
		t.Error(err)
	}
}
