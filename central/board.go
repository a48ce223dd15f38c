package central

import (
	"context"
	"log/slog"
	"sort"
	"sync"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// saveEvery is how often changed presence is written down; it is state, not
// evidence, so a crash may lose the last of it.
const saveEvery = 5 * time.Second

// board holds what was last heard of each kiosk.
type board struct {
	store *store.Store
	now   func() time.Time
	log   *slog.Logger

	mu    sync.Mutex
	live  map[string]*store.Live // guarded by mu
	dirty map[string]bool        // guarded by mu
}

func newBoard(st *store.Store, log *slog.Logger) *board {
	return &board{store: st, now: time.Now, log: log, live: map[string]*store.Live{}, dirty: map[string]bool{}}
}

// load takes over what was known before a restart.
func (b *board) load(ctx context.Context) error {
	all, err := b.store.LoadLive(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range all {
		b.live[l.Kiosk] = &l
	}
	return nil
}

// Presence takes a presence message. The last will of an older connection
// does not undo a newer one.
func (b *board) Presence(kiosk string, payload []byte) error {
	p, err := wire.DecodePresence(payload)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.entry(kiosk)
	if !p.Up && l.Up && p.Session != l.Session {
		return nil
	}
	if l.Up != p.Up || l.Since.IsZero() {
		l.Since = b.now()
	}
	l.Up, l.Session = p.Up, p.Session
	b.dirty[kiosk] = true
	return nil
}

// Status takes a heartbeat. A retained one is what the broker kept, not a
// sign of life.
func (b *board) Status(kiosk string, retained bool, payload []byte) error {
	if _, err := wire.DecodeStatus(payload); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.entry(kiosk)
	if retained && l.Status != nil {
		return nil
	}
	if !retained {
		l.Heard = b.now()
	}
	l.Status = payload
	b.dirty[kiosk] = true
	return nil
}

// entry finds or makes the entry of a kiosk; b.mu is held.
func (b *board) entry(kiosk string) *store.Live {
	l := b.live[kiosk]
	if l == nil {
		l = &store.Live{Kiosk: kiosk}
		b.live[kiosk] = l
	}
	return l
}

// Live gives a copy of everything, by name.
func (b *board) Live() []store.Live {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]store.Live, 0, len(b.live))
	for _, l := range b.live {
		all = append(all, *l)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Kiosk < all[j].Kiosk })
	return all
}

// Run writes changes down until ctx ends, and once more then.
func (b *board) Run(ctx context.Context) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.save(ctx)
		case <-ctx.Done():
			b.save(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (b *board) save(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, saveEvery)
	defer cancel()
	b.mu.Lock()
	var all []store.Live
	for k := range b.dirty {
		all = append(all, *b.live[k])
	}
	clear(b.dirty)
	b.mu.Unlock()
	if len(all) == 0 {
		return
	}
	if err := b.store.SaveLive(ctx, all); err != nil {
		b.log.Error("presence not stored", "err", err)
	}
}
