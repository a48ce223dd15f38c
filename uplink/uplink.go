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
	"net/url"
	"sync"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// Store is where results wait. It is one thing with one reader, which needs
// all of it; so it has more methods than our interfaces usually have.
type Store interface {
	// Queue says where the epoch stands; it never blocks.
	Queue() wire.Queue
	// Notify carries a token after results were added.
	Notify() <-chan struct{}
	// Pending reads the entries after a number, with their epoch.
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
	Brokers  []string // tls://host:port in order of preference; the identity's when empty
	Store    Store
	// Status gives the heartbeat's content; it must not block. The uplink
	// fills in version, time, session and queue.
	Status func() wire.Status
	// Time takes central's signed time; nil asks for none.
	Time Timekeeper
	// Now is the time by which certificates are judged; nil: the wall clock.
	Now func() time.Time
	Log *slog.Logger

	Heartbeat  time.Duration // between statuses; 10 s
	AckTimeout time.Duration // without progress, before results are sent again; 10 s, growing to twice as much
	Dial       time.Duration // bound of a connection attempt; 10 s
	RedialMin  time.Duration // 200 ms
	RedialMax  time.Duration // 30 s
	Window     int           // batches on their way at most; 32
	AskAgain   time.Duration // after a question for the time that got no answer; 30 s
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

	mu      sync.Mutex // guards the following
	up      bool
	notices map[string]notice

	// The following belong to Run. strikes counts missed acknowledgements
	// since the last progress, over all connections.
	strikes  int
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
	if len(cfg.Brokers) == 0 {
		cfg.Brokers = cfg.Identity.Broker
	}
	if len(cfg.Brokers) == 0 {
		return nil, errors.New("uplink: no broker address: neither the configuration nor the kiosk's bundle has one")
	}
	for _, b := range cfg.Brokers {
		u, err := url.Parse(b)
		if err != nil || u.Scheme != "tls" || u.Hostname() == "" || u.Port() == "" {
			return nil, fmt.Errorf("uplink: broker address %q: want tls://host:port", b)
		}
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
	if cfg.Window <= 0 {
		cfg.Window = 32
	}
	return &Uplink{cfg: cfg, log: cfg.Log, notices: make(map[string]notice)}, nil
}

// Run keeps the connection up until the context ends. It returns nil then and
// nothing else ends it: a gate works without central.
func (u *Uplink) Run(ctx context.Context) error {
	wait := u.cfg.RedialMin
	for n := 0; ; n++ {
		broker := u.cfg.Brokers[n%len(u.cfg.Brokers)]
		progress, err := u.session(ctx, broker)
		u.setUp(false)
		if ctx.Err() != nil {
			return nil
		}
		if progress {
			wait = u.cfg.RedialMin
		}
		pause := jitter(wait)
		u.log.Warn("no connection to central", "broker", broker, "err", err, "retry_in", pause.Round(time.Millisecond))
		u.notice("uplink", "warning", "no connection to central, results are kept here: "+reason(err), 0)
		if !sleep(ctx, pause) {
			return nil
		}
		wait = min(2*wait, u.cfg.RedialMax)
	}
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
	return u.up
}

func (u *Uplink) setUp(up bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.up = up
}

// notice is a line for staff; until is zero for one that is taken back.
type notice struct {
	gate.Notice
	until time.Time
}

// notice sets the line of a source, for a time or (0) until it is cleared
// with an empty level.
func (u *Uplink) notice(source, level, text string, lasts time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if level == "" {
		delete(u.notices, source)
		return
	}
	n := notice{Notice: gate.Notice{Level: level, Source: source, Text: text}}
	if lasts > 0 {
		n.until = time.Now().Add(lasts)
	}
	u.notices[source] = n
}

// certificateWarning is how long before its end a certificate is mentioned.
const certificateWarning = 30 * 24 * time.Hour

// Notices says what staff should know, most urgent first.
func (u *Uplink) Notices() []gate.Notice {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []gate.Notice
	for _, source := range []string{sourceAlarm, sourceStore, sourceCentral, "uplink"} {
		n, ok := u.notices[source]
		if ok && (n.until.IsZero() || now.Before(n.until)) {
			out = append(out, n.Notice)
		}
	}
	if end := u.cfg.Identity.NotAfter(); !end.IsZero() && now.Add(certificateWarning).After(end) {
		out = append(out, gate.Notice{Level: "warning", Source: "certificate",
			Text: "the kiosk's certificate ends on " + end.UTC().Format(time.DateOnly) + ": renew it at central and install the new bundle"})
	}
	return out
}

// Sources of notices besides "uplink".
const (
	sourceAlarm   = "uplink alarm" // something that must not happen
	sourceCentral = "central"      // central does not acknowledge
	sourceStore   = "outbox"       // an acknowledgement could not be stored
)

// alarmLasts is how long staff see an alarm.
const alarmLasts = time.Hour

// alarmPause bounds how often an alarm is logged: whoever can publish on our
// topic must not fill the disk.
const alarmPause = time.Second

// alarm is for what must not happen with honest parts: it is logged as an
// error and shown; nothing is deleted.
func (u *Uplink) alarm(text string, err error) {
	u.notice(sourceAlarm, "fault", text, alarmLasts)
	if time.Since(u.alarmed) < alarmPause {
		u.unlogged++
		return
	}
	attrs := []any{"alarm", text}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	if u.unlogged > 0 {
		attrs = append(attrs, "not_logged_before", u.unlogged)
	}
	u.alarmed, u.unlogged = time.Now(), 0
	u.log.Error("uplink alarm", attrs...)
}
