package clock

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machine is a kiosk's clocks, moved by hand. real is the time of the world.
type machine struct {
	real, wall, rtc time.Time
	boot            time.Duration
	id              string
	synced, noRTC   bool
	file            string
	log             bytes.Buffer
}

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

func newMachine(t *testing.T) *machine {
	return &machine{real: start, wall: start, rtc: start.Add(7 * time.Hour), boot: time.Hour, id: "boot-1", file: filepath.Join(t.TempDir(), FileName)}
}

// agent is what a start of the agent makes of the machine as it is.
func (m *machine) agent(s Source) *Clock {
	c := &Clock{Source: s, MaxHoldover: 72 * time.Hour, File: m.file, Log: slog.New(slog.NewTextHandler(&m.log, nil)),
		Wall: func() time.Time { return m.wall }, Boot: func() time.Duration { return m.boot }, Synced: func() bool { return m.synced },
		BootID: func() string { return m.id }, RTC: func() (time.Time, bool) { return m.rtc, !m.noRTC }}
	c.Load()
	return c
}

func (m *machine) pass(d time.Duration) {
	m.real, m.wall, m.rtc, m.boot = m.real.Add(d), m.wall.Add(d), m.rtc.Add(d), m.boot+d
}

// reboot takes a while; the wall clock is then whatever the system makes of it.
func (m *machine) reboot(off time.Duration) {
	m.pass(off)
	m.boot, m.id, m.synced = 20*time.Second, m.id+"'", false
	m.wall = time.Date(1970, 1, 1, 0, 0, 20, 0, time.UTC)
}

// is fails unless the time is trusted and right to the second, with that
// origin; an empty origin wants it not trusted.
func (m *machine) is(t *testing.T, c *Clock, when string, want Origin) {
	t.Helper()
	s := c.State()
	switch {
	case want == "" && (s.Trusted || s.Problem == ""):
		t.Errorf("%s: %+v, want it not trusted with a reason", when, s)
	case want != "" && (!s.Trusted || s.Origin != want || s.Problem != "" || s.Now.Sub(m.real).Abs() > time.Second):
		t.Errorf("%s: %+v, want %s from %s", when, s, m.real, want)
	}
}

// 72 hours offline: the kernel clears its flag after 9, the kiosk is rebooted
// in the middle, and the time is trusted to the end and no longer.
func TestOffline(t *testing.T) {
	m := newMachine(t)
	c := m.agent(Kernel)
	m.is(t, c, "before any source", "")
	m.synced = true
	m.is(t, c, "synchronised", FromKernel)
	m.pass(9 * time.Hour)
	m.is(t, c, "offline with the flag still set", FromKernel)
	m.synced = false
	m.pass(time.Hour)
	m.is(t, c, "the flag is cleared", FromHeld)
	c.save()
	m.pass(4 * time.Minute) // not saved any more: a power cut
	m.reboot(30 * time.Hour)
	c = m.agent(Kernel)
	m.is(t, c, "after a reboot", FromHeld)
	m.pass(40 * time.Hour)
	m.is(t, c, "later in the second boot", FromHeld)
	if got, want := c.State().Until, start.Add(9*time.Hour+72*time.Hour); !got.Equal(want) {
		t.Errorf("holdover ends at %s, want %s", got, want)
	}
	c.save()
	c = m.agent(Kernel)
	m.is(t, c, "after a restart in the same boot", FromHeld)
	m.pass(57 * time.Minute)
	m.is(t, c, "past the holdover", "")
	c.save()
	m.reboot(time.Minute)
	c = m.agent(Kernel)
	m.is(t, c, "past the holdover and rebooted", "")
	m.wall, m.synced = m.real, true
	m.is(t, c, "synchronised again", FromKernel)
}

// The flag may be cleared from the start: holdover counts from the last
// moment at which it was seen.
func TestHoldoverEnds(t *testing.T) {
	m := newMachine(t)
	c := m.agent(Kernel)
	m.synced = true
	c.State()
	m.synced = false
	m.pass(72 * time.Hour)
	m.is(t, c, "at 72 hours", FromHeld)
	m.pass(time.Second)
	m.is(t, c, "a second later", "")
}

