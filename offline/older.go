package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
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
	return time.Now().Before(old.rest)
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
	o.mu.Lock()
	defer o.mu.Unlock()
	return ack.Kiosk == o.cfg.Kiosk && o.sent[ack.Epoch]
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
		old.pause()
		return err
	case old.Depth() > 0:
		if old.ownQueue().Acknowledged > before.Acknowledged {
			old.progress()
		}
		return nil
	}
	return o.putAway(old)
}

// putAway ends a saved epoch of which central has everything.
func (o *Outbox) putAway(old *older) error { return o.finish(old, sentFolder) }

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

// rewindOlder makes results of a saved epoch wait again. If it was a guess
// that central has what comes before them, it has not: they follow on nothing,
// can never be taken, and staff are told.
func (o *Outbox) rewindOlder(ctx context.Context, old *older, ack wire.Ack) error {
	err := old.Rewind(ctx, ack)
	if err == nil {
		return nil
	}
	old.pause()
	rep, err2 := readReport(old.folder)
	if !errors.Is(err, ErrGone) || rep.Doubtful == 0 {
		return errors.Join(err, err2)
	}
	rep.Stranded, rep.Saved = rep.Stranded+rep.Saved, 0
	rep.Unreadable, rep.Doubtful = rep.Unreadable+rep.Acknowledged-ack.Number, 0
	if err2 := writeReport(old.folder, rep); err2 != nil {
		return errors.Join(err, err2)
	}
	return errors.Join(err, o.finish(old, unsentFolder))
}

func (o *Outbox) closeOlder() error {
	var err error
	for _, old := range o.olderEpochs() {
		err = errors.Join(err, old.Close())
	}
	return err
}

// startRescue looks, beside the work, for databases that were set aside, saves
// what can be saved, and has it sent.
func (o *Outbox) startRescue() {
	folders := damagedFolders(o.cfg.Dir)
	if len(folders) == 0 {
		return
	}
	epoch := o.head.epoch
	o.rescues.Go(func() {
		o.rescueMu.Lock()
		defer o.rescueMu.Unlock()
		for _, folder := range folders {
			if err := o.rescueOne(folder, epoch); err != nil && o.ending.Err() == nil {
				o.cfg.Log.Error("outbox: a damaged database could not be looked through; the next start tries again", "folder", folder, "err", err)
			}
		}
		o.noteRescued()
		o.wake()
	})
}

// rescueOne saves what one folder holds, unless that is done, and takes up
// what was saved and not yet sent.
func (o *Outbox) rescueOne(folder, epoch string) error {
	if _, err := readReport(folder); errors.Is(err, os.ErrNotExist) {
		rep, err := rescue(o.ending, o.cfg, folder)
		if err != nil {
			return err
		}
		o.cfg.Log.Warn("outbox: a damaged database was looked through", "folder", folder, "epoch", rep.Epoch,
			"saved", rep.Saved, "stranded", rep.Stranded, "unreadable", rep.Unreadable, "doubtful", rep.Doubtful, "problem", rep.Problem)
	} else if err != nil {
		return err
	}
	path := filepath.Join(folder, savedFolder, dbName)
	if _, err := os.Stat(path); err != nil {
		return nil // nothing was saved, or it is sent
	}
	if slices.ContainsFunc(o.olderEpochs(), func(x *older) bool { return x.folder == folder }) {
		return nil // it is open already, and would be locked
	}
	cfg := o.cfg
	cfg.KeepAge, cfg.KeepBytes = 100*365*24*time.Hour, math.MaxInt64 // nothing is deleted here
	old := &older{folder: folder, Outbox: newOutbox(cfg, path)}
	if err := old.openOnce(o.ending); err != nil {
		return err
	}
	q := old.ownQueue()
	o.mu.Lock()
	again := q.Epoch == epoch || slices.ContainsFunc(o.older, func(x *older) bool { return x.ownQueue().Epoch == q.Epoch })
	if !again {
		o.older = append(o.older, old)
	}
	o.mu.Unlock()
	if again {
		return old.Close()
	}
	if q.Last == q.Acknowledged {
		return o.putAway(old)
	}
	return nil
}

func readReport(folder string) (rescueReport, error) {
	var r rescueReport
	text, err := os.ReadFile(filepath.Join(folder, reportName))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", filepath.Join(folder, reportName), err)
	}
	return r, nil
}

func writeReport(folder string, r rescueReport) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(folder, reportName), append(text, '\n'), 0o600)
}

// noteRescued tells staff of the newest database that was set aside, as long
// as its folder is there: a fault while results wait or are missing.
func (o *Outbox) noteRescued() {
	folders := damagedFolders(o.cfg.Dir)
	if len(folders) == 0 {
		o.note("database", "", "")
		return
	}
	var waiting, stranded, unreadable, doubtful uint64
	worst := ""
	for _, folder := range folders {
		r, err := readReport(folder)
		if err != nil {
			return // the text that is shown says so
		}
		if r.missing() || worst == "" {
			worst = folder
		}
		stranded, unreadable, doubtful = stranded+r.Stranded, unreadable+r.Unreadable, doubtful+r.Doubtful
		if r.Problem != "" {
			o.note("database", "fault", fmt.Sprintf("the outbox was damaged and is set aside as %s; nothing in it can be read: restore it from there by hand", folder))
			return
		}
	}
	for _, old := range o.olderEpochs() {
		waiting += uint64(old.Depth())
	}
	switch {
	case stranded+unreadable > 0:
		o.note("database", "fault", fmt.Sprintf("the outbox was damaged and is set aside as %s: %d results cannot be read and %d lie behind them; %d saved ones wait for central; remove the folder when that is settled",
			worst, unreadable, stranded, waiting))
	case doubtful > 0:
		o.note("database", "fault", fmt.Sprintf("the outbox was damaged and is set aside as %s: whether central has the first %d results cannot be read there: compare at central; %d saved ones wait; remove the folder when that is settled",
			worst, doubtful, waiting))
	case waiting > 0:
		o.note("database", "fault", fmt.Sprintf("the outbox was damaged and is set aside as %s: all its results are saved, %d wait for central", worst, waiting))
	default:
		o.note("database", "warning", fmt.Sprintf("the outbox was damaged and is set aside as %s: central has all its results; check the disk and remove the folder", worst))
	}
}
