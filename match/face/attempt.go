package face

import (
	"context"
	"errors"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"gateagent/gate"
	"gateagent/match/face/picture"
	"gateagent/match/face/worker"
)

// attempt is one traveller before the camera. Its loop alone speaks with the
// worker until Compare does; both go through the worker's own queue.
type attempt struct {
	m      *Matcher
	tx     string
	cancel context.CancelFunc
	done   chan struct{} // the loop has ended, the camera is off
	hints  chan gate.FaceHint
	closed sync.Once

	mu      sync.Mutex
	proc    *worker.Process // that knows this traveller; nil before
	failed  gate.Code       // for good
	dark    gate.Code       // the camera delivers no more; good pictures stay good
	came    bool            // the camera has delivered something
	frames  int             // looked at
	good    int             // good ones of the person who is there now
	seen    [sights]int
	asked   challenge // nil before there are enough good pictures
	changed chan struct{}
}

// sight is what a picture showed, counted to say at the end why no good one
// came.
type sight int

const (
	sawNobody sight = iota
	sawSeveral
	sawPoor
	sawGood
	sights
)

// Begin starts the camera; it implements gate.Faces.
func (m *Matcher) Begin(ctx context.Context, tx string) gate.FaceAttempt {
	ctx, cancel := context.WithCancel(ctx)
	a := &attempt{
		m: m, tx: tx, cancel: cancel,
		done: make(chan struct{}), hints: make(chan gate.FaceHint, 1), changed: make(chan struct{}),
	}
	go func() {
		defer close(a.done)
		a.run(ctx)
	}()
	return a
}

// Guidance implements gate.FaceAttempt.
func (a *attempt) Guidance() <-chan gate.FaceHint { return a.hints }

// Close implements gate.FaceAttempt.
func (a *attempt) Close() {
	a.closed.Do(func() {
		a.cancel()
		<-a.done
	})
}

// run holds the matcher's turn and wipes the worker's memory at the end.
func (a *attempt) run(ctx context.Context) {
	select {
	case <-a.m.turn:
	case <-ctx.Done():
		return
	}
	defer func() { a.m.turn <- struct{}{} }()
	p := a.begin(ctx)
	if p == nil {
		return // noWorker says why when it is asked
	}
	defer a.wipe(p)
	a.update(func() { a.proc = p })
	a.capture(ctx, p)
	<-ctx.Done() // the worker keeps the best picture until Close
}

// begin gets a worker that knows of this traveller; nil when ctx ends before.
// One that is gone as soon as it is spoken to has lost nothing yet, and the
// next one is waited for.
func (a *attempt) begin(ctx context.Context) *worker.Process {
	for {
		p, err := a.m.process(ctx)
		if err != nil {
			return nil
		}
		err = p.Begin(ctx, a.m.cfg.Policy.Limits)
		if err == nil {
			return p
		}
		if !errors.Is(err, worker.ErrGone) {
			return nil
		}
		select {
		case <-p.Dead():
		case <-ctx.Done():
			return nil
		}
	}
}

// wipe ends the traveller's worker. One that is kept forgets; if it does not
// within a request's time, or has grown too large, it is replaced.
func (a *attempt) wipe(p *worker.Process) {
	if a.m.cfg.KeepWorker && a.m.sound(context.Background(), p) {
		return
	}
	p.Retire()
}

func (a *attempt) update(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	close(a.changed)
	a.changed = make(chan struct{})
}

// fail ends the attempt for good.
func (a *attempt) fail(code gate.Code, doing string, err error) {
	a.m.cfg.Log.Warn("face attempt failed", "tx", a.tx, "doing", doing, "code", uint32(code), "err", err)
	a.update(func() { a.failed = code })
}

// lose says that no more pictures come.
func (a *attempt) lose(doing string, err error) {
	a.m.cfg.Log.Warn("camera failed", "tx", a.tx, "doing", doing, "err", err)
	a.update(func() { a.dark = gate.CodeFaceCamera })
}

// restEvery is the pace of pictures once enough good ones are there.
const restEvery = 250 * time.Millisecond

