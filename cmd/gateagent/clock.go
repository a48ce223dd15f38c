package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"gateagent/config"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
)

// newClock makes the clock that the configuration names.
func newClock(c *config.Config) *clock.Clock {
	source := clock.Kernel
	if c.Clock.Source == "assume" {
		source = clock.Assume
	}
	return &clock.Clock{Source: source, MaxHoldover: c.Clock.MaxHoldover.Std(), File: filepath.Join(c.State.Dir, clock.FileName)}
}

// timekeeping takes up the time of an earlier run. The outbox holds the lock
// of the state folder by now.
func (b *builder) timekeeping(context.Context) error {
	b.clock.Log = b.log
	b.clock.Load()
	b.add("clock", b.clock.Keep, nil)
	return nil
}

// trusted is the lane's time.
func (b *builder) trusted() gate.TrustedTime {
	s := b.clock.State()
	return gate.TrustedTime{Now: s.Now, Trusted: s.Trusted, Zone: b.c.Gate.Location, Source: string(s.Origin)}
}

// uplinkTime is the time by which central's certificates are judged. A kiosk
// that lost the time must still reach central, which may tell it: it takes
// the time when its own certificate was made, where that is later.
func (b *builder) uplinkTime() time.Time {
	now, trusted := b.clock.Now()
	if trusted || b.identity == nil || b.identity.Certificate.Leaf == nil {
		return now
	}
	if made := b.identity.Certificate.Leaf.NotBefore; now.Before(made) {
		return made
	}
	return now
}

// clockStatus is what staff and central see of the time.
func clockStatus(s clock.State) gate.ClockStatus {
	return gate.ClockStatus{Source: string(s.Origin), Trusted: s.Trusted, Since: s.Since, Until: s.Until}
}

// quietHold is how long a holdover is not worth a word: central is asked every
// ten minutes, and a kernel may miss its servers for a while.
const quietHold = time.Hour

// clockNotices says what staff should know of the time, long before a holdover
// ends: a word after an hour, a warning at half of it, a fault in its last
// quarter.
func clockNotices(s clock.State, holdover time.Duration, note func(level, source, text string)) {
	left, held := s.Until.Sub(s.Now), s.Now.Sub(s.Since)
	switch {
	case !s.Trusted:
		note("fault", "clock", gate.CodeClockUntrusted.Info().Text+" ("+s.Problem+"): "+gate.CodeClockUntrusted.Info().Remedy)
	case s.Origin == clock.FromAssumed:
		note("info", "clock", "the clock is assumed to be right (clock.source)")
	case s.Until.IsZero() || held < quietHold:
	default:
		level := "info"
		if left < holdover/2 {
			level = "warning"
		}
		if left < holdover/4 {
			level = "fault"
		}
		note(level, "clock", fmt.Sprintf("no time source since %s (%s): the time is carried on until %s, then everybody goes to staff; restore time synchronisation",
			s.Since.UTC().Format(minuteUTC), s.Origin, s.Until.UTC().Format(minuteUTC)))
	}
	if s.Unkept != "" {
		note("warning", "clock", "the time cannot be written down, so a restart may lose it: look at disk and state folder")
	}
}

// minuteUTC is how times stand in notices: no more exact than is true all day,
// since a notice that changes is sent to central again.
const minuteUTC = "2006-01-02 15:04 MST"

// wireClock is the same for the heartbeat.
func wireClock(s gate.ClockStatus) wire.ClockStatus { return wire.ClockStatus(s) }
