package clock

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever happens in whatever order: a trusted time has had a source within
// the holdover; it is right while the hardware clock is honest; and no
// hardware clock ever takes it back behind what was written down.
func TestAnyHistory(t *testing.T) {
	for seed := range uint64(20) {
		for _, honest := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d honest %v", seed, honest), func(t *testing.T) {
				h := &history{m: newMachine(t), rnd: rand.New(rand.NewPCG(seed, 1)), honest: honest}
				h.c = h.m.agent(Kernel)
				for range 80 {
					h.step(t)
				}
			})
		}
	}
}

type history struct {
	m      *machine
	c      *Clock
	rnd    *rand.Rand
	honest bool
	spoke  time.Time // real time of a source's last word; zero: none
	least  time.Time // newest trusted time that was written down since
	did    string
}

func (h *history) some(most time.Duration) time.Duration {
	return time.Duration(h.rnd.Int64N(int64(most)))
}

func (h *history) step(t *testing.T) {
	m := h.m
	switch n := h.rnd.IntN(9); {
	case n < 3:
		h.did = "time passes"
		m.pass(h.some(12 * time.Hour))
	case n == 3:
		h.did = "power cut and boot"
		m.reboot(h.some(20 * time.Hour))
		h.move()
		h.c = m.agent(Kernel)
	case n == 4:
		h.did = "restart"
		h.c.save()
		h.c = m.agent(Kernel)
	case n == 5:
		h.did = "the wall clock is set"
		m.wall, m.synced = m.wall.Add(h.some(1000*time.Hour)-500*time.Hour), false
	case n == 6 && h.rnd.IntN(3) == 0:
		h.did = "the kernel is synchronised"
		m.wall, m.synced = m.real, true
	case n == 7 && h.rnd.IntN(3) == 0:
		h.did = "central answers"
		mark := h.c.Mark()
		m.pass(h.some(20 * time.Second))
		if h.c.Take(m.real, mark) == nil && !m.synced {
			h.spoke, h.least = m.real, time.Time{}
		}
	default:
		h.did = "the flag is cleared"
		m.synced = false
	}
	h.check(t)
}

// move makes of the hardware clock what a thief might.
func (h *history) move() {
	if !h.honest {
		h.m.rtc = h.m.rtc.Add(h.some(100*time.Hour) - 50*time.Hour)
	}
}

func (h *history) check(t *testing.T) {
	m, s := h.m, h.c.State()
	if m.synced {
		h.spoke, h.least = m.real, time.Time{}
	}
	// Slack: an answer of central may be 10 s old, the hardware clock counts
	// seconds.
	const slack = MaxAnswer + 3*time.Second
	switch {
	case !s.Trusted && s.Problem == "":
		t.Fatalf("%s: not trusted without a reason: %+v", h.did, s)
	case m.synced && !s.Trusted:
		t.Fatalf("%s: a synchronised kernel is not trusted: %+v", h.did, s)
	case !s.Trusted:
		return
	case h.spoke.IsZero():
		t.Fatalf("%s: trusted without a source: %+v", h.did, s)
	case s.Now.Before(h.least.Add(-time.Second)): // the hardware clock counts whole seconds
		t.Fatalf("%s: back to %s, it was %s already", h.did, s.Now, h.least)
	case s.Origin != FromKernel && s.Now.Sub(s.Since) > h.c.MaxHoldover:
		t.Fatalf("%s: trusted past the holdover: %+v", h.did, s)
	case h.honest && s.Now.Sub(m.real).Abs() > slack:
		t.Fatalf("%s: %s, the world has %s", h.did, s.Now, m.real)
	case h.honest && m.real.Sub(h.spoke) > h.c.MaxHoldover+slack:
		t.Fatalf("%s: trusted %v after the last source", h.did, m.real.Sub(h.spoke))
	}
	if h.rnd.IntN(8) == 0 { // each save is a sync of the disk
		h.c.save()
		h.least = s.Now
	}
}