// capture feeds live pictures to the worker until ctx ends or there are no
// more.
func (a *attempt) capture(ctx context.Context, p *worker.Process) {
	frames, err := a.m.cfg.Source.Frames(ctx)
	if err != nil {
		a.lose("start", err)
		return
	}
	fresh := make(chan Frame)
	go newest(ctx, frames, fresh)
	stall := time.NewTimer(a.m.cfg.Policy.Stall)
	defer stall.Stop()
	seed, last := maphash.MakeSeed(), uint64(0)
	for {
		var f Frame
		var open bool
		select {
		case <-ctx.Done():
			return
		case <-stall.C:
			a.lose("wait", errors.New("no new picture; is it frozen?"))
			return
		case f, open = <-fresh:
		}
		if !open {
			if ctx.Err() == nil {
				a.lose("wait", errors.New("it ended by itself"))
			}
			return
		}
		// A sensor never gives the same picture twice; a frozen one does.
		sum := maphash.Bytes(seed, f.Data)
		if sum == last {
			clear(f.Data)
			continue
		}
		last = sum
		a.update(func() { a.came = true })
		if !a.look(ctx, p, f) {
			return
		}
		stall.Reset(a.m.cfg.Policy.Stall) // the worker's time is not the camera's
	}
}

// look gives one picture to the worker; false ends the capture.
func (a *attempt) look(ctx context.Context, p *worker.Process, f Frame) bool {
	at := f.At
	if at.IsZero() {
		at = time.Now()
	}
	l, err := p.Look(ctx, f.Width, f.Height, picture.Format(f.Format), f.Data)
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		a.fail(gate.CodeFaceWorker, "look", err)
		return false
	}
	what, hint := a.judge(l)
	enough := false
	a.update(func() {
		a.frames++
		a.seen[what]++
		if l.Changed {
			a.good, a.asked = 0, nil
		}
		if what == sawGood {
			a.good++
		}
		if enough = a.good >= a.m.cfg.Policy.Pictures; enough {
			hint, enough = a.challenge(l, what, hint, at)
		}
	})
	a.tell(hint)
	if enough {
		sleep(ctx, restEvery)
	}
	return true
}

// facing: a challenge begins with a head that looks straight on.
const facing = 15.0

// challenge asks, or goes on asking, what the policy wants. It gives the hint
// to show and whether nothing more is waited for. The caller holds the lock.
func (a *attempt) challenge(l worker.Look, what sight, hint gate.FaceHint, at time.Time) (gate.FaceHint, bool) {
	policy := a.m.cfg.Policy
	if policy.Challenge == ChallengeOff {
		return hint, true
	}
	if a.asked == nil {
		if what != sawGood || math.Abs(l.Quality.Yaw) > facing {
			return hint, false
		}
		a.asked = policy.begin(l, at)
	}
	show, over := a.asked.take(l, what, at)
	if show != "" {
		hint = show
	}
	return hint, over
}

// tell replaces a hint that nobody has taken.
func (a *attempt) tell(h gate.FaceHint) {
	select {
	case <-a.hints:
	default:
	}
	select {
	case a.hints <- h:
	default:
	}
}

// newest passes on the newest picture and wipes those it replaces, so that a
// camera that floods is no load.
func newest(ctx context.Context, in <-chan Frame, out chan<- Frame) {
	defer close(out)
	for {
		f, open := <-in
		for open {
			var newer Frame
			var sent bool
			select {
			case newer, open = <-in:
			case out <- f:
				sent = true
			case <-ctx.Done():
				clear(f.Data)
				drain(in)
				return
			}
			if sent {
				break
			}
			if open {
				clear(f.Data)
				f = newer
				continue
			}
			select { // the last one
			case out <- f:
			case <-ctx.Done():
				clear(f.Data)
			}
		}
		if !open {
			return
		}
	}
}

// drain wipes what a camera still delivers until it has stopped.
func drain(in <-chan Frame) {
	for f := range in {
		clear(f.Data)
	}
}
