package bench

import (
	"testing"
	"time"

	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// Lengths written down from ICAO 9303-11 section 9.8.4, byte by byte.
func TestFrames(t *testing.T) {
	l := &list{block: aes}
	l.protected("read 223", false, 0, 223, 223, 0)
	l.protected("read 4096", false, 0, 4096, 4096, 0)
	l.protected("select", false, 7, 0, 0, 0)
	l.protected("odd read", true, 4, 4100, 4100, 0)
	l.block = des
	l.protected("3DES read 231", false, 0, 231, 231, 0)
	l.block = 0
	l.plain("plain", 0, true, 8, 0)
	l.plain("long", 264, true, 264, 0)
	want := []Command{
		{Out: 4 + 1 + 3 + 10 + 1, In: 3 + 1 + 224 + 4 + 10 + 2},
		{Out: 4 + 3 + 4 + 10 + 2, In: 4 + 1 + 4112 + 4 + 10 + 2},
		{Out: 4 + 1 + 2 + 1 + 16 + 10 + 1, In: 4 + 10 + 2},
		{Out: 4 + 3 + 2 + 16 + 4 + 10 + 2, In: 4 + 4112 + 4 + 10 + 2},
		{Out: 4 + 1 + 3 + 10 + 1, In: 3 + 1 + 232 + 4 + 10 + 2},
		{Out: 5, In: 10},
		{Out: 4 + 3 + 264 + 2, In: 266},
	}
	for i, c := range l.out {
		if c.Out != want[i].Out || c.In != want[i].In {
			t.Errorf("%s: %d out, %d in, not %d and %d", c.Name, c.Out, c.In, want[i].Out, want[i].In)
		}
	}
}

// A portrait of 20 kB by chunk and bit rate, as the model was first published:
// in tenths of a second.
func TestModel(t *testing.T) {
	for chunk, want := range map[int][3]float64{160: {3.7, 1.9, 1.6}, 223: {3.0, 1.5, 1.25}, 1024: {2.2, 0.86, 0.63}, 4096: {2.0, 0.70, 0.49}} {
		l := &list{chunk: chunk, block: aes}
		l.content("DG2", 20000)
		for i, rate := range BitRates() {
			m := chip.Typical()
			m.BitRate = rate
			got := l.out.Time(m).Seconds()
			if got < 0.93*want[i] || got > 1.07*want[i] {
				t.Errorf("chunk %d at %d kbit/s: %.2f s, not %.2f s", chunk, rate, got, want[i])
			}
		}
	}
}

// Every profile makes its document, and slower air makes a higher floor.
func TestProfiles(t *testing.T) {
	w := doc.NewWorld(1)
	names := map[string]bool{}
	for _, p := range Profiles() {
		e, err := p.Make(w)
		if err != nil {
			t.Fatal(err)
		}
		if names[p.Name] || len(e.Commands()) < 8 {
			t.Errorf("%s: doubled, or %d commands", p.Name, len(e.Commands()))
		}
		names[p.Name] = true
		last := time.Hour
		for _, rate := range BitRates() {
			f := e.Floor(rate)
			if f >= last || f < 300*time.Millisecond {
				t.Errorf("%s at %d kbit/s: %v", p.Name, rate, f)
			}
			last = f
			if e.Chip(rate).Model.BitRate != rate {
				t.Errorf("%s: the chip does not know its bit rate", p.Name)
			}
		}
	}
	if len(names) < 12 {
		t.Errorf("%d profiles", len(names))
	}
}
