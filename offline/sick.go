package offline

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3"

	"gateagent/internal/durable"
)

// A sector that cannot be read any more is damage as well, and the commonest.
// A disk that just fails for a while says the same, so it must have said so
// several times over a while, and elsewhere in the state folder it must work.

const (
	unreadableTries = 3
	unreadableAfter = time.Minute
	unreadableName  = dbFolder + ".unreadable" // remembers it over restarts
)

// unreadable counts reads that failed.
type unreadable struct {
	First time.Time `json:"first"`
	Tries int       `json:"tries"`
}

// again notes one more, and says whether it lasts.
func (u *unreadable) again(now time.Time, after time.Duration) bool {
	if u.Tries == 0 {
		u.First = now
	}
	u.Tries++
	return u.Tries >= unreadableTries && now.Sub(u.First).Abs() >= after
}

// isUnreadable tells an error of reading from those of writing.
func isUnreadable(err error) bool {
	var sq sqlite3.Error
	return errors.As(err, &sq) && (sq.ExtendedCode == sqlite3.ErrIoErrRead || sq.ExtendedCode == sqlite3.ErrIoErrShortRead)
}

// lasting turns an error of reading that lasts into damage. what is the work
// that met it; the caller holds turn.
func (o *Outbox) lasting(what string, err error) error {
	if !isUnreadable(err) {
		if err == nil {
			delete(o.unreadable, what)
		}
		return err
	}
	if o.unreadable == nil {
		o.unreadable = make(map[string]*unreadable)
	}
	if o.unreadable[what] == nil {
		o.unreadable[what] = new(unreadable)
	}
	if !o.unreadable[what].again(time.Now(), o.cfg.unreadableAfter) {
		return err
	}
	return o.badSector(err)
}

// badSector makes damage of an error of reading that lasts, if the disk works
// elsewhere.
func (o *Outbox) badSector(err error) error {
	if !diskWorks(o.cfg.Dir) {
		return err
	}
	clear(o.unreadable)
	return errors.Join(damage("a part of it cannot be read any more"), err)
}

// lastingAtStart does so over restarts: a start ends with the error.
func (o *Outbox) lastingAtStart(err error) error {
	path := filepath.Join(o.cfg.Dir, unreadableName)
	if !isUnreadable(err) {
		if err == nil && exists(path) {
			_ = durable.Erase(path) // it says something of the past, and is written anew
		}
		return err
	}
	var u unreadable
	if text, bad := os.ReadFile(path); bad == nil && json.Unmarshal(text, &u) != nil {
		u = unreadable{}
	}
	lasts := u.again(o.cfg.Now(), o.cfg.unreadableAfter)
	text, bad := json.Marshal(u)
	if bad == nil {
		bad = durable.WriteFile(path, text, 0o600)
	}
	if bad != nil || !lasts { // nothing can be written either, or it may pass
		return err
	}
	return o.badSector(err)
}

// diskWorks says whether something can be written in a folder, synced and read.
func diskWorks(dir string) bool {
	path, text := filepath.Join(dir, dbFolder+".probe"), bytes.Repeat([]byte("probe"), 100)
	if durable.WriteFile(path, text, 0o600) != nil {
		return false
	}
	got, err := os.ReadFile(path)
	return errors.Join(err, os.Remove(path)) == nil && bytes.Equal(got, text)
}
