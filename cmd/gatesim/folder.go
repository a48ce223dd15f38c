package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// marker is the file by which a demo knows a folder of its own. It is locked
// while a demo runs there.
const marker = ".gatesim-demo"

// openFolder makes the state folder or empties that of an earlier demo; any
// other folder with something in it is refused. Closing the marker gives the
// folder free.
func openFolder(dir string) (string, *os.File, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, fmt.Errorf("state folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("state folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", nil, fmt.Errorf("state folder: %w", err)
	}
	path := filepath.Join(dir, marker)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && len(entries) > 0 {
		return "", nil, fmt.Errorf("state folder %s holds something that is no demo: name another folder with --state", dir)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("state folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return "", nil, errors.Join(fmt.Errorf("another demo runs in %s: end it first, or name another folder with --state", dir), f.Close())
	}
	for _, e := range entries {
		if e.Name() == marker {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return "", nil, errors.Join(fmt.Errorf("state folder: %w", err), f.Close())
		}
	}
	return dir, f, nil
}
