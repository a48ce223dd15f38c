package durable

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestWriteFileReplacesWholeAndKeepsMode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mark")
	for _, content := range []string{"first, the longer one", "second"} {
		if err := WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != content {
			t.Fatalf("got %q, want %q", got, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if n := names(t, dir); len(n) != 1 {
		t.Errorf("leftovers: %v", n)
	}
}

func TestWriteFileFailureKeepsTheOldAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "child"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Fatal("a file replaced a folder that is not empty")
	}
	if n := names(t, dir); len(n) != 1 || n[0] != "taken" {
		t.Errorf("folder holds %v", n)
	}
	if err := WriteFile(filepath.Join(dir, "absent", "x"), nil, 0o600); err == nil {
		t.Error("wrote into a folder that does not exist")
	}
}

// A reader that opened the old file keeps reading the old content.
func TestWriteFileGivesANewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	inode := func() uint64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	before := inode()
	if err := WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if inode() == before {
		t.Error("the file was overwritten in place")
	}
	buf := make([]byte, 3)
	if _, err := open.Read(buf); err != nil || string(buf) != "old" {
		t.Errorf("open reader sees %q, %v", buf, err)
	}
}

func fillFolder(t *testing.T, path, content string) string {
	t.Helper()
	temp, err := MkdirTemp(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(temp, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return temp
}

func TestCommitFolderPlacesAndExchanges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	for _, content := range []string{"one", "two"} {
		if err := CommitFolder(fillFolder(t, path, content), path); err != nil {
			t.Fatal(err)
		}
		if a, b := read(t, filepath.Join(path, "a")), read(t, filepath.Join(path, "b")); a != content || b != content {
			t.Fatalf("folder holds %q and %q, want %q", a, b, content)
		}
	}
	if n := names(t, dir); len(n) != 1 {
		t.Errorf("leftovers: %v", n)
	}
}

func TestRemoveTempsTakesOnlyLeftovers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	fillFolder(t, path, "never committed")
	if err := WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RemoveTemps(dir); err != nil {
		t.Fatal(err)
	}
	if n := names(t, dir); len(n) != 1 || n[0] != "list" {
		t.Errorf("folder holds %v", n)
	}
}

// What is erased is overwritten before its name goes, for whoever still has the
// file open too.
func TestErase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret")
	if err := WriteFile(path, []byte("synthetic secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := Erase(path); err != nil {
		t.Fatal(err)
	}
	left := make([]byte, 16)
	if n, err := held.Read(left); n != 16 || string(left) != string(make([]byte, 16)) || err != nil {
		t.Errorf("%d bytes %q are left, %v", n, left, err)
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("folder holds %v", n)
	}
	if err := Erase(path); err != nil {
		t.Errorf("what is gone: %v", err)
	}
	if err := Erase(dir); err == nil {
		t.Error("a folder is erased")
	}
}
