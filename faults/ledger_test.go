//go:build faults

package faults

import (
	"context"
	"testing"
	"time"

	"gateagent/central/enrol"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// ledger holds what the kiosk said against what central has. Central's rows
// are read once each, unless central was restored.
type ledger struct {
	name  string
	told  map[string]int // place of each result that the kiosk told
	count int

	after      int64
	found      map[string]bool
	last       map[string]uint64 // newest number of each epoch
	place      map[string]int    // of the newest told result of each epoch
	doubled    int
	unreadable int
	reordered  int
	gaps       bool // loss was accepted: numbers may be missing
	untold     int  // stored, and the kiosk was killed before it could say so
}

func newLedger(name string) *ledger {
	l := &ledger{name: name, told: make(map[string]int)}
	l.again()
	return l
}

// again forgets what central had, for a central that was set back.
func (l *ledger) again() {
	l.after, l.found, l.last, l.place = 0, make(map[string]bool), make(map[string]uint64), make(map[string]int)
	l.doubled, l.unreadable, l.reordered, l.untold = 0, 0, 0, 0
}

func (l *ledger) tell(tx string) {
	l.count++
	l.told[tx] = l.count
}

// read takes in what is new in central's database.
func (l *ledger) read(t *testing.T, reg *enrol.Registry, kiosk string) {
	t.Helper()
	for {
		page, err := reg.Store.Results(context.Background(), kiosk, l.after, time.UnixMilli(0), 5000)
		must(t, err)
		for i := range page {
			l.take(&page[i])
		}
		if len(page) == 0 {
			return
		}
		l.after = page[len(page)-1].ID
	}
}

func (l *ledger) take(r *store.Result) {
	if r.Number != l.last[r.Epoch]+1 && !(l.gaps && r.Number > l.last[r.Epoch]) {
		l.reordered++
	}
	l.last[r.Epoch] = r.Number
	rec, err := wire.DecodeRecord(r.Record)
	if err != nil || !wire.IsSealed(r.Body) {
		l.unreadable++
		return
	}
	if l.found[rec.Tx] {
		l.doubled++
		return
	}
	l.found[rec.Tx] = true
	place, told := l.told[rec.Tx]
	if !told {
		l.untold++
		return
	}
	if place < l.place[r.Epoch] {
		l.reordered++
	}
	l.place[r.Epoch] = place
}

// missing counts told results that central does not have.
func (l *ledger) missing() int { return l.count - (len(l.found) - l.untold) }

// draw prints the ledger and fails where it is not clean.
func (l *ledger) draw(t *testing.T) {
	t.Helper()
	t.Logf("ledger %s decided=%d central=%d lost=%d doubled=%d unreadable=%d reordered=%d; %d more stored as the kill came",
		l.name, l.count, len(l.found)-l.untold, l.missing(), l.doubled, l.unreadable, l.reordered, l.untold)
	if l.missing()+l.doubled+l.unreadable+l.reordered > 0 || l.count == 0 {
		t.Errorf("%s: the ledger is not clean, or nothing was decided", l.name)
	}
}
