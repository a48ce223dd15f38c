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
	"strings"
	"sync"
	"time"

	"gateagent/internal/durable"
)

// damagedPrefix begins the name of a folder that was set aside.
const damagedPrefix = dbFolder + ".damaged-"

// Names inside such a folder. Without a report it was not looked through yet,
// and whatever else lies there is begun anew.
const (
	reportName   = "report.json"    // what could be saved
	savedFolder  = "saved"          // results to be sent under their old epoch
	savingFolder = "saving"         // the same, unfinished
	sentFolder   = "sent"           // the same, acknowledged
	unsentFolder = "unsent"         // the same, which central cannot take
	epochName    = "epoch"          // as text, beside the database while it is in use
	strandedName = "stranded.jsonl" // results behind a gap, to be carried by hand
	redoneName   = "redone"         // what was saved went bad as well, and was saved again
)

// asideAgain is how often what failed with a folder is tried again.
const asideAgain = time.Minute

// damagedFolders gives the folders in a state folder that were set aside, the
// oldest first.
func damagedFolders(dir string) (folders []string) {
	entries, _ := os.ReadDir(dir) // what cannot be read is found another time
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), damagedPrefix) {
			folders = append(folders, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(folders)
	return folders
}

func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}

// startRescue has the folders that were set aside looked at. It never blocks.
func (o *Outbox) startRescue() {
	o.mu.Lock()
	o.asides.asked++
	o.mu.Unlock()
	select {
	case o.asides.due <- struct{}{}:
	default: // it is due already
	}
}

// asides is the state of what goes on beside the work.
type asides struct {
	due chan struct{}
	// Outbox.mu guards the following.
	asked, done uint64            // how often a look was asked for, and for which it was taken
	changed     chan struct{}     // closed when done grows
	later       map[string]string // why folders could not be taken up
	again       bool              // what was put away is to be sent once more

	telling sync.Mutex // held while staff are told, so that the newest stands
}

func newAsides() *asides {
	return &asides{due: make(chan struct{}, 1), changed: make(chan struct{}), later: make(map[string]string)}
}

// Settled waits until every database that was set aside was looked at: what
// could be saved of it can be acknowledged then.
func (o *Outbox) Settled(ctx context.Context) error {
	for {
		o.mu.Lock()
		done, changed := o.asides.done >= o.asides.asked, o.asides.changed
		o.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-o.ending.Done():
			return ErrClosed
		}
	}
}

// rescueLoop looks at the folders when that is asked for, and again where it
// failed, until the outbox is closed.
func (o *Outbox) rescueLoop() {
	again := time.NewTimer(asideAgain)
	defer again.Stop()
	again.Stop()
	for {
		select {
		case <-o.ending.Done():
			return
		case <-o.asides.due:
		case <-again.C:
		}
		o.mu.Lock()
		asked := o.asides.asked
		o.mu.Unlock()
		if !o.takeUpAll() {
			again.Reset(asideAgain)
		}
		o.mu.Lock()
		o.asides.done = asked
		close(o.asides.changed)
		o.asides.changed = make(chan struct{})
		o.mu.Unlock()
	}
}

// takeUpAll says whether every folder is settled or on its way.
func (o *Outbox) takeUpAll() bool {
	o.mu.Lock()
	again := o.asides.again
	o.asides.again = false
	o.mu.Unlock()
	later := make(map[string]string)
	for _, folder := range damagedFolders(o.cfg.Dir) {
		if again {
			if err := o.takeBack(folder); err != nil {
				o.cfg.Log.Warn("outbox: what was saved of a damaged database cannot be sent once more", "folder", folder, "err", err)
			}
		}
		err := o.takeUp(folder)
		if o.ending.Err() != nil {
			return true
		}
		if err != nil {
			later[folder] = err.Error()
		}
	}
	o.mu.Lock()
	said := o.asides.later
	o.asides.later = later
	o.mu.Unlock()
	for folder, why := range later {
		if said[folder] != why {
			o.cfg.Log.Error("outbox: what a damaged database holds cannot be sent yet, which is tried again", "folder", folder, "err", why)
		}
	}
	o.noteRescued()
	o.wake()
	return len(later) == 0
}

// takeUp saves what one folder holds, unless that is done, and takes up what
// was saved and not yet sent.
func (o *Outbox) takeUp(folder string) error {
	if old := o.olderIn(folder); old != nil {
		if !old.isBad() {
			return nil
		}
		o.letGo(old)
		return o.takeUpAnew(folder)
	}
	rep, err := o.report(folder)
	switch {
	case err != nil:
		return err
	case !exists(folder, savedFolder):
		o.noteSent(rep.Epoch)
		return nil
	case rep.Saved == 0: // interrupted
		return durable.Rename(filepath.Join(folder, savedFolder), filepath.Join(folder, unsentFolder))
	case o.sentBefore(rep.Epoch):
		return nil // it could not be put away
	}
	err = o.openSaved(folder)
	if isDamage(err) {
		return o.takeUpAnew(folder)
	}
	return err
}

// takeUpAnew takes up a folder of which what was saved went bad. It ends, since
// redo does so once.
func (o *Outbox) takeUpAnew(folder string) error {
	if err := redo(folder); err != nil {
		return err
	}
	return o.takeUp(folder)
}

// report gives the report on a folder, after a look through it where there is
// none yet.
func (o *Outbox) report(folder string) (rescueReport, error) {
	rep, err := readReport(folder)
	if err == nil || !errors.Is(err, os.ErrNotExist) && !isDamage(err) {
		return rep, err
	}
	if rep, err = rescue(o.ending, o.cfg, folder); err == nil {
		o.cfg.Log.Warn("outbox: a damaged database was looked through", "folder", folder, "epoch", rep.Epoch, "saved", rep.Saved,
			"stranded", rep.Stranded, "unreadable", rep.Unreadable, "doubtful", rep.Doubtful, "end_unknown", rep.EndUnknown, "problem", rep.Problem)
	}
	return rep, err
}

// openSaved opens what was saved of a folder, to be sent.
func (o *Outbox) openSaved(folder string) error {
	cfg := o.cfg
	cfg.KeepAge, cfg.KeepBytes = 100*365*24*time.Hour, math.MaxInt64 // nothing is deleted here
	old := &older{folder: folder, Outbox: newOutbox(cfg, filepath.Join(folder, savedFolder, dbName))}
	if err := old.openOnce(o.ending); err != nil {
		return err
	}
	q := old.ownQueue()
	o.mu.Lock()
	again := o.inUse(q.Epoch)
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

// redo has a folder looked through anew, since what had been saved of it went
// bad. The second time that is given up: what was not sent counts as unreadable.
func redo(folder string) error {
	mark := filepath.Join(folder, redoneName)
	if !exists(mark) {
		if err := durable.WriteFile(mark, nil, 0o600); err != nil {
			return err
		}
		return durable.Erase(filepath.Join(folder, reportName))
	}
	rep, err := readReport(folder)
	if err != nil {
		return err
	}
	rep.Unreadable, rep.Saved = rep.Unreadable+rep.Saved, 0
	if err := writeReport(folder, rep); err != nil {
		return err
	}
	return durable.Rename(filepath.Join(folder, savedFolder), filepath.Join(folder, unsentFolder))
}

// readReport reads the report on a folder; one that is spoilt is damage.
func readReport(folder string) (rescueReport, error) {
	var r rescueReport
	path := filepath.Join(folder, reportName)
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, damage(fmt.Sprintf("%s: %v", path, err))
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
