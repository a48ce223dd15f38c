package central

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

const (
	// sendKeysPause is the least time between two sendings of document keys to
	// one kiosk that goes on saying it has others.
	sendKeysPause = 30 * time.Second
	// readKeysPause bounds how often the folder is looked at: gatectl may have
	// changed the keys.
	readKeysPause = time.Second
)

// docKeys brings the keys of document references to the kiosks: each says in
// its status which it has, and gets those in force where it has others. So
// nothing is lost by a message that is, and a kiosk that was away over a change
// gets the keys with its first status. A status is not signed; what it can
// bring about is a message that only that kiosk can open.
type docKeys struct {
	reg   *enrol.Registry
	clock func() (time.Time, bool) // keys are made and ended by a clock that is right
	now   func() time.Time         // for the pauses
	send  func(topic string, payload []byte)
	log   *slog.Logger

	mu      sync.Mutex
	set     *wire.DocKeySet     // guarded by mu; nil before the first look
	read    time.Time           // guarded by mu
	problem string              // guarded by mu
	sent    map[string]sentKeys // guarded by mu
}

type sentKeys struct {
	at   time.Time
	name string // of the set
}

func newDocKeys(reg *enrol.Registry, clock func() (time.Time, bool), log *slog.Logger) *docKeys {
	return &docKeys{reg: reg, clock: clock, now: time.Now, log: log, sent: map[string]sentKeys{}}
}

// Status looks at what a kiosk of the fleet says it has.
func (d *docKeys) Status(ctx context.Context, kiosk string, payload []byte) {
	s, err := wire.DecodeStatus(payload)
	if err != nil {
		return // the board says so
	}
	set := d.due(kiosk, s.DocKeys)
	if set == nil {
		return
	}
	c, err := d.reg.DocKeys(ctx, kiosk, set)
	var data []byte
	if err == nil {
		data, err = c.Encode()
	}
	if err != nil {
		d.log.Error("document keys not sent", "kiosk", kiosk, "err", err)
		return
	}
	d.send(wire.Topic(kiosk, wire.TopicCommand), data)
}

// due gives the keys that a kiosk is to be sent now; nil: none.
func (d *docKeys) due(kiosk, has string) *wire.DocKeySet {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
	if d.set == nil || d.set.Name() == has {
		return nil
	}
	now, last := d.now(), d.sent[kiosk]
	if last.name == d.set.Name() && now.Sub(last.at) < sendKeysPause {
		return nil
	}
	d.sent[kiosk] = sentKeys{now, d.set.Name()}
	return d.set
}

// look reads the keys, and makes those that are due; d.mu is held.
func (d *docKeys) look() {
	if now := d.now(); now.Sub(d.read).Abs() < readKeysPause {
		return
	}
	d.read = d.now()
	now, right := d.clock()
	if !right {
		return // those that were read before serve on
	}
	set, err := d.reg.CA.DocKeys(now)
	if err != nil {
		if d.problem == "" {
			d.log.Error("keys of document references", "err", err)
		}
		d.problem = err.Error()
		return
	}
	d.set, d.problem = set, ""
}

// Problem says why there are no keys to send; empty when there are.
func (d *docKeys) Problem() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.problem
}
