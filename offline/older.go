package offline

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// older is what was saved of a damaged database: an outbox of its own with the
// old epoch, to which nothing is added. It is sent before the newer ones.
// Central drops what it has already, so sending it again does no harm; and as
// the damaged file stays, nothing is lost when it is put away.
type older struct {
	*Outbox
	folder string // that was set aside

	state sync.Mutex // guards the following
	asked int        // how often it was begun without progress
	rest  time.Time  // until then newer results go first
	bad   bool       // it turned out to be damaged itself
}

// olderTries and olderRest keep results that central does not take from
// standing in the way of newer ones for ever.
const (
	olderTries = 6
	olderRest  = 10 * time.Minute
)

// ask notes that somebody wants to send it from a number on, and says whether
// it may go first.
func (old *older) ask(after uint64) bool {
	begins := after == old.ownQueue().Acknowledged
	old.state.Lock()
	defer old.state.Unlock()
	if begins {
		old.asked++
	}
	if old.asked > olderTries {
		old.pauseHeld()
		return false
	}
	return true
}

func (old *older) pause() {
	old.state.Lock()
	defer old.state.Unlock()
	old.pauseHeld()
}

// pauseHeld lets newer results go first; the caller holds state.
func (old *older) pauseHeld() { old.asked, old.rest = 0, time.Now().Add(olderRest) }

func (old *older) progress() {
	old.state.Lock()
	defer old.state.Unlock()
	old.asked = 0
}

func (old *older) rests() bool {
	old.state.Lock()
	defer old.state.Unlock()
	return old.bad || time.Now().Before(old.rest)
}

// spoilt notes that a saved epoch is damaged itself, and has it saved anew.
func (o *Outbox) spoilt(old *older) {
	old.state.Lock()
	old.bad = true
	old.state.Unlock()
	o.startRescue()
}

func (old *older) isBad() bool {
	old.state.Lock()
	defer old.state.Unlock()
	return old.bad
}

// letGo closes a saved epoch that is damaged itself.
func (o *Outbox) letGo(old *older) {
	o.mu.Lock()
	o.older = slices.DeleteFunc(o.older, func(x *older) bool { return x == old })
	o.mu.Unlock()
	_ = old.Close() // damaged as it is, it may fail
}

// olderIn gives the saved epoch of a folder that is open; nil: none.
func (o *Outbox) olderIn(folder string) *older {
	for _, old := range o.olderEpochs() {
		if old.folder == folder {
			return old
		}
	}
	return nil
}

// troubled does what an error of a saved epoch asks for.
func (o *Outbox) troubled(old *older, err error) {
	switch {
	case isDamage(err):
		o.spoilt(old)
	case err != nil && !errors.Is(err, ErrGone): // that says nothing against what was saved
		old.pause()
	}
}

// olderEpochs gives the saved epochs that wait.
func (o *Outbox) olderEpochs() []*older {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.older)
}

// serving gives the saved epoch that is to be sent now; nil when it is the
// outbox's own turn.
func (o *Outbox) serving() *older {
	for _, old := range o.olderEpochs() {
		if !old.rests() {
			return old
		}
	}
	return nil
}

func (o *Outbox) olderOf(ack wire.Ack) *older {
	for _, old := range o.olderEpochs() {
		if old.ownQueue().Epoch == ack.Epoch && ack.Kiosk == o.cfg.Kiosk {
			return old
		}
	}
	return nil
}

func (o *Outbox) wasSent(ack wire.Ack) bool {
	return ack.Kiosk == o.cfg.Kiosk && o.sentBefore(ack.Epoch)
}

func (o *Outbox) sentBefore(epoch string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent[epoch]
}

// noteSent notes that a saved epoch is over, unless it is in use: a state folder
// may have been restored from a copy.
func (o *Outbox) noteSent(epoch string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if epoch != "" && !o.inUse(epoch) {
		o.sent[epoch] = true
	}
}

// inUse says whether an epoch is the running one or a saved one that waits;
// o.mu is held.
func (o *Outbox) inUse(epoch string) bool {
	return epoch == o.queue.Epoch || slices.ContainsFunc(o.older, func(x *older) bool { return x.ownQueue().Epoch == epoch })
}

