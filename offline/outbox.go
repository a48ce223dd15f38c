package offline

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Outbox is the open outbox of one kiosk. Its methods may be called from
// several goroutines.
type Outbox struct {
	cfg  Config
	path string
	lock *os.File

	// turn is held by whoever works on the database: a channel and not a
	// mutex, so that waiting for it has a deadline.
	turn chan struct{}
	// The following belong to the holder of turn.
	db     *database
	head   head
	stale  bool         // head may be behind the database: load before use
	sealer *wire.Sealer // of sealed, nil when it is not known
	sealed string       // the epoch that sealer seals
	closed bool
	jobs   chan func() // of the goroutine that works on the database; nil before the first
	pages  pages
	// What awaits a second record, by transaction, as in the database.
	opened    map[string]opened
	referrals int // of these
	logged    int // pages in the log that the database lacks, an estimate
	// When and at which number acknowledged rows were last pruned.
	tidied     time.Time
	tidiedAt   uint64
	late       []lateRecord
	unreadable map[string]*unreadable // reads that failed, by what was done
	carry      []wire.Record          // what was open in a database that was set aside, for its successor

	notify chan struct{}
	quiet  *time.Timer // what is done while nobody waits; nil when nothing is

	// What was set aside is worked on beside everything else.
	rescues sync.WaitGroup
	ending  context.Context
	end     context.CancelFunc
	asides  *asides

	mu      sync.Mutex      // guards what the quick getters read
	bootID  string          // empty before the first record
	older   []*older        // saved epochs that wait for central, oldest first
	sent    map[string]bool // epochs that were saved and sent in this run
	queue   wire.Queue
	notices map[string]gate.Notice // by source
}

// head is where the chain stands.
type head struct {
	epoch  string
	first  uint64 // oldest row that is still kept, 0 when there is none
	last   uint64 // newest number ever given
	chain  []byte // chain hash at last
	acked  uint64
	oldest time.Time // of the oldest result that is not acknowledged
}

// newOutbox has neither database nor lock, and no work beside it yet.
func newOutbox(cfg Config, path string) *Outbox {
	return &Outbox{
		cfg: cfg, path: path, turn: make(chan struct{}, 1), notify: make(chan struct{}, 1),
		notices: make(map[string]gate.Notice), sent: make(map[string]bool), end: func() {}, asides: newAsides(),
	}
}

// Open takes the state folder for this process and opens the outbox in it. A
// damaged database is set aside under another name and a new one, with a new
// epoch, begins.
func Open(ctx context.Context, cfg Config) (*Outbox, error) {
	cfg = cfg.withDefaults()
	if err := wire.CheckName(cfg.Kiosk); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	if err := prepareDir(cfg.Dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	o := newOutbox(cfg, filepath.Join(cfg.Dir, dbFolder, dbName))
	o.lock = lock
	o.ending, o.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := o.open(ctx); err != nil {
		o.end()
		return nil, errors.Join(o.explain("open", err), unlockDir(lock))
	}
	o.rescues.Go(o.rescueLoop)
	o.worker()
	o.quiet = time.AfterFunc(quietFor, o.whileQuiet)
	cfg.Log.Info("outbox open", "path", o.path, "epoch", o.head.epoch, "last", o.head.last, "acknowledged", o.head.acked)
	return o, nil
}

// open opens the database and loads the head; a damaged one is replaced.
func (o *Outbox) open(ctx context.Context) error {
	switch err := o.lastingAtStart(o.openOnce(ctx)); {
	case isDamage(err):
		return o.replace(ctx, err)
	case err != nil:
		return err
	}
	return o.resume(ctx)
}

func (o *Outbox) openOnce(ctx context.Context) error {
	ours := exists(filepath.Dir(o.path), epochName) // written when the database was there
	if ours && o.cfg.vfs == "" && isEmpty(o.path) {
		return damage("the file is gone, or empty")
	}
	if err := checkLog(o.path + "-wal"); err != nil {
		return err
	}
	db, err := openDB(ctx, o.path, o.cfg)
	if ours && errors.Is(err, errForeign) {
		return damage(err.Error())
	}
	if err != nil {
		return err
	}
	o.db = db
	if err := o.load(ctx); err != nil {
		o.db = nil
		return errors.Join(err, db.Close())
	}
	o.keepEpoch()
	return nil
}

// isEmpty says whether a file has no content, or is not there.
func isEmpty(path string) bool {
	info, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0
}

// keepEpoch writes the epoch beside the database: without it nothing that can
// be read of a damaged one is proven.
func (o *Outbox) keepEpoch() {
	path := filepath.Join(filepath.Dir(o.path), epochName)
	want := []byte(o.head.epoch + "\n")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) {
		return
	}
	if err := durable.WriteFile(path, want, 0o600); err != nil {
		// The results are safe without it.
		o.cfg.Log.Warn("outbox: the epoch could not be written beside the database", "err", err)
	}
}

// verifyRows is how many of the newest rows are proven when the outbox opens:
// what a crash could have touched, at a cost that does not grow with the
// backlog. The rest is proven when it is sent.
const verifyRows = 64

