package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
	"gateagent/sim/kiosk"
	"gateagent/sim/port"
	"gateagent/sim/vpcd"
)

var (
	kills = flag.Int("kills", 8, "how often each gate's agent is killed")
	seed  = flag.Int64("seed", 0, "of the moments of the kills; 0: a new one, which is printed")
)

// killGates is how many gates are killed beside each other.
const killGates = 3

// TestKill: whenever the agent is killed, the gate shuts after its pulse, no
// restart opens it, each opening has a committed decision of the same run, and
// in the end central holds each record once. One gate loses its central now and
// then as well.
func TestKill(t *testing.T) {
	s := *seed
	if s == 0 {
		s = time.Now().UnixNano()
	}
	for i := range killGates {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d, %d kills", s, *kills)
			c, own := central, i == 0 // one of them loses its central, too
			if own {
				c = ownCentral(t)
			}
			k := newKiller(t, rand.New(rand.NewPCG(uint64(s), uint64(i))), c, own)
			k.run(*kills)
		})
	}
}

// killer kills one gate's agent again and again under a stream of travellers.
type killer struct {
	*rig
	random  *rand.Rand // only of run's goroutine
	crowd   *crowd
	central *kiosk.Central
	both    bool // kill central, too

	mu       sync.Mutex
	atOpen   bool        // kill when the gate opens next
	moments  []time.Time // of the kills
	launches []time.Time
	killed   chan struct{}
	openings int // kills in the middle of an opening
}

func newKiller(t *testing.T, random *rand.Rand, c *kiosk.Central, both bool) *killer {
	k := &killer{random: random, central: c, both: both, killed: make(chan struct{}, 1)}
	guests := citizens(t, 3)
	k.rig = newRig(t, func(o *kiosk.Options) {
		o.Listed, o.Card, o.Central = guests[:2], 1500*time.Millisecond, c
		o.Relay = &port.RelayOptions{OnOpen: k.opened}
	})
	k.crowd = &crowd{r: k.rig, people: guests, stages: make(chan struct{}, 1)}
	return k
}

// opened is called while the board has opened the gate and not yet answered.
func (k *killer) opened() {
	k.mu.Lock()
	now := k.atOpen
	k.atOpen = false
	k.mu.Unlock()
	if !now {
		return
	}
	k.kill()
	k.mu.Lock()
	k.openings++
	k.mu.Unlock()
	k.killed <- struct{}{}
}

func (k *killer) kill() {
	k.Agent.Kill()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.moments = append(k.moments, time.Now())
}

func (k *killer) run(n int) {
	ctx, stop := context.WithCancel(k.ctx)
	defer stop()
	done := make(chan struct{})
	how := map[string]int{}
	for i := range n {
		k.launch()
		if i == 0 {
			go func() { defer close(done); k.crowd.run(ctx) }()
		}
		how[k.strike()]++
		time.Sleep(inTheLine) // before the next run begins
		k.shut()
		if k.both && k.random.IntN(3) == 0 {
			how["central"]++
			k.central.Kill()
			if err := k.central.Start(k.within(startWithin)); err != nil {
				k.t.Fatal(err)
			}
		}
		if k.random.IntN(3) == 0 {
			time.Sleep(time.Duration(k.random.IntN(300)) * time.Millisecond)
		}
	}
	k.launch() // the last run ends in peace
	time.Sleep(2 * time.Second)
	stop()
	<-done
	go k.watch()
	k.ready()
	k.verify(how)
}

// launch starts the agent without waiting for it.
func (k *killer) launch() {
	k.t.Helper()
	began := time.Now()
	p, err := k.Launch()
	if err != nil {
		k.t.Fatal(err)
	}
	k.mu.Lock()
	k.Agent = p
	k.launches = append(k.launches, began)
	k.mu.Unlock()
}

// strike kills the agent at a moment of chance, and says of which kind.
func (k *killer) strike() string {
	k.t.Helper()
	chance := func(d time.Duration) time.Duration { return time.Duration(k.random.Int64N(int64(d))) }
	switch k.random.IntN(5) {
	case 0: // also before it is ready
		time.Sleep(chance(2500 * time.Millisecond))
		k.kill()
		return "any time"
	case 1:
		k.crowd.await(k.ctx, soon, gate.StageReading)
		time.Sleep(chance(80 * time.Millisecond))
		k.kill()
		return "while reading"
	case 2:
		k.crowd.await(k.ctx, soon, gate.StageAdmitted)
		time.Sleep(chance(900 * time.Millisecond))
		k.kill()
		return "after an admission"
	}
	k.mu.Lock()
	k.atOpen = true
	k.mu.Unlock()
	select {
	case <-k.killed:
	case <-time.After(decideWithin):
		k.t.Fatalf("nobody was admitted for %v; the traveller's screen shows %q", decideWithin, k.crowd.stage())
	}
	return "in the opening"
}