// Within a boot the boot clock wins, whatever somebody makes of the others.
func TestWallMoved(t *testing.T) {
	m := newMachine(t)
	c := m.agent(Kernel)
	m.synced = true
	c.State()
	m.synced = false
	m.pass(time.Hour)
	for _, d := range []time.Duration{-365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, -3 * time.Second} {
		m.wall, m.rtc = m.wall.Add(d), m.rtc.Add(d)
		m.is(t, c, "moved by "+d.String(), FromHeld)
		c.save()
		c = m.agent(Kernel)
		m.is(t, c, "and restarted", FromHeld)
	}
}

func TestHardwareClockMoved(t *testing.T) {
	for name, tc := range map[string]struct {
		move   time.Duration
		noRTC  bool
		origin Origin
		off    time.Duration // of the time that is then trusted
	}{
		"right":                   {origin: FromHeld},
		"set back":                {move: -time.Hour},
		"battery empty":           {move: -56 * 365 * 24 * time.Hour},
		"forward beyond holdover": {move: 80 * time.Hour},
		"a little behind":         {move: -90 * time.Second, origin: FromHeld, off: -60 * time.Second},
		"forward within holdover": {move: 2 * time.Hour, origin: FromHeld, off: 2 * time.Hour},
		"there is none at all":    {noRTC: true},
		"before 1970":             {move: -100 * 365 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.synced, m.noRTC = true, tc.noRTC
			c := m.agent(Kernel)
			c.State()
			c.save()
			m.reboot(time.Minute)
			m.rtc = m.rtc.Add(tc.move)
			c = m.agent(Kernel)
			m.real = m.real.Add(tc.off)
			m.is(t, c, "after the boot", tc.origin)
			if tc.origin != "" || tc.move > 0 {
				return
			}
			// What was refused stays refused when the clock runs past it.
			if len(c.changed) != 1 {
				t.Error("what was refused is not written down at once")
			}
			c.save()
			m.pass(3 * time.Hour)
			m.reboot(time.Minute)
			m.is(t, m.agent(Kernel), "after another boot", "")
		})
	}
}

// A torn, altered or foreign file is one clear line and no trust.
func TestDamagedFile(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"torn":     func(b []byte) []byte { return b[:len(b)/2] },
		"empty":    func([]byte) []byte { return nil },
		"altered":  func(b []byte) []byte { return bytes.Replace(b, []byte("2026-11-21T"), []byte("2026-11-22T"), 1) },
		"newer":    func(b []byte) []byte { return bytes.Replace(b, []byte(`"v":1`), []byte(`"v":2`), 1) },
		"enormous": func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), maxFile)...) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.synced = true
			c := m.agent(Kernel)
			c.State()
			c.save()
			b, err := os.ReadFile(m.file)
			if err != nil {
				t.Fatal(err)
			}
			m.synced = false
			m.is(t, m.agent(Kernel), "the file as it was", FromHeld)
			if err := os.WriteFile(m.file, spoil(b), 0o600); err != nil {
				t.Fatal(err)
			}
			m.log.Reset()
			c = m.agent(Kernel)
			m.is(t, c, "after the damage", "")
			if n := strings.Count(m.log.String(), "\n"); n != 1 || !strings.Contains(m.log.String(), m.file) {
				t.Errorf("the log says\n%s", m.log.String())
			}
			m.synced = true
			m.is(t, c, "with a source", FromKernel)
			c.save()
			m.synced = false
			m.is(t, m.agent(Kernel), "after that", FromHeld)
		})
	}
	k := kept{V: keepVersion, Origin: FromHeld, Time: start, Spoke: start.Add(time.Hour)}
	b, err := k.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(b); err == nil {
		t.Error("a source that spoke in the future is accepted")
	}
}

