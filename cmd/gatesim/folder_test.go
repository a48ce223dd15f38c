package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFolder(t *testing.T) {
	strange := t.TempDir()
	treasure := filepath.Join(strange, "treasure")
	if err := os.WriteFile(treasure, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openFolder(strange); err == nil || !strings.Contains(err.Error(), "--state") {
		t.Errorf("a strange folder: %v", err)
	}
	if _, err := os.Stat(treasure); err != nil {
		t.Errorf("a strange folder was touched: %v", err)
	}

	own := filepath.Join(t.TempDir(), "deep", "demo")
	dir, f, err := openFolder(own)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, "central", "central.db")
	if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openFolder(own); err == nil || !strings.Contains(err.Error(), "another demo") {
		t.Errorf("a folder in use: %v", err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("a folder in use was touched: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, f, err = openFolder(own); err != nil {
		t.Fatalf("a folder of an earlier demo: %v", err)
	}
	defer f.Close()
	if _, err := os.Stat(filepath.Join(dir, "central")); !os.IsNotExist(err) {
		t.Errorf("what an earlier demo left is still there: %v", err)
	}
}
