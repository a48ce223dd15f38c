package central

import (
	"fmt"
	"sync"
	"time"

	"gateagent/central/store"
)

// Bounds of what one kiosk may ask of central. A kiosk that drains a backlog
// as fast as central can store it sends some 400 batches a second; nothing
// else that an honest kiosk sends comes near.
const (
	tokensMost   = 4000.0
	tokensRefill = 2000.0 // a second
	costBatch    = 1.0
	costSmall    = 20.0      // presence, status, a question for the time
	costRepeat   = 20.0      // a batch that brings nothing new, in addition
	costBad      = 100.0     // what is refused, or more than may be on its way, in addition
	costDrop     = 10.0      // what is dropped because central is behind, in addition
	costEntry    = 1.0 / 200 // each result of a batch
	// costContext is a key agreement's. A lane where hardly anybody passes
	// begins a context with each result: two months of these are no flood.
	costContext = 2.0
	// costEpoch is that of results which begin an epoch: a row that stays for
	// ever. A kiosk begins one with each new database.
	costEpoch = 200.0
	costRate  = 1.0 / (64 << 10) // for each byte: 128 MiB a second
	// penalty is how long a kiosk that floods is not listened to.
	penalty = 30 * time.Second
	// maxThrottled bounds the memory; names are not proven behind every
	// broker.
	maxThrottled = 20_000
	sweepPause   = time.Second
)

// throttle keeps one kiosk that floods from keeping central from the others.
// What it drops was not acknowledged, so an honest kiosk sends it again.
type throttle struct {
	now func() time.Time

	mu    sync.Mutex
	each  map[string]*bucket // guarded by mu
	swept time.Time          // guarded by mu
}

type bucket struct {
	tokens float64
	at     time.Time
	until  time.Time // of the penalty
}

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, each: map[string]*bucket{}}
}

// spend takes tokens of a kiosk. ok: it may go on; begins: just now it may no
// longer.
func (t *throttle) spend(kiosk string, cost float64) (ok, begins bool) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.each[kiosk]
	if b == nil && len(t.each) >= maxThrottled {
		t.sweep(now)
		if len(t.each) >= maxThrottled {
			kiosk = "" // whoever comes now shares one bucket
			b = t.each[kiosk]
		}
	}
	if b == nil {
		b = &bucket{tokens: tokensMost, at: now}
		t.each[kiosk] = b
	}
	if now.Before(b.until) {
		return false, false
	}
	b.tokens = min(tokensMost, b.tokens+tokensRefill*max(0, now.Sub(b.at).Seconds())) - cost
	b.at = now
	if b.tokens >= 0 {
		return true, false
	}
	b.tokens, b.until = tokensMost, now.Add(penalty)
	return false, true
}

// sweep forgets whoever pays no penalty, once in a while; t.mu is held. Names
// that somebody invents end nobody's penalty.
func (t *throttle) sweep(now time.Time) {
	if now.Sub(t.swept).Abs() < sweepPause {
		return
	}
	t.swept = now
	for kiosk, b := range t.each {
		if !now.Before(b.until) {
			delete(t.each, kiosk)
		}
	}
}

// Blocked says whether a kiosk is not listened to now.
func (t *throttle) Blocked(kiosk string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.each[kiosk]
	return b != nil && t.now().Before(b.until)
}

// charge notes what a kiosk made central do and says whether it is still
// listened to. One that floods is cut off the embedded broker, too.
func (s *Service) charge(kiosk string, cost float64) bool {
	ok, begins := s.limits.spend(kiosk, cost)
	if begins {
		s.log.Warn("a kiosk floods central and is not listened to for a while", "kiosk", kiosk, "for", penalty)
		s.ingest.Alarm(store.Alarm{Kiosk: kiosk, Kind: store.AlarmFlood, First: s.limits.now(),
			Text: fmt.Sprintf("it sends more than any kiosk has to say; it is not listened to for %v, and results of it wait there", penalty)})
		if s.broker != nil {
			s.broker.KickName(kiosk)
		}
	}
	return ok
}
