package central

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

const (
	// twinReturns is how often a kiosk may go back to what it had left before
	// it must be two. A kiosk that changes paths never goes back to an old
	// connection; one that saves a damaged outbox goes back to an epoch once.
	twinReturns = 3
	// twinWindow is the time within which they count.
	twinWindow = 10 * time.Minute
	// twinMemory bounds what is remembered of one kiosk.
	twinMemory = 16
)

// twins finds two machines with one identity: their heartbeats take turns, each
// over a connection and with an epoch of its own. Where both have the same
// epoch, a copied disk, their results contradict each other besides.
type twins struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[string]*turns // guarded by mu; by kiosk and what is compared
}

// turns follows one thing that a kiosk alone would not change back and forth.
type turns struct {
	known []string // the latest last
	back  []time.Time
}

func newTwins() *twins { return &twins{now: time.Now, seen: map[string]*turns{}} }

// Look takes a heartbeat and says what is wrong; empty: nothing is.
func (w *twins) Look(kiosk string, payload []byte) string {
	s, err := wire.DecodeStatus(payload)
	if err != nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, value := range map[string]string{"connections": s.Session, "epochs": s.Epoch} {
		if value != "" && w.turn(kiosk+"/"+what).take(value, w.now()) {
			return fmt.Sprintf("two %s take turns under the name of kiosk %s: a second machine has its identity", what, kiosk)
		}
	}
	return ""
}

// turn finds or makes an entry; w.mu is held.
func (w *twins) turn(name string) *turns {
	if w.seen[name] == nil {
		w.seen[name] = &turns{}
	}
	return w.seen[name]
}

// take notes a value and says whether there were too many returns.
func (t *turns) take(value string, now time.Time) bool {
	at := slices.Index(t.known, value)
	switch {
	case at >= 0 && at == len(t.known)-1:
		return false
	case at >= 0:
		t.known = slices.Delete(t.known, at, at+1)
		t.back = append(slices.DeleteFunc(t.back, func(b time.Time) bool { return now.Sub(b) > twinWindow }), now)
	}
	t.known = append(t.known, value)
	if len(t.known) > twinMemory {
		t.known = t.known[1:]
	}
	if len(t.back) < twinReturns {
		return false
	}
	t.back = nil
	return at >= 0
}

// lookForTwins raises the alarm of a second machine under a kiosk's name.
func (s *Service) lookForTwins(kiosk string, retained bool, payload []byte) {
	if retained {
		return
	}
	if text := s.twins.Look(kiosk, payload); text != "" {
		s.log.Error("two kiosks with one identity", "kiosk", kiosk)
		s.ingest.Alarm(store.Alarm{Kiosk: kiosk, Kind: store.AlarmTwins, Text: text, First: time.Now()})
	}
}
