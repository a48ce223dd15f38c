package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/offline"
)

// A page in the middle of a kiosk's database went bad: what comes before it is
// sent as ever, and what comes after it reaches central by stick, with the
// unreadable ones noted as lost.
func TestStrandedAreCarried(t *testing.T) {
	centre, state, tmp := newCentral(t), t.TempDir(), t.TempDir()
	file := func(name string) string { return filepath.Join(tmp, name) }
	id := enrolled(t, centre, state)
	const all = 300
	fill(t, state, id.SealTo, 0, all)
	damageMiddle(t, filepath.Join(state, "outbox", "outbox.db"))
	saved, stranded, unreadable := lookThrough(t, state, id.SealTo)
	if saved == 0 || stranded == 0 || unreadable == 0 || saved+stranded+unreadable != all {
		t.Fatalf("%d saved, %d stranded, %d unreadable: the test proves nothing", saved, stranded, unreadable)
	}

	gatectl(t, 0, "outbox", "export", "--state", state, "--out", file("waiting"))
	if _, told := gatectl(t, 0, "central", "import", file("waiting"), "--central", centre); !strings.Contains(told, fmt.Sprintf("%d results taken in", saved)) {
		t.Errorf("what waits: %s", told)
	}
	gatectl(t, 0, "outbox", "export", "--stranded", "--state", state, "--out", file("whole"))
	if _, told := gatectl(t, 1, "central", "import", file("whole"), "--central", centre); !strings.Contains(told, "--accept-loss") {
		t.Errorf("a gap: %s", told)
	}
	for _, want := range []string{fmt.Sprintf("%d results taken in, %d were", stranded, saved), fmt.Sprintf("0 results taken in, %d were", saved+stranded)} {
		if _, told := gatectl(t, 0, "central", "import", file("whole"), "--central", centre, "--accept-loss"); !strings.Contains(told, want) {
			t.Errorf("the loss was accepted: %s, want %s", told, want)
		}
	}
	if n, read := stored(t, centre); n != saved+stranded || read != n {
		t.Errorf("central holds %d and reads %d, want %d", n, read, saved+stranded)
	}
	if _, told := gatectl(t, 0, "central", "verify", "--central", centre); !strings.Contains(told, fmt.Sprintf("%d lost, 0 faults", unreadable)) {
		t.Errorf("central's results: %s", told)
	}
}

// damageMiddle overwrites a page in the middle of a database.
func damageMiddle(t *testing.T, path string) {
	t.Helper()
	const page = 4096
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(strings.Repeat("junk", page/4)), info.Size()/page/2*page); err != nil {
		t.Fatal(err)
	}
}

// lookThrough has the outbox find the damage as it is sent, and save what it
// can.
func lookThrough(t *testing.T, state string, seal *wire.SealKey) (saved, stranded, unreadable int) {
	t.Helper()
	box, err := offline.Open(t.Context(), offline.Config{Dir: state, Kiosk: "k1", MinFree: -1, Seal: seal, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	}()
	for after := uint64(0); ; {
		_, entries, err := box.Pending(t.Context(), after, 50, wire.BatchRoom)
		if err != nil || len(entries) == 0 {
			break
		}
		after = entries[len(entries)-1].Number
	}
	var report struct{ Saved, Stranded, Unreadable int }
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		paths, _ := filepath.Glob(filepath.Join(state, "outbox.damaged-*", "report.json")) // the pattern is sound
		if len(paths) != 1 {
			continue
		}
		data, err := os.ReadFile(paths[0])
		if err == nil {
			err = json.Unmarshal(data, &report)
		}
		if err != nil {
			t.Fatal(err)
		}
		return report.Saved, report.Stranded, report.Unreadable
	}
	t.Fatal("the damaged outbox was not looked through")
	return 0, 0, 0
}
