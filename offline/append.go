package offline

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"gateagent/gate/wire"
)

// Append stores a record durably and returns its number. An error means that
// the gate stays shut; see the package comment for what it guarantees. The
// same record may be tried again after any error and is stored once.
func (o *Outbox) Append(ctx context.Context, rec wire.Record) (uint64, error) {
	if o.cfg.Retention > 0 && rec.DeleteAt.IsZero() {
		rec.DeleteAt = rec.At.Add(o.cfg.Retention).UTC().Truncate(time.Second)
	}
	plain, err := rec.Encode()
	if err != nil {
		return 0, fmt.Errorf("append to the outbox: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	return doOrLate(ctx, o, "append", func(work context.Context) (uint64, error) {
		if n, ok := o.wasLate(rec); ok {
			return n, nil
		}
		return o.appendHeld(work, rec, plain, ctx.Err)
	}, o.lateAppend(rec))
}

func (o *Outbox) lateAppend(rec wire.Record) func(uint64, error) {
	return func(number uint64, err error) {
		if err == nil {
			o.noteLate(rec, number)
		}
	}
}

// appendHeld appends while the caller holds turn, into a new database when the
// one that is there turns out to be damaged. gone says whether whoever asked has
// left meanwhile: then nothing is committed any more.
func (o *Outbox) appendHeld(ctx context.Context, rec wire.Record, plain []byte, gone func() error) (uint64, error) {
	number, err := o.appendOnce(ctx, rec, plain, gone)
	if isDamage(err) && o.db != nil {
		if err := o.replace(ctx, err); err != nil {
			return 0, err
		}
		number, err = o.appendOnce(ctx, rec, plain, gone)
	}
	if err != nil {
		return 0, err
	}
	o.wake()
	return number, nil
}

func (o *Outbox) appendOnce(ctx context.Context, rec wire.Record, plain []byte, gone func() error) (uint64, error) {
	if err := o.ready(ctx); err != nil {
		return 0, err
	}
	if err := o.checkAge(rec); err != nil {
		return 0, err
	}
	if err := o.checkRoom(ctx, isAdmission(rec), len(plain)+o.sealing()); err != nil {
		return 0, err
	}
	number, hash, err := o.insert(ctx, rec, plain, gone)
	if err == nil || isDamage(err) || !o.landed(ctx, hash) {
		return number, err
	}
	return o.head.last, nil
}

// ready makes sure that there is a database and that head is what it says.
func (o *Outbox) ready(ctx context.Context) error {
	if o.db == nil {
		return o.open(ctx)
	}
	if !o.stale {
		return nil
	}
	return o.load(ctx)
}

// sealing is by how much a record grows when it is sealed.
func (o *Outbox) sealing() int {
	if o.cfg.Seal == nil {
		return 0
	}
	return o.cfg.Seal.Overhead()
}

// seal makes the body of a record at its place in the chain. Tried again, a
// record is sealed anew.
func (o *Outbox) seal(number uint64, plain []byte) ([]byte, error) {
	if o.cfg.Seal == nil {
		return plain, nil
	}
	if o.sealer == nil || o.sealed != o.head.epoch {
		o.sealer, o.sealed = wire.NewSealer(o.cfg.Seal, o.cfg.Kiosk, o.head.epoch, o.cfg.Now), o.head.epoch
	}
	return o.sealer.Seal(number, o.head.chain, plain)
}

// insert writes one record in one transaction. hash is that of the body that
// it tried to write.
func (o *Outbox) insert(ctx context.Context, rec wire.Record, plain []byte, gone func() error) (number uint64, hash []byte, err error) {
	number = o.head.last + 1
	step, err := o.planOpen(rec)
	if err != nil {
		return 0, nil, err
	}
	body, err := o.seal(number, plain)
	if err != nil {
		return 0, nil, err
	}
	hash = wire.BodyHash(body)
	chain, err := wire.ChainNext(o.cfg.Kiosk, o.head.epoch, number, o.head.chain, hash)
	if err != nil {
		return 0, nil, err
	}
	if err := gone(); err != nil {
		return 0, hash, err
	}
	// Until the commit is known, the memory may be behind the disk.
	o.stale = true
	_, err = o.db.ExecContext(ctx, `INSERT INTO appending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		number, rec.At.UnixMilli(), o.head.chain, hash, chain, body, step.ends, step.falls, step.tx, step.kind, step.body)
	if err != nil {
		return 0, hash, err
	}
	o.stale = false
	o.settleOpen(step, int64(number))
	if o.head.acked == o.head.last {
		o.head.oldest = time.UnixMilli(rec.At.UnixMilli()).UTC()
	}
	if o.head.first == 0 {
		o.head.first = number
	}
	o.head.last, o.head.chain = number, chain
	o.pages.grow(len(body))
	o.logGrew(len(body))
	o.publish()
	return number, hash, nil
}

// landed finds out after a failed write whether the commit took effect all
// the same: then the record is stored and saying otherwise would double it.
func (o *Outbox) landed(ctx context.Context, hash []byte) bool {
	before := o.head
	if err := o.load(ctx); err != nil {
		o.stale = true
		return false
	}
	if o.head.last != before.last+1 {
		return false
	}
	chain, err := wire.ChainNext(o.cfg.Kiosk, before.epoch, o.head.last, before.chain, hash)
	return err == nil && bytes.Equal(chain, o.head.chain)
}

func isAdmission(rec wire.Record) bool {
	return rec.Kind == wire.KindDecision && rec.Decision.Outcome == wire.OutcomeAdmit
}
