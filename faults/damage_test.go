//go:build faults

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// report is what the kiosk wrote down of a damaged database.
type report struct {
	Saved, Stranded, Unreadable, Doubtful uint64
	EndUnknown                            bool
	Problem                               string
}

// reports sums up what the kiosk told as missing.
func (k *kiosk) reports() (missing int, folders int, anything bool) {
	k.t.Helper()
	all, err := filepath.Glob(filepath.Join(k.job.State, "outbox.damaged-*", "report.json"))
	must(k.t, err)
	for _, path := range all {
		data, err := os.ReadFile(path)
		must(k.t, err)
		var r report
		must(k.t, json.Unmarshal(data, &r))
		missing += int(r.Unreadable + r.Doubtful)
		anything = anything || r.Problem != "" || r.EndUnknown
	}
	return missing, len(all), anything
}

// saved waits until all that was set aside was looked through, and what could
// be saved was sent: that is when nothing has waited for a while.
func (k *kiosk) saved() {
	k.t.Helper()
	quiet := 0
	eventually(k.t, "everything that can be saved is, and sent", func() bool {
		_, told, _ := k.reports()
		aside, err := filepath.Glob(filepath.Join(k.job.State, "outbox.damaged-*"))
		if quiet++; err != nil || len(aside) != told || k.look().Depth > 0 {
			quiet = 0
		}
		time.Sleep(20 * time.Millisecond)
		return quiet > 20
	})
}

// carryStranded brings the results to central that lie behind unreadable ones,
// as an operator does.
func (k *kiosk) carryStranded(c *centre) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	file := filepath.Join(k.dir, "carried.jsonl")
	for _, args := range [][]string{
		{"outbox", "export", "--stranded", "--state", k.job.State, "--out", file},
		{"central", "import", "--accept-loss", file, "--central", c.dir},
	} {
		if out, err := exec.CommandContext(ctx, filepath.Join(bin, "gatectl"), args...).CombinedOutput(); err != nil {
			return fmt.Errorf("gatectl %v: %w\n%s", args, err, out)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ledger.gaps = true
	return nil
}

// spoil overwrites pages of a file, and says how many.
func spoil(t *testing.T, random *rand.Rand, path string, page int64) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Size() <= page {
		return 0
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	n := 1 + random.IntN(3)
	for range n {
		junk := make([]byte, 1+random.IntN(int(page)))
		for i := range junk {
			junk[i] = byte(random.Uint32())
		}
		_, err := f.WriteAt(junk, page*random.Int64N(info.Size()/page))
		must(t, err)
	}
	return n
}

// TestCorruptedPages: pages of the outbox's database, or of its log, are
// overwritten while the kiosk is away. What is damaged is set aside, what can be
// read is sent or carried by hand, staff are told of every result that cannot,
// and the gate goes on, however often it is killed meanwhile. The ledger counts
// as lost what nobody was told of.
func TestCorruptedPages(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for _, file := range []string{"outbox.db", "outbox.db-wal"} {
		sum, told, found, damaged := newLedger(t.Name()+"-"+file), 0, 0, 0
		for range max(2, *rounds) {
			c, k := scene(t)
			k.start()
			k.decide(100 + random.IntN(500))
			if file == "outbox.db" {
				k.stop() // the log is moved into the database
			} else {
				k.kill()
			}
			spoil(t, random, filepath.Join(k.job.State, "outbox", file), 4096)
			k.start()
			for range random.IntN(4) { // while it looks through what it set aside
				time.Sleep(between(random, 0, 60*time.Millisecond))
				k.kill()
				k.start()
			}
			k.decide(20)
			c.start()
			k.saved()
			if err := k.carryStranded(c); err != nil {
				t.Fatal(err)
			}
			missing, folders, anything := k.reports()
			damaged += folders
			k.ledger.read(t, c.reg, kioskName)
			l := k.ledger
			if anything {
				missing = l.missing() // staff are told that nothing could be read, or not how many there were
			}
			if folders > 0 {
				k.says("damaged")
			}
			told += missing
			found += len(l.found) - l.untold
			sum.count, sum.doubled, sum.unreadable, sum.reordered = sum.count+l.count, sum.doubled+l.doubled, sum.unreadable+l.unreadable, sum.reordered+l.reordered
			if lost := l.missing() - missing; lost > 0 {
				t.Errorf("%s: %d results of %d are gone, and staff were told of %d; %d folders", file, l.missing(), l.count, missing, folders)
			}
			k.kill()
			c.kill()
		}
		t.Logf("ledger %s decided=%d central=%d lost=%d doubled=%d unreadable=%d reordered=%d; %d times set aside, staff were told of %d more that cannot be read",
			sum.name, sum.count-told, found, sum.count-told-found, sum.doubled, sum.unreadable, sum.reordered, damaged, told)
		if file == "outbox.db" && damaged == 0 {
			t.Error("no damage was found; the test proves nothing")
		}
	}
}
