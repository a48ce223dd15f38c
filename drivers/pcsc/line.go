package pcsc

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errAbandoned refuses work while an abandoned call has not returned.
var errAbandoned = errors.New("an earlier command was abandoned and has not come back")

// line runs the blocking calls of one reader, one at a time. A call whose
// context ends first is abandoned: it keeps the line until it returns.
type line struct {
	// report is told when the line is stuck for longer than settle, and when
	// it is free again. It runs under mu, so that the two never swap places.
	report func(stuck bool)

	token chan struct{} // holds one token while the line is free

	mu     sync.Mutex
	parked chan struct{} // closed while an abandoned call holds the line; replaced on its return
	stuck  bool          // that was reported
	late   *time.Timer   // reports it
}

// settle is how long an abandoned call may take to return before staff are
// told. A traveller who cancels in the middle of an ordinary command is no
// reason to call somebody.
const settle = 300 * time.Millisecond

func newLine(report func(stuck bool)) *line {
	l := &line{report: report, token: make(chan struct{}, 1), parked: make(chan struct{})}
	l.token <- struct{}{}
	return l
}

// call is one blocking call on its way.
type call struct {
	mu        sync.Mutex
	finished  bool
	abandoned bool
	done      chan struct{}
}

// do runs fn. A nil error says that fn has returned. Otherwise the error is
// errAbandoned, when the line is stuck, or that of ctx, and fn either never ran
// or, when abandoned is true, goes on alone: then salvage runs after it, and
// what fn uses belongs to the two.
func (l *line) do(ctx context.Context, fn, salvage func()) (abandoned bool, err error) {
	if err := l.take(ctx); err != nil {
		return false, err
	}
	c := &call{done: make(chan struct{})}
	go l.run(c, fn, salvage)
	select {
	case <-c.done:
		return false, nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	if !c.finished {
		c.abandoned = true
		l.park()
		c.mu.Unlock()
		return true, ctx.Err()
	}
	c.mu.Unlock()
	<-c.done
	return false, nil
}

func (l *line) run(c *call, fn, salvage func()) {
	defer close(c.done)
	fn()
	c.mu.Lock()
	c.finished = true
	abandoned := c.abandoned
	c.mu.Unlock()
	if abandoned {
		salvage()
		l.unpark()
	}
	l.token <- struct{}{}
}

// take waits for the line.
func (l *line) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	parked := l.parked
	l.mu.Unlock()
	select {
	case <-parked:
		return errAbandoned
	default:
	}
	select {
	case <-l.token:
		return nil
	case <-parked:
		return errAbandoned
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *line) park() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.parked)
	parked := l.parked
	l.late = time.AfterFunc(settle, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.parked == parked {
			l.stuck = true
			l.report(true)
		}
	})
}

func (l *line) unpark() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late.Stop()
	l.parked = make(chan struct{})
	if l.stuck {
		l.stuck = false
		l.report(false)
	}
}
