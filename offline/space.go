package offline

import (
	"context"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"gateagent/gate"
)

// pages is the size of the database as last measured, and what was added
// since.
type pages struct {
	bytes int64 // pages in use
	since int64 // estimate of what was appended after the measurement
}

func (p *pages) used() int64 { return p.bytes + p.since }

// rowSize estimates, rather too high, what a record adds: its body, a second
// time while the transaction is open, hashes, keys and page slack.
func rowSize(body int) int64 { return 2*int64(body) + 400 }

func (p *pages) grow(body int) { p.since += rowSize(body) }

// measureAfter is the estimate after which the true size is asked for again.
const measureAfter = 1 << 20

// measure reads the true size. Free pages count as free.
func (o *Outbox) measure(ctx context.Context) error {
	var count, free, size int64
	err := o.db.QueryRowContext(ctx, `SELECT (SELECT page_count FROM pragma_page_count), (SELECT freelist_count FROM pragma_freelist_count),
		(SELECT page_size FROM pragma_page_size)`).Scan(&count, &free, &size)
	if err != nil {
		return err
	}
	if err := o.db.QueryRowContext(ctx, `SELECT coalesce(min(number), 0) FROM result`).Scan(&o.head.first); err != nil {
		return err
	}
	o.pages = pages{bytes: (count - free) * size}
	o.publish()
	return nil
}

// rowAverage is the average size of a row. Numbers have no gaps, so counting
// needs no scan.
func (o *Outbox) rowAverage() int64 {
	if o.head.first == 0 {
		return rowSize(0)
	}
	return max(o.pages.used()/int64(o.head.last-o.head.first+1), 1)
}

// checkRoom refuses what the bounds forbid. An admission is refused first, at
// the bound; what must still be told of earlier ones (passages, referrals,
// resolutions) may use a sixteenth more.
func (o *Outbox) checkRoom(ctx context.Context, admission bool, body int) error {
	limit := o.cfg.MaxBytes
	if !admission {
		limit += limit / 16
	}
	need := rowSize(body)
	if o.pages.since > measureAfter || o.pages.used()+need > limit {
		if err := o.measure(ctx); err != nil {
			return err
		}
	}
	if o.pages.used()+need > limit {
		// Results that central has are the first to go.
		if err := o.pruneFor(ctx, need); err != nil {
			return err
		}
		if o.pages.used()+need > limit {
			o.note("outbox", "fault", fmt.Sprintf("the outbox is full: %d results wait for central; restore the connection", o.head.last-o.head.acked))
			return fmt.Errorf("%w: %d of %d bytes, %d results wait for central; restore the connection to central or raise the bound",
				ErrFull, o.pages.used(), o.cfg.MaxBytes, o.head.last-o.head.acked)
		}
	}
	o.warnEarly()
	if !admission || o.cfg.MinFree < 0 {
		return nil
	}
	free, err := o.freeSpace()
	if err != nil {
		return err
	}
	if free < o.cfg.MinFree {
		o.note("disk", "fault", fmt.Sprintf("%d MiB are free where the outbox lies; nobody is admitted below %d MiB", free>>20, o.cfg.MinFree>>20))
		return fmt.Errorf("%w: %d bytes free and %d are wanted before anybody is admitted; free space on the file system of %s",
			ErrDiskFull, free, o.cfg.MinFree, filepath.Dir(o.path))
	}
	o.note("disk", "", "")
	return nil
}

// freeSpace is what the file system has left for the agent.
func (o *Outbox) freeSpace() (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(o.lock.Fd()), &fs); err != nil {
		return 0, fmt.Errorf("free space: %w", err)
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}

// warnEarly tells staff long before the bound.
func (o *Outbox) warnEarly() {
	// Kept results do not count: they make room when it is needed.
	waiting := o.head.last - o.head.acked
	if size := int64(waiting) * o.rowAverage(); size > o.cfg.MaxBytes/2 {
		o.note("outbox", "warning", fmt.Sprintf("the outbox is %d %% full: %d results wait for central", size*100/o.cfg.MaxBytes, waiting))
		return
	}
	o.note("outbox", "", "")
}

// note sets or clears (with an empty level) the notice of a source and logs a
// change of level once.
func (o *Outbox) note(source, level, text string) {
	o.mu.Lock()
	before := o.notices[source].Level
	if level == "" {
		delete(o.notices, source)
	} else {
		o.notices[source] = gate.Notice{Level: level, Source: source, Text: text}
	}
	o.mu.Unlock()
	if level != before && level != "" {
		o.cfg.Log.Warn("outbox: "+text, "source", source, "level", level)
	}
}

// Notices says what staff should know, most urgent first.
func (o *Outbox) Notices() []gate.Notice {
	aged, old := o.ageNotice()
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []gate.Notice
	for _, level := range []string{"fault", "warning"} {
		for _, source := range []string{"database", "disk", "outbox"} {
			if n, ok := o.notices[source]; ok && n.Level == level {
				out = append(out, n)
			}
		}
		if old && aged.Level == level {
			out = append(out, aged)
		}
	}
	return out
}
