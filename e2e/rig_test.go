package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/sim/doc"
	"gateagent/sim/kiosk"
)

// Waits. They are generous, as the machine may be busy; whatever takes longer
// is a fault.
const (
	startWithin  = 40 * time.Second
	soon         = 10 * time.Second
	decideWithin = 25 * time.Second
	settleWithin = 40 * time.Second
)

// view is what the staff page shows (gate.View as it travels).
type view struct {
	Tx      string           `json:"tx"`
	Stage   gate.Stage       `json:"stage"`
	Outcome string           `json:"outcome"`
	Reasons []gate.Code      `json:"reasons"`
	Checks  []gate.Check     `json:"checks"`
	List    string           `json:"list"`
	Passage string           `json:"passage"`
	Help    bool             `json:"help"`
	FaceOff bool             `json:"face_off"`
	Policy  string           `json:"policy"`
	Timing  map[string]int64 `json:"timing_ms"`
	Open    []struct {
		Tx      string      `json:"tx"`
		Reasons []gate.Code `json:"reasons"`
	} `json:"open"`
	Notices    []gate.Notice   `json:"notices"`
	ListStatus gate.ListStatus `json:"list_status"`
	QueueDepth int             `json:"queue_depth"`
	UplinkUp   bool            `json:"uplink_up"`
}

// decided says that an outcome is on the screen.
func (v view) decided() bool {
	switch v.Stage {
	case gate.StageAdmitted, gate.StageSeeStaff, gate.StageTryAgain, gate.StageHelpComing:
		return true
	}
	return false
}

// has says whether the decision gives the reason.
func (v view) has(c gate.Code) bool {
	for _, r := range v.Reasons {
		if r == c {
			return true
		}
	}
	return false
}

// open says whether a referral waits for staff.
func (v view) open(tx string) bool {
	for _, r := range v.Open {
		if r.Tx == tx {
			return true
		}
	}
	return false
}

// notice finds a notice of a source with all the words.
func (v view) notice(source string, words ...string) bool {
	for _, n := range v.Notices {
		all := strings.HasPrefix(n.Source, source)
		for _, w := range words {
			all = all && strings.Contains(n.Text, w)
		}
		if all {
			return true
		}
	}
	return false
}

// line is what a failing test says of the view.
func (v view) line() string {
	names := make([]string, 0, len(v.Reasons))
	for _, c := range v.Reasons {
		names = append(names, c.Info().Name)
	}
	text := fmt.Sprintf("stage %s, outcome %s %v, passage %q, queue %d, uplink %v, list %d", v.Stage, v.Outcome, names, v.Passage, v.QueueDepth, v.UplinkUp, v.ListStatus.Version)
	for _, n := range v.Notices {
		text += fmt.Sprintf("; %s: %s: %s", n.Level, n.Source, n.Text)
	}
	return text
}

// rig is one gate under test with an officer who watches the staff page.
type rig struct {
	*kiosk.Kiosk
	t        testing.TB
	ctx      context.Context // ends with the test
	resolved int             // referrals that the officer closed

	mu      sync.Mutex // guards what follows
	views   []view     // everything that the staff page showed
	from    int        // where await begins to look
	changed chan struct{}
}

// rigs counts gates, for names that differ; people counts documents.
var rigs, people atomic.Int64

// newRig makes a gate that reports to the shared central, unless change says
// otherwise, and starts no agent.
func newRig(t testing.TB, change func(*kiosk.Options)) *rig {
	t.Helper()
	dir := filepath.Join(root, fmt.Sprintf("k%d", rigs.Add(1)))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := kiosk.Options{Bin: bin, Dir: dir, Name: fmt.Sprintf("k%d", rigs.Load()), Trust: trust, Central: central}
	o.Name = filepath.Base(dir)
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	setup, done := context.WithTimeout(ctx, startWithin)
	defer done()
	k, err := kiosk.New(setup, o)
	r := &rig{Kiosk: k, t: t, ctx: ctx, changed: make(chan struct{})}
	t.Cleanup(func() {
		if t.Failed() && r.Agent != nil {
			t.Logf("the agent of %s said:\n%s", o.Name, tail(r.Agent.Log(), 6000))
		}
		cancel()
		if r.Relay != nil {
			r.shut()
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// running makes a gate and starts its agent.
func running(t testing.TB, change func(*kiosk.Options)) *rig {
	t.Helper()
	r := newRig(t, change)
	r.start()
	go r.watch()
	return r
}

func tail(s string, n int) string {
	if len(s) > n {
		return "… " + s[len(s)-n:]
	}
	return s
}

// within gives a context for one step.
func (r *rig) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.ctx, d)
	context.AfterFunc(r.ctx, cancel)
	return ctx
}

// start starts the agent.
func (r *rig) start() {
	r.t.Helper()
	if err := r.Start(r.within(startWithin)); err != nil {
		r.t.Fatal(err)
	}
}

// watch follows the staff page, over restarts of the agent.
func (r *rig) watch() {
	for r.ctx.Err() == nil {
		if r.Pages.SignIn(r.ctx) == nil {
			_ = r.Pages.Follow(r.ctx, "/staff/events", r.see) // it breaks with every restart
		}
		select {
		case <-r.ctx.Done():
		case <-time.After(30 * time.Millisecond):
		}
	}
}

func (r *rig) see(data []byte) {
	var v view
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&v); err != nil {
		r.t.Errorf("the staff page sends %q: %v", data, err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.views = append(r.views, v)
	close(r.changed)
	r.changed = make(chan struct{})
}

// now gives the newest view.
func (r *rig) now() view {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.views) == 0 {
		return view{}
	}
	return r.views[len(r.views)-1]
}

// mark has await look only at what comes from now on, and at what is shown.
func (r *rig) mark() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from = max(len(r.views)-1, 0)
}

// await waits for a view, among all since mark.
func (r *rig) await(what string, limit time.Duration, want func(view) bool) view {
	r.t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	r.mu.Lock()
	at := r.from
	r.mu.Unlock()
	for {
		r.mu.Lock()
		for ; at < len(r.views); at++ {
			if want(r.views[at]) {
				v := r.views[at]
				r.from = at
				r.mu.Unlock()
				return v
			}
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			r.t.Fatalf("%v passed without %s; the staff page shows %s", limit, what, r.now().line())
		}
	}
}

// ready waits until the gate serves travellers.
func (r *rig) ready() {
	r.t.Helper()
	r.mark()
	r.await("the gate to be idle, with its list", startWithin, func(v view) bool {
		return v.Stage == gate.StageIdle && v.ListStatus.Present
	})
}

// said gives the agent's log lines with all the words, of this run.
func (r *rig) said(words ...string) []string { return r.Agent.Lines(words...) }

// citizens makes n genuine cards of people that nobody else has.
func citizens(t testing.TB, n int, opts ...doc.Option) []*doc.Document {
	t.Helper()
	out := make([]*doc.Document, 0, n)
	for range n {
		d, err := world.VietnamID(world.Citizen(int(people.Add(1))), opts...)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}
