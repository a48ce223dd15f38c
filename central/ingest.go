package central

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gateagent/central/ca"
	"gateagent/central/intake"
	"gateagent/central/store"
	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Bounds of the intake, beside those of queue and alarms.
const (
	lanes         = 4 // messages that are verified at once
	queued        = 32
	group         = 64 // batches in one transaction
	commitTimeout = 30 * time.Second
	commitSlow    = 10 * time.Second // after which the page says that the disk does not answer
	lookTimeout   = 10 * time.Second
	dropsLogged   = time.Second // how often at most
)

// ingest takes batches in: lanes verify, one committer stores them in groups
// and acknowledges what is on disk. A kiosk is served by one lane at a time, so
// its batches stay in order. Whatever is dropped on the way was not acknowledged
// and comes again.
type ingest struct {
	store *store.Store
	put   func(context.Context, []store.Batch) ([]store.Verdict, error) // the store's Ingest
	ca    *ca.Authority
	open  atomic.Pointer[wire.Opener] // exchanged when a key is added
	send  func(topic string, payload []byte)
	// charge notes what a kiosk makes central do and says whether it is still
	// listened to.
	charge func(kiosk string, cost float64) bool
	now    func() time.Time
	log    *slog.Logger

	queue  *queue
	commit chan store.Batch
	alarms *alarms

	dir       string // where the database lies; empty: its free space does not count
	minFree   int64  // bytes; 0: a default; negative: its free space does not count
	free      func(dir string) (free, all int64, err error)
	spaceTold time.Time // of the committer
	added     daily

	mu      sync.Mutex
	storing time.Time // guarded by mu; since when a group is being stored; zero: none is
	problem string    // guarded by mu; why results cannot be stored, empty when they can
	drops   int       // guarded by mu; not logged yet
	logged  time.Time // guarded by mu; when drops were
}

func newIngest(st *store.Store, authority *ca.Authority, log *slog.Logger) *ingest {
	in := &ingest{store: st, put: st.Ingest, ca: authority, free: durable.Space, added: daily{most: dayBytes}, now: time.Now, log: log,
		charge: func(string, float64) bool { return true },
		queue:  newQueue(), commit: make(chan store.Batch, queued), alarms: newAlarms()}
	in.open.Store(authority.Opener())
	return in
}

// Take accepts one message of the topic of a kiosk's results. It never waits:
// every kiosk's messages pass here.
func (in *ingest) Take(kiosk string, payload []byte) {
	dropped, ok := in.queue.put(message{kiosk, payload, in.now()})
	if !ok {
		in.charge(kiosk, costBad)
		in.dropped(kiosk)
	}
	for _, other := range dropped {
		in.charge(other, costDrop)
		in.dropped(other)
	}
}

// dropped logs what was dropped, once in a while.
func (in *ingest) dropped(kiosk string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.drops++
	now := in.now()
	if now.Sub(in.logged).Abs() < dropsLogged {
		return
	}
	in.log.Warn("batches dropped: central is behind, or a kiosk sends more than it may; they come again", "kiosk", kiosk, "batches", in.drops)
	in.drops, in.logged = 0, now
}

// Problem says why results cannot be stored; empty when they can.
func (in *ingest) Problem() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.storing.IsZero() && time.Since(in.storing) > commitSlow {
		return fmt.Sprintf("the disk has not answered for %v", time.Since(in.storing).Round(time.Second))
	}
	return in.problem
}

// began notes that a group is being stored, which nothing can end while the
// disk hangs.
func (in *ingest) began() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.storing = time.Now()
}

// ended notes what became of the group.
func (in *ingest) ended(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.problem, in.storing = text, time.Time{}
}

// Run works until ctx ends.
func (in *ingest) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range lanes {
		g.Go(func() error { return in.verify(ctx) })
	}
	g.Go(func() error { return in.storeAll(ctx) })
	g.Go(func() error { return in.storeAlarms(ctx) })
	return g.Wait()
}

func (in *ingest) verify(ctx context.Context) error {
	for {
		m, ok := in.queue.next(ctx)
		if !ok {
			return nil
		}
		b, err := in.judge(ctx, m)
		if err != nil {
			in.refuse(m, err)
		} else {
			select {
			case in.commit <- *b:
			case <-ctx.Done():
			}
		}
		in.queue.done(m.kiosk)
	}
}

// Why a message is refused. Each is an alarm of its own kind.
var (
	errForeign = errors.New("the batch names another kiosk than its topic")
	errRevoked = intake.ErrRevoked
	// errFlood: it is not listened to for a while, which is said already.
	errFlood = errors.New("the kiosk floods central")
)

