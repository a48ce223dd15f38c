package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateagent/gate/wire"
)

// windowBytes bounds the bytes on their way, and so the memory that a backlog
// of any size needs.
const windowBytes = 5 << 20

// confirmLow is how long a number lower than ours must stand before it is
// taken as central's state and not as a message that was overtaken.
const confirmLow = time.Second

// resendPause keeps late answers to a lost attempt from ending the next one.
const resendPause = 250 * time.Millisecond

// flow is the state of sending over one connection: what is on its way, and
// when central last moved on. One goroutine owns it.
type flow struct {
	u *Uplink
	c *connection

	epoch  string
	sent   uint64 // newest number on its way
	out    []sentBatch
	bytes  int
	window window
	leaves upload

	moved      time.Time // last progress, strike, or begin of waiting
	again      bool      // what is to be sent was on its way already: waiting for it began before
	progressed bool
	advanced   bool      // something more was acknowledged
	excused    time.Time // until when our own bytes are still leaving
	retryAt    time.Time // when to ask a store again that failed
	low        lowAck
	probes     int // answers due that will move nothing
	probeWait  time.Duration
	probeDue   time.Time // when to probe again, should no answer come
	said       time.Time // when central was last sent anything that it answers
	begun      time.Time // of this attempt: results were last sent from the acknowledged number on
	unstored   bool      // an acknowledgement of this attempt could not be carried out: central is not to blame
	troubled   bool      // the same, and no acknowledgement was carried out since
}

type sentBatch struct {
	last  uint64
	bytes int
	at    time.Time
}

// lowAck is a number lower than ours that awaits confirmation.
type lowAck struct {
	since time.Time // zero: there is none
	asked time.Time // when central was asked again
}

// askAt says when central is to be asked: soon, and again when the answer got
// lost.
func (l lowAck) askAt(patience time.Duration) time.Time {
	if l.asked.IsZero() {
		return l.since.Add(confirmLow)
	}
	return l.asked.Add(patience)
}

func newFlow(u *Uplink, c *connection) *flow {
	f := &flow{u: u, c: c}
	if conn := c.socket(); conn != nil {
		f.leaves.conn = conn.below
	}
	return f
}

// begin starts after what is acknowledged. The newest acknowledged result is
// sent again: the answer tells whether central still has what it said it has.
func (f *flow) begin(ctx context.Context) error {
	q := f.u.cfg.Store.Queue()
	f.restart(q.Epoch, q.Acknowledged)
	f.window = newWindow(f.u.cfg.Window)
	if f.c.route.metered() {
		f.window = newWindow(1) // what is on its way when the path dies is paid for twice
	}
	return f.probe(ctx)
}

// restart makes everything after a number be sent again, and waiting begin
// anew.
func (f *flow) restart(epoch string, after uint64) {
	f.epoch, f.sent = epoch, after
	f.out, f.bytes = f.out[:0], 0
	f.window.lost()
	f.moved = time.Now()
	f.begun = f.moved
	f.again, f.unstored = false, false
}

// repeat is restart, but waiting goes on. An acknowledgement of what is
// acknowledged already may be an old one that somebody at the broker says
// again: it must not be able to keep us here.
func (f *flow) repeat(q wire.Queue) {
	moved := f.moved
	f.restart(q.Epoch, q.Acknowledged)
	f.moved, f.again = moved, true
}

func (f *flow) pending(ctx context.Context, after uint64, n int) (string, []wire.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return f.u.cfg.Store.Pending(ctx, after, n, int(f.u.room))
}