// acknowledgeOlder takes an acknowledgement for a saved epoch and puts the
// epoch away when nothing of it waits any more.
func (o *Outbox) acknowledgeOlder(ctx context.Context, old *older, ack wire.Ack) error {
	before := old.ownQueue()
	err := old.Acknowledge(ctx, ack)
	switch {
	case errors.Is(err, ErrAckAhead):
		// Central got more of this epoch, before it was damaged, than could be
		// saved; the acknowledgements were lost with it.
		o.cfg.Log.Info("central has more of a damaged outbox than could be saved", "epoch", ack.Epoch, "acknowledged", ack.Number, "saved_to", before.Last)
	case err != nil:
		o.troubled(old, err)
		return err
	case old.Depth() > 0:
		if old.ownQueue().Acknowledged > before.Acknowledged {
			old.progress()
		}
		return nil
	}
	return o.putAway(old)
}

// putAway ends a saved epoch of which central has everything, and so what came
// before it.
func (o *Outbox) putAway(old *older) error {
	if rep, err := readReport(old.folder); err == nil && rep.Doubtful > 0 {
		rep.Doubtful = 0
		if err := writeReport(old.folder, rep); err != nil {
			o.cfg.Log.Warn("outbox: the report on a damaged database could not be written", "folder", old.folder, "err", err)
		}
	}
	return o.finish(old, sentFolder)
}

// finish sends a saved epoch no more and gives its database another name.
func (o *Outbox) finish(old *older, name string) error {
	o.mu.Lock()
	o.older = slices.DeleteFunc(o.older, func(x *older) bool { return x == old })
	o.sent[old.ownQueue().Epoch] = true
	o.mu.Unlock()
	err := old.Close()
	if err == nil {
		err = durable.Rename(filepath.Join(old.folder, savedFolder), filepath.Join(old.folder, name))
	}
	if err != nil {
		o.cfg.Log.Warn("outbox: a saved epoch could not be put away; it is sent again after a restart, which does no harm", "folder", old.folder, "err", err)
	}
	o.noteRescued()
	o.wake()
	return nil
}

// rewindOlder makes results of a saved epoch wait again. Where central misses
// what comes before the saved ones, they follow on nothing and can never be
// taken: staff are told, who may carry them.
func (o *Outbox) rewindOlder(ctx context.Context, old *older, ack wire.Ack) error {
	err := old.Rewind(ctx, ack)
	o.troubled(old, err)
	if !errors.Is(err, ErrGone) {
		return err
	}
	first, err2 := do(ctx, old.Outbox, "look", func(context.Context) (uint64, error) { return old.head.first, nil })
	if err2 != nil || first <= ack.Number+1 {
		return errors.Join(err, err2)
	}
	rep, err2 := readReport(old.folder)
	if err2 == nil {
		rep.Stranded, rep.Saved = rep.Stranded+old.ownQueue().Last-first+1, 0
		rep.Unreadable, rep.Doubtful = rep.Unreadable+first-1-ack.Number, 0
		err2 = writeReport(old.folder, rep)
	}
	if err2 != nil {
		return errors.Join(err, err2)
	}
	return errors.Join(err, o.finish(old, unsentFolder))
}

// sendAgain has the saved epochs sent once more of which central had
// everything: it was set back, and may have lost them, too.
func (o *Outbox) sendAgain() {
	o.mu.Lock()
	o.asides.again = true
	o.mu.Unlock()
	o.startRescue()
}

// takeBack makes the saved epoch of a folder wait again that was put away.
func (o *Outbox) takeBack(folder string) error {
	sent := filepath.Join(folder, sentFolder)
	if !exists(sent) || exists(folder, savedFolder) {
		return nil
	}
	old := newOutbox(o.cfg, filepath.Join(sent, dbName))
	if err := old.openOnce(o.ending); err != nil {
		return err
	}
	_, err := do(o.ending, old, "rewind", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, old.setAcked(ctx, max(old.head.first, 1)-1)
	})
	if err = errors.Join(err, old.Close()); err != nil {
		return err
	}
	o.mu.Lock()
	delete(o.sent, old.queue.Epoch)
	o.mu.Unlock()
	return durable.Rename(sent, filepath.Join(folder, savedFolder))
}

func (o *Outbox) closeOlder() error {
	var err error
	for _, old := range o.olderEpochs() {
		err = errors.Join(err, old.Close())
	}
	return err
}