func TestSigned(t *testing.T) {
	m := newMachine(t)
	c := m.agent(Kernel)
	if !c.Wanted() {
		t.Fatal("without a source a signed time is not wanted")
	}
	mark := c.Mark()
	signed := m.real
	m.pass(3 * time.Second)
	if err := c.Take(signed, mark); err != nil {
		t.Fatal(err)
	}
	m.is(t, c, "signed", FromCentral)
	second := c.Mark()
	if err := c.Take(signed.Add(-time.Minute), second); !errors.Is(err, ErrOrder) {
		t.Errorf("two signed times out of order: %v", err)
	}
	m.pass(MaxAnswer + time.Second)
	if err := c.Take(m.real, second); !errors.Is(err, ErrLate) {
		t.Errorf("a late answer: %v", err)
	}
	if err := c.Take(m.real, c.Mark()+time.Hour); !errors.Is(err, ErrLate) {
		t.Errorf("an answer from the future: %v", err)
	}
	m.is(t, c, "after what was refused", FromCentral)
	c.save()
	m.reboot(time.Hour)
	c = m.agent(Kernel)
	m.is(t, c, "after a reboot", FromCentral)
	if err := c.Take(signed.Add(-time.Hour), c.Mark()); !errors.Is(err, ErrOrder) {
		t.Errorf("a signed time before one that an earlier run took: %v", err)
	}
	m.pass(72 * time.Hour)
	m.is(t, c, "past the holdover", "")
	if err := c.Take(m.real, c.Mark()); err != nil {
		t.Fatal(err)
	}
	m.is(t, c, "signed anew", FromCentral)
	m.wall, m.synced = m.real, true
	if c.Wanted() {
		t.Error("a signed time is wanted although the kernel is synchronised")
	}
	if err := c.Take(m.real.Add(time.Hour), c.Mark()); err != nil {
		t.Fatal(err)
	}
	m.is(t, c, "the kernel's time stands", FromKernel)
}

// A carrying clock that went wrong is corrected by a source that speaks.
func TestSourceCorrects(t *testing.T) {
	m := newMachine(t)
	m.synced = true
	c := m.agent(Kernel)
	c.State()
	c.save()
	m.reboot(time.Minute)
	m.rtc = m.rtc.Add(20 * time.Hour)
	c = m.agent(Kernel)
	if now, ok := c.Now(); !ok || now.Sub(m.real) != 20*time.Hour {
		t.Fatalf("carried on to %s %v", now, ok)
	}
	if err := c.Take(m.real, c.Mark()); err != nil {
		t.Fatal(err)
	}
	m.is(t, c, "corrected by central", FromCentral)
	m.wall, m.synced = m.real, true
	m.is(t, c, "and by the kernel", FromKernel)
}

func TestFloor(t *testing.T) {
	for _, s := range []Source{Kernel, Assume} {
		m := newMachine(t)
		m.synced = true
		c := m.agent(s)
		c.Floor(start.Add(2 * time.Minute)) // other clocks go a little ahead
		if _, ok := c.Now(); !ok {
			t.Errorf("source %d: not trusted although the signed time fits", s)
		}
		c.Floor(start.Add(time.Hour))
		c.Floor(start.Add(-time.Hour)) // older: ignored
		m.is(t, c, "before a signed time", "")
		c.save()
		c = m.agent(s)
		m.is(t, c, "also after a restart", "")
		m.pass(time.Hour)
		if _, ok := c.Now(); !ok {
			t.Errorf("source %d: not trusted past the signed time", s)
		}
	}
}

func TestZeroTrustsNothing(t *testing.T) {
	if s := (&Clock{}).State(); s.Trusted || s.Origin != FromNone || s.Problem == "" {
		t.Errorf("the zero clock: %+v", s)
	}
	if (&Clock{}).Wanted() {
		t.Error("the zero clock wants a signed time")
	}
}

func TestRealCallsWork(t *testing.T) {
	now, ok := (&Clock{Source: Assume}).Now()
	if !ok || time.Since(now).Abs() > time.Minute {
		t.Errorf("%v %v", now, ok)
	}
	c := &Clock{Source: Kernel, MaxHoldover: time.Hour}
	c.State() // either answer is right here; it must not hang or crash
	_, _ = c.rtc()
	if c.bootID() == "" || c.boot() <= 0 {
		t.Errorf("boot id %q, boot clock %v", c.bootID(), c.boot())
	}
}

// Keep writes at a new source and at the end; a folder that cannot be written
// is said and does not stop the clock.
func TestKeep(t *testing.T) {
	m := newMachine(t)
	c := m.agent(Kernel)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Keep(ctx) }()
	if err := c.Take(m.real, c.Mark()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(m.file); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	m.is(t, m.agent(Kernel), "a second reader", FromCentral)
	if err := os.Remove(m.file); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(m.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("after the end: %v %v", info, err)
	}
	c.File = filepath.Join(m.file, "no folder")
	c.save()
	if s := c.State(); s.Unkept == "" || !s.Trusted {
		t.Errorf("with a folder that cannot be written: %+v", s)
	}
}
