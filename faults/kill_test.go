//go:build faults

package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// pointsOf names every point of the writes of a database: each kind of
// operation on the database and on its log, before it, after it, and in the
// middle of a write. most is how many operations of a kind a process does
// between two kills.
func pointsOf(db string) (all []point, most map[string]int) {
	most = map[string]int{"write " + db + "-wal": 300, "sync " + db + "-wal": 120, "write " + db: 150, "sync " + db: 1, "truncate " + db + "-wal": 1}
	for _, file := range []string{db, db + "-wal"} {
		for _, op := range []string{"write", "sync"} {
			for _, how := range []string{"before", "torn", "after"} {
				if op == "write" || how != "torn" {
					all = append(all, point{op: op, file: file, how: how})
				}
			}
		}
	}
	return all, most
}

// pick takes the points in turn, each at an operation of chance.
func pick(i int, db string, random *rand.Rand) point {
	all, most := pointsOf(db)
	p := all[i%len(all)]
	p.n = 1 + random.IntN(max(1, most[p.op+" "+p.file]))
	return p
}

// TestKillKiosk: the kiosk is killed at every named point of a write and at
// moments of chance, under load, at its start and while it sends. After each
// kill it starts again, and central is counted.
func TestKillKiosk(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c, k := scene(t)
	c.start()
	how := map[string]int{}
	for i := range *kills {
		var env []string
		p := point{how: "at a moment of chance"}
		if i%2 == 0 {
			p = pick(i/2, "outbox.db", random)
			env = p.env()
		}
		k.launch(env...)
		k.send("load")
		limit := time.After(10 * time.Second)
		if env == nil {
			limit = time.After(between(random, 0, 400*time.Millisecond))
		}
		select {
		case <-k.gone:
			if env == nil {
				t.Fatalf("kill %d: the kiosk ended by itself", i)
			}
			how[p.String()]++
		case <-limit:
			if env != nil {
				p.how = "not met: " + p.how
			}
			how[p.String()]++
		}
		k.kill()
		k.start()
		k.drained()
		if i%8 == 0 {
			k.stop() // in order, for once
		} else {
			k.kill()
		}
	}
	tellPoints(t, how)
	k.start()
	k.drained()
	k.draw()
}

// tellPoints prints how often each point was met, and demands that all were.
func tellPoints(t *testing.T, how map[string]int) {
	t.Helper()
	var names []string
	for name := range how {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("killed %d times %s", how[name], name)
	}
}

// TestKillCentral: central is killed at every named point of its writes and at
// moments of chance, while a kiosk sends.
func TestKillCentral(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c, k := scene(t)
	k.start()
	k.send("load")
	how := map[string]int{}
	for i := range max(1, *kills/4) {
		p := point{how: "at a moment of chance"}
		if i%2 == 0 {
			p = pick(i/2, "central.db", random)
			p.n = 1 + p.n/4 // central writes batches
			c.launch(p.env()...)
			select {
			case <-c.program.Done():
			case <-time.After(10 * time.Second):
				p.how = "not met: " + p.how
			}
		} else {
			c.start()
			time.Sleep(between(random, 0, 700*time.Millisecond))
		}
		how[p.String()]++
		c.kill()
		if i%4 == 3 { // counted now and then: the kiosk rests for it
			k.kill()
			k.start()
			c.start()
			k.drained()
			c.kill()
			k.send("load")
		}
	}
	tellPoints(t, how)
	k.kill()
	k.start()
	c.start()
	k.drained()
	k.draw()
}

// errnos are what a full, a read-only and a failing disk say.
var errnos = map[string]int{"full": 28, "read-only": 30, "failing": 5}

// TestFailingDisk: from one write on the disk of the kiosk, or of central, is
// full, read-only or fails, until it is repaired. Nothing is acknowledged or
// told that is not there, and all goes on where it was.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for _, what := range []string{"full", "read-only", "failing"} {
		c, k := scene(t)
		k.mu.Lock()
		k.ledger.name += "-" + what
		k.mu.Unlock()
		c.start()
		refused := 0
		for i := range *rounds {
			bad := filepath.Join(t.TempDir(), "bad")
			must(t, os.WriteFile(bad, nil, 0o600))
			ops := []point{{op: "write", file: "outbox.db-wal"}, {op: "write", file: "outbox.db"}, {op: "sync", file: "outbox.db-wal"}}
			p := ops[i%len(ops)]
			p.n, p.how = 1+random.IntN(60), fmt.Sprint(errnos[what])
			if p.file == "outbox.db" {
				p.n = 1
			}
			k.launch(append(p.env(), "POINT_WHILE="+bad)...)
			k.send("load")
			time.Sleep(between(random, 100*time.Millisecond, time.Second))
			if i%3 == 2 {
				k.kill() // on the bad disk
				must(t, os.Remove(bad))
				k.start()
				k.drained()
				k.kill()
				continue
			}
			must(t, os.Remove(bad))
			time.Sleep(100 * time.Millisecond)
			refused += k.look0().Refused
			k.kill()
			k.start()
			k.drained()
			k.kill()
		}
		centralFails(t, c, k, random, errnos[what])
		t.Logf("%s: %d appends were refused", what, refused)
		if refused == 0 && *rounds >= 4 {
			t.Errorf("%s: nothing was refused; the test proves nothing", what)
		}
		k.draw()
	}
}

// look0 looks at a kiosk that was launched: its first word is that it is open.
func (k *kiosk) look0() (s state) {
	k.t.Helper()
	select {
	case <-k.replies:
	case <-k.gone:
		k.t.Fatal("the kiosk ended on a failing disk")
	case <-time.After(patience):
		k.t.Fatal("the kiosk does not open its outbox on a disk that works again")
	}
	return k.look()
}

// centralFails has central's disk fail under a kiosk that sends.
func centralFails(t *testing.T, c *centre, k *kiosk, random *rand.Rand, errno int) {
	t.Helper()
	c.kill()
	k.start()
	k.send("load")
	for i := range *rounds {
		bad := filepath.Join(t.TempDir(), "bad")
		must(t, os.WriteFile(bad, nil, 0o600))
		ops := []point{{op: "write", file: "central.db-wal"}, {op: "sync", file: "central.db-wal"}, {op: "write", file: "central.db"}}
		p := ops[i%len(ops)]
		p.n, p.how = 60+random.IntN(200), fmt.Sprint(errno) // it starts on a good one
		c.launch(append(p.env(), "POINT_WHILE="+bad)...)
		time.Sleep(between(random, 500*time.Millisecond, 1500*time.Millisecond))
		must(t, os.Remove(bad))
		time.Sleep(between(random, 0, 500*time.Millisecond))
		if !c.program.Running() {
			t.Logf("central ended on a bad disk: %v", c.program.Ended())
		}
		c.kill()
	}
	k.kill()
	k.start()
	c.start()
	k.drained()
	k.kill()
}
