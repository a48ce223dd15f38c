package chip

import (
	"fmt"
	"sync"
	"testing"

	"gateagent/gate"
	sim "gateagent/sim/chip"
)

// pieces is how many reads a file of n bytes takes.
func pieces(n, chunk int) int { return (n + chunk - 1) / chunk }

// TestMemory: whatever the habits of a chip, from the third document of its
// type on there is no command that the verdict does not need.
func TestMemory(t *testing.T) {
	for name, c := range map[string]struct {
		quirks sim.Quirks
		info   string // EF.ATR/INFO
		chunk  int
		more   int // commands that the chip's habits cost each time
	}{
		"no statement":      {sim.Quirks{}, "", 4096, 0},
		"32 KiB stated":     {sim.Quirks{}, "7F660802027FFF02027FFF", 0x7EFF, 0},
		"1 KiB stated":      {sim.Quirks{MaxRead: 1024, TooLongLoses: true}, "7F6608020205000202050047010343010F", 1024, 0},
		"garbage stated":    {sim.Quirks{}, "7F66080202", 4096, 0},
		"short length":      {sim.Quirks{NoExtended: true}, "", 223, 0},
		"few bytes":         {sim.Quirks{MaxRead: 192}, "", 192, 0},
		"few bytes or 6700": {sim.Quirks{MaxRead: 192, TooLongStatus: 0x6700}, "", 192, 0},
		"few bytes or 6Cxx": {sim.Quirks{MaxRead: 192, TooLongStatus: 0x6C00}, "", 192, 0},
		"kilobyte or 6700":  {sim.Quirks{MaxRead: 1024, TooLongStatus: 0x6700}, "", 1024, 0},
		"plain 6700":        {sim.Quirks{MaxRead: 1024, TooLongPlain: true}, "", 1024, 0},
		"session lost":      {sim.Quirks{MaxRead: 1024, TooLongLoses: true}, "", 1024, 0},
		"lost, few bytes":   {sim.Quirks{MaxRead: 223, TooLongLoses: true}, "", 223, 0},
		"master file first": {sim.Quirks{SelectAppFirst: true}, "", 4096, 2},
	} {
		cfg := withKeys(newConfig(paceOn(sim.AES128, 13)), keyOn(t, sim.AES128, 13, 0))
		cfg.Quirks = c.quirks
		if c.info != "" {
			cfg.MasterFiles[sim.FileATRInfo] = unhex(t, c.info)
		}
		// EF.CardAccess, PACE, application, chip authentication.
		want := 1 + 5 + 1 + 2 + c.more
		for _, id := range []uint16{sim.FileSOD, sim.FileDG(14), sim.FileDG(1), sim.FileDG(2)} {
			want += pieces(len(cfg.Files[id]), c.chunk)
		}
		memory := NewMemory()
		for i := range 4 {
			f := &field{chip: sim.New(cfg)}
			s := New(f, Options{Memory: memory})
			if _, err := transaction(s, cfg.Files[sim.FileDG(14)]); err != nil {
				t.Fatalf("%s, document %d: %v", name, i, err)
			}
			s.Close()
			if n := len(f.log); i >= 2 && n != want {
				t.Errorf("%s, document %d: %d commands, not %d", name, i, n, want)
				for _, a := range f.log[:min(len(f.log), 24)] {
					t.Logf("%X", a[:min(len(a), 12)])
				}
			}
		}
	}
}

// TestMemoryNeverDecides: after a hundred documents without PACE, the first
// with the same answer to reset that has it is still opened by it, wherever
// its EF.CardAccess lies.
func TestMemoryNeverDecides(t *testing.T) {
	for _, q := range []sim.Quirks{{}, {NoSelectMF: true}, {SelectAppFirst: true}, {NoShortEF: true}} {
		memory := NewMemory()
		for range 3 {
			f := &field{chip: sim.New(newConfig())}
			s := New(f, Options{Memory: memory})
			if a, err := s.Open(t.Context(), byMRZ()); err != nil || a.Protocol != gate.CheckBAC {
				t.Fatal(a.Protocol, err)
			}
			s.Close()
		}
		cfg := newConfig(paceOn(sim.AES128, 13))
		cfg.Quirks = q
		s := New(&field{chip: sim.New(cfg)}, Options{Memory: memory})
		if a, err := s.Open(t.Context(), byMRZ()); err != nil || a.Protocol != gate.CheckPACE {
			t.Errorf("%+v: opened by %q (%v)", q, a.Protocol, err)
		}
		s.Close()
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory()
	var group sync.WaitGroup
	for i := range 3 * memoryTypes {
		group.Go(func() {
			k := kindOf([]byte(fmt.Sprint(i)))
			m.keep(k, traits{chunk: i + 1})
			m.recall(k)
			m.drop(kindOf([]byte(fmt.Sprint(i / 2))))
		})
	}
	group.Wait()
	if len(m.types) > memoryTypes || len(m.types) != len(m.order) {
		t.Errorf("%d types, %d in order", len(m.types), len(m.order))
	}
	k := kindOf(nil)
	m.keep(k, traits{chunk: 7})
	for range memoryUses {
		if m.recall(k).chunk != 7 {
			t.Fatal("forgotten too soon")
		}
	}
	if m.recall(k).chunk != 0 {
		t.Error("a type is never looked at anew")
	}
	var none *Memory
	none.keep(k, traits{})
	none.drop(k)
	if none.recall(k) != (traits{}) {
		t.Error("no memory remembers something")
	}
}
