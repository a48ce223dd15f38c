package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/config"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
)

// Staff hear of a holdover long before it ends.
func TestClockNotices(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	const holdover = 72 * time.Hour
	held := func(d time.Duration) clock.State {
		return clock.State{Now: now, Trusted: d <= holdover, Origin: clock.FromHeld, Since: now.Add(-d), Until: now.Add(holdover - d), Problem: "over"}
	}
	for name, tc := range map[string]struct {
		s    clock.State
		want string
	}{
		"synchronised":  {clock.State{Now: now, Trusted: true, Origin: clock.FromKernel}, ""},
		"just asked":    {held(10 * time.Minute), ""},
		"an hour":       {held(time.Hour), "info no time source since 2026-11-21 07:00 UTC (held): the time is carried on until 2026-11-24 07:00 UTC"},
		"half":          {held(36*time.Hour + time.Second), "warning"},
		"three fourths": {held(54*time.Hour + time.Second), "fault no time source"},
		"over":          {held(holdover + time.Second), "fault the kiosk's clock is not trusted (over)"},
		"assumed":       {clock.State{Now: now, Trusted: true, Origin: clock.FromAssumed}, "info the clock is assumed"},
		"not kept":      {clock.State{Now: now, Trusted: true, Origin: clock.FromKernel, Unkept: "disk full"}, "warning the time cannot be written down"},
	} {
		var got []string
		clockNotices(tc.s, holdover, func(level, source, text string) {
			if source != "clock" {
				t.Errorf("%s: source %q", name, source)
			}
			got = append(got, level+" "+text)
		})
		if all := strings.Join(got, "\n"); !strings.HasPrefix(all, tc.want) || (tc.want == "") != (all == "") || len(got) > 1 {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// What a run knew of the time, the next one and `read` know, too.
func TestTimeOutlivesARestart(t *testing.T) {
	c := &config.Config{State: config.State{Dir: t.TempDir()}, Clock: config.Clock{Source: "kernel", MaxHoldover: config.Duration(72 * time.Hour)}}
	unsynced := func() bool { return false }
	b := &builder{c: c, clock: newClock(c), log: slog.New(slog.DiscardHandler)}
	b.clock.Synced = unsynced
	if err := b.timekeeping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.trusted().Trusted {
		t.Fatal("trusted without a source")
	}
	if err := b.clock.Take(time.Now(), b.clock.Mark()); err != nil {
		t.Fatal(err)
	}
	over, stop := context.WithCancel(t.Context())
	stop()
	if err := b.tasks[0].run(over); err != nil { // writes at its end
		t.Fatal(err)
	}
	next := &builder{c: c, clock: newClock(c), log: slog.New(slog.DiscardHandler)}
	next.clock.Synced = unsynced
	if err := next.timekeeping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := next.trusted(); !got.Trusted || got.Source != "central" || time.Since(got.Now).Abs() > time.Minute {
		t.Errorf("after a restart: %+v", got)
	}
	read := readOptions{state: c.State.Dir, holdover: time.Hour}
	if got, err := read.time(); err != nil || !got.Trusted {
		t.Errorf("read beside the lane: %+v %v", got, err)
	}
	read.state = filepath.Join(c.State.Dir, "no lane")
	_, kernel := (&clock.Clock{Source: clock.Kernel}).Now()
	if got, err := read.time(); err != nil || got.Trusted != kernel {
		t.Errorf("read without a lane: %+v %v, the kernel says %v", got, err, kernel)
	}
}

// A kiosk that lost the time judges central's certificates by the day when its
// own was made: central is who can tell it the time.
func TestUplinkTime(t *testing.T) {
	made := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	wall := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	b := &builder{identity: &wire.Identity{Certificate: tls.Certificate{Leaf: &x509.Certificate{NotBefore: made}}},
		clock: &clock.Clock{Source: clock.Kernel, MaxHoldover: time.Hour, Synced: func() bool { return false }, Wall: func() time.Time { return wall }}}
	if got := b.uplinkTime(); !got.Equal(made) {
		t.Errorf("lost: %s", got)
	}
	wall = made.Add(time.Hour)
	if got := b.uplinkTime(); !got.Equal(wall) {
		t.Errorf("untrusted but not impossible: %s", got)
	}
	wall = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := b.clock.Take(made.Add(48*time.Hour), b.clock.Mark()); err != nil {
		t.Fatal(err)
	}
	if got := b.uplinkTime(); got.Before(made.Add(48 * time.Hour)) {
		t.Errorf("trusted: %s", got)
	}
}

func TestStrictFace(t *testing.T) {
	for name, tc := range map[string]struct {
		u        config.CloneUnproven
		recorded float64
		fails    bool
		none     bool
	}{
		"nobody named":          {config.CloneUnproven{Threshold: 0.1}, 0, false, false},
		"by the record":         {config.CloneUnproven{Issuers: []string{"USA"}}, 0.6, false, false},
		"the record has none":   {config.CloneUnproven{Issuers: []string{"USA"}}, 0, false, true},
		"by the configuration":  {config.CloneUnproven{Issuers: []string{"USA"}, Threshold: 0.5}, 0, false, false},
		"lower than the normal": {config.CloneUnproven{Issuers: []string{"USA"}, Threshold: 0.4}, 0.6, true, false},
	} {
		b := &builder{c: &config.Config{Policy: config.Policy{CloneUnproven: tc.u}}, log: slog.New(slog.DiscardHandler)}
		if err := b.strictFace(0.45, tc.recorded); (err != nil) != tc.fails || b.noStrict != tc.none {
			t.Errorf("%s: %v, none %v", name, err, b.noStrict)
		}
	}
}
