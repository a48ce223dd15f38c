package pcsc

import (
	"context"
	"time"

	"gateagent/gate"
)

// maxQueue bounds the undelivered events of a lane that does not listen. The
// oldest go first: what counts is the latest state.
const maxQueue = 256

const stuckRemedy = "take the document away; if this stays, unplug the reader and plug it in again"

const stuckProblem = "the chip or the reader does not answer, a command was abandoned: " + stuckRemedy

// set takes over what the watch has seen.
func (r *Reader) set(name string, present bool, problem error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name, r.present, r.problem = name, present, problem
	r.publish()
}

// setStuck takes over what the line says.
func (r *Reader) setStuck(stuck bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = stuck
	if stuck {
		r.log.Error("card reader out of order", "problem", stuckProblem)
	} else {
		r.log.Info("card reader works again: the abandoned command has returned")
	}
	r.publish()
}

// publish queues the state when it differs from the last one. mu is held.
func (r *Reader) publish() {
	e := gate.CardEvent{Reader: r.name, Present: r.present, Healthy: r.problem == nil && !r.stuck}
	if e.Reader == "" {
		e.Reader = r.cfg.Reader
	}
	switch {
	case r.problem != nil:
		e.Problem = r.problem.Error()
	case r.stuck:
		e.Problem = stuckProblem
	}
	if e == r.last {
		return
	}
	if !e.Healthy && !r.stuck && e.Problem != r.last.Problem {
		r.log.Warn("card reader out of order", "problem", e.Problem)
	}
	r.last = e
	e.At = time.Now()
	if len(r.queue) >= maxQueue {
		r.queue = r.queue[1:]
	}
	r.queue = append(r.queue, e)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// deliver hands the queue to whoever listens.
func (r *Reader) deliver(ctx context.Context) {
	for {
		r.mu.Lock()
		var out chan gate.CardEvent // nil blocks while there is nothing
		var next gate.CardEvent
		if len(r.queue) > 0 {
			out, next = r.events, r.queue[0]
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case out <- next:
			r.mu.Lock()
			// The head may have been dropped meanwhile.
			if len(r.queue) > 0 && r.queue[0] == next {
				r.queue = r.queue[1:]
			}
			r.mu.Unlock()
		}
	}
}
