// Package intake is what happens to verified results before central stores
// them, however they came: they are opened and read. It also takes in the files
// that are carried to central by hand.
package intake

import (
	"errors"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// ErrRevoked refuses the results of a kiosk that is no longer in the fleet.
var ErrRevoked = errors.New("the kiosk is revoked")

// Read opens the results of a verified batch.
func Read(b *wire.Batch, key []byte, open *wire.Opener, at time.Time) *store.Batch {
	out := &store.Batch{Batch: b, SigningKey: key, Received: at, Facts: make([]store.Facts, len(b.Entries))}
	for i := range b.Entries {
		e := &b.Entries[i]
		out.Facts[i] = opened(open, b.Kiosk, b.Epoch, e)
	}
	return out
}

// opened reads one result.
func opened(open *wire.Opener, kiosk, epoch string, e *wire.Entry) store.Facts {
	record, err := open.Open(kiosk, epoch, e.Number, e.Prev, e.Body)
	if err != nil || len(record) == 0 { // empty: its time was over before it came
		return store.Facts{Unreadable: true}
	}
	f := facts(record)
	if wire.IsSealed(e.Body) {
		f.Record = record
	}
	return f
}

// facts reads what the fleet page shows. A record of another form is stored
// all the same: the chain proves it, and it may be read elsewhere.
func facts(record []byte) store.Facts {
	r, err := wire.DecodeOutline(record)
	if err != nil {
		return store.Facts{}
	}
	f := store.Facts{Kind: r.Kind, Tx: r.Tx, DeleteAt: r.DeleteAt}
	switch {
	case r.Decision != nil:
		f.Outcome = r.Decision.Outcome
		if len(r.Decision.Reasons) > 0 {
			f.Reason = r.Decision.Reasons[0]
		}
	case r.Passage != nil:
		f.Outcome, f.Reason = r.Passage.Result, r.Passage.Code
	case r.Resolution != nil:
		f.Outcome = r.Resolution.Outcome
	}
	return f
}
