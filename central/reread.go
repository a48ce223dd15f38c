package central

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// sendKeysPause is the least time between two sendings of the same to one
	// kiosk that goes on saying it has others.
	sendKeysPause = 30 * time.Second
	// readKeysPause bounds how often the folder is looked at: gatectl may have
	// changed what is in it.
	readKeysPause = time.Second
)

// reread is what kiosks are to have, as it lies in the CA's folder, and what
// each was sent of it.
type reread[T any] struct {
	what  string // in the log
	read  func(now time.Time) (*T, error)
	wipe  func(*T)                 // what was read before; nil: nothing to do
	clock func() (time.Time, bool) // it begins and ends by a clock that is right
	log   *slog.Logger

	mu      sync.Mutex
	value   *T                  // guarded by mu; nil before the first look
	looked  time.Time           // guarded by mu
	problem string              // guarded by mu; why it cannot be read
	sent    map[string]sentKeys // guarded by mu; by kiosk
}

type sentKeys struct {
	at   time.Time
	name string // of what was sent
}

// look reads it again, where that is due; r.mu is held.
func (r *reread[T]) look() {
	if time.Since(r.looked).Abs() < readKeysPause {
		return
	}
	r.looked = time.Now()
	now, right := r.clock()
	if !right {
		return // what was read before serves on
	}
	value, err := r.read(now)
	if err != nil {
		if r.problem == "" {
			r.log.Error(r.what, "err", err)
		}
		r.problem = err.Error()
		return
	}
	if r.value != nil && r.wipe != nil {
		r.wipe(r.value)
	}
	r.value, r.problem = value, ""
}

// lately says whether a kiosk was sent this a moment ago; r.mu is held.
func (r *reread[T]) lately(kiosk, name string) bool {
	last := r.sent[kiosk]
	return last.name == name && time.Since(last.at) < sendKeysPause
}

// note remembers what a kiosk was sent; r.mu is held.
func (r *reread[T]) note(kiosk, name string) { r.sent[kiosk] = sentKeys{time.Now(), name} }

// Problem says why there is nothing to send; empty when there is.
func (r *reread[T]) Problem() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.problem
}
