package pcsc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/gate"

	"github.com/ebfe/scard"
)

// Config says which reader to drive and how.
type Config struct {
	// Reader is the name of the reader, or a pattern in which * stands for
	// any characters and ? for one. It must fit exactly one reader. Empty
	// refuses.
	Reader string
	// Exclusive keeps other programs from the card while it is connected.
	// Lanes want it. Without it another program may talk to the card
	// between two commands and break the session.
	Exclusive bool
	// LockDir, when not empty, is where Run holds the reader's lock while
	// it drives the reader; see Lock.
	LockDir string
	// LockAlso is a second folder, in which the lock is held as well as far
	// as that folder can be made: where those look who know no LockDir.
	LockAlso string
	// Log receives what happens to reader and daemon; nil logs nothing.
	Log *slog.Logger
}

const (
	// Pauses between attempts to reach a daemon that is not there. It has
	// no way to say that it has come.
	redialFirst = 100 * time.Millisecond
	redialLast  = 3 * time.Second
	// dialWithin is how long the daemon may take to accept before it is
	// reported as hanging.
	dialWithin = 5 * time.Second
	// renewMissing renews the wait for a reader that is missing: libpcsclite
	// before 2.3 compares the list of readers only with that of the moment
	// the wait began.
	renewMissing = 10 * time.Second
	// renewLock is how often a reader that another process holds is tried.
	renewLock = 500 * time.Millisecond
)

// Reader drives one card reader. It implements gate.Cards.
type Reader struct {
	cfg    Config
	log    *slog.Logger
	line   *line
	events chan gate.CardEvent
	wake   chan struct{} // says that queue is not empty

	mu      sync.Mutex // guards what follows
	running bool
	name    string // the reader that fits; empty while there is none
	problem error  // why it cannot be used; nil when it can
	present bool
	stuck   bool // an abandoned call has not come back
	last    gate.CardEvent
	queue   []gate.CardEvent // not yet delivered
}

var (
	_ gate.Cards = (*Reader)(nil)
	_ gate.Card  = (*Card)(nil)
)

// New makes a reader. It does nothing before Run.
func New(cfg Config) *Reader {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reader{
		cfg:     cfg,
		log:     cfg.Log.With("reader", cfg.Reader),
		events:  make(chan gate.CardEvent),
		wake:    make(chan struct{}, 1),
		problem: fault(cfg.Reader, "watch", "the reader's task has not started", ""),
	}
	r.line = newLine(r.setStuck)
	return r
}

// Events delivers every change, the current state first.
func (r *Reader) Events() <-chan gate.CardEvent { return r.events }

// Name is the reader that is driven now, empty while there is none.
func (r *Reader) Name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.name
}