// verify draws the balance of all runs.
func (k *killer) verify(how map[string]int) {
	k.t.Helper()
	said := decidedLines(k.t, k.Path("agent.log"))
	all := k.balance(k.central, len(said))
	at := map[string]bool{}
	unknown := 0
	for _, h := range all {
		at[fmt.Sprint(h.epoch, h.number, h.rec.Kind, h.rec.Tx)] = true
		if h.epoch != all[0].epoch {
			k.t.Errorf("a new epoch began: the outbox was damaged")
		}
		if h.rec.Kind == wire.KindPassage && h.rec.Passage.Result == string(gate.PassageUnknown) {
			unknown++
		}
	}
	for _, tx := range said {
		if kinds(all, tx)[wire.KindDecision] != 1 {
			k.t.Errorf("the agent said that it decided %s; central does not hold it once", tx)
		}
	}
	if err := k.Agent.Stop(); err != nil {
		k.t.Error(err)
	}
	here := rows(k.t, k.central, filepath.Join(k.State(), "outbox", "outbox.db"))
	for i, rec := range here {
		if !at[fmt.Sprint(all[0].epoch, i+1, rec.Kind, rec.Tx)] {
			k.t.Errorf("record %d of the kiosk, %s of %s, is not at central", i+1, rec.Kind, rec.Tx)
		}
	}
	if len(here) != len(all) {
		k.t.Errorf("the kiosk holds %d records, central %d", len(here), len(all))
	}
	if unknown < k.openings {
		k.t.Errorf("killed %d times in the middle of an opening, but only %d passages are unknown", k.openings, unknown)
	}
	k.sameRun(all)
	k.t.Logf("killed %d times: %v; %d records at the kiosk, %d at central, %d passages unknown", len(k.moments), how, len(here), len(all), unknown)
}

// onItsWay is how long after a kill the board may still open: for a command
// that lay in its line, on a busy machine.
const onItsWay = 500 * time.Millisecond

// inTheLine is how long the board may take to read what lay in its line.
const inTheLine = 50 * time.Millisecond

// sameRun demands that no opening follows from an admission of an earlier run,
// nor long after a kill.
func (k *killer) sameRun(all []held) {
	k.t.Helper()
	for _, e := range k.Relay.Events() {
		if !e.Open {
			continue
		}
		var newest time.Time
		for _, h := range all {
			d := h.rec.Decision
			if d != nil && d.Outcome == wire.OutcomeAdmit && !h.rec.At.After(e.At.Add(2*time.Millisecond)) && h.rec.At.After(newest) {
				newest = h.rec.At
			}
		}
		between := func(at time.Time) bool { return at.After(newest.Add(2*time.Millisecond)) && at.Before(e.At) }
		for _, kill := range k.moments {
			if between(kill) && e.At.Sub(kill) > onItsWay {
				k.t.Errorf("the gate opened at %v for an admission of %v, and the agent was killed in between, at %v", e.At, newest, kill)
			}
		}
		for _, start := range k.launches {
			if between(start) {
				k.t.Errorf("the gate opened at %v for an admission of %v, and the agent was started in between, at %v", e.At, newest, start)
			}
		}
	}
}

var decidedTx = regexp.MustCompile(`msg=decided tx=([0-9a-f]{32})`)

// decidedLines gives the transactions that the log calls decided.
func decidedLines(t testing.TB, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if m := decidedTx.FindStringSubmatch(line); m != nil {
			out = append(out, m[1])
		}
	}
	return out
}

// crowd is an endless stream of travellers who do what their screen says, and
// begin again when it goes dark. The last of them is not on the list.
type crowd struct {
	r      *rig
	people []*doc.Document

	mu     sync.Mutex
	shown  gate.Stage
	stages chan struct{} // a token when shown changed; for the traveller
}

func (c *crowd) stage() gate.Stage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

// follow keeps the traveller's screen in view.
func (c *crowd) follow(ctx context.Context) {
	for ctx.Err() == nil {
		_ = c.r.Pages.Follow(ctx, "/events", func(data []byte) { // it breaks with every kill
			var v struct {
				Stage gate.Stage `json:"stage"`
			}
			if json.Unmarshal(data, &v) == nil {
				c.set(v.Stage)
			}
		})
		c.set("")
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (c *crowd) set(s gate.Stage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = s
	select {
	case c.stages <- struct{}{}:
	default:
	}
}

// await waits for one of the stages and says whether it came.
func (c *crowd) await(ctx context.Context, limit time.Duration, any ...gate.Stage) bool {
	for end := time.Now().Add(limit); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		now := c.stage()
		for _, s := range any {
			if now == s {
				return true
			}
		}
	}
	return false
}

// run sends travellers until ctx ends.
func (c *crowd) run(ctx context.Context) {
	var follower sync.WaitGroup
	follower.Go(func() { c.follow(ctx) })
	defer follower.Wait()
	var field *chip.Chip
	var link *vpcd.Link
	leave := func() {
		if link != nil {
			field.Close()
			link.Remove()
			c.r.Daemon.AwaitEmpty(0)
			link = nil
		}
	}
	defer leave()
	for i := 0; ctx.Err() == nil; i++ {
		who := c.people[i%len(c.people)]
		if link != nil && i%3 == 0 {
			// Sometimes the card stays on the reader while the agent is away.
			leave()
		}
		if !c.await(ctx, 2*time.Second, gate.StageIdle, gate.StageNeedScan, gate.StageRescan) {
			leave()
			continue
		}
		if c.r.Scanner.Scan(who.QR()) != nil {
			continue
		}
		if link == nil {
			c.await(ctx, time.Second, gate.StageNeedCard)
			field = chip.New(who.ChipConfig())
			var err error
			if link, err = c.r.Present(field); err != nil {
				link = nil
				continue
			}
		}
		over := []gate.Stage{gate.StageAdmitted, gate.StageSeeStaff, gate.StageTryAgain, gate.StageOutOfOrder, ""}
		c.await(ctx, 3*time.Second, over...)
		if c.stage() != "" {
			leave()
		}
	}
}
