package barrier_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/drivers/barrier"
	"gateagent/sim/port"
)

// The test binary runs itself as an agent that can be killed. These name the
// board and what the agent does once it is ready.
const (
	envBoard = "BARRIER_TEST_BOARD"
	envOpen  = "BARRIER_TEST_OPEN"
	envKind  = "BARRIER_TEST_PROFILE"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envBoard); path != "" {
		os.Exit(agent(path))
	}
	os.Exit(m.Run())
}

// profiles are the boards of the kill test.
func profiles() map[string]barrier.Config {
	held := modbus()
	held.Active = barrier.EnergisedShuts
	return map[string]barrier.Config{"modbus": modbus(), "energised_shuts": held, "timed": devantech()}
}

// agent drives the board until it is killed.
func agent(path string) int {
	var t testing.T // wire only reports to it when it fails
	b, _ := wire(&t, path, profiles()[os.Getenv(envKind)])
	for end := time.Now().Add(5 * time.Second); b.Healthy() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			fmt.Println("never healthy")
			return 1
		}
	}
	fmt.Println("ready")
	if os.Getenv(envOpen) != "" {
		if _, err := b.Open(context.Background(), time.Now()); err != nil {
			fmt.Println(err)
		}
	}
	time.Sleep(10 * time.Second) // the parent kills before
	return 0
}

// spawn starts an agent; ready is closed when it says that it is.
func spawn(t *testing.T, board *port.Relay, profile string, open bool) (cmd *exec.Cmd, ready chan struct{}) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envBoard+"="+board.Path(), envKind+"="+profile)
	if open {
		cmd.Env = append(cmd.Env, envOpen+"=1")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready = make(chan struct{})
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if sc.Text() == "ready" {
				close(ready)
			}
		}
	}()
	return cmd, ready
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
}

// TestKilled kills agents at random instants around an opening: the board
// shuts the gate within the pulse, and the next start never opens it.
func TestKilled(t *testing.T) {
	kills := 12 // for each of the three boards
	if testing.Short() {
		kills = 10
	}
	for name, cfg := range profiles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := port.RelayOptions{EnergisedShuts: cfg.Active == barrier.EnergisedShuts}
			if cfg.Profile == barrier.ProfileTimed {
				opts.Protocol = port.ProtocolText
			}
			board, err := port.NewRelay(t.TempDir(), "relay", opts)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = board.Close() }()
			if opts.EnergisedShuts { // powered up with the gate open: the first start shuts it
				cmd, ready := spawn(t, board, name, false)
				waitReady(t, ready)
				kill(t, cmd)
			}
			var whileOpen atomic.Int32
			for n := range kills {
				oneKill(t, board, name, n, cfg.Pulse, &whileOpen)
			}
			if whileOpen.Load() == 0 {
				t.Error("no kill met an open gate: the test proves nothing")
			}
			opened := board.Opened()
			t.Logf("%d kills, %d of them while open, %d openings", kills, whileOpen.Load(), opened)
			checkPulses(t, board.Events(), cfg.Pulse)
		})
	}
}

func oneKill(t *testing.T, board *port.Relay, profile string, n int, pulse time.Duration, whileOpen *atomic.Int32) {
	t.Helper()
	cmd, ready := spawn(t, board, profile, true)
	if n%3 == 0 { // anywhere from the first instruction on
		time.Sleep(rand.N(60 * time.Millisecond))
	} else { // around the command that opens
		waitReady(t, ready)
		time.Sleep(rand.N(time.Duration(n%3) * 8 * time.Millisecond))
	}
	if board.IsOpen() {
		whileOpen.Add(1)
	}
	kill(t, cmd)
	time.Sleep(pulse)
	eventually(t, "the board shuts", func() bool { return !board.IsOpen() }) // checkPulses says whether in time
	opened := board.Opened()
	cmd, ready = spawn(t, board, profile, false)
	waitReady(t, ready)
	time.Sleep(20 * time.Millisecond)
	kill(t, cmd)
	if board.Opened() != opened {
		t.Fatalf("kill %d: the restart opened the gate", n)
	}
}

func waitReady(t *testing.T, ready <-chan struct{}) {
	t.Helper()
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("the agent does not get ready")
	}
}

// slack is for the timers of a busy test machine.
const slack = 400 * time.Millisecond

// checkPulses: no opening lasted longer than its pulse.
func checkPulses(t *testing.T, events []port.Event, pulse time.Duration) {
	t.Helper()
	var since time.Time
	for _, e := range events {
		if e.Open {
			since = e.At
		} else if d := e.At.Sub(since); !since.IsZero() && d > pulse+slack {
			t.Errorf("the gate was open for %v", d)
		}
	}
}
