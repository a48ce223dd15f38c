// Package swtpm runs a TPM 2.0 in software, swtpm, for tests.
package swtpm

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Chip is one that runs.
type Chip struct {
	Path string // its socket, which stands for the device
	cmd  *exec.Cmd
}

// Start starts the TPM whose memory lies in dir, until Stop or the test's end.
func Start(t testing.TB, dir string) *Chip {
	t.Helper()
	tool, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatal("swtpm is missing: run scripts/setup")
	}
	c := &Chip{Path: filepath.Join(t.TempDir(), "tpm")} // short: a socket's path has 108 bytes
	c.cmd = exec.Command(tool, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+c.Path,
		"--flags", "not-need-init,startup-clear")
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", c.Path)
		if err == nil {
			_ = conn.Close()
			return c
		}
		if time.Now().After(end) {
			t.Fatalf("swtpm does not listen: %v", err)
		}
	}
}

// Stop switches it off. What it remembers over that stays in its folder.
func (c *Chip) Stop() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it was killed
	c.cmd = nil
}
