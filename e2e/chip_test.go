package e2e

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/chip"
	"gateagent/sim/kiosk"
)

// lie makes a file declare n bytes more than anything could have, with a
// length of four bytes behind its tag.
func lie(file []byte, tag int) []byte {
	out := append([]byte(nil), file[:tag]...)
	out = append(out, 0x84, 0x7F, 0xFF, 0xFF, 0xF0)
	return append(out, file[tag+3:]...)
}

// TestChipThatLies: a chip that answers nonsense, tears answers or declares
// absurd lengths is refused or tried again, explained, in bounded time, and the
// next traveller passes.
func TestChipThatLies(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 9)
	r := running(t, func(o *kiosk.Options) { o.Listed = guests })
	r.ready()
	nonsense := func(n int) []byte {
		b := make([]byte, n)
		_, _ = rand.Read(b) // never fails
		return append(b, 0x90, 0x00)
	}
	cases := []struct {
		name   string
		change func(*chip.Config)
	}{
		{"random answers from the first command", func(c *chip.Config) {
			c.Fault = func(_ int, _, _ []byte) ([]byte, bool) { return nonsense(40), false }
		}},
		{"random answers after access", func(c *chip.Config) {
			c.Fault = func(i int, _, out []byte) ([]byte, bool) {
				if i > 12 {
					return nonsense(200), false
				}
				return out, false
			}
		}},
		{"answers of one byte", func(c *chip.Config) {
			c.Fault = func(i int, _, out []byte) ([]byte, bool) {
				if i > 4 {
					return []byte{0x90}, false
				}
				return out, false
			}
		}},
		{"answers far longer than asked", func(c *chip.Config) {
			c.Fault = func(i int, _, _ []byte) ([]byte, bool) { return nonsense(60000), false }
		}},
		{"absurd length of EF.CardAccess", func(c *chip.Config) {
			c.MasterFiles[chip.FileCardAccess] = lie(c.MasterFiles[chip.FileCardAccess], 1)
		}},
		{"absurd length of EF.SOD", func(c *chip.Config) { c.Files[chip.FileSOD] = lie(c.Files[chip.FileSOD], 1) }},
		{"absurd length of DG1", func(c *chip.Config) { c.Files[chip.FileDG(1)] = lie(c.Files[chip.FileDG(1)], 1) }},
		{"absurd length of DG2", func(c *chip.Config) { c.Files[chip.FileDG(2)] = lie(c.Files[chip.FileDG(2)], 1) }},
	}
	for i, tc := range cases {
		r.t.Logf("%s …", tc.name)
		began := time.Now()
		v := r.visit(guests[i], tc.change)
		r.explained(v)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: decided after %v", tc.name, took)
		}
		if len(v.Checks) == 0 || v.Checks[0].Code == 0 {
			t.Errorf("%s: staff do not see which check fails: %s", tc.name, v.line())
		} else {
			t.Logf("%s: %s, %s: %s", tc.name, v.Outcome, v.Checks[0].ID, v.Checks[0].Code.Info().Text)
		}
		if n := r.Relay.Opened(); n != 0 {
			t.Fatalf("%s: the gate opened", tc.name)
		}
	}
	r.admitted(guests[len(cases)])
	r.balance(central, len(cases)+1)
}

// TestEndlessChip: a chip that gives its files a few bytes at a time, or takes
// seconds for each answer, is cut off.
func TestEndlessChip(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 3)
	r := running(t, func(o *kiosk.Options) { o.Listed = guests })
	r.ready()
	for i, tc := range []struct {
		name   string
		change func(*chip.Config)
	}{
		{"eight bytes at a time", func(c *chip.Config) { c.Quirks.MaxRead, c.Model = 8, chip.Typical() }},
		{"two seconds for each answer", func(c *chip.Config) { c.Model.PerAPDU = 2 * time.Second }},
	} {
		began := time.Now()
		v := r.visit(guests[i], tc.change)
		took := time.Since(began)
		r.explained(v)
		t.Logf("%s: after %v %s", tc.name, took.Round(time.Millisecond), v.line())
		if took > 22*time.Second {
			t.Errorf("%s: cut off only after %v", tc.name, took)
		}
	}
	r.admitted(guests[2])
	r.balance(central, 3)
}

