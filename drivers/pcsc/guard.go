package pcsc

import (
	"context"
	"sync"
	"time"

	"github.com/ebfe/scard"
)

// library keeps libpcsclite from corrupting itself. To find a card handle it
// walks through the handles of every connection of the process, while connect,
// disconnect and release change those lists without the lock that the walk
// holds (winscard_clnt.c, at least 1.9.9 to 2.3): two threads that do both at
// once crash the process. The list is the library's and global, hence this
// variable is too.
//
// A call that only looks up shares the guard, and for no longer than the
// look-up can take: a mute chip on one reader does not hold up another. A call
// that changes the lists has the guard for itself until it returns.
var library guard

// lookupWithin is far more than the microseconds that the walk at the start of
// a call takes.
const lookupWithin = time.Second

type guard struct{ mu sync.RWMutex }

// lookUp runs a call that uses a handle.
func (g *guard) lookUp(call func()) {
	g.mu.RLock()
	unlock := sync.OnceFunc(g.mu.RUnlock)
	early := time.AfterFunc(lookupWithin, unlock)
	call()
	early.Stop()
	unlock()
}

// change runs a call that adds or removes a handle or a connection.
func (g *guard) change(call func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	call()
}

// hangUp releases a connection to the daemon. It waits for that as long as ctx
// allows: the daemon serves 200 connections, and one that is given up is only
// gone when the guard was free.
func hangUp(ctx context.Context, sc *scard.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		library.change(func() { _ = sc.Release() })
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
