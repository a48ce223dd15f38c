package central

import (
	"context"
	"log/slog"
	"time"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

// listSecrets brings kiosks what opens their allowlists, sealed to each: every
// kiosk says in its status which it has, and gets those of its airport where it
// has others, as with docKeys. A kiosk that lost its key gets nothing that it
// could open: it is the key that it was enrolled with, whoever asks.
type listSecrets struct {
	reg  *enrol.Registry
	send func(topic string, payload []byte)
	reread[wire.ListSecretSet]
}

func newListSecrets(reg *enrol.Registry, clock func() (time.Time, bool), log *slog.Logger) *listSecrets {
	return &listSecrets{reg: reg, reread: reread[wire.ListSecretSet]{what: "list secrets", read: reg.CA.ListSecrets,
		wipe: (*wire.ListSecretSet).Wipe, clock: clock, log: log, sent: map[string]sentKeys{}}}
}

// Status looks at what a kiosk of the fleet says it has.
func (l *listSecrets) Status(ctx context.Context, kiosk string, payload []byte) {
	s, err := wire.DecodeStatus(payload)
	if err != nil {
		return // the board says so
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.look()
	if l.value == nil {
		return
	}
	// By what there is and what the kiosk has: its part has no name of its own
	// before it is made.
	version := l.value.Issued.Format(time.RFC3339) + s.Secrets
	if l.lately(kiosk, version) {
		return
	}
	c, err := l.reg.ListSecrets(ctx, kiosk, s.Secrets, l.value)
	var data []byte
	if err == nil && c != nil {
		data, err = c.Encode()
	}
	if err != nil {
		l.log.Error("list secrets not sent", "kiosk", kiosk, "err", err)
		return
	}
	if c != nil {
		l.note(kiosk, version)
		l.send(wire.Topic(kiosk, wire.TopicCommand), data)
	}
}