// TestTornCard: a card torn out at any moment of the reading aborts once and
// is referred the second time; the third time it is left to lie and passes.
func TestTornCard(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 3)
	r := running(t, func(o *kiosk.Options) { o.Listed = guests })
	r.ready()
	commands := 0 // of a whole reading
	r.visit(guests[2], func(c *chip.Config) {
		c.Fault = func(i int, _, out []byte) ([]byte, bool) { commands = i + 1; return out, false }
	})
	visits := 0
	// The first document of a type is asked one question more.
	for _, after := range []int{1, commands / 3, commands * 2 / 3, commands - 2} {
		tx := r.begin(guests[visits%2])
		torn := make(chan struct{})
		f := r.present(guests[visits%2], func(c *chip.Config) {
			c.Fault = func(i int, _, out []byte) ([]byte, bool) {
				if i == after {
					close(torn)
					return nil, true
				}
				return out, false
			}
		})
		select {
		case <-torn:
		case <-time.After(decideWithin):
			t.Fatalf("the chip was asked fewer than %d commands: %s", after, r.now().line())
		}
		f.remove()
		// The driver told pcscd by the failed command; that the field is empty
		// pcscd tells us at its next round, 0.4 s later.
		time.Sleep(600 * time.Millisecond)
		v := r.await("a decision", decideWithin, func(v view) bool { return v.Tx == tx && v.decided() })
		visits++
		want := gate.Abort
		if visits%2 == 0 {
			want = gate.Refer
		}
		r.explained(v)
		if v.Outcome != want.String() {
			t.Errorf("torn after %d commands, time %d: %s, expected %s", after, visits, v.line(), want)
		}
	}
	v := r.admitted(guests[2])
	all := r.balance(central, visits+2)
	if rec := r.one(all, v.Tx, wire.KindDecision); rec.Decision.Outcome != wire.OutcomeAdmit {
		t.Errorf("the last decision at central is %s", rec.Decision.Outcome)
	}
}

// TestMuteChip: a chip that falls silent puts the reader out of order. The lane
// refers within its bound, tells staff, and recovers by itself when the chip is
// taken away.
func TestMuteChip(t *testing.T) {
	t.Parallel()
	guests := citizens(t, 2)
	r := running(t, func(o *kiosk.Options) { o.Listed = guests })
	r.ready()
	tx := r.begin(guests[0])
	began := time.Now()
	f := r.present(guests[0], func(c *chip.Config) {
		c.Fault = func(i int, _, out []byte) ([]byte, bool) { return out, i > 8 }
	})
	v := r.await("a decision", decideWithin, func(v view) bool { return v.Tx == tx && v.decided() })
	r.explained(v)
	t.Logf("mute chip: %s %v after %v", v.Outcome, v.line(), time.Since(began).Round(time.Millisecond))
	r.await("staff to be told that the reader is out of order", soon, func(v view) bool {
		return v.Stage == gate.StageOutOfOrder && v.notice("reader", "abandoned")
	})
	r.mark()
	r.scan(guests[1])
	v = r.await("the next traveller to be referred", soon, func(v view) bool { return v.Tx != tx && v.decided() })
	r.explained(v)
	if v.Outcome != gate.Refer.String() || !v.has(gate.CodeReaderOutOfOrder) {
		t.Errorf("while the reader is out of order: %s", v.line())
	}
	if lines := r.said("level=ERROR"); len(lines) > 3 {
		t.Errorf("the agent complains too much:\n%s", strings.Join(lines, "\n"))
	}
	f.remove()
	r.mark()
	r.await("the reader to recover", decideWithin, func(v view) bool { return v.Stage == gate.StageIdle && !v.notice("reader") })
	r.admitted(guests[1])
	r.balance(central, 3)
}
