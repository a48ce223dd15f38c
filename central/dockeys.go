package central

import (
	"context"
	"log/slog"
	"time"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

// docKeys brings the keys of document references to the kiosks: each says in
// its status which it has, and gets those in force where it has others. So
// nothing is lost by a message that is, and a kiosk that was away over a change
// gets the keys with its first status. A status is not signed; what it can
// bring about is a message that only that kiosk can open.
type docKeys struct {
	reg  *enrol.Registry
	send func(topic string, payload []byte)
	reread[wire.DocKeySet]
}

func newDocKeys(reg *enrol.Registry, clock func() (time.Time, bool), log *slog.Logger) *docKeys {
	return &docKeys{reg: reg, reread: reread[wire.DocKeySet]{what: "keys of document references", read: reg.CA.DocKeys,
		clock: clock, log: log, sent: map[string]sentKeys{}}}
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
	if d.value == nil || d.value.Name() == has || d.lately(kiosk, d.value.Name()) {
		return nil
	}
	d.note(kiosk, d.value.Name())
	return d.value
}
