package offline

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gateagent/gate/wire"
)

// Pending reads the entries after a number, in order and of the oldest epoch
// that is to be sent (the one of Queue): at most maxEntries and,
// beyond the first, at most maxBytes by wire.EncodedSize. The epoch belongs to
// them. Acknowledged entries come too if they are still kept and asked for.
func (o *Outbox) Pending(ctx context.Context, after uint64, maxEntries, maxBytes int) (epoch string, entries []wire.Entry, err error) {
	if old := o.serving(); old != nil {
		if !old.ask(after) {
			return o.ownQueue().Epoch, nil, nil // the number is of an epoch that gives way now
		}
		if q := old.ownQueue(); after+1 < q.Acknowledged {
			after = q.Acknowledged // asked with a number of another epoch
		}
		epoch, entries, err = old.Pending(ctx, after, maxEntries, maxBytes)
		o.troubled(old, err)
		return epoch, entries, err
	}
	type run struct {
		epoch   string
		entries []wire.Entry
	}
	r, err := do(ctx, o, "read", func(ctx context.Context) (run, error) {
		if err := o.ready(ctx); err != nil {
			return run{}, err
		}
		entries, err := o.readAfter(ctx, after, maxEntries, maxBytes)
		return run{o.head.epoch, entries}, err
	})
	return r.epoch, r.entries, err
}

func (o *Outbox) readAfter(ctx context.Context, after uint64, maxEntries, maxBytes int) ([]wire.Entry, error) {
	if after >= o.head.last {
		return nil, nil
	}
	rows, err := o.db.QueryContext(ctx, `SELECT number, prev, hash, chain, body FROM result WHERE number > ? ORDER BY number LIMIT ?`, after, maxEntries)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]wire.Entry, 0, min(maxEntries, wire.MaxBatchEntries))
	var room pieces
	for rows.Next() {
		var e wire.Entry
		var prev, hash, chain, body sql.RawBytes // the driver's memory, until the next row
		if err := rows.Scan(&e.Number, &prev, &hash, &chain, &body); err != nil {
			return nil, err
		}
		e.Prev, e.Hash, e.Body = room.keep(prev), room.keep(hash), room.keep(body)
		if e.Number != after+uint64(len(out))+1 {
			if after < o.head.acked {
				return nil, fmt.Errorf("%w: asked from %d, kept from %d", ErrGone, after+1, e.Number)
			}
			return nil, damage(fmt.Sprintf("result %d is missing", after+uint64(len(out))+1))
		}
		next, err := wire.ChainNext(o.cfg.Kiosk, o.head.epoch, e.Number, e.Prev, e.Hash)
		if err != nil || !bytes.Equal(next, chain) || !e.BodyFits() {
			return nil, damage(fmt.Sprintf("result %d does not match its hashes", e.Number))
		}
		maxBytes -= wire.EncodedSize(len(e.Body))
		if maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// piece is how much memory is taken at a time for what is read.
const piece = 32 << 10

// pieces keeps many small things in a few pieces of memory: a queue is read by
// the hundred thousand rows.
type pieces struct{ free []byte }

// keep copies b.
func (p *pieces) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	if len(p.free) < len(b) {
		p.free = make([]byte, max(piece, len(b)))
	}
	out := p.free[:len(b):len(b)]
	p.free = p.free[len(b):]
	copy(out, b)
	return out
}

// Acknowledge takes central's word that everything up to a number is on its
// disk. The caller has verified the signature; here kiosk, epoch and the chain
// hash of the row itself decide. A number at or below what is acknowledged
// changes nothing.
func (o *Outbox) Acknowledge(ctx context.Context, ack wire.Ack) error {
	if o.wasSent(ack) {
		return nil // late, and of an epoch that is over
	}
	if old := o.olderOf(ack); old != nil {
		return o.acknowledgeOlder(ctx, old, ack)
	}
	_, err := do(ctx, o, "acknowledge", func(ctx context.Context) (struct{}, error) {
		if err := o.matchAck(ctx, ack); err != nil {
			return struct{}{}, err
		}
		if ack.Number <= o.head.acked {
			return struct{}{}, nil
		}
		if err := o.setAcked(ctx, ack.Number); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, o.tidy(ctx)
	})
	return err
}

// Rewind makes results that were acknowledged wait again: central was restored
// from an older backup and asks for everything after ack.Number. ErrGone says
// that some of it is no longer kept, and changes nothing.
func (o *Outbox) Rewind(ctx context.Context, ack wire.Ack) error {
	if old := o.olderOf(ack); old != nil {
		return o.rewindOlder(ctx, old, ack)
	}
	_, err := do(ctx, o, "rewind", func(ctx context.Context) (struct{}, error) {
		if err := o.matchAck(ctx, ack); err != nil || ack.Number >= o.head.acked {
			return struct{}{}, err
		}
		if o.head.first > ack.Number+1 {
			return struct{}{}, fmt.Errorf("%w: asked from %d, kept from %d", ErrGone, ack.Number+1, o.head.first)
		}
		if err := o.setAcked(ctx, ack.Number); err != nil {
			return struct{}{}, err
		}
		o.cfg.Log.Warn("central asked for results again", "after", ack.Number, "last", o.head.last)
		if o.lock != nil {
			o.sendAgain()
		}
		return struct{}{}, nil
	})
	return err
}