// Run watches the reader until ctx ends; then it returns nil. Another error
// says that the configuration can never work.
func (r *Reader) Run(ctx context.Context) error {
	if r.cfg.Reader == "" {
		return errors.New("card reader: no name is configured: `gateagent readers` lists what is there")
	}
	r.mu.Lock()
	if r.running {
		r.mu.Unlock()
		return fmt.Errorf("card reader %q: its task runs already", r.cfg.Reader)
	}
	r.running = true
	r.mu.Unlock()

	var pump sync.WaitGroup
	pump.Go(func() { r.deliver(ctx) })
	pause := redialFirst
	for ctx.Err() == nil {
		reached, err := r.session(ctx)
		if ctx.Err() != nil {
			break
		}
		r.set("", false, err)
		if reached {
			pause = redialFirst
		}
		sleep(ctx, pause)
		pause = min(2*pause, redialLast)
	}
	pump.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running, r.name, r.present, r.problem = false, "", false,
		fault(r.cfg.Reader, "watch", "the reader's task has ended", "")
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// session is one connection to the daemon, until it breaks or ctx ends.
// reached says whether the daemon answered at all.
func (r *Reader) session(ctx context.Context) (reached bool, err error) {
	dialing, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	sc, settled, err := dial(dialing)
	if err != nil && ctx.Err() == nil && dialing.Err() != nil {
		// One hanging attempt is enough: wait for it, do not add others.
		r.set("", false, fault(r.cfg.Reader, "connect to pcscd", errHung.Error(),
			"restart it: `systemctl restart pcscd`"))
		select {
		case <-settled:
		case <-ctx.Done():
		}
	}
	if err != nil {
		return false, failure(r.cfg.Reader, "connect to pcscd", err)
	}
	err = r.watch(ctx, sc)
	if !errors.Is(err, errHung) {
		releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		hangUp(releasing, sc)
	}
	return true, failure(r.cfg.Reader, "watch", err)
}

// watch follows readers and cards until the daemon is lost or ctx ends.
func (r *Reader) watch(ctx context.Context, sc *scard.Context) error {
	for {
		names, err := listReaders(sc)
		if err != nil {
			return err
		}
		name, err := pick(r.cfg.Reader, names)
		if err != nil {
			r.set("", false, err)
			err = waitChange(ctx, sc, []scard.ReaderState{r.state(notification)}, renewMissing)
		} else {
			err = r.watchLocked(ctx, sc, name)
		}
		switch {
		case errors.Is(err, scard.ErrUnknownReader):
			sleep(ctx, redialFirst) // it went while we asked; the list follows
		case err != nil && !errors.Is(err, scard.ErrTimeout):
			return err
		}
	}
}

// state names a reader for a wait. The library keeps the name of a running
// wait alive in a map by name, so that a second wait of this process for the
// same name would free the first one's. What follows the zero makes ours
// unique; the C library does not see it.
func (r *Reader) state(name string) scard.ReaderState {
	return scard.ReaderState{Reader: fmt.Sprintf("%s\x00%p", name, r)}
}

// watchLocked takes the reader's lock where one is configured, and watches.
func (r *Reader) watchLocked(ctx context.Context, sc *scard.Context, name string) error {
	if r.cfg.LockDir != "" {
		lock, err := Lock(r.cfg.LockDir, name)
		if err != nil {
			return r.refused(ctx, err)
		}
		defer lock.Release()
	}
	if r.cfg.LockAlso != "" && !sameFolder(r.cfg.LockAlso, r.cfg.LockDir) {
		lock, err := Lock(r.cfg.LockAlso, name)
		switch {
		case err == nil:
			defer lock.Release()
		case errors.Is(err, ErrLocked):
			return r.refused(ctx, err)
		default:
			r.log.Warn("others cannot see that this reader is in use", "err", err)
		}
	}
	return r.watchReader(ctx, sc, name)
}

// refused waits a little beside whoever holds the reader.
func (r *Reader) refused(ctx context.Context, err error) error {
	r.set("", false, err)
	sleep(ctx, renewLock)
	return ctx.Err()
}

// watchReader follows one reader while it is there; nil says it has gone.
func (r *Reader) watchReader(ctx context.Context, sc *scard.Context, name string) error {
	r.log.Info("card reader found", "name", name)
	states := []scard.ReaderState{r.state(name)}
	for {
		if err := waitChange(ctx, sc, states, -1); err != nil {
			return err
		}
		before, now := states[0].CurrentState, states[0].EventState
		states[0].CurrentState = now &^ scard.StateChanged
		switch {
		case now&scard.StateUnknown != 0:
			r.log.Warn("card reader gone", "name", name)
			return nil
		case now&scard.StateUnavailable != 0:
			r.set(name, false, fault(name, "watch", "it does not respond", "unplug it and plug it in again"))
			continue
		}
		present := now&scard.StatePresent != 0
		// The upper half counts insertions and removals (SCardGetStatusChange
		// of pcsc-lite): a card that was swapped between two looks.
		if swapped := events(before) != events(now); swapped && present && before&scard.StatePresent != 0 {
			r.set(name, false, nil)
		}
		r.set(name, present, nil)
	}
}

func events(s scard.StateFlag) uint32 { return uint32(s) >> 16 }
