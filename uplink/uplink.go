// Package uplink takes results from the outbox to central over MQTT 3.1.1 and
// brings central's acknowledgements back.
//
// The guarantee. A result is told until central itself says, signed, that it
// is on its disk; the outbox alone then decides, by the chain hash of its own
// row. Nothing that the broker or the MQTT client says counts: a broker may
// forget what it acknowledged, and a client's token may complete although the
// message was never acknowledged. So each connection is a new client with a
// clean session, nothing is resumed, and a watchdog looks at the one thing
// that matters: whether central's acknowledgements move on while something is
// outstanding.
//
// Results may reach central more than once, in the same order within each
// attempt; central drops the repeats by number and hash.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"gateagent/gate/wire"
)

// Store is where results wait. It is one thing with one reader, which needs
// all of it; so it has more methods than our interfaces usually have.
type Store interface {
	// Queue says where the epoch stands; it never blocks.
	Queue() wire.Queue
	// Notify carries a token after results were added.
	Notify() <-chan struct{}
	// Pending reads the entries after a number, with their epoch, and proves
	// each by its hashes.
	Pending(ctx context.Context, after uint64, maxEntries, maxBytes int) (epoch string, entries []wire.Entry, err error)
	// Acknowledge takes an acknowledgement whose signature was verified and
	// refuses it (wire.ErrAckRefused) where the chain hash is not its own
	// row's.
	Acknowledge(ctx context.Context, ack wire.Ack) error
	// Rewind makes everything after an acknowledgement wait again.
	Rewind(ctx context.Context, ack wire.Ack) error
}

// Config is what an uplink needs. Zero times take their defaults.
type Config struct {
	Identity *wire.Identity
	Brokers  []string       // tls://host:port in order of preference; the identity's when empty
	Paths    []Path         // ways to the broker, best first; empty: the kernel's routes
	Dir      string         // folder where what was used of budgets is kept; empty: not kept
	Zone     *time.Location // whose days and months budgets count for; nil: UTC
	Store    Store
	// Status gives the heartbeat's content; it must not block. The uplink
	// fills in version, time, session and queue.
	Status func() wire.Status
	// Time takes central's signed time; nil asks for none.
	Time Timekeeper
	// Pushed is given the update repository's timestamp whenever the broker
	// has one, proven by nobody; it must not block. Nil: no such topic is
	// asked for.
	Pushed func(timestamp []byte)
	// Command takes central's verified word; nil: none is listened for. It
	// refuses with wire.ErrOld what central has replaced since.
	Command func(*wire.Command) error
	// Now is the time by which certificates are judged; nil: the wall clock.
	Now func() time.Time
	Log *slog.Logger

	Heartbeat  time.Duration // between statuses; 10 s
	AckTimeout time.Duration // without progress, before results are sent again; 10 s, growing to twice as much
	Dial       time.Duration // bound of a connection attempt; 10 s
	RedialMin  time.Duration // 200 ms
	RedialMax  time.Duration // 30 s
	Window     int           // batches on their way at most; 64
	AskAgain   time.Duration // after a question for the time that got no answer; 30 s
	Stable     time.Duration // how long a better path must work before it is gone back to; 30 s
	Look       time.Duration // between looks at better paths; 5 s
}

func orDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Uplink is the connection of one kiosk to central. Run drives it.
type Uplink struct {
	cfg Config
	log *slog.Logger

	routes  []*route
	budgets *budgets

	mu      sync.Mutex // guards the following
	current *route     // connected; nil when none is
	since   time.Time  // of the connection
	notices map[string]notice
	silent  int // how often central was silent over a metered path

	// The following belong to Run. strikes counts missed acknowledgements
	// since the last progress, over all connections.
	strikes  int
	room     room
	alarmed  time.Time // when an alarm was last logged
	unlogged int       // alarms since then
}

// New checks the configuration.
func New(cfg Config) (*Uplink, error) {
	if cfg.Identity == nil || cfg.Store == nil || cfg.Status == nil {
		return nil, errors.New("uplink: identity, store and status are needed")
	}
	if err := wire.CheckName(cfg.Identity.Name); err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	orDefault(&cfg.Heartbeat, 10*time.Second)
	orDefault(&cfg.AckTimeout, 10*time.Second)
	orDefault(&cfg.Dial, 10*time.Second)
	orDefault(&cfg.RedialMin, 200*time.Millisecond)
	orDefault(&cfg.RedialMax, 30*time.Second)
	orDefault(&cfg.AskAgain, 30*time.Second)
	orDefault(&cfg.Stable, 30*time.Second)
	orDefault(&cfg.Look, 5*time.Second)
	if cfg.Window <= 0 {
		cfg.Window = 64
	}
	routes, all, err := makeRoutes(&cfg)
	if err != nil {
		return nil, err
	}
	return &Uplink{cfg: cfg, log: cfg.Log, notices: make(map[string]notice), routes: routes, budgets: all, room: wire.BatchRoom}, nil
}

// jitter spreads a fleet that lost the same broker: half to all of d.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Up says whether a broker is connected. Whether central listens there, only
// its acknowledgements say.
func (u *Uplink) Up() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.current != nil
}

// setUp notes which path is connected; nil: none any more, and it says for
// how long it was.
func (u *Uplink) setUp(r *route) (lasted time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r != nil {
		u.since = time.Now()
		r.known, r.works, r.problem, r.retryAt = true, true, nil, time.Time{}
	} else if u.current != nil {
		lasted = max(1, time.Since(u.since))
	}
	u.current = r
	return lasted
}
