package document

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
)

// A changed folder is read anew; one that is gone leaves the old trust; an
// open case keeps what it began with.
func TestFollowTrust(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trust")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	card := must[*doc.Document](t)(world().VietnamID(holder))
	var log lines
	j := NewJudge(must[*Trust](t)(LoadTrust(dir, nil)))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- j.Follow(ctx, dir, 5*time.Millisecond, log.logger()) }()
	wait := func(what string, want gate.Result, problem string, fault bool) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			got := j.NewCase(now).SecurityObject(card.File(chip.FileSOD))[3].Result
			text, is := j.Problem()
			if got == want && is == fault && strings.Contains(text, problem) && (problem == "") == (text == "") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v, %q %v", what, got, text, is)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	wait("empty", gate.Undetermined, "no country certificate", true)
	open := j.NewCase(now)
	writeFile(t, dir, "vn.cer", authority(t, "VNM").Certificate)
	wait("one certificate", gate.Successful, "", false)
	if got := open.SecurityObject(card.File(chip.FileSOD))[3].Result; got != gate.Undetermined {
		t.Errorf("an open case changed its trust: %v", got)
	}
	writeFile(t, dir, "noise.crl", []byte("noise"))
	wait("noise beside it", gate.Successful, "1 files are not used; noise.crl", false)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	wait("gone", gate.Successful, "stays in force", true)
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "vn.cer")); err != nil {
		t.Fatal(err)
	}
	wait("nothing left", gate.Undetermined, "no country certificate", true)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "trust loaded anew"); n != 3 {
		t.Errorf("loaded %d times:\n%s", n, log.String())
	}
}
