package central

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

// listSecrets brings kiosks what opens their allowlists, sealed to each: every
// kiosk says in its status which it has, and gets those of its airport where it
// has others, as with docKeys. A kiosk that lost its key gets nothing that it
// could open: it is the key that it was enrolled with, whoever asks.
type listSecrets struct {
	reg   *enrol.Registry
	clock func() (time.Time, bool) // secrets end by a clock that is right
	now   func() time.Time         // for the pauses
	send  func(topic string, payload []byte)
	log   *slog.Logger

	mu      sync.Mutex
	all     *wire.ListSecretSet // guarded by mu; nil before the first look
	read    time.Time           // guarded by mu
	problem string              // guarded by mu
	sent    map[string]sentKeys // guarded by mu
}

func newListSecrets(reg *enrol.Registry, clock func() (time.Time, bool), log *slog.Logger) *listSecrets {
	return &listSecrets{reg: reg, clock: clock, now: time.Now, log: log, sent: map[string]sentKeys{}}
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
	if l.all == nil {
		return
	}
	// One sending in 30 s to a kiosk that goes on saying that it has others,
	// unless they changed meanwhile.
	now, last, version := l.now(), l.sent[kiosk], l.all.Issued.Format(time.RFC3339)+s.Secrets
	if last.name == version && now.Sub(last.at) < sendKeysPause {
		return
	}
	c, err := l.reg.ListSecrets(ctx, kiosk, s.Secrets, l.all)
	var data []byte
	if err == nil && c != nil {
		data, err = c.Encode()
	}
	if err != nil {
		l.log.Error("list secrets not sent", "kiosk", kiosk, "err", err)
		return
	}
	if c != nil {
		l.sent[kiosk] = sentKeys{now, version}
		l.send(wire.Topic(kiosk, wire.TopicCommand), data)
	}
}

// look reads the secrets; l.mu is held.
func (l *listSecrets) look() {
	if now := l.now(); now.Sub(l.read).Abs() < readKeysPause {
		return
	}
	l.read = l.now()
	now, right := l.clock()
	if !right {
		return // those that were read before serve on
	}
	all, err := l.reg.CA.ListSecrets(now)
	if err != nil {
		if l.problem == "" {
			l.log.Error("list secrets", "err", err)
		}
		l.problem = err.Error()
		return
	}
	if l.all != nil {
		l.all.Wipe()
	}
	l.all, l.problem = all, ""
}

// Problem says why there are none to send; empty when there are.
func (l *listSecrets) Problem() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.problem
}
