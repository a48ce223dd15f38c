package uplink

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// metered opens the budgets of one path as a start of the agent does.
func metered(dir, period string, limit int64, now *time.Time) (*budgets, *budget) {
	zone := time.FixedZone("ICT", 7*3600)
	all := openBudgets(dir, zone, func() time.Time { return *now }, slog.New(slog.DiscardHandler))
	one := all.add("mobile", limit, period)
	all.load()
	return all, one
}

// What was used survives an orderly end to the byte, and a crash with at most
// a lease more than was used, never less.
func TestBudgetIsKept(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 31, 20, 0, 0, 0, time.UTC) // 1 April where the kiosk stands
	dir := t.TempDir()
	all, one := metered(dir, PeriodMonth, 100<<20, &now)
	for range 50 {
		one.add(10_000)
	}
	_, crashed := metered(dir, PeriodMonth, 100<<20, &now)
	if extra := one.left() - crashed.left(); extra < 0 || extra > 2*max(one.limit/leaseParts, minLease) {
		t.Errorf("after a crash %d bytes more were counted than used", extra)
	}
	all.close()
	if _, again := metered(dir, PeriodMonth, 100<<20, &now); again.left() != 100<<20-500_000 {
		t.Errorf("after an orderly end %d bytes are left", again.left())
	}
	_, until, _ := one.state()
	if want := "2026-05-01T00:00:00+07:00"; until.Format(time.RFC3339) != want {
		t.Errorf("the period ends %v, want %s", until, want)
	}
}

func TestBudgetPeriods(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC)
	_, day := metered("", PeriodDay, 10<<20, &now)
	day.add(3 << 20)
	now = now.Add(6 * time.Hour) // 23:00 there
	if day.left() != 7<<20 {
		t.Errorf("%d left on the same day", day.left())
	}
	now = now.Add(-72 * time.Hour) // a clock that is set back gives nothing back
	if day.left() != 7<<20 {
		t.Errorf("%d left after the clock was set back", day.left())
	}
	now = now.Add(25 * time.Hour)
	if day.left() != 10<<20 {
		t.Errorf("%d left on the next day", day.left())
	}
}

// A clock that is set back and comes right again gives nothing back, nor does
// a start in between; one that was ahead does not stop the days from coming.
func TestBudgetClockThereAndBack(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"one run": false, "started anew": true} {
		now := time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC)
		dir := t.TempDir()
		all, day := metered(dir, PeriodDay, 10<<20, &now)
		step := func(d time.Duration, left int64) {
			t.Helper()
			now = now.Add(d)
			if restart {
				all.close()
				all, day = metered(dir, PeriodDay, 10<<20, &now)
			}
			if day.left() != left<<20 {
				t.Errorf("%s: %d left at %v, want %d", name, day.left(), now, left<<20)
			}
		}
		day.add(6 << 20)
		step(-72*time.Hour, 4) // a start without a clock
		day.add(1 << 20)
		step(72*time.Hour, 3) // time synchronisation
		step(-48*time.Hour, 3)
		step(24*time.Hour, 10)
		day.add(1 << 20)
		step(24*time.Hour, 2)
		step(24*time.Hour, 10)
		step(365*24*time.Hour, 10)
		day.add(9 << 20)
		step(-365*24*time.Hour, 1)
		step(24*time.Hour, 10)
	}
}

func TestBudgetStages(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 31, 10, 0, 0, 0, time.UTC)
	_, one := metered("", PeriodDay, 100<<20, &now)
	r := &route{budget: one}
	for _, tc := range []struct {
		used  int64
		stage int
		beats int
	}{{0, stagePlenty, 6}, {74 << 20, stagePlenty, 6}, {2 << 20, stageLow, 60}, {15 << 20, stageScarce, 360}, {9 << 20, stageSpent, 360}} {
		one.add(tc.used)
		if left, _, stage := one.state(); stage != tc.stage || r.beats() != tc.beats {
			t.Errorf("%d left: stage %d and a heartbeat in %d, want %d and %d", left, stage, r.beats(), tc.stage, tc.beats)
		}
	}
}

// A file that is damaged is counted anew; one that cannot be written is told.
func TestBudgetFileTrouble(t *testing.T) {
	t.Parallel()
	now, dir := time.Now(), t.TempDir()
	for _, text := range []string{"{", `{"v":9}`, `{"v":1,"paths":{"mobile":{"used":-5}}}`} {
		if err := os.WriteFile(filepath.Join(dir, budgetFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, one := metered(dir, PeriodDay, 10<<20, &now); one.left() != 10<<20 {
			t.Errorf("%s: %d left", text, one.left())
		}
	}
	all, one := metered(filepath.Join(dir, "gone"), PeriodDay, 10<<20, &now)
	one.add(1)
	if !strings.Contains(all.Problem(), "no such file") {
		t.Errorf("problem %q", all.Problem())
	}
}
