//go:build faults

package faults

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	sim "gateagent/sim/kiosk"
)

// offlineFor is how long central is away.
const offlineFor = 72 * time.Hour

// TestThreeDays: central is away for 72 hours of the kiosk's clock, in which
// it decides, is killed and starts again; then everything is drained. The
// clock alone is compressed: each result takes its way to the disk.
func TestThreeDays(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c, k := scene(t)
	k.start()
	step := offlineFor / time.Duration(*backlog)
	const parts = 12
	began := time.Now()
	for i := range parts {
		n := *backlog*(i+1)/parts - *backlog*i/parts
		// What the kiosk's clock has gone on is lost with it.
		k.ask("ahead " + (offlineFor*time.Duration(i)/parts - offlineFor).String())
		if i%4 == 3 { // killed on the way; the rest comes after
			k.send(fmt.Sprintf("decide %d %v", n, step))
			time.Sleep(between(random, 0, 300*time.Millisecond))
			k.kill()
			k.start()
			k.ask("ahead " + (offlineFor*time.Duration(i)/parts - offlineFor).String())
			n -= k.told() - *backlog*i/parts
		}
		if n > 0 {
			k.ask(fmt.Sprintf("decide %d %v", n, step))
		}
	}
	stored := time.Since(began)
	if s := k.look(); s.Depth < *backlog {
		t.Fatalf("%d results wait, want %d", s.Depth, *backlog)
	}
	k.kill()
	began = time.Now()
	k.start()
	opened := time.Since(began)
	c.start()
	began = time.Now()
	k.drained()
	drain := time.Since(began)
	t.Logf("%d results over %v: stored in %v, opened in %v, drained and counted in %v (%.0f/s)", *backlog, offlineFor,
		stored.Round(time.Millisecond), opened.Round(time.Millisecond), drain.Round(time.Millisecond), float64(*backlog)/drain.Seconds())
	k.draw()
}

// TestClock: the kiosk's clock jumps by years both ways, by a leap second, and
// stands, under load and over restarts. While it is beyond the life of the
// certificates nothing can be sent; nothing is lost.
func TestClock(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c, k := scene(t)
	c.start()
	k.start()
	const year = 366 * 24 * time.Hour
	jumps := []time.Duration{0, time.Second, -time.Second, -61 * time.Second, 25 * time.Hour, -25 * time.Hour, 2 * year, -2 * year, 11 * year, -11 * year, 60 * year, -50 * year}
	for i := range *rounds * 3 {
		by := jumps[i%len(jumps)]
		if i >= len(jumps) {
			by = jumps[random.IntN(len(jumps))]
		}
		k.ask("ahead " + by.String())
		if random.IntN(3) == 0 {
			k.ask("stand now")
		}
		k.decide(1 + random.IntN(60))
		if random.IntN(3) == 0 {
			k.kill()
			k.start() // with a right clock
			k.ask("ahead " + by.String())
			k.decide(1 + random.IntN(20))
		}
		if by > 0 && by < year || i%5 == 4 {
			k.ask("ahead 0s")
			k.drained()
		}
	}
	k.ask("ahead 0s")
	k.drained()
	k.draw()
}

// TestTwoAgents: a second agent on the state folder is refused at once, naming
// the first, and the first goes on; so is a second central.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	seeded(t)
	c, k := scene(t)
	c.start()
	k.start()
	k.send("load")
	for range *rounds {
		time.Sleep(50 * time.Millisecond)
		second := exec.Command(k.cmd.Path)
		second.Env = k.cmd.Env
		begin := time.Now()
		out, err := second.CombinedOutput()
		if took := time.Since(begin); err == nil || took > 2*time.Second {
			t.Errorf("the second agent ended after %v with %v", took, err)
		}
		if text := string(out); !strings.Contains(text, fmt.Sprintf("pid %d;", k.cmd.Process.Pid)) || !strings.Contains(text, k.job.State) || strings.Contains(text, "told") {
			t.Errorf("the second agent says %q, want folder and pid %d", text, k.cmd.Process.Pid)
		}
	}
	other, err := sim.Start(sim.Command{Name: "gatecentral", LogFile: c.logs + "2", Args: []string{bin + "/gatecentral", "run", "--state", c.dir, "--mqtt", freeAddr(t), "--http", freeAddr(t)}})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if code, err := other.Wait(ctx); err != nil || code == 0 || !strings.Contains(other.Log(), fmt.Sprintf("process %d)", c.program.PID())) {
		t.Errorf("the second central: status %d, %v, %q", code, err, other.Log())
	}
	must(t, k.cmd.Process.Signal(syscall.Signal(0))) // the first still runs
	k.kill()
	k.start()
	k.drained()
	k.draw()
}
