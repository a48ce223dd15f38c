// Package clock says which time may be trusted. A document's expiry and a
// list's validity are judged by it, so a clock that somebody set must not
// count by itself.
//
// The rule (inspection report, "Trusted time"): kernel time while it is
// synchronised; else the newest time that a source vouched for (the kernel
// while it was synchronised, or central under its signature), carried on by
// the boot clock, across boots by the hardware clock and never backwards, for
// at most MaxHoldover since that source last spoke. Past that: not trusted.
//
// What is needed after a restart or a boot lies in one small file, see Load
// and Keep.
package clock

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Source says where trust in the wall clock comes from. The zero value trusts
// nothing.
type Source uint8

// Sources.
const (
	Untrusted Source = iota
	Kernel           // the kernel's synchronised flag or central's word, then holdover
	Assume           // somebody else keeps the clock right; the operator said so
)

// Origin names what the present time comes from, as in records and on pages.
type Origin string

// Origins.
const (
	FromNone    Origin = "none"    // nothing vouches for the time
	FromKernel  Origin = "kernel"  // the kernel's, synchronised now
	FromHeld    Origin = "held"    // the kernel's, synchronised before, carried on
	FromCentral Origin = "central" // signed by central, carried on
	FromAssumed Origin = "assumed" // the configuration says that the clock is right
)

const (
	// MaxAnswer is how long after the question a signed time is still taken:
	// by so much it may be wrong at most.
	MaxAnswer = 10 * time.Second
	// skew is how far a time may lie before a signed one without being taken
	// for wrong: clocks of several machines never agree to the second.
	skew = 5 * time.Minute
	// rtcSlack is how much a hardware clock may seem to go backwards over a
	// boot: it counts whole seconds and drifts against the boot clock.
	rtcSlack = 2 * time.Minute
)

// Errors of Take.
var (
	ErrLate  = errors.New("the signed time came too late after the question")
	ErrOrder = errors.New("the signed time lies before one that was signed earlier")
)

// Clock gives the trusted time. Its zero value trusts nothing. Set the fields
// before the first use.
type Clock struct {
	Source      Source
	MaxHoldover time.Duration // how long trust outlives the last word of a source
	File        string        // what must survive a restart; empty keeps nothing
	Log         *slog.Logger  // nil is silent

	// OS calls as fields, so that a test can move time. Nil means the real
	// one. RTC is the hardware clock, false where there is none.
	Wall   func() time.Time
	Boot   func() time.Duration
	Synced func() bool
	BootID func() string
	RTC    func() (time.Time, bool)

	mu      sync.Mutex
	anchor  anchor
	floor   time.Time // newest time under a valid signature
	told    time.Time // newest time signed by central since the start
	synced  bool      // the kernel's flag when it was last looked at
	why     string    // why there is no anchor
	unkept  string    // why the file could not be written
	changed chan struct{}
}

// anchor ties a trusted time to the clocks that carry it on.
type anchor struct {
	time   time.Time     // trusted time at this anchor
	boot   time.Duration // boot clock at the same moment
	origin Origin        // FromHeld or FromCentral; empty: there is no anchor
	spoke  time.Time     // when, by trusted time, the source last spoke
}

// State is the time with everything that staff should know of it.
type State struct {
	Now     time.Time
	Trusted bool
	Origin  Origin
	Since   time.Time // when the source last spoke; zero when it speaks now, or there is none
	Until   time.Time // when holdover ends; zero where nothing ends
	Problem string    // why the time is not trusted
	Unkept  string    // why a restart would lose the time; empty when it would not
}

// Now gives the time and whether it is trusted.
func (c *Clock) Now() (time.Time, bool) {
	s := c.State()
	return s.Now, s.Trusted
}

// State gives the time and where it comes from.
func (c *Clock) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state()
}

func (c *Clock) state() State {
	var s State
	switch c.Source {
	case Assume:
		s = State{Now: c.wall(), Trusted: true, Origin: FromAssumed}
	case Kernel:
		s = c.kernel()
	default:
		return State{Now: c.wall(), Origin: FromNone, Problem: "no clock is trusted"}
	}
	s.Unkept = c.unkept
	if s.Trusted && c.beforeSigned(s.Now) {
		s.Trusted = false
		s.Problem = "the clock lies before " + stamp(c.floor) + ", a time under a valid signature: it was set back, or the signature's clock was wrong"
	}
	return s
}

// beforeSigned says whether t is wrong because a signature is newer.
func (c *Clock) beforeSigned(t time.Time) bool { return t.Add(skew).Before(c.floor) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (c *Clock) kernel() State {
	boot := c.boot()
	was := c.synced
	if c.synced = c.kernelSynced(); c.synced != was {
		c.touch()
	}
	if c.synced {
		wall := c.wall()
		if !c.beforeSigned(wall) {
			c.anchor = anchor{time: wall, boot: boot, origin: FromHeld, spoke: wall}
		}
		return State{Now: wall, Trusted: true, Origin: FromKernel}
	}
	if c.anchor.origin == "" {
		why := c.why
		if why == "" {
			why = "no source has vouched for the time yet"
		}
		return State{Now: c.wall(), Origin: FromNone, Problem: why}
	}
	now := c.anchor.at(boot)
	s := State{Now: now, Trusted: true, Origin: c.anchor.origin, Since: c.anchor.spoke, Until: c.anchor.spoke.Add(c.MaxHoldover)}
	if now.After(s.Until) {
		s.Trusted = false
		s.Problem = fmt.Sprintf("the holdover of %v since %s is over", c.MaxHoldover, stamp(s.Since))
	}
	return s
}

// at carries the anchor on by the boot clock, which nobody can set and which
// counts suspended time (CLOCK_BOOTTIME, clock_gettime(2)).
func (a anchor) at(boot time.Duration) time.Time { return a.time.Add(max(0, boot-a.boot)) }

// Floor tells the clock of a time under a valid signature: a clock that lies
// well before it is wrong. Earlier floors are ignored.
func (c *Clock) Floor(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raise(t)
}

func (c *Clock) raise(t time.Time) {
	if t.After(c.floor) {
		c.floor = t
		c.touch()
	}
}

// Wanted says whether a signed time would help: nobody else keeps the clock.
func (c *Clock) Wanted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Source == Kernel && !c.kernelSynced()
}

// Mark begins a question for the time; the answer is given to Take with it.
func (c *Clock) Mark() time.Duration { return c.boot() }

// Take takes a time that central signed after the question of that mark. The
// caller has verified the signature. The time is taken as if it had been
// signed the moment the question left: it may then be ahead by the way of
// question and answer, so that nothing counts as valid too long.
//
// While the kernel is synchronised the kernel's time stands, and nothing is
// taken. A signed time corrects what was carried on, in either direction: no
// carrying clock knows better than a source that speaks now.
func (c *Clock) Take(signed time.Time, mark time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	boot := c.boot()
	switch {
	case boot < mark || boot-mark > MaxAnswer:
		return ErrLate
	case signed.Before(c.told) || c.beforeSigned(signed):
		return ErrOrder
	case c.Source != Kernel || c.kernelSynced():
		return nil
	}
	c.told = signed
	c.anchor = anchor{time: signed, boot: mark, origin: FromCentral, spoke: signed}
	c.raise(signed)
	c.touch()
	return nil
}

// touch wakes Keep; mu is held.
func (c *Clock) touch() {
	select {
	case c.wake() <- struct{}{}:
	default:
	}
}

// wake makes the channel on first use; mu is held.
func (c *Clock) wake() chan struct{} {
	if c.changed == nil {
		c.changed = make(chan struct{}, 1)
	}
	return c.changed
}
