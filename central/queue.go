package central

import (
	"context"
	"sync"
	"time"
)

// Bounds of what waits to be verified.
const (
	// lineMost is what may wait of one kiosk: an honest one has no more batches
	// on their way.
	lineMost = 64
	// queueBytes is what may wait of all: the windows of some twenty kiosks that
	// send their backlog at once, and a few seconds' work.
	queueBytes = 96 << 20
)

type message struct {
	kiosk   string
	payload []byte
	at      time.Time
}

// queue holds messages until somebody verifies them: a line for each kiosk,
// served in turn, and each by one at a time, so that the order stays. Nobody
// waits to get in: what is too much is dropped, and always of the kiosk that has
// most.
type queue struct {
	wake chan struct{}

	mu    sync.Mutex
	lines map[string]*line // guarded by mu; those with something in them
	ready []*line          // guarded by mu; in the order of their turns
	bytes int              // guarded by mu
}

type line struct {
	kiosk   string
	waiting []message
	bytes   int
	served  bool // somebody works at a message of it
	listed  bool // in ready
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, lanes), lines: map[string]*line{}}
}

// put adds a message, unless too many of its kiosk wait already: ok is false
// then. dropped names the kiosks of which one was dropped to make room.
func (q *queue) put(m message) (dropped []string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[m.kiosk]
	if l == nil {
		l = &line{kiosk: m.kiosk}
		q.lines[m.kiosk] = l
	}
	if len(l.waiting) >= lineMost {
		return nil, false
	}
	l.waiting = append(l.waiting, m)
	l.bytes += len(m.payload)
	q.bytes += len(m.payload)
	q.list(l)
	for q.bytes > queueBytes {
		dropped = append(dropped, q.dropOne())
	}
	return dropped, true
}

// dropOne drops the last message of the longest line; q.mu is held. The ones
// before it can be acknowledged without it.
func (q *queue) dropOne() string {
	var most *line
	for _, l := range q.lines {
		if most == nil || l.bytes > most.bytes {
			most = l
		}
	}
	last := len(most.waiting) - 1
	size := len(most.waiting[last].payload)
	most.waiting[last] = message{}
	most.waiting = most.waiting[:last]
	most.bytes -= size
	q.bytes -= size
	return most.kiosk
}

// list gives a line its turn, if it is due one; q.mu is held.
func (q *queue) list(l *line) {
	if l.served || l.listed || len(l.waiting) == 0 {
		return
	}
	l.listed = true
	q.ready = append(q.ready, l)
	select {
	case q.wake <- struct{}{}:
	default: // all will look
	}
}

// next waits for a message whose turn it is. done must follow.
func (q *queue) next(ctx context.Context) (message, bool) {
	for ctx.Err() == nil {
		if m, ok := q.take(); ok {
			return m, true
		}
		select {
		case <-ctx.Done():
		case <-q.wake:
		}
	}
	return message{}, false
}

func (q *queue) take() (message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) > 0 {
		l := q.ready[0]
		q.ready[0] = nil
		q.ready = q.ready[1:]
		l.listed = false
		if len(l.waiting) == 0 { // dropped meanwhile
			delete(q.lines, l.kiosk)
			continue
		}
		m := l.waiting[0]
		l.waiting[0] = message{}
		l.waiting = l.waiting[1:]
		l.bytes -= len(m.payload)
		q.bytes -= len(m.payload)
		l.served = true
		return m, true
	}
	return message{}, false
}

// done lets the next message of a kiosk have its turn.
func (q *queue) done(kiosk string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[kiosk]
	l.served = false
	if len(l.waiting) == 0 {
		delete(q.lines, kiosk)
		return
	}
	q.list(l)
}
