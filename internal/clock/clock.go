// Package clock says which time may be trusted. A document's expiry and a
// list's validity are judged by it, so a clock that somebody set back must
// not count.
package clock

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Source says where trust in the wall clock comes from. The zero value trusts
// nothing.
type Source uint8

// Sources.
const (
	Untrusted Source = iota
	Kernel           // the kernel's synchronised flag, then holdover by the boot clock
	Assume           // somebody else keeps the clock right; the operator said so
)

// timeError is the adjtimex state of an unsynchronised clock (TIME_ERROR).
const timeError = 5

// tolerance is how far the wall clock may drift from what the boot clock
// predicts before it counts as set by somebody.
const tolerance = 2 * time.Second

// Clock gives the trusted time. Its zero value trusts nothing.
type Clock struct {
	Source      Source
	MaxHoldover time.Duration // how long trust outlives the kernel's flag

	// OS calls as fields, so that a test can move time. Nil means the real one.
	Wall   func() time.Time
	Boot   func() time.Duration
	Synced func() bool

	mu       sync.Mutex
	wallThen time.Time     // wall clock when it was last synchronised
	bootThen time.Duration // boot clock at that moment
	known    bool
	floor    time.Time // newest time under a valid signature
}

// Floor tells the clock of a time under a valid signature: a wall clock
// before it is wrong. Earlier floors are ignored.
func (c *Clock) Floor(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.floor) {
		c.floor = t
	}
}

// Now gives the time and whether it is trusted: kernel time while it is
// synchronised; after that the last synchronised time carried on by the boot
// clock, for at most MaxHoldover. A wall clock before the newest signed time
// is never trusted.
func (c *Clock) Now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.wall()
	if wall.Before(c.floor) {
		return wall, false
	}
	switch c.Source {
	case Assume:
		return wall, true
	case Kernel:
		return c.kernel(wall)
	}
	return wall, false
}

func (c *Clock) kernel(wall time.Time) (time.Time, bool) {
	boot := c.boot()
	if c.synced() {
		c.wallThen, c.bootThen, c.known = wall, boot, true
		return wall, true
	}
	held := boot - c.bootThen
	if !c.known || held < 0 || held > c.MaxHoldover {
		return wall, false
	}
	carried := c.wallThen.Add(held)
	if d := wall.Sub(carried); d < -tolerance || d > tolerance {
		return carried, true // somebody moved the wall clock; the boot clock goes on
	}
	return wall, true
}

func (c *Clock) wall() time.Time {
	if c.Wall != nil {
		return c.Wall()
	}
	return time.Now().Round(0)
}

func (c *Clock) boot() time.Duration {
	if c.Boot != nil {
		return c.Boot()
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func (c *Clock) synced() bool {
	if c.Synced != nil {
		return c.Synced()
	}
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	return err == nil && state != timeError && tx.Status&unix.STA_UNSYNC == 0
}
