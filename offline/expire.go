package offline

import (
	"context"
	"errors"
	"os"
	"time"
)

// expireStep is how many rows are looked at in one go: an Append waits no
// longer than for these.
const expireStep = 500

// Expire deletes the bodies whose retention is over, whether central has them
// or not; numbers and hashes stay, and the chain still verifies. The caller
// gives a time that it trusts: a clock that jumps ahead must delete nothing.
func (o *Outbox) Expire(ctx context.Context, now time.Time) (int, error) {
	all := 0
	var bad error // of one epoch, which keeps the others from nothing
	for _, old := range o.olderEpochs() {
		n, err := old.Expire(ctx, now)
		all += n
		bad = errors.Join(bad, err)
		o.troubled(old, err)
	}
	if o.cfg.Retention <= 0 {
		return all, bad
	}
	if o.lock != nil { // the outbox itself, not one of an older epoch
		bad = errors.Join(bad, o.expireAside(now))
	}
	before := now.Add(-o.cfg.Retention).UnixMilli()
	for after, more := uint64(0), true; more; {
		n, err := do(ctx, o, "expire", func(ctx context.Context) (int64, error) {
			if err := o.ready(ctx); err != nil {
				return 0, err
			}
			after = max(after, o.head.first-min(o.head.first, 1)) // earlier ones are gone
			res, err := o.db.ExecContext(ctx, `UPDATE result SET body = x'' WHERE number > ? AND number <= ? AND at < ? AND length(body) > 0`,
				after, after+expireStep, before)
			if err != nil {
				return 0, err
			}
			var young int
			err = o.db.QueryRowContext(ctx, `SELECT count(*) FROM result WHERE number > ? AND number <= ? AND at >= ?`, after, after+expireStep, before).Scan(&young)
			after += expireStep
			// Records lie in the order of time but for jumps of the clock.
			more = err == nil && young < expireStep && after < o.head.last
			if n, err2 := res.RowsAffected(); err2 == nil && err == nil {
				return n, nil
			}
			return 0, err
		})
		all += int(n)
		if err != nil {
			return all, errors.Join(bad, err)
		}
	}
	return all, bad
}

// expireAside removes what was set aside so long ago that the retention of
// everything in it is over, unless something of it is still being sent.
func (o *Outbox) expireAside(now time.Time) error {
	var bad error
	for _, folder := range damagedFolders(o.cfg.Dir) {
		at, ok := asideAt(folder)
		if !ok || now.Sub(at) < o.cfg.Retention || o.olderIn(folder) != nil {
			continue
		}
		if err := os.RemoveAll(folder); err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		o.cfg.Log.Warn("outbox: a damaged database was removed, the retention of its results is over", "folder", folder)
		o.noteRescued()
	}
	return bad
}