// fill sends what waits, as far as the window allows.
func (f *flow) fill(ctx context.Context) error {
	for len(f.out) < f.window.size && f.bytes < windowBytes && !time.Now().Before(f.retryAt) && !f.c.busy() {
		// Numbers of one epoch mean nothing in another: look before asking.
		if q := f.u.cfg.Store.Queue(); q.Epoch != f.epoch {
			f.u.log.Warn("another epoch is to be sent", "epoch", q.Epoch)
			f.restart(q.Epoch, q.Acknowledged)
			f.probes = 0
			if err := f.probe(ctx); err != nil { // central may have been set back while the other one was sent
				return err
			}
		}
		epoch, entries, err := f.pending(ctx, f.sent, wire.MaxBatchEntries)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			f.u.alarm("results cannot be read from the outbox; see the log", err)
			f.retryAt = time.Now().Add(f.u.cfg.AckTimeout / 2)
			return nil
		}
		if epoch != f.epoch {
			f.retryAt = time.Now().Add(resendPause) // it begins just now
			return nil
		}
		if len(entries) == 0 {
			f.again = false
			return nil
		}
		if f.c.route.metered() && f.c.route.spent() {
			return errSpent
		}
		size, err := f.send(epoch, entries)
		if err != nil {
			return err
		}
		if len(f.out) == 0 && !f.again {
			f.moved = time.Now()
			f.leaves.moves() // from here on
		}
		f.again, f.said = false, time.Now()
		f.sent = entries[len(entries)-1].Number
		f.out = append(f.out, sentBatch{f.sent, size, time.Now()})
		f.bytes += size
	}
	return nil
}

// send signs and publishes one batch.
func (f *flow) send(epoch string, entries []wire.Entry) (int, error) {
	id := f.u.cfg.Identity
	b, err := wire.ProvenBatch(id.Name, epoch, entries[0].Prev, entries)
	if err == nil {
		err = b.Sign(id.Signing)
	}
	if err != nil {
		return 0, fmt.Errorf("make a batch: %w", err)
	}
	payload, err := b.Encode()
	if err != nil {
		return 0, err
	}
	return len(payload), f.c.publish(wire.TopicResults, 1, false, payload)
}

// take handles one message on the ack topic. Only trouble with the connection
// is an error; a bad acknowledgement is an alarm and changes nothing.
func (f *flow) take(ctx context.Context, payload []byte) error {
	ack, err := wire.DecodeAck(payload)
	if err == nil {
		err = ack.Verify(f.u.cfg.Identity.AckKey)
	}
	if err != nil {
		f.u.alarm("an acknowledgement that is not central's was refused; nothing was deleted", err)
		return nil
	}
	before := f.u.cfg.Store.Queue()
	sctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if ack.Kiosk == f.u.cfg.Identity.Name && ack.Epoch == before.Epoch && ack.Number < before.Acknowledged {
		return f.takeLow(sctx, *ack, before)
	}
	if err := f.u.cfg.Store.Acknowledge(sctx, *ack); err != nil {
		if ctx.Err() == nil {
			f.refused("an acknowledgement does not fit the results here and was refused; nothing was deleted", err)
		}
		return nil
	}
	f.low = lowAck{}
	f.progressed, f.unstored, f.troubled = true, false, false
	f.u.notice(sourceStore, "", "", 0)
	if ack.Epoch != f.epoch {
		return nil // late, of an epoch that is over: it moves nothing that is on its way now
	}
	if ack.Number == before.Acknowledged {
		f.standstill(before)
		return nil
	}
	f.advance(ack.Number)
	return nil
}

// refused tells an acknowledgement that does not fit, which is an alarm, from
// one that the store could not carry out, for want of room for instance: that
// is tried again by sending the results again.
func (f *flow) refused(alarm string, err error) {
	if errors.Is(err, wire.ErrAckRefused) {
		f.u.alarm(alarm, err)
		return
	}
	if !f.troubled {
		f.u.log.Warn("central's acknowledgement could not be stored; the results stay here and are sent again", "err", err)
	}
	f.unstored, f.troubled = true, true
	f.u.notice(sourceStore, "warning", "central's acknowledgement could not be stored, results stay here: look at disk and state folder", 0)
}

// advance notes that central moved on to a number.
func (f *flow) advance(number uint64) {
	n, took := 0, time.Duration(0)
	for n < len(f.out) && f.out[n].last <= number {
		f.bytes -= f.out[n].bytes
		took = time.Since(f.out[n].at)
		n++
	}
	f.out = append(f.out[:0], f.out[n:]...)
	f.sent = max(f.sent, number)
	// More at once would only wait longer where the line or central is slow.
	if n > 0 && took < f.u.cfg.AckTimeout/4 {
		f.window.grow(n)
		f.u.room.more()
	}
	f.advanced = true
	f.moved, f.again = time.Now(), false
	f.answered(f.probes) // central answers in order
	if f.u.strikes > 0 {
		f.u.strikes = 0
		f.u.notice(sourceCentral, "", "", 0)
		f.u.log.Info("central acknowledges again", "number", number)
	}
}

