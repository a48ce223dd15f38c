package broker

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// bridge carries nats-server's log into slog. Its notices are of interest to
// nobody who runs a gate, so they are debug; nothing of it ends the process.
type bridge struct {
	log *slog.Logger

	mu      sync.Mutex
	fatal   string    // guarded by mu, as the following
	second  time.Time // whose lines are counted
	lines   int
	dropped int
}

// maxLines bounds the lines a second: whoever may connect must not fill the
// disk with what the broker refuses.
const maxLines = 20

// warn writes a line, or counts it when there are too many.
func (b *bridge) warn(format string, v []any) {
	b.mu.Lock()
	if now := time.Now(); now.Sub(b.second) >= time.Second {
		b.second, b.lines = now, 0
	}
	b.lines++
	if b.lines > maxLines {
		b.dropped++
		b.mu.Unlock()
		return
	}
	dropped := b.dropped
	b.dropped = 0
	b.mu.Unlock()
	attrs := []any{"says", fmt.Sprintf(format, v...)}
	if dropped > 0 {
		attrs = append(attrs, "lines_dropped_before", dropped)
	}
	b.log.Warn("broker", attrs...)
}

// last gives the last fatal message, which is why a start failed.
func (b *bridge) last() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fatal == "" {
		return "it was not ready in time"
	}
	return b.fatal
}

// Noticef implements server.Logger.
func (b *bridge) Noticef(format string, v ...any) {
	b.log.Debug("broker", "says", fmt.Sprintf(format, v...))
}

// Warnf implements server.Logger.
func (b *bridge) Warnf(format string, v ...any) { b.warn(format, v) }

// Fatalf implements server.Logger; it remembers and returns.
func (b *bridge) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	b.mu.Lock()
	b.fatal = text
	b.mu.Unlock()
	b.log.Error("broker", "says", text)
}

// Errorf implements server.Logger. A client that misbehaves is an error to
// nats-server and a warning here.
func (b *bridge) Errorf(format string, v ...any) { b.warn(format, v) }

// Debugf implements server.Logger.
func (b *bridge) Debugf(string, ...any) {}

// Tracef implements server.Logger; traces would hold payloads.
func (b *bridge) Tracef(string, ...any) {}
