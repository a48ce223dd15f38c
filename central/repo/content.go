package repo

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Add puts a target's content into the repository and its entry into the
// draft of its role. A target that is there already must have a lower
// version.
func (r *Repo) Add(path string, t *wire.Target, content io.Reader, now time.Time) error {
	role, err := wire.TargetRole(path)
	if err != nil {
		return err
	}
	custom, err := t.Encode(path)
	if err != nil {
		return err
	}
	d, err := r.touch(role, now)
	if err != nil {
		return err
	}
	if old := d.targets.Signed.Targets[path]; old != nil {
		was, err := entryOf(path, old)
		if err != nil {
			return err
		}
		if was.Version >= t.Version {
			return fmt.Errorf("%s stands in the repository with version %d: give a higher one than that", path, was.Version)
		}
	}
	length, sum, err := r.store(path, content)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	raw := json.RawMessage(custom)
	d.targets.Signed.Targets[path] = &metadata.TargetFiles{Length: length, Hashes: metadata.Hashes{"sha256": sum}, Custom: &raw, Path: path}
	return nil
}

// Remove takes a target's entry out of its role.
func (r *Repo) Remove(path string, now time.Time) error {
	role, err := wire.TargetRole(path)
	if err != nil {
		return err
	}
	if _, ok := r.Targets(role)[path]; !ok {
		return fmt.Errorf("%s: %w", path, ErrNoTarget)
	}
	d, err := r.touch(role, now)
	if err != nil {
		return err
	}
	delete(d.targets.Signed.Targets, path)
	return nil
}

// maxRead bounds a target that is read back whole.
const maxRead = 64 << 20

// Content reads a target's content, of its draft or in force, and proves its
// hash.
func (r *Repo) Content(path string) ([]byte, error) {
	f, err := r.find(path)
	if err != nil {
		return nil, err
	}
	if f.Length > maxRead {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, f.Length, maxRead)
	}
	data, err := os.ReadFile(r.file(path, f))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.VerifyLengthHashes(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// File names the file of a target's content, of its draft or in force. Whoever
// reads it proves it.
func (r *Repo) File(path string) (string, error) {
	f, err := r.find(path)
	if err != nil {
		return "", err
	}
	return r.file(path, f), nil
}

func (r *Repo) file(path string, f *metadata.TargetFiles) string {
	return filepath.Join(r.dir, wire.TargetFile(path, f.Hashes["sha256"]))
}

// find gives a target's entry, of its draft or in force.
func (r *Repo) find(path string) (*metadata.TargetFiles, error) {
	role, err := wire.TargetRole(path)
	if err != nil {
		return nil, err
	}
	m := r.now.targets[role]
	if d := r.drafts[role]; d != nil {
		m = d.targets
	}
	if m == nil || m.Signed.Targets[path] == nil {
		return nil, fmt.Errorf("%s: %w", path, ErrNoTarget)
	}
	return m.Signed.Targets[path], nil
}

// ErrNoTarget says that a path stands not in the repository.
var ErrNoTarget = errors.New("stands not in the repository")

// Targets lists what a role holds, drafts included.
func (r *Repo) Targets(role string) map[string]*wire.Target {
	m := r.now.targets[role]
	if d := r.drafts[role]; d != nil {
		m = d.targets
	}
	all := map[string]*wire.Target{}
	if m != nil {
		for path, f := range m.Signed.Targets {
			if t, err := entryOf(path, f); err == nil {
				all[path] = t
			}
		}
	}
	return all
}

func entryOf(path string, f *metadata.TargetFiles) (*wire.Target, error) {
	if f.Custom == nil {
		return nil, fmt.Errorf("target %s: %w: no custom", path, wire.ErrFormat)
	}
	return wire.ParseTarget(path, *f.Custom)
}

// store writes content under its hash: what is there stays.
func (r *Repo) store(path string, content io.Reader) (length int64, sum []byte, err error) {
	folder := filepath.Join(r.dir, wire.RepoTargets, filepath.Dir(path))
	if err := mkdirs(r.dir, folder); err != nil {
		return 0, nil, err
	}
	f, err := os.CreateTemp(folder, durable.TempPrefix)
	if err != nil {
		return 0, nil, err
	}
	defer func() {
		if gone := os.Remove(f.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	h := sha256.New()
	length, err = io.Copy(io.MultiWriter(f, h), content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, nil, err
	}
	sum = h.Sum(nil)
	return length, sum, durable.Rename(f.Name(), filepath.Join(r.dir, wire.TargetFile(path, sum)))
}

// mkdirs makes folder below root and its names durable.
func mkdirs(root, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for folder != root {
		folder = filepath.Dir(folder)
		if err := durable.SyncDir(folder); err != nil {
			return err
		}
	}
	return nil
}
