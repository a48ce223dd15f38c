package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/sim/face"

	"gateagent/sim/kiosk"
)

// The search finds a portrait in each form that it could be left in, and
// nothing in other files.
func TestSearchFindsPictures(t *testing.T) {
	raw, err := face.Portrait(face.Cast()[firstPerson], 120, 154, 95)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &studio{dir: filepath.Join(dir, "camera"), mark: bytes.Repeat([]byte("planted!"), 4)}
	planted, ok := s.plant(raw)
	if !ok || len(planted) != portraitBytes {
		t.Fatalf("%d bytes, want %d", len(planted), portraitBytes)
	}
	if err := s.remember(raw); err != nil {
		t.Fatal(err)
	}
	shots := face.Nobody(1, filmWide, filmHigh)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.shoot(filmNobody, shots); err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("innocent", bytes.Repeat([]byte{0, 1, 0xFF, 0xD8, 2}, 5000))
	if found, err := s.find(dir); err != nil || len(found) != 0 {
		t.Fatalf("found %q in innocent files (%v)", found, err)
	}
	for name, content := range map[string][]byte{
		"whole":  planted,
		"middle": planted[portraitBytes/3 : portraitBytes/3+400],
		"end":    raw[len(raw)/4:],
		"text":   []byte(base64.StdEncoding.EncodeToString(planted)),
		"pixels": s.prints[len(s.prints)-1],
		"frame":  readFile(t, s.reel(filmNobody)),
	} {
		write(name, append([]byte("before "), content...))
		found, err := s.find(dir)
		if err != nil || len(found) == 0 || !strings.Contains(found[0], name) {
			t.Errorf("%s: found %q (%v)", name, found, err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A process that may dump its memory is named.
func TestCoreDumpsAreNamed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for limit, bad := range map[string]bool{"0": false, "1": true} {
		p, err := kiosk.Start(kiosk.Command{Name: "sh", LogFile: filepath.Join(t.TempDir(), "log"),
			Args: []string{"/bin/sh", "-c", "ulimit -c " + limit + "; sleep 30 & wait"}})
		if err != nil {
			t.Fatal(err)
		}
		for ctx.Err() == nil {
			found, err := coreDumps(p.PID())
			if err == nil && (len(found) > 0) == bad {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		p.Kill()
	}
	if ctx.Err() != nil {
		t.Fatal("a limit was not told")
	}
}
