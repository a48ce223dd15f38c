package ca

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
)

const day = 24 * time.Hour

func openCA(t *testing.T) *Authority {
	t.Helper()
	a, err := Open(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func keysAt(t *testing.T, a *Authority, now time.Time) *wire.DocKeySet {
	t.Helper()
	s, err := a.DocKeys(now)
	if err != nil {
		t.Fatal(err)
	}
	if s.At(now) == nil {
		t.Fatalf("no key is in force at %v", now)
	}
	return s
}

// A year of document keys: each is in force for 30 days, the next one is there
// a week before, the one before stays for 30 days and is then gone from the
// disk.
func TestDocKeysRotate(t *testing.T) {
	a := openCA(t)
	start := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	seen, issued := map[string]time.Time{}, time.Time{}
	for d := range 365 {
		now := start.Add(time.Duration(d) * day)
		s := keysAt(t, a, now)
		if s.Issued.Before(issued) {
			t.Fatalf("day %d: an older set than before", d)
		}
		issued = s.Issued
		k := s.At(now)
		if _, known := seen[k.ID]; !known {
			seen[k.ID] = now
		}
		if in := now.Sub(seen[k.ID]); in > 30*day {
			t.Fatalf("day %d: key %s is in force for %v", d, k.ID, in)
		}
		if left := s.Newest().Until.Sub(now); left < 7*day {
			t.Fatalf("day %d: kiosks have keys for %v", d, left)
		}
		if len(s.Keys) > 3 {
			t.Fatalf("day %d: %d keys", d, len(s.Keys))
		}
		for _, k := range s.Keys {
			if now.Sub(k.Until) > 30*day {
				t.Fatalf("day %d: a key is kept that ended on %v", d, k.Until)
			}
		}
	}
	if len(seen) != 13 {
		t.Errorf("%d keys in a year, want 13", len(seen))
	}
	info, err := os.Stat(a.path(fileDocKeys))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

// At the operator's word the key in force ends at once, and the next one, which
// kiosks have already, never comes into force.
func TestDocKeysRotateNow(t *testing.T) {
	a := openCA(t)
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	keysAt(t, a, now)
	now = now.Add(25 * day)
	before := keysAt(t, a, now)
	if len(before.Keys) != 2 {
		t.Fatalf("%d keys, want this one and the next", len(before.Keys))
	}
	if _, err := a.RotateDocKeys(now, -1); err == nil {
		t.Error("-1 days")
	}
	after, err := a.RotateDocKeys(now, 8)
	if err != nil {
		t.Fatal(err)
	}
	k := after.At(now)
	if k == nil || k.ID == before.At(now).ID || !after.Issued.After(before.Issued) || !k.Until.Equal(now.Add(8*day)) {
		t.Fatalf("after the change: %+v", after)
	}
	for _, old := range after.Keys {
		if old.ID == before.Newest().ID {
			t.Error("the next key that kiosks had is still to come")
		}
	}
	if k := after.At(now.Add(-time.Second)); k == nil || k.ID != before.At(now).ID {
		t.Error("the key before was not kept for the time before")
	}
	again, err := Open(a.dir) // another process
	if err != nil {
		t.Fatal(err)
	}
	if s := keysAt(t, again, now.Add(7*day)); s.Newest().Until.Sub(s.Newest().From) != 8*day {
		t.Error("the days that were asked for are forgotten")
	}
}

// A clock that runs ahead for a while leaves nothing that kiosks would refuse.
func TestDocKeysClockAhead(t *testing.T) {
	a := openCA(t)
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	first := keysAt(t, a, now)
	ahead := keysAt(t, a, now.Add(4000*day))
	back := keysAt(t, a, now.Add(time.Hour))
	if !ahead.Issued.After(first.Issued) || !back.Issued.After(ahead.Issued) {
		t.Errorf("issued %v, %v, %v", first.Issued, ahead.Issued, back.Issued)
	}
	if len(back.Keys) > 2 {
		t.Errorf("%d keys", len(back.Keys))
	}
}

func TestDocKeysDamagedFileSaysSo(t *testing.T) {
	a := openCA(t)
	if err := writePrivate(a.path(fileDocKeys), []byte(`{"days":30,"keys":[{"id":"00000000","key":"c2VjcmV0"}]}`)); err != nil {
		t.Fatal(err)
	}
	_, err := a.DocKeys(time.Now())
	if err == nil || !strings.Contains(err.Error(), fileDocKeys) || strings.Contains(err.Error(), "c2Vj") {
		t.Errorf("a damaged file: %v", err)
	}
}