// standstill handles an acknowledgement of what is acknowledged already. It
// answers a probe; otherwise central met something that does not follow on
// what it has, so a batch got lost on the way. Those that were on their way
// with it are answered the same, and later: they do not count twice.
func (f *flow) standstill(q wire.Queue) {
	if f.probes > 0 {
		f.answered(1)
		return
	}
	if len(f.out) > 0 && time.Since(f.begun) > resendPause {
		f.u.log.Warn("central misses results, they are sent again", "from", q.Acknowledged+1)
		f.repeat(q)
	}
}

// takeLow handles a number that is lower than what central acknowledged
// before. It is an overtaken message, or central was restored from an older
// backup. Central is asked once more; if the answer stays lower, the results
// wait again.
func (f *flow) takeLow(ctx context.Context, ack wire.Ack, q wire.Queue) error {
	if f.low.since.IsZero() {
		f.low.since = time.Now()
	}
	if f.low.asked.IsZero() {
		return nil
	}
	err := f.u.cfg.Store.Rewind(ctx, ack)
	f.low = lowAck{}
	if err != nil {
		if ctx.Err() == nil {
			f.refused("central asks for results that it acknowledged before, and they cannot be sent again", err)
		}
		return nil
	}
	f.u.alarm(fmt.Sprintf("central was set back and asks for results again, from %d to %d", ack.Number+1, q.Acknowledged), nil)
	f.restart(q.Epoch, ack.Number)
	return nil
}

// patience is how long central may be silent: longer after each strike.
func (f *flow) patience() time.Duration {
	return min(f.u.cfg.AckTimeout*time.Duration(1+f.u.strikes), 2*f.u.cfg.AckTimeout)
}

// wakeAt says when wake is due.
func (f *flow) wakeAt() time.Time {
	at := time.Now().Add(time.Minute)
	if len(f.out) > 0 {
		at = f.moved.Add(f.patience())
		if at.Before(f.excused) {
			at = f.excused
		}
	}
	if !f.retryAt.IsZero() && len(f.out) < f.window.size {
		at = earlier(at, f.retryAt)
	}
	if f.c.busy() {
		return at
	}
	if due, ok := f.probeAt(); ok {
		at = earlier(at, due)
	}
	if !f.low.since.IsZero() {
		at = earlier(at, f.low.askAt(f.u.cfg.AckTimeout))
	}
	return at
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// uploads says whether our own bytes are still leaving, so that central cannot
// have answered. That excuses it for a while, and not for ever: whoever has the
// broker may take them as slowly as they like.
func (f *flow) uploads(now time.Time) bool {
	if now.Before(f.excused) {
		return true
	}
	if now.Sub(f.moved) > uploadMost || !f.leaves.moves() {
		return false
	}
	f.excused = now.Add(f.patience()) // what has arrived by then wants an answer
	return true
}

// wake does what is due: asks central again after a low number, or sends
// again what was not acknowledged in time.
func (f *flow) wake(ctx context.Context) error {
	now := time.Now()
	if !f.retryAt.IsZero() && !now.Before(f.retryAt) {
		f.retryAt = time.Time{}
	}
	if !f.c.busy() {
		if err := f.wakeProbes(ctx, now); err != nil {
			return err
		}
	}
	if len(f.out) == 0 || now.Sub(f.moved) < f.patience() || f.uploads(now) {
		return nil
	}
	q := f.u.cfg.Store.Queue()
	if f.unstored {
		f.restart(q.Epoch, q.Acknowledged)
		return nil
	}
	f.u.strikes++
	f.u.log.Warn("central does not acknowledge, results are sent again", "from", q.Acknowledged+1, "sent", f.sent, "strikes", f.u.strikes)
	f.u.room.less()
	f.u.notice(sourceCentral, "warning", "central does not acknowledge results; they are kept here", 0)
	f.restart(q.Epoch, q.Acknowledged)
	if f.u.strikes%strikesPerConnection == 0 {
		return errNoAck
	}
	return nil
}
