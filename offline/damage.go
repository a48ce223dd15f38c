package offline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"

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

// replace sets a damaged database aside and begins a new one, so that the
// gate goes on. The old file stays; what can be read of its results is sent from
// a copy, and open admissions and referrals are carried over as far as they can
// be read.
func (o *Outbox) replace(ctx context.Context, why error) error {
	if o.lock == nil {
		return why // one of an older epoch: nothing is stored in it any more
	}
	open := o.salvageOpen(ctx)
	if o.db != nil {
		// A damaged file may fail to close; it is moved away all the same.
		_ = o.db.Close()
		o.db = nil
	}
	aside, err := o.setAside()
	if err != nil {
		return fmt.Errorf("%w; it cannot be set aside: %w", why, err)
	}
	o.head, o.pages = head{}, pages{}
	if err := o.openOnce(ctx); err != nil {
		return fmt.Errorf("begin a new outbox: %w", err)
	}
	if err := o.carryOpen(ctx, open); err != nil {
		return fmt.Errorf("begin a new outbox: %w", err)
	}
	text := fmt.Sprintf("the outbox was damaged and is set aside as %s; a new one began; what can be saved of the results that central had not acknowledged is sent first", aside)
	o.note("database", "fault", text)
	o.cfg.Log.Error("outbox damaged", "set_aside", aside, "why", why, "new_epoch", o.head.epoch, "open_carried", len(open))
	o.startRescue()
	return nil
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

// setAside renames the folder of the database. One rename: a database without
// its log would be an older one that gives numbers twice, and a log beside a
// new database would be played into it.
func (o *Outbox) setAside() (string, error) {
	aside := filepath.Join(o.cfg.Dir, damagedPrefix+o.cfg.Now().UTC().Format("20060102T150405.000000000"))
	return aside, durable.Rename(filepath.Dir(o.path), aside)
}

// damagedPrefix begins the name of a folder that was set aside.
const damagedPrefix = dbFolder + ".damaged-"

// damagedFolders gives the folders in a state folder that were set aside, the
// oldest first.
func damagedFolders(dir string) []string {
	folders, _ := filepath.Glob(filepath.Join(dir, damagedPrefix+"*")) // the pattern is sound
	slices.Sort(folders)
	return folders
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
