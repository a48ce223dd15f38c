// Package offline is the outbox: every result of the gate, on disk, until
// central itself has acknowledged it.
//
// The guarantee. When Append returns a number, the record is committed and
// synced: no crash of the agent and no power cut takes it away, and the
// number is never given to another record of the same epoch. When Append
// returns an error, the gate must stay shut; nothing half-written is left.
// (ErrUnsure alone leaves open whether the record is there: the disk did not
// answer in time.) A record leaves the disk only after Acknowledge was given
// central's word for it with the chain hash of this very row, and then only
// after a time of grace, in case central is restored from an older backup.
//
// Records are numbered from 1 within an epoch, sixteen random bytes that a
// new database draws for itself, and each carries the hash of the one before,
// so that a removed, altered or reordered record shows.
//
// With a key of Config.Seal each record is sealed before it is written: the
// disk holds ciphertext and, in clear, when each record was made, the hashes,
// and of what is still open the transaction, its time, gate, outcome and the
// codes that staff are shown. The chain runs over the sealed bodies, so that
// one whose time is over can be deleted and the chain still verifies.
//
// An admission stays open in the same database until a passage is appended
// for it, a referral until a resolution is: both survive a restart.
//
// A damaged database is set aside whole and a new one begins at once; so is one
// of which a part cannot be read for a while (sick.go). What can be read of the
// old one's results is copied beside it (rescue.go) and sent first, under the
// old epoch (older.go): results that follow on the acknowledged ones without a
// gap, and before them those that are kept. Those behind a gap lie in a file
// next to it, which is carried by hand (stranded.go). What fails on the way is
// tried again every minute (aside.go). The folder stays until somebody removes
// it, and staff are told of it as long (tell.go).
package offline

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gateagent/gate/wire"
)

// Errors that callers tell apart. The wrapping text names path and remedy.
var (
	// ErrFull: the configured bound is reached.
	ErrFull = errors.New("the outbox is full")
	// ErrDiskFull: the file system is.
	ErrDiskFull = errors.New("the disk is full")
	// ErrUnsure: the disk did not answer in time; the record may or may not
	// turn out to be there. The gate stays shut.
	ErrUnsure = errors.New("the disk did not answer in time")
	// ErrInUse: another agent holds the state folder.
	ErrInUse = errors.New("the state folder is in use")
	// ErrClosed: the outbox was closed.
	ErrClosed = errors.New("the outbox is closed")
	// ErrForeignAck: the acknowledgement is for another kiosk or epoch.
	ErrForeignAck = fmt.Errorf("%w: it is for another kiosk or epoch", wire.ErrAckRefused)
	// ErrAckChain: the acknowledged hash is not this row's.
	ErrAckChain = fmt.Errorf("%w: it is for another content", wire.ErrAckRefused)
	// ErrAckAhead: central holds results that this database never had, so the
	// state folder was restored from an older copy or is used twice.
	ErrAckAhead = fmt.Errorf("%w: it is for results that were never stored here", wire.ErrAckRefused)
	// ErrGone: central asks for results that are no longer kept.
	ErrGone = fmt.Errorf("%w: results that central asks for are no longer kept", wire.ErrAckRefused)
)

// Defaults of Config.
const (
	DefaultMaxBytes  = 2 << 30
	DefaultMinFree   = 64 << 20
	DefaultKeepAge   = 7 * 24 * time.Hour
	DefaultKeepBytes = 256 << 20
	DefaultTimeout   = 2 * time.Second
)

// Config says where the outbox lies and how much it may hold.
type Config struct {
	Dir   string // state folder of the agent; made with mode 0700
	Kiosk string // name of the kiosk, part of every chain hash
	Log   *slog.Logger

	// MaxBytes bounds the database. At the bound an admission is refused;
	// other records still find the reserve of a sixteenth.
	MaxBytes int64
	// MaxAge bounds how long the oldest result may wait for central before an
	// admission is refused; 0 sets no bound.
	MaxAge time.Duration
	// MinFree is what the file system must have left for an admission.
	// Negative switches the check off.
	MinFree int64
	// KeepAge and KeepBytes bound the acknowledged results that are kept for a
	// central restored from a backup. Negative keeps none.
	KeepAge   time.Duration
	KeepBytes int64
	// Timeout bounds each call whose context has no earlier deadline.
	Timeout time.Duration
	// Now is the clock of grace periods and names; time.Now when nil.
	Now func() time.Time

	// Seal is the key to which records are sealed before they are written;
	// nil writes them in clear.
	Seal *wire.SealKey
	// Retention is how long a body stays at most, acknowledged or not; 0 sets
	// no end. Expire carries it out.
	Retention time.Duration

	// unreadableAfter is how long reads must have failed to count as damage.
	unreadableAfter time.Duration
	// vfs is the file layer of SQLite under the database; its own when empty.
	vfs string
}

func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MinFree == 0 {
		c.MinFree = DefaultMinFree
	}
	if c.KeepAge == 0 {
		c.KeepAge = DefaultKeepAge
	}
	if c.KeepBytes == 0 {
		c.KeepBytes = DefaultKeepBytes
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.unreadableAfter == 0 {
		c.unreadableAfter = unreadableAfter
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
