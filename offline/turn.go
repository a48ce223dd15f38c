package offline

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"

	"gateagent/gate/wire"
)

// do runs fn with the database to itself.
func do[T any](ctx context.Context, o *Outbox, what string, fn func(context.Context) (T, error)) (T, error) {
	return doOrLate(ctx, o, what, fn, nil)
}

// doOrLate runs fn with the database to itself. The work goes on when the
// context ends first, since a commit cannot be taken back; the caller then
// gets ErrUnsure, and late what came of it after all.
func doOrLate[T any](ctx context.Context, o *Outbox, what string, fn func(context.Context) (T, error), late func(T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var none T
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return none, o.explain(what, fmt.Errorf("nothing was written, earlier work has not ended: %w", ctx.Err()))
	}
	if o.closed {
		<-o.turn
		return none, o.explain(what, ErrClosed)
	}
	done := make(chan result, 1)
	var settled atomic.Bool // by whoever is first: the caller who leaves, or the work that ends
	o.worker() <- func() {
		// Without the caller's deadline: SQLite would be interrupted in a
		// commit.
		ctx := context.WithoutCancel(ctx)
		v, err := fn(ctx)
		err = o.heal(ctx, o.lasting(what, err))
		if !settled.CompareAndSwap(false, true) && late != nil {
			late(v, err)
		}
		<-o.turn
		done <- result{v, err}
	}
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		if settled.CompareAndSwap(false, true) {
			return none, o.explain(what, fmt.Errorf("%w: %w", ErrUnsure, ctx.Err()))
		}
		r = <-done // it has ended and is about to say so
	}
	if r.err != nil {
		return none, o.explain(what, r.err)
	}
	return r.v, nil
}

// worker gives the goroutine that works on the database, begun by Open or by
// the first who holds turn and ended by Close. A new one for each piece of work would
// have to grow its stack anew, which is felt beside a sync.
func (o *Outbox) worker() chan<- func() {
	if o.jobs == nil {
		jobs := make(chan func())
		o.jobs = jobs
		go func() {
			for job := range jobs {
				job()
			}
		}()
	}
	return o.jobs
}

// lateRecord is a record whose commit came through after its caller had been
// told ErrUnsure.
type lateRecord struct {
	rec    wire.Record
	number uint64
}

// lateKept bounds the records that are remembered as late. A lane has one.
const lateKept = 16

// noteLate remembers a record that was stored after all.
func (o *Outbox) noteLate(rec wire.Record, number uint64) {
	o.cfg.Log.Warn("a record was stored after its deadline", "number", number, "kind", rec.Kind, "tx", rec.Tx)
	o.late = append(o.late, lateRecord{rec, number})
	if len(o.late) > lateKept {
		o.late = o.late[1:]
	}
}

// wasLate finds a record that its caller tries again although it was stored.
// The clock fields may differ, what is said may not.
func (o *Outbox) wasLate(rec wire.Record) (uint64, bool) {
	for i, l := range o.late {
		if l.rec.Kind == rec.Kind && l.rec.Tx == rec.Tx && l.rec.Gate == rec.Gate && reflect.DeepEqual(l.rec.Decision, rec.Decision) &&
			reflect.DeepEqual(l.rec.Passage, rec.Passage) && reflect.DeepEqual(l.rec.Resolution, rec.Resolution) {
			o.late = append(o.late[:i], o.late[i+1:]...)
			return l.number, true
		}
	}
	return 0, false
}
