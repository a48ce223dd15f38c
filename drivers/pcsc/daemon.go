package pcsc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ebfe/scard"
)

// notification is the name under which PC/SC reports readers that come and go
// (PC/SC part 5, SCardGetStatusChange of winscard).
const notification = `\\?PnP?\Notification`

const (
	// cancelWithin bounds the wait for a daemon that does not even answer a
	// cancel.
	cancelWithin = 2 * time.Second
	// cancelAgain: a cancel that comes before the wait has begun is lost.
	cancelAgain = 50 * time.Millisecond
)

// dial opens a connection to the daemon. A daemon that hangs does not hang the
// caller: the late connection is released by itself. The returned channel is
// closed when nothing of the call is left.
func dial(ctx context.Context) (*scard.Context, <-chan struct{}, error) {
	type result struct {
		sc  *scard.Context
		err error
	}
	settled := make(chan struct{})
	results := make(chan result)
	go func() {
		defer close(settled)
		sc, err := scard.EstablishContext()
		select {
		case results <- result{sc, err}:
		case <-ctx.Done():
			if err == nil {
				hangUp(ctx, sc)
			}
		}
	}()
	select {
	case r := <-results:
		return r.sc, settled, r.err
	case <-ctx.Done():
		return nil, settled, ctx.Err()
	}
}

// errHung says that a wait did not end although it was cancelled. Neither the
// connection nor the states may be touched after it.
var errHung = errors.New("the PC/SC daemon does not answer")

// waitChange blocks until one of the states changes, the timeout passes
// (scard.ErrTimeout; negative: never) or ctx ends.
func waitChange(ctx context.Context, sc *scard.Context, states []scard.ReaderState, timeout time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- sc.GetStatusChange(states, timeout) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			_ = sc.Cancel()
			select {
			case <-over:
				return
			case <-time.After(cancelAgain):
			}
		}
	}()
	select {
	case <-done:
		return ctx.Err()
	case <-time.After(cancelWithin):
		return fmt.Errorf("%w: %w", errHung, ctx.Err())
	}
}

// listReaders names the readers; none is no error. The library asks twice, for
// the size and for the names, so a reader that comes between is asked for again.
func listReaders(sc *scard.Context) (names []string, err error) {
	for range 3 {
		names, err = sc.ListReaders()
		if !errors.Is(err, scard.ErrInsufficientBuffer) {
			break
		}
	}
	if errors.Is(err, scard.ErrNoReadersAvailable) {
		return nil, nil
	}
	return names, err
}