// load reads the head from the database and proves the newest rows.
func (o *Outbox) load(ctx context.Context) error {
	var h head
	var kiosk string
	if err := o.db.QueryRowContext(ctx, `SELECT kiosk, epoch, acked FROM meta WHERE id = 1`).Scan(&kiosk, &h.epoch, &h.acked); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return damage("the epoch is missing")
		}
		return err
	}
	if kiosk != o.cfg.Kiosk {
		return fmt.Errorf("it belongs to kiosk %q and this agent is %q; give each kiosk its own state folder", kiosk, o.cfg.Kiosk)
	}
	if wire.CheckEpoch(h.epoch) != nil {
		return damage("the epoch is not 32 hex digits")
	}
	if err := o.db.QueryRowContext(ctx, `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'result'), 0)`).Scan(&h.last); err != nil {
		return err
	}
	h.chain = wire.ChainStart()
	if h.last > 0 {
		after := uint64(0)
		if h.last > verifyRows {
			after = max(h.last-verifyRows, h.acked)
		}
		chain, err := o.proveRows(ctx, h.epoch, after, h.last)
		if err != nil {
			return err
		}
		h.chain = chain
	}
	if h.acked > h.last {
		return damage("more is acknowledged than was ever stored")
	}
	o.head = h
	if err := o.loadOldest(ctx); err != nil {
		return err
	}
	if err := o.loadOpen(ctx); err != nil {
		return err
	}
	o.stale = false
	return o.measure(ctx)
}

// proveRows checks the rows after a number up to last and returns the chain
// hash at last. Rows at and below the acknowledged number may be gone.
func (o *Outbox) proveRows(ctx context.Context, epoch string, after, last uint64) ([]byte, error) {
	rows, err := o.db.QueryContext(ctx, `SELECT number, prev, hash, chain, body FROM result WHERE number >= ? ORDER BY number`, max(after, 1))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var chain []byte
	var number uint64
	for rows.Next() {
		var e wire.Entry
		var stored []byte
		if err := rows.Scan(&e.Number, &e.Prev, &e.Hash, &stored, &e.Body); err != nil {
			return nil, err
		}
		if chain != nil && (e.Number != number+1 || !bytes.Equal(e.Prev, chain)) {
			return nil, damage(fmt.Sprintf("result %d does not follow result %d", e.Number, number))
		}
		next, err := wire.ChainNext(o.cfg.Kiosk, epoch, e.Number, e.Prev, e.Hash)
		if err != nil || !bytes.Equal(next, stored) || !e.BodyFits() {
			return nil, damage(fmt.Sprintf("result %d does not match its hashes", e.Number))
		}
		chain, number = next, e.Number
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if number != last {
		return nil, damage(fmt.Sprintf("the newest result is %d and should be %d", number, last))
	}
	return chain, nil
}

// loadOldest reads when the oldest unacknowledged result is from.
func (o *Outbox) loadOldest(ctx context.Context) error {
	o.head.oldest = time.Time{}
	if o.head.acked < o.head.last {
		var ms int64
		if err := o.db.QueryRowContext(ctx, `SELECT at FROM result WHERE number = ?`, o.head.acked+1).Scan(&ms); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				return damage(fmt.Sprintf("result %d is missing", o.head.acked+1))
			}
			return err
		}
		o.head.oldest = time.UnixMilli(ms).UTC()
	}
	o.publish()
	return nil
}

// publish copies the head for the quick getters.
func (o *Outbox) publish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = wire.Queue{
		Epoch: o.head.epoch, Last: o.head.last, Acknowledged: o.head.acked, Oldest: o.head.oldest,
		Bytes: o.pages.used(), MaxBytes: o.cfg.MaxBytes,
	}
}

// Close waits for the running write, closes the database and lets go of the
// state folder. It may be called twice.
func (o *Outbox) Close() error {
	o.end()
	if o.quiet != nil {
		o.quiet.Stop()
	}
	o.rescues.Wait()
	limit := time.NewTimer(o.cfg.Timeout)
	defer limit.Stop()
	select {
	case o.turn <- struct{}{}:
	case <-limit.C:
		// The database stays open: closing it under a commit is worse.
		return o.explain("close", fmt.Errorf("%w; the state folder stays locked until the process ends", ErrUnsure))
	}
	defer func() { <-o.turn }()
	if o.closed {
		return nil
	}
	o.closed = true
	if o.jobs != nil {
		close(o.jobs)
	}
	err := o.closeOlder()
	if o.db != nil {
		err = errors.Join(err, o.db.Close())
	}
	if o.lock != nil {
		err = errors.Join(err, unlockDir(o.lock))
	}
	return err
}

// Notify carries a token after each Append: one reader learns that there is
// something to send.
func (o *Outbox) Notify() <-chan struct{} { return o.notify }

func (o *Outbox) wake() {
	select {
	case o.notify <- struct{}{}:
	default: // a token waits already
	}
}

// Queue says how much waits for central, of the epoch that is to be sent now.
func (o *Outbox) Queue() wire.Queue {
	if old := o.serving(); old != nil {
		return old.Queue()
	}
	return o.ownQueue()
}

func (o *Outbox) ownQueue() wire.Queue {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queue
}

// Depth is the number of results that central has not acknowledged, of all
// epochs.
func (o *Outbox) Depth() int {
	q := o.ownQueue()
	depth := int(q.Last - q.Acknowledged)
	for _, old := range o.olderEpochs() {
		depth += old.Depth()
	}
	return depth
}

// Oldest is the time of the oldest of them, zero when there is none.
func (o *Outbox) Oldest() time.Time {
	for _, old := range o.olderEpochs() {
		if at := old.Oldest(); !at.IsZero() {
			return at
		}
	}
	return o.ownQueue().Oldest
}
