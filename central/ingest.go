package central

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gateagent/central/ca"
	"gateagent/central/intake"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// Bounds of the intake. In the worst case it holds (lanes+1)·queued batches.
const (
	lanes         = 4
	queued        = 32
	group         = 64 // batches in one transaction
	commitTimeout = 30 * time.Second
	lookTimeout   = 10 * time.Second
	alarmsQueued  = 256
	// pushBack is how long a full queue holds the broker's connection back
	// before a batch is dropped.
	pushBack = 2 * time.Second
)

// ingest takes batches in: lanes verify, one committer stores them in groups
// and acknowledges what is on disk. A kiosk always has the same lane, so its
// batches stay in order. Whatever is dropped on the way was not acknowledged
// and comes again.
type ingest struct {
	store *store.Store
	ca    *ca.Authority
	open  atomic.Pointer[wire.Opener] // exchanged when a key is added
	send  func(topic string, payload []byte)
	// charge notes what a kiosk made central do for nothing.
	charge func(kiosk string, cost float64) bool
	now    func() time.Time
	log    *slog.Logger

	lane   [lanes]chan message
	commit chan store.Batch
	alarm  chan store.Alarm

	mu      sync.Mutex
	problem string // guarded by mu; why results cannot be stored, empty when they can
}

type message struct {
	kiosk   string
	payload []byte
	at      time.Time
}

func newIngest(st *store.Store, authority *ca.Authority, log *slog.Logger) *ingest {
	in := &ingest{store: st, ca: authority, now: time.Now, log: log,
		charge: func(string, float64) bool { return true },
		commit: make(chan store.Batch, queued), alarm: make(chan store.Alarm, alarmsQueued)}
	in.open.Store(authority.Opener())
	for i := range in.lane {
		in.lane[i] = make(chan message, queued)
	}
	return in
}

// Take accepts one message of the topic of a kiosk's results.
func (in *ingest) Take(ctx context.Context, kiosk string, payload []byte) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(kiosk)) // never fails
	lane := in.lane[h.Sum32()%lanes]
	m := message{kiosk, payload, in.now()}
	select {
	case lane <- m:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, pushBack)
	defer cancel()
	select {
	case lane <- m:
	case <-ctx.Done():
		in.log.Warn("batch dropped: central is behind; the kiosk sends it again", "kiosk", kiosk)
	}
}

// Problem says why results cannot be stored; empty when they can.
func (in *ingest) Problem() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.problem
}

func (in *ingest) setProblem(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.problem = text
}

// Run works until ctx ends.
func (in *ingest) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range in.lane {
		g.Go(func() error { return in.verify(ctx, in.lane[i]) })
	}
	g.Go(func() error { return in.storeAll(ctx) })
	g.Go(func() error { return in.storeAlarms(ctx) })
	return g.Wait()
}

func (in *ingest) verify(ctx context.Context, from <-chan message) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-from:
			b, err := in.judge(ctx, m)
			if err != nil {
				in.refuse(m, err)
				continue
			}
			select {
			case in.commit <- *b:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// Why a message is refused. Each is an alarm of its own kind.
var (
	errForeign = errors.New("the batch names another kiosk than its topic")
	errRevoked = intake.ErrRevoked
)

// judge decodes and verifies one message.
func (in *ingest) judge(ctx context.Context, m message) (*store.Batch, error) {
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
	return intake.Read(b, key, in.open.Load(), m.at), nil
}

// refuse raises the alarm that fits.
func (in *ingest) refuse(m message, err error) {
	kind := ""
	switch {
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

// Alarm queues an alarm to be stored. A flood beyond the queue is only
// logged; the row that counts it exists by then.
func (in *ingest) Alarm(a store.Alarm) {
	if a.Kind == store.AlarmUnknown {
		a.Kiosk = "" // one row for all strangers, whatever names they invent
	}
	select {
	case in.alarm <- a:
	default:
	}
}

func (in *ingest) storeAlarms(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-in.alarm:
			tctx, cancel := context.WithTimeout(ctx, commitTimeout)
			if err := in.store.RaiseAlarm(tctx, a); err != nil && ctx.Err() == nil {
				in.log.Error("alarm not stored", "kiosk", a.Kiosk, "kind", a.Kind, "err", err)
			}
			cancel()
		}
	}
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
	verdicts, err := in.store.Ingest(tctx, batches)
	if ctx.Err() != nil {
		return
	}
	in.setProblem(err)
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
		switch {
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
