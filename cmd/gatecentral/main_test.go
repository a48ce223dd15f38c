package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// running is the command in this process.
type running struct {
	lines []string // what it printed up to ready
	stop  func() int
}

func startRun(t *testing.T, args ...string) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	var stderr bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"run", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"}, args...), w, &stderr)
		_ = w.Close()
	}()
	var out running
	out.stop = func() int {
		cancel()
		select {
		case code := <-done:
			return code
		case <-time.After(15 * time.Second):
			t.Fatal("it does not end")
			return -1
		}
	}
	t.Cleanup(cancel)
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		out.lines = append(out.lines, sc.Text())
		if sc.Text() == "ready" {
			return out
		}
	}
	t.Fatalf("it ended before it was ready: %s", stderr.String())
	return out
}

func TestRunShowsTheFirstPasswordOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := startRun(t, "--state", dir)
	text := strings.Join(first.lines, "\n")
	if !strings.Contains(text, "tls://127.0.0.1:") || !strings.Contains(text, "https://127.0.0.1:") || !strings.Contains(text, "password") {
		t.Errorf("it printed %q", text)
	}
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"run", "--state", dir, "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"}, io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), "another gatecentral (process ") {
		t.Errorf("a second one on the same folder: %d, %s", code, errs.String())
	}
	if code := first.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	second := startRun(t, "--state", dir)
	if text := strings.Join(second.lines, "\n"); strings.Contains(text, "password") {
		t.Error("the second start shows a password")
	}
	if code := second.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"password", "--state", dir}, &out, io.Discard); code != 0 || !strings.Contains(out.String(), "admin") {
		t.Errorf("password: %d, %s", code, out.String())
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/broker/") {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBadInputIsOneLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"broker's port taken": {[]string{"run", "--state", filepath.Join(dir, "a"), "--mqtt", l.Addr().String(), "--http", "127.0.0.1:0"}, "cannot listen on " + l.Addr().String()},
		"page's port taken":   {[]string{"run", "--state", filepath.Join(dir, "b"), "--mqtt", "127.0.0.1:0", "--http", l.Addr().String()}, "cannot listen on " + l.Addr().String()},
		"no port":             {[]string{"run", "--state", filepath.Join(dir, "c"), "--mqtt", "127.0.0.1"}, "HOST:PORT"},
		"broker named twice":  {[]string{"run", "--state", filepath.Join(dir, "d2"), "--broker", "tls://a:1", "--broker", "tls://a:1"}, "named twice"},
		"broker without tls":  {[]string{"run", "--state", filepath.Join(dir, "d"), "--broker", "tcp://a:1883"}, "tls://HOST:PORT"},
		"state is a file":     {[]string{"run", "--state", file}, "state folder"},
		"unknown flag":        {[]string{"run", "--brokr", "x"}, "brokr"},
		"no passphrase":       {[]string{"run", "--state", filepath.Join(dir, "f"), "--online-key", "pkcs11:token=a;object=b?module-path=/c"}, "--passphrase-file"},
		"no online key":       {[]string{"run", "--state", filepath.Join(dir, "g"), "--online-key", filepath.Join(dir, "none")}, "no such file"},
		"no folder":           {[]string{"broker-files", "--state", filepath.Join(dir, "e")}, "--out"},
	} {
		var errs bytes.Buffer
		if code := run(t.Context(), c.args, io.Discard, &errs); code != 1 || !strings.Contains(errs.String(), c.says) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: %d, %q", name, code, errs.String())
		}
	}
}

func TestBrokerFiles(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	if code := run(t.Context(), []string{"broker-files", "--state", filepath.Join(dir, "s"), "--out", out}, io.Discard, io.Discard); code != 0 {
		t.Fatal(code)
	}
	for _, f := range []string{"ca.pem", "server.pem", "server.key", "revoked.pem", "acl"} {
		if info, err := os.Stat(filepath.Join(out, f)); err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
}