// matchAck compares an acknowledgement with this outbox.
func (o *Outbox) matchAck(ctx context.Context, ack wire.Ack) error {
	if err := o.ready(ctx); err != nil {
		return err
	}
	if ack.Kiosk != o.cfg.Kiosk || ack.Epoch != o.head.epoch {
		return fmt.Errorf("%w: kiosk %q epoch %q", ErrForeignAck, ack.Kiosk, ack.Epoch)
	}
	if ack.Number > o.head.last {
		return fmt.Errorf("%w: %d, the newest here is %d", ErrAckAhead, ack.Number, o.head.last)
	}
	own := wire.ChainStart()
	if ack.Number > 0 {
		err := o.db.QueryRowContext(ctx, `SELECT chain FROM result WHERE number = ?`, ack.Number).Scan(&own)
		if errors.Is(err, sql.ErrNoRows) {
			// The row after it remembers its hash.
			err = o.db.QueryRowContext(ctx, `SELECT prev FROM result WHERE number = ?`, ack.Number+1).Scan(&own)
		}
		switch {
		case errors.Is(err, sql.ErrNoRows) && ack.Number > o.head.acked:
			return damage(fmt.Sprintf("result %d is missing", ack.Number))
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("%w: result %d", ErrGone, ack.Number)
		case err != nil:
			return err
		}
	}
	if !bytes.Equal(own, ack.Chain) {
		return fmt.Errorf("%w: number %d", ErrAckChain, ack.Number)
	}
	return nil
}

// ackStep is how coarsely the times of acknowledgements are remembered.
const ackStep = 10 * time.Minute

func step(t time.Time) int64 { return t.UnixMilli() / ackStep.Milliseconds() }

func (o *Outbox) setAcked(ctx context.Context, number uint64) error {
	o.stale = true
	now := o.cfg.Now()
	err := o.db.transact(ctx, func() error {
		_, err := o.db.ExecContext(ctx, `UPDATE meta SET acked = ? WHERE id = 1`, number)
		if err == nil {
			// After a rewind, and after a clock that ran ahead.
			_, err = o.db.ExecContext(ctx, `DELETE FROM acked WHERE number > ? OR step > ?`, number, step(now))
		}
		if err == nil {
			_, err = o.db.ExecContext(ctx, `INSERT OR REPLACE INTO acked (step, number) VALUES (?, ?)`, step(now), number)
		}
		return err
	})
	if err != nil {
		return err
	}
	o.logGrew(0)
	o.stale = false
	o.head.acked = number
	return o.loadOldest(ctx)
}

// tidyEvery and tidyRows say how often acknowledgements lead to tidying up.
const (
	tidyEvery = time.Minute
	tidyRows  = 100
)

// tidy prunes now and then. A failure is not the acknowledgement's: it is
// logged, and the next one tries again. Damage alone is an error.
func (o *Outbox) tidy(ctx context.Context) error {
	now := o.cfg.Now()
	if o.head.acked-min(o.tidiedAt, o.head.acked) < tidyRows && now.Sub(o.tidied).Abs() < tidyEvery {
		return nil
	}
	o.tidied, o.tidiedAt = now, o.head.acked
	if err := o.prune(ctx); err != nil {
		o.stale = true
		o.cfg.Log.Warn("outbox: acknowledged results could not be deleted", "err", err)
		if isDamage(err) {
			return err
		}
	}
	return nil
}

// pruneStep bounds the rows that one call deletes, so that an Append never
// waits long behind it.
const pruneStep = 500

// prune deletes acknowledged results whose time of grace is over.
func (o *Outbox) prune(ctx context.Context) error {
	var upTo uint64
	over := step(o.cfg.Now().Add(-o.cfg.KeepAge))
	if o.cfg.KeepAge < 0 {
		upTo = o.head.acked
	} else if err := o.db.QueryRowContext(ctx, `SELECT coalesce(max(number), 0) FROM acked WHERE step < ?`, over).Scan(&upTo); err != nil {
		return err
	}
	keepRows := uint64(max(o.cfg.KeepBytes, 0) / o.rowAverage())
	if o.head.acked > keepRows {
		upTo = max(upTo, o.head.acked-keepRows)
	}
	return o.deleteUpTo(ctx, upTo)
}

// pruneFor deletes acknowledged results, whatever their age, to make room.
func (o *Outbox) pruneFor(ctx context.Context, need int64) error {
	return o.deleteUpTo(ctx, o.head.first+uint64(need/o.rowAverage())+pruneStep)
}

// deleteUpTo deletes the oldest rows, never the newest acknowledged one, which
// the next row follows on, and not more than pruneStep.
func (o *Outbox) deleteUpTo(ctx context.Context, upTo uint64) error {
	if o.head.acked == 0 || o.head.first == 0 {
		return nil
	}
	upTo = min(upTo, o.head.acked-1, o.head.first+pruneStep-1)
	if upTo < o.head.first {
		return nil
	}
	if _, err := o.db.ExecContext(ctx, `DELETE FROM result WHERE number <= ?`, upTo); err != nil {
		return err
	}
	if _, err := o.db.ExecContext(ctx, `DELETE FROM acked WHERE number <= ? AND step < ?`, upTo, step(o.cfg.Now())); err != nil {
		return err
	}
	if err := o.giveBack(ctx); err != nil {
		return err
	}
	return o.measure(ctx)
}

// giveBack gives free pages back to the file system, a mebibyte at most. The
// statement frees one page with each row that is asked of it.
func (o *Outbox) giveBack(ctx context.Context) error {
	rows, err := o.db.QueryContext(ctx, `PRAGMA incremental_vacuum(256)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}
