package uplink

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// bubble plays a history in a time of its own.
func bubble(t *testing.T, play func() error) (err error) {
	synctest.Test(t, func(*testing.T) { err = play() })
	return err
}

// modelRun plays a history with the protocol as stated and the real flow.
func modelRun(t *testing.T, r rules, acts []act, count *tally) error {
	return bubble(t, func() error {
		epochs := 0
		newBox := func() (box, error) {
			epochs++
			return newModelBox(fmt.Sprintf("%032x", epochs), r), nil
		}
		return play(r, newBox, newModelCentral(r), acts, count)
	})
}

// tale tells a history.
func tale(acts []act) string {
	var b strings.Builder
	for i, a := range acts {
		fmt.Fprintf(&b, "\n%3d %v (%d, %d)", i+1, a.Kind, a.A, a.B)
	}
	return b.String()
}

var (
	histories = flag.Int("histories", 40, "how many histories the model is put through")
	seed      = flag.Uint64("seed", 0, "of the histories; 0: a new one, which is printed")
)

// seeded gives the seed in force, and prints it.
func seeded(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d of %s", s, t.Name())
	return s
}

// TestModel: whatever crashes, is restored, cloned, installed anew, lost,
// doubled, reordered, repeated or forged, no disk counts as acknowledged what
// central never held, central holds nothing that no kiosk stored, nothing twice
// and nothing out of order, a contradiction is an alarm and not acknowledged,
// and in the end each result is at central or somebody was told.
func TestModel(t *testing.T) {
	var count tally
	done := 0
	for name, value := range map[string]uint64{"rapid.checks": uint64(*histories), "rapid.seed": seeded(t)} {
		if err := flag.Set(name, strconv.FormatUint(value, 10)); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		done++
		acts := history(30, 90).Draw(rt, "history")
		if err := modelRun(t, rules{}, acts, &count); err != nil {
			rt.Fatalf("%v%s", err, tale(acts))
		}
	})
	t.Logf("%d histories: %+v", done, count)
	if count.committed == 0 || count.conflicts == 0 || count.rewinds == 0 || count.alarms == 0 || count.forks == 0 {
		t.Error("too little happened; the test proves nothing")
	}
}

// TestModelIsTheRealThing: the real outbox and central's real database answer
// the same as the model in every step of such histories.
func TestModelIsTheRealThing(t *testing.T) {
	root := t.TempDir()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		// A sync costs nothing there; what it is worth is tested elsewhere.
		if root, err = os.MkdirTemp("/dev/shm", "twin"); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
	}
	var count tally
	gen, done := history(30, 60), 0
	seed := int(seeded(t) % 1_000_000)
	for ; done < *histories/10; done++ {
		acts := gen.Example(seed + done)
		err := bubble(t, func() error {
			w := &world{}
			w.keys(rules{})
			central, err := newTwinCentral(root, w.publicSigning())
			if err != nil {
				return err
			}
			return play(rules{}, func() (box, error) { return newTwinBox(root) }, central, acts, &count)
		})
		if err != nil {
			t.Fatalf("%v%s", err, tale(acts))
		}
	}
	t.Logf("%d histories: %+v", done, count)
}

// TestModelFindsBrokenRules: each rule that is broken is found.
func TestModelFindsBrokenRules(t *testing.T) {
	for name, r := range map[string]rules{
		"a PUBACK counts as delivery":                     {pubackDeletes: true},
		"an acknowledgement is not compared with the row": {anyChain: true},
		"the thief has central's key":                     {thiefSigns: true},
		"a new installation keeps the epoch":              {sameEpoch: true},
		"central acknowledges before it commits":          {ackFirst: true},
		"central takes a contradiction for a repeat":      {swallow: true},
		"central takes results behind a gap":              {gaps: true},
	} {
		t.Run(name, func(t *testing.T) {
			gen := history(60, 150)
			for seed := range 400 {
				acts := gen.Example(seed)
				if err := modelRun(t, r, acts, &tally{}); err != nil {
					t.Logf("found after %d histories: %v", seed+1, err)
					return
				}
			}
			t.Error("not found: the checker is blind to it")
		})
	}
}
