package barrier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/gate"
)

// Bounds of every wait.
const (
	maxAge       = 5 * time.Second        // of an admission; gate.Barrier states it
	writeWait    = 500 * time.Millisecond // for the line to take a command
	ackWait      = 500 * time.Millisecond // for the board to answer
	idleCheck    = 5 * time.Second        // between two drives of "shut" while idle
	retryCheck   = time.Second            // the same while the board does not answer
	pollEvery    = 50 * time.Millisecond  // of the passage sensor; a walk through a beam takes longer
	pollTrust    = time.Second            // a sensor that was silent for longer saw nothing for certain
	maxHeard     = 256                    // bytes of the board that are kept
	shutWait     = 2 * time.Second        // for "shut" after an opening, whatever the caller's context
	errorRemedy  = "check the relay board's cable and supply"
	notYetDriven = "the board has not confirmed that the gate is shut yet"
)

// Line is the serial line to the board; drivers/serial has it. Frames may cut
// the stream anywhere.
type Line interface {
	Write(ctx context.Context, b []byte) error
	Frames() <-chan []byte
	// Changes tells nil whenever the line has just been opened and the
	// reason whenever it is lost.
	Changes() <-chan error
}

// Barrier is the gate's output. It implements gate.Barrier. Run must be
// running.
type Barrier struct {
	cfg  Config
	cmd  commands
	line Line
	log  *slog.Logger

	opening chan struct{} // held by Open: one admission at a time
	turn    chan struct{} // held while somebody talks to the board
	rest    chan struct{} // asks Run to drive "shut"
	wake    chan struct{} // something was heard or the line changed
	ready   chan struct{}

	mu      sync.Mutex // guards all below
	heard   []byte     // newest bytes of the board, at most maxHeard
	changes int        // of the line; a conversation ends when it changes
	up      bool       // the line is open
	state   error      // why Open would refuse; nil when it can be driven
	pulsing time.Time  // end of the newest pulse, which an idle check leaves alone
}

var _ gate.Barrier = (*Barrier)(nil)

// New checks the configuration. Nothing is driven before Run.
func New(cfg Config, line Line) (*Barrier, error) {
	cmd, err := cfg.check()
	if err != nil {
		return nil, err
	}
	return &Barrier{
		cfg: cfg, cmd: cmd, line: line, log: cfg.Log,
		opening: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		rest: make(chan struct{}, 1), wake: make(chan struct{}, 1), ready: make(chan struct{}),
		state: errors.New("barrier: not started"),
	}, nil
}

// Healthy says why the gate cannot be opened now; nil when it can.
func (b *Barrier) Healthy() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Ready is closed once the board was driven "shut" for the first time or
// failed to be.
func (b *Barrier) Ready() <-chan struct{} { return b.ready }

// Run drives "shut" at the start, at every return of the line and every few
// seconds, until ctx ends, which returns nil.
func (b *Barrier) Run(ctx context.Context) error {
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		b.listen(ctx)
	}()
	first := true
	next := time.NewTimer(retryCheck)
	defer next.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-b.rest:
			next.Reset(b.shutNow(ctx))
		case <-next.C:
			next.Reset(b.shutNow(ctx))
		}
		if first {
			close(b.ready)
			first = false
		}
	}
	<-listening
	b.mu.Lock()
	b.state = errors.New("barrier: stopped")
	b.mu.Unlock()
	return nil
}

// listen takes what the line says until ctx ends.
func (b *Barrier) listen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-b.line.Frames():
			b.mu.Lock()
			b.heard = append(b.heard, f...)
			if n := len(b.heard) - maxHeard; n > 0 {
				b.heard = append(b.heard[:0], b.heard[n:]...)
			}
			b.mu.Unlock()
		case err := <-b.line.Changes():
			b.mu.Lock()
			b.changes++
			b.up = err == nil
			b.state = fmt.Errorf("barrier: %s", notYetDriven)
			if err != nil {
				b.state = fmt.Errorf("barrier: the line to the board is lost: %s: %w", errorRemedy, err)
			}
			b.mu.Unlock()
			select {
			case b.rest <- struct{}{}:
			default:
			}
		}
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// shutNow drives "shut" unless an admission is under way, and says when to do
// it again.
func (b *Barrier) shutNow(ctx context.Context) time.Duration {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return idleCheck
	}
	defer func() { <-b.turn }()
	b.mu.Lock()
	up, before, changes, pulse := b.up, b.state, b.changes, time.Until(b.pulsing)
	b.mu.Unlock()
	if !up {
		return idleCheck // its return asks for "shut" by itself
	}
	if pulse > 0 {
		return pulse
	}
	err := b.drive(ctx, b.cmd.shut, b.cmd.shutAck)
	if ctx.Err() != nil {
		return idleCheck
	}
	b.settle(changes, err)
	if err != nil {
		if before == nil {
			b.log.Error("barrier: the relay board does not answer: "+errorRemedy, "err", err)
		}
		return retryCheck
	}
	if before != nil {
		b.log.Info("barrier: the relay board confirmed that the gate is shut")
	}
	return idleCheck
}

// settle records how the board took "shut", unless the line changed since.
func (b *Barrier) settle(changes int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changes != changes {
		return
	}
	b.state = nil
	if err != nil {
		b.state = fmt.Errorf("barrier: %w: %s", err, errorRemedy)
	}
}

// drive sends one command and waits for its acknowledgement, if it has one.
func (b *Barrier) drive(ctx context.Context, cmd, ack []byte) error {
	return b.exchange(ctx, cmd, func(heard []byte) bool { return len(ack) == 0 || bytes.Contains(heard, ack) })
}

// exchange sends a command and waits until what was heard since satisfies
// done.
func (b *Barrier) exchange(ctx context.Context, cmd []byte, done func(heard []byte) bool) error {
	b.mu.Lock()
	b.heard = b.heard[:0]
	changes := b.changes
	b.mu.Unlock()
	wctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	if err := b.line.Write(wctx, cmd); err != nil {
		return fmt.Errorf("the command could not be sent: %w", err)
	}
	actx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	if err := b.await(actx, changes, done); err != nil {
		return fmt.Errorf("the board did not answer: %w", err)
	}
	return nil
}

var errLineLost = errors.New("the line to the board was lost")

// await waits until what was heard satisfies done, the line changes or ctx
// ends.
func (b *Barrier) await(ctx context.Context, changes int, done func(heard []byte) bool) error {
	for {
		b.mu.Lock()
		lost, ok := b.changes != changes, done(b.heard)
		b.mu.Unlock()
		switch {
		case lost:
			return errLineLost
		case ok:
			return nil
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
