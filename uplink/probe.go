package uplink

import (
	"context"
	"time"
)

// probeSeldom is how often central is probed at least while no answer comes
// (a probe may have got lost) and while there is nothing to send: central may
// have been set back behind a broker that stays up, and nobody would know.
// Over a metered path it is more seldom.
const (
	probeSeldom        = 10 * time.Minute
	probeSeldomMetered = 6 * time.Hour
)

// seldom is the pace of probes that nothing urges.
func (f *flow) seldom() time.Duration {
	if f.c.route.metered() {
		return probeSeldomMetered
	}
	return probeSeldom
}

// probe sends the newest acknowledged result again.
func (f *flow) probe(ctx context.Context) error {
	f.said = time.Now()
	q := f.u.cfg.Store.Queue()
	if q.Acknowledged == 0 {
		return nil
	}
	epoch, entries, err := f.pending(ctx, q.Acknowledged-1, 1)
	if err != nil || len(entries) == 0 || epoch != f.epoch {
		return nil // fill meets the same trouble and says so
	}
	f.probes++
	f.probeWait = min(max(2*f.probeWait, f.patience()), f.seldom())
	f.probeDue = time.Now().Add(f.probeWait)
	_, err = f.send(epoch, entries)
	return err
}

// answered notes that central answered so many probes.
func (f *flow) answered(n int) {
	f.probes -= n
	f.probeWait = 0
}

// probeAt says when the next probe is due that nothing else calls for: none
// while results are on their way, whose answers tell as much.
func (f *flow) probeAt() (at time.Time, ok bool) {
	switch {
	case len(f.out) > 0:
		return at, false
	case f.probes > 0:
		return f.probeDue, true
	}
	return f.said.Add(f.seldom()), true
}

// wakeProbes probes where that is due.
func (f *flow) wakeProbes(ctx context.Context, now time.Time) error {
	if !f.low.since.IsZero() && !now.Before(f.low.askAt(f.u.cfg.AckTimeout)) {
		f.low.asked = now
		if err := f.probe(ctx); err != nil {
			return err
		}
	}
	if at, ok := f.probeAt(); ok && !now.Before(at) {
		f.probes = 0
		return f.probe(ctx)
	}
	return nil
}

// waiting says whether central ought to answer now. A probe that got no answer
// in time is no reason to ask the broker for signs of life all the while.
func (f *flow) waiting() bool {
	return len(f.out) > 0 || f.probes > 0 && time.Since(f.said) < f.patience()
}
