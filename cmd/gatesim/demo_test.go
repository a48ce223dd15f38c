package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/sim/doc"
)

func docWorld() *doc.World { return doc.NewWorld(1) }

// builtPrograms builds everything that the demo starts.
func builtPrograms(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	out, err := exec.Command("go", "build", "-o", bin+"/", "gateagent/cmd/gateagent", "gateagent/cmd/gatecentral",
		"gateagent/cmd/gatectl", "gateagent/cmd/gatesim").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// relatives are the live processes that name dir on their command line.
func relatives(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			out = append(out, fmt.Sprintf("%s %q", path, line))
		}
	}
	return out
}

var address = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)

// TestLeavesNothing ends a demo in the middle of a reading, once by Ctrl-C and
// once by force: no process, port or file of it stays outside its folder.
func TestLeavesNothing(t *testing.T) {
	bin := builtPrograms(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) { endDemo(t, bin, sig) })
	}
}

func endDemo(t *testing.T, bin string, sig syscall.Signal) {
	dir, temp := filepath.Join(t.TempDir(), "demo"), t.TempDir()
	cmd := exec.Command(filepath.Join(bin, "gatesim"), "demo", "--state", dir)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	ports := map[string]bool{}
	in := bufio.NewScanner(stdout)
	for in.Scan() {
		for _, a := range address.FindAllString(in.Text(), -1) {
			ports[a] = true
		}
		if strings.Contains(in.Text(), "passed after") {
			break
		}
	}
	if len(ports) != 2 {
		t.Fatalf("the demo named the addresses %v; %s", ports, stderr.String())
	}
	if n := len(relatives(t, dir)); n != 4 {
		t.Fatalf("%d processes, expected gatesim, pcscd, gatecentral and gateagent", n)
	}
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, stdout)
	if err := cmd.Wait(); sig == syscall.SIGINT && err != nil {
		t.Errorf("Ctrl-C: %v: %s", err, stderr.String())
	}
	for end := time.Now().Add(3 * time.Second); len(relatives(t, dir)) > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // the kernel ends the children of the killed
	}
	if left := relatives(t, dir); len(left) > 0 {
		t.Errorf("still running: %q", left)
	}
	for a := range ports {
		// A process lets go of its command line before it does of its ports.
		for end := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			c, err := net.Dial("tcp", a)
			if err != nil {
				break
			}
			c.Close()
			if time.Now().After(end) {
				t.Errorf("somebody still listens on %s", a)
				break
			}
		}
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left outside the folder: %v, %v", left, err)
	}
}