// judge decodes, verifies and opens one message. What a kiosk makes central do
// is charged before it is done.
func (in *ingest) judge(ctx context.Context, m message) (*store.Batch, error) {
	if !in.charge(m.kiosk, 0) || in.added.full(m.kiosk, in.now()) {
		return nil, errFlood
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	key, revoked, err := in.store.SigningKey(ctx, m.kiosk)
	if err != nil {
		return nil, err
	}
	if revoked {
		return nil, errRevoked
	}
	b, err := wire.DecodeBatch(m.payload)
	if err != nil {
		return nil, err
	}
	if b.Kiosk != m.kiosk {
		return nil, errForeign
	}
	if err := b.Verify(key); err != nil {
		return nil, err
	}
	if !in.charge(m.kiosk, costEntry*float64(len(b.Entries))) {
		return nil, errFlood
	}
	paid := true
	open := in.open.Load().Asking(func() bool {
		paid = paid && in.charge(m.kiosk, costContext)
		return paid
	})
	out := intake.Read(b, key, open, m.at)
	if !paid {
		return nil, errFlood
	}
	return out, nil
}

// refuse raises the alarm that fits.
func (in *ingest) refuse(m message, err error) {
	kind := ""
	switch {
	case errors.Is(err, errFlood):
		return
	case errors.Is(err, store.ErrUnknownKiosk):
		kind = store.AlarmUnknown
	case errors.Is(err, errRevoked):
		kind = store.AlarmRevoked
	case errors.Is(err, errForeign):
		kind = store.AlarmForeign
	case errors.Is(err, wire.ErrSignature), errors.Is(err, wire.ErrChain):
		kind = store.AlarmSignature
	case errors.Is(err, wire.ErrFormat), errors.Is(err, wire.ErrVersion):
		kind = store.AlarmFormat
	default: // central's own trouble accuses nobody
		in.log.Error("a batch could not be judged", "kiosk", m.kiosk, "err", err)
		return
	}
	in.charge(m.kiosk, costBad)
	in.log.Warn("results refused", "kiosk", m.kiosk, "kind", kind, "err", err)
	in.Alarm(store.Alarm{Kiosk: m.kiosk, Kind: kind, Text: "results refused: " + err.Error(), First: m.at})
}

// storeAll commits what has queued up, in groups: while one transaction is
// synced the next group gathers.
func (in *ingest) storeAll(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-in.commit:
			batches := append(make([]store.Batch, 0, group), b)
			for more := true; more && len(batches) < group; {
				select {
				case b := <-in.commit:
					batches = append(batches, b)
				default:
					more = false
				}
			}
			in.commitGroup(ctx, batches)
		}
	}
}

func (in *ingest) commitGroup(ctx context.Context, batches []store.Batch) {
	tctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	slow := time.AfterFunc(commitSlow, func() {
		in.log.Error("the disk does not answer; nothing is acknowledged meanwhile", "for", commitSlow)
	})
	defer slow.Stop()
	var verdicts []store.Verdict
	in.began()
	err := in.room()
	if err == nil {
		verdicts, err = in.put(tctx, batches)
	}
	if ctx.Err() != nil {
		return
	}
	in.ended(err)
	slow.Stop()
	if err != nil {
		in.log.Error("results not stored, not acknowledged; kiosks keep them and send them again", "batches", len(batches), "err", err)
		select { // a full disk does not get better by trying faster
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return
	}
	in.acknowledge(batches, verdicts)
}

// acknowledge sends one acknowledgement for each kiosk and epoch of a
// committed group: the last one covers those before it.
func (in *ingest) acknowledge(batches []store.Batch, verdicts []store.Verdict) {
	last := map[string]int{}
	for i, v := range verdicts {
		b := &batches[i]
		if v.New == 0 {
			in.charge(b.Kiosk, costRepeat)
		}
		if v.New > 0 || v.Conflicts > 0 {
			in.count(b)
		}
		if v.Epoch {
			in.charge(b.Kiosk, costEpoch)
		}
		switch {
		case v.Err != nil:
			in.log.Error("results of one kiosk not stored, not acknowledged; it keeps them and sends them again", "kiosk", b.Kiosk, "err", v.Err)
			in.Alarm(store.Alarm{Kiosk: b.Kiosk, Kind: store.AlarmUnstored, Text: v.Err.Error(), First: b.Received})
		case v.Revoked:
			in.Alarm(store.Alarm{Kiosk: b.Kiosk, Kind: store.AlarmRevoked, Text: "results refused: " + errRevoked.Error(), First: b.Received})
		case v.Conflicts > 0:
			in.log.Error("results contradict what is stored; both are kept, nothing is acknowledged",
				"kiosk", b.Kiosk, "epoch", b.Epoch, "first", b.First, "last", b.Last, "conflicts", v.Conflicts)
		case v.Unreadable > 0:
			in.log.Error("results cannot be opened; they are kept as they came, and acknowledged",
				"kiosk", b.Kiosk, "epoch", b.Epoch, "first", b.First, "last", b.Last, "unreadable", v.Unreadable)
		case v.Gap:
			in.log.Warn("results arrive with a gap; the kiosk is told where to go on", "kiosk", b.Kiosk, "have", v.Number, "first", b.First)
		}
		if v.Ack {
			last[b.Kiosk+"/"+b.Epoch] = i
		}
	}
	for _, i := range last {
		payload, err := in.signAck(&batches[i], verdicts[i])
		if err != nil {
			in.log.Error("acknowledgement not made", "kiosk", batches[i].Kiosk, "err", err)
			continue
		}
		in.send(wire.Topic(batches[i].Kiosk, wire.TopicAck), payload)
	}
}

func (in *ingest) signAck(b *store.Batch, v store.Verdict) ([]byte, error) {
	a := &wire.Ack{V: wire.AckVersion, Kiosk: b.Kiosk, Epoch: b.Epoch, Number: v.Number, Chain: v.Chain}
	if err := a.Sign(in.ca.AckKey()); err != nil {
		return nil, fmt.Errorf("sign acknowledgement: %w", err)
	}
	return a.Encode()
}
