package offline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"

	"gateagent/internal/durable"
)

// damageError is damage that the database itself did not notice.
type damageError string

func damage(what string) error { return damageError(what) }

func (d damageError) Error() string { return "damaged: " + string(d) }

// isDamage tells a damaged database from a disk that is full, slow or gone.
func isDamage(err error) bool {
	var own damageError
	var sq sqlite3.Error
	return errors.As(err, &own) || errors.As(err, &sq) && (sq.Code == sqlite3.ErrCorrupt || sq.Code == sqlite3.ErrNotADB)
}

// isTransient tells trouble that says nothing of what the file holds.
func isTransient(err error) bool {
	var sq sqlite3.Error
	if !errors.As(err, &sq) {
		return false
	}
	switch sq.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrNomem, sqlite3.ErrFull, sqlite3.ErrCantOpen, sqlite3.ErrInterrupt:
		return true
	}
	return false
}

// replaceMost and replaceSpan bound how often a database is replaced: where one
// after the other goes bad the fault is the disk's, and the gate stays shut.
const (
	replaceMost = 10
	replaceSpan = time.Hour
)

// replace sets a damaged database aside and begins a new one, so that the
// gate goes on. The old file stays; what can be read of its results is sent from
// a copy, and open admissions and referrals are carried over as far as they can
// be read.
func (o *Outbox) replace(ctx context.Context, why error) error {
	if o.lock == nil {
		return why // one of an older epoch: nothing is stored in it any more
	}
	if err := o.tooOften(); err != nil {
		return fmt.Errorf("%w; %w", why, err)
	}
	if o.db != nil {
		if open := salvageOpen(ctx, o.db); len(open) > 0 {
			o.carry = open
		}
		// A damaged file may fail to close; it is moved away all the same.
		_ = o.db.Close()
		o.db = nil
	}
	aside, err := o.setAside()
	if err != nil {
		return fmt.Errorf("%w; it cannot be set aside: %w", why, err)
	}
	o.note("database", "fault", fmt.Sprintf("the outbox was damaged and is set aside as %s; what can be saved of the results that central had not acknowledged is sent first", aside))
	o.cfg.Log.Error("outbox damaged", "set_aside", aside, "why", why)
	o.head, o.pages = head{}, pages{}
	err = o.openOnce(ctx)
	if err == nil {
		err = o.resume(ctx)
	}
	if err != nil {
		return fmt.Errorf("begin a new outbox: %w", err)
	}
	o.cfg.Log.Warn("a new outbox began", "epoch", o.head.epoch, "open_carried", len(o.opened))
	return nil
}

// tooOften counts the databases that were set aside of late.
func (o *Outbox) tooOften() error {
	n, now := 0, o.cfg.Now()
	for _, folder := range damagedFolders(o.cfg.Dir) {
		if at, ok := asideAt(folder); ok && now.Sub(at).Abs() < replaceSpan {
			n++
		}
	}
	if n < replaceMost {
		return nil
	}
	text := fmt.Sprintf("%d databases went bad within the hour: disk or memory of this machine fails, replace it; nothing is stored and nobody is admitted", n)
	o.note("database", "fault", text)
	return errors.New(text)
}

// heal replaces the database when what was done with it met damage, whatever
// that was: else it would be met again at each try, and nothing would ever be
// sent or stored. What was done has failed all the same.
func (o *Outbox) heal(ctx context.Context, err error) error {
	if !isDamage(err) || o.db == nil || o.lock == nil {
		return err
	}
	return errors.Join(err, o.replace(ctx, err))
}

// asideTime is how a folder that is set aside is named: its order is that of
// time.
const asideTime = "20060102T150405.000000000"

// asideAt tells from its name when a folder was set aside.
func asideAt(folder string) (time.Time, bool) {
	at, err := time.Parse(asideTime, strings.TrimPrefix(filepath.Base(folder), damagedPrefix))
	return at, err == nil
}

// setAside renames the folder of the database. One rename: a database without
// its log would be an older one that gives numbers twice, and a log beside a
// new database would be played into it.
func (o *Outbox) setAside() (string, error) {
	aside := filepath.Join(o.cfg.Dir, damagedPrefix+o.cfg.Now().UTC().Format(asideTime))
	return aside, durable.Rename(filepath.Dir(o.path), aside)
}

// explain makes an error say which file, what happened and what to do.
func (o *Outbox) explain(what string, err error) error {
	var sq sqlite3.Error
	remedy := ""
	if errors.Is(err, ErrAckAhead) {
		remedy = "; this state folder is an older copy, or two kiosks share it: stop the agent, move the folder outbox aside and start again, a new epoch then begins"
	}
	if errors.As(err, &sq) {
		switch {
		case sq.Code == sqlite3.ErrFull || sq.SystemErrno == syscall.ENOSPC || sq.SystemErrno == syscall.EDQUOT:
			err = fmt.Errorf("%w: %w", ErrDiskFull, err)
			remedy = "; nothing was written: free space on this file system, the outbox goes on by itself"
		case sq.Code == sqlite3.ErrReadonly || sq.Code == sqlite3.ErrCantOpen || sq.Code == sqlite3.ErrPerm:
			remedy = "; give the state folder to the agent's user and check that its file system is mounted writable"
		case sq.Code == sqlite3.ErrIoErr:
			remedy = "; the disk reports errors: check the kernel log, replace the disk"
		case sq.Code == sqlite3.ErrBusy:
			remedy = "; another program holds the database: close it"
		}
	}
	return fmt.Errorf("outbox %s: %s: %w%s", o.path, what, err, remedy)
}
