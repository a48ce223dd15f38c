package barrier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"gateagent/gate"
)

// Open drives the output once and waits for the passage or its window, or,
// without a sensor, for the end of the pulse. It refuses, with
// gate.PassageRefused and an error, whatever is not a fresh admission at a
// gate in order. gate.PassageUnknown and an error say that the gate may have
// opened and nobody can tell what then happened.
func (b *Barrier) Open(ctx context.Context, admitted time.Time) (gate.PassageResult, error) {
	if err := fresh(admitted); err != nil {
		return gate.PassageRefused, err
	}
	select {
	case b.opening <- struct{}{}:
		defer func() { <-b.opening }()
	default:
		return gate.PassageRefused, errors.New("barrier: another admission is under way")
	}
	// The board may be busy with an idle check: a short wait.
	early, cancel := context.WithDeadline(ctx, admitted.Add(maxAge))
	defer cancel()
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-early.Done():
		return gate.PassageRefused, fmt.Errorf("barrier: the board is busy: %w", errors.Join(early.Err(), fresh(admitted)))
	}
	if err := b.Healthy(); err != nil {
		return gate.PassageRefused, err
	}
	if err := errors.Join(fresh(admitted), ctx.Err()); err != nil {
		return gate.PassageRefused, err
	}
	b.mu.Lock()
	changes := b.changes
	b.pulsing = time.Now().Add(b.cmd.pulse)
	b.mu.Unlock()
	if err := b.drive(early, b.cmd.open, b.cmd.openAck); err != nil {
		b.shutAfter(changes, "the opening was not confirmed")
		return gate.PassageUnknown, fmt.Errorf("barrier: open: %w: %s", err, errorRemedy)
	}
	result, err := b.watch(ctx, changes)
	switch {
	case result == gate.PassagePassed && b.cfg.EndOnPassage:
		b.shutAfter(changes, "somebody passed")
	case result == gate.PassageTimedOut && b.cmd.pulse > b.cfg.Window:
		b.shutAfter(changes, "the passage window is over")
	}
	return result, err
}

// fresh refuses an admission that is too old, or of unknown age: a time that
// was stored or sent has lost its monotonic clock, and the wall clock jumps.
func fresh(admitted time.Time) error {
	if admitted == admitted.Round(0) {
		return fmt.Errorf("barrier: an admission without a monotonic time: %w", gate.ErrAdmitTooOld)
	}
	if age := time.Since(admitted); age < 0 || age > maxAge {
		return fmt.Errorf("barrier: %w", gate.ErrAdmitTooOld)
	}
	return nil
}

// shutAfter ends an opening early. Should it fail, the board's own timer ends
// it.
func (b *Barrier) shutAfter(changes int, why string) {
	ctx, cancel := context.WithTimeout(context.Background(), shutWait)
	defer cancel()
	if err := b.drive(ctx, b.cmd.shut, b.cmd.shutAck); err != nil {
		b.settle(changes, err)
		b.log.Warn("barrier: shut was not confirmed, the board's timer ends the opening", "after", why, "err", err)
		return
	}
	b.mu.Lock()
	b.pulsing = time.Time{}
	b.mu.Unlock()
}

// watch waits for what happens at the open gate.
func (b *Barrier) watch(ctx context.Context, changes int) (gate.PassageResult, error) {
	switch {
	case b.cmd.poll != nil:
		return b.watchInput(ctx, changes)
	case len(b.cmd.passed) > 0:
		return b.watchReports(ctx, changes)
	}
	select {
	case <-ctx.Done(): // the output was driven all the same
	case <-time.After(b.cmd.pulse):
	}
	return gate.PassageOpened, nil
}

// watchReports waits for the board to say that somebody passed.
func (b *Barrier) watchReports(ctx context.Context, changes int) (gate.PassageResult, error) {
	wctx, cancel := context.WithTimeout(ctx, b.cfg.Window)
	defer cancel()
	err := b.await(wctx, changes, func(heard []byte) bool { return bytes.Contains(heard, b.cmd.passed) })
	switch {
	case err == nil:
		return gate.PassagePassed, nil
	case ctx.Err() != nil:
		return gate.PassageUnknown, fmt.Errorf("barrier: the wait for the passage was given up: %w", ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		return gate.PassageTimedOut, nil
	}
	return gate.PassageUnknown, fmt.Errorf("barrier: %w: %s", err, errorRemedy)
}

// watchInput asks for the sensor again and again. Only a sensor that was seen
// free and then interrupted is a passage: one that is stuck proves nothing.
func (b *Barrier) watchInput(ctx context.Context, changes int) (gate.PassageResult, error) {
	window := time.NewTimer(b.cfg.Window)
	defer window.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	free, answered := false, time.Time{}
	for {
		var state byte
		err := b.exchange(ctx, b.cmd.poll, func(heard []byte) (ok bool) {
			state, ok = inputState(b.cmd.poll, heard)
			return ok
		})
		if err == nil {
			answered = time.Now()
			if state&b.cmd.pollMask == 0 {
				free = true
			} else if free {
				return gate.PassagePassed, nil
			}
		}
		b.mu.Lock()
		lost := b.changes != changes
		b.mu.Unlock()
		if lost {
			return gate.PassageUnknown, fmt.Errorf("barrier: %w: %s", errLineLost, errorRemedy)
		}
		select {
		case <-ctx.Done():
			return gate.PassageUnknown, fmt.Errorf("barrier: the wait for the passage was given up: %w", ctx.Err())
		case <-window.C:
			if time.Since(answered) > pollTrust {
				return gate.PassageUnknown, errors.New("barrier: the passage sensor does not answer: " + errorRemedy)
			}
			return gate.PassageTimedOut, nil
		case <-poll.C:
		}
	}
}
