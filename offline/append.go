package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"gateagent/gate/wire"
)

// Append stores a record durably and returns its number. An error means that
// the gate stays shut; see the package comment for what it guarantees. The
// same record may be tried again after any error and is stored once.
func (o *Outbox) Append(ctx context.Context, rec wire.Record) (uint64, error) {
	body, err := rec.Encode()
	if err != nil {
		return 0, fmt.Errorf("append to the outbox: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	return doOrLate(ctx, o, "append", func(work context.Context) (uint64, error) {
		if n, ok := o.wasLate(rec); ok {
			return n, nil
		}
		return o.appendHeld(work, rec, body, ctx.Err)
	}, o.lateAppend(rec))
}

func (o *Outbox) lateAppend(rec wire.Record) func(uint64, error) {
	return func(number uint64, err error) {
		if err == nil {
			o.noteLate(rec, number)
		}
	}
}

// appendHeld appends while the caller holds turn. gone says whether whoever
// asked has left meanwhile: then nothing is committed any more.
func (o *Outbox) appendHeld(ctx context.Context, rec wire.Record, body []byte, gone func() error) (uint64, error) {
	if err := o.ready(ctx); err != nil {
		return 0, err
	}
	if err := o.checkRoom(ctx, isAdmission(rec), len(body)); err != nil {
		return 0, err
	}
	number, err := o.insert(ctx, rec, body, gone)
	switch {
	case err == nil:
	case isDamage(err):
		if err := o.replace(ctx, err); err != nil {
			return 0, err
		}
		if number, err = o.insert(ctx, rec, body, gone); err != nil {
			return 0, err
		}
	case !o.landed(ctx, body):
		return 0, err
	default:
		number = o.head.last
	}
	select {
	case o.notify <- struct{}{}:
	default: // a token waits already
	}
	return number, nil
}

// ready makes sure that there is a database and that head is what it says.
func (o *Outbox) ready(ctx context.Context) error {
	if o.db == nil {
		return o.open(ctx)
	}
	if !o.stale {
		return nil
	}
	err := o.load(ctx)
	if isDamage(err) {
		return o.replace(ctx, err)
	}
	return err
}

// insert writes one record in one transaction.
func (o *Outbox) insert(ctx context.Context, rec wire.Record, body []byte, gone func() error) (uint64, error) {
	number, hash := o.head.last+1, wire.BodyHash(body)
	chain, err := wire.ChainNext(o.cfg.Kiosk, o.head.epoch, number, o.head.chain, hash)
	if err != nil {
		return 0, err
	}
	// Until the commit is known, the memory may be behind the disk.
	o.stale = true
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO result (number, at, prev, hash, chain, body) VALUES (?, ?, ?, ?, ?, ?)`,
		number, rec.At.UnixMilli(), o.head.chain, hash, chain, body)
	if err == nil {
		err = trackOpen(ctx, tx, rec, number)
	}
	if err == nil {
		err = gone()
	}
	if err != nil {
		return 0, errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	o.stale = false
	if o.head.acked == o.head.last {
		o.head.oldest = time.UnixMilli(rec.At.UnixMilli()).UTC()
	}
	if o.head.first == 0 {
		o.head.first = number
	}
	o.head.last, o.head.chain = number, chain
	o.pages.grow(len(body))
	o.publish()
	return number, nil
}

// landed finds out after a failed write whether the commit took effect all
// the same: then the record is stored and saying otherwise would double it.
func (o *Outbox) landed(ctx context.Context, body []byte) bool {
	before := o.head
	if err := o.load(ctx); err != nil {
		o.stale = true
		return false
	}
	if o.head.last != before.last+1 {
		return false
	}
	chain, err := wire.ChainNext(o.cfg.Kiosk, before.epoch, o.head.last, before.chain, wire.BodyHash(body))
	return err == nil && bytes.Equal(chain, o.head.chain)
}

func isAdmission(rec wire.Record) bool {
	return rec.Kind == wire.KindDecision && rec.Decision.Outcome == wire.OutcomeAdmit
}
