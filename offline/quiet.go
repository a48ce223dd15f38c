package offline

import (
	"context"
	"errors"
	"os"
	"time"
)

// What costs a commit more than its own write is done while nobody waits at
// the gate: moving the log into the database, and giving the log its length
// beforehand, since a sync of a file that grows writes the file system's
// journal too.
const (
	// quietFor is how long nothing was stored before either is done.
	quietFor = 200 * time.Millisecond
	// logDue is after how many pages the log is moved. SQLite does it within
	// a commit after 1,000 (its own default), so that the log stays bounded
	// whatever happens here.
	logDue = 500
	// logLength holds those 1,000 and a transaction above.
	logLength = 5 << 20
	// logSpare is what the file system must have left for that.
	logSpare = 16 * logLength
	// logChunk: zeros written in larger pieces leave the kernel with large
	// pages of cache, each of which a sync goes through (twice the time on
	// ext4 of Linux 6.18).
	logChunk = 32 << 10
)

// logGrew counts what a commit added to the log: the pages of the row, of the
// sequence, of what is open, and now and then of the trees above.
func (o *Outbox) logGrew(body int) {
	o.logged += 5 + body/pageSize
	if o.quiet != nil && o.logged >= logDue {
		o.quiet.Reset(quietFor)
	}
}

// whileQuiet shortens a log that is long and lengthens its file. Neither is
// needed for anything to be safe: what fails is logged, and done another time.
func (o *Outbox) whileQuiet() {
	_, err := do(o.ending, o, "tidy the log", func(ctx context.Context) (struct{}, error) {
		if o.db == nil {
			return struct{}{}, nil
		}
		if o.logged >= logDue {
			if err := o.shortenLog(ctx); err != nil {
				return struct{}{}, err
			}
		}
		if o.cfg.vfs != "" {
			return struct{}{}, nil
		}
		return struct{}{}, o.lengthenLog()
	})
	if err != nil && o.ending.Err() == nil {
		o.cfg.Log.Warn("outbox: its log stays as it is", "err", err)
	}
}

// shortenLog moves the log into the database; the next commit begins it anew.
func (o *Outbox) shortenLog(ctx context.Context) error {
	var busy, logged, moved int
	if err := o.db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &logged, &moved); err != nil {
		return err
	}
	o.logged = 0
	return nil
}

// lengthenLog writes zeros behind the log, which SQLite takes for its end (a
// frame there has neither the log's salt nor a page number:
// https://www.sqlite.org/fileformat2.html, section 4.1).
func (o *Outbox) lengthenLog() (err error) {
	if free, err := o.freeSpace(); err != nil || free < max(o.cfg.MinFree, 0)+logSpare {
		return err
	}
	f, err := os.OpenFile(o.path+"-wal", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.Size() >= logLength {
		return err
	}
	zeros := make([]byte, logChunk)
	for at := info.Size(); at < logLength; at += logChunk {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return errors.Join(err, f.Truncate(info.Size()))
		}
	}
	return f.Sync()
}
