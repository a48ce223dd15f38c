package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gateagent/gate/wire"
)

// askLoop runs something on the lane's own goroutine.
func (l *Lane) askLoop(ctx context.Context, do func(context.Context) (happening, error)) error {
	a := ask{do: do, done: make(chan error, 1)}
	select {
	case l.asks <- a:
	case <-ctx.Done():
		return fmt.Errorf("the lane is busy or stopped: %w", ctx.Err())
	}
	select {
	case err := <-a.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the lane did not answer: %w", ctx.Err())
	}
}

// Help is the traveller's help button: the running transaction, or a new one,
// ends with the staff, who see it at once.
func (l *Lane) Help(ctx context.Context) error {
	return l.askLoop(ctx, func(context.Context) (happening, error) {
		if l.view.Stage == StageHelpComing {
			return nothing, nil // pressed again: somebody is coming already
		}
		l.help = true
		l.show()
		return helped, nil
	})
}

// EnterCAN takes a card access number keyed in by hand (six digits, ICAO
// 9303-11 section 4.3.1).
func (l *Lane) EnterCAN(ctx context.Context, can Secret) error {
	if len(can) != 6 || slices.ContainsFunc(can, func(b byte) bool { return b < '0' || b > '9' }) {
		return errors.New("a card access number has six digits; it is printed on the front of the card")
	}
	key := slices.Clone(can)
	return l.askLoop(ctx, func(context.Context) (happening, error) {
		l.keepScan(&Scan{Kind: ScanCAN, Key: AccessKey{CAN: key}})
		return scanned, nil
	})
}

// Resolution outcomes that staff may choose.
func resolutionOutcomes() []string { return []string{"admitted_by_staff", "refused", "sent_back"} }

// Resolve records how a named operator resolved a referral; the referral
// leaves the list only once that is stored.
func (l *Lane) Resolve(ctx context.Context, tx, operator, outcome, reason string) error {
	switch {
	case operator == "":
		return errors.New("a referral is resolved by a named operator; sign in first")
	case reason == "":
		return errors.New("give a reason")
	case !slices.Contains(resolutionOutcomes(), outcome):
		return fmt.Errorf("outcome %q is none of %v", outcome, resolutionOutcomes())
	}
	return l.askLoop(ctx, func(ctx context.Context) (happening, error) {
		i := slices.IndexFunc(l.view.Open, func(r Referral) bool { return r.Tx == tx })
		if i < 0 {
			return nothing, errors.New("this referral is not open any more")
		}
		rec := l.stamp(wire.KindResolution, tx, time.Now())
		rec.Resolution = &wire.Resolution{Operator: operator, Outcome: outcome, Reason: reason}
		if err := l.store(ctx, rec); err != nil {
			return nothing, fmt.Errorf("the resolution could not be stored, try again: %w", err)
		}
		l.view.Open = slices.Delete(slices.Clone(l.view.Open), i, i+1)
		l.show()
		return nothing, nil
	})
}
