package repo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateagent/gate/wire"
)

// Keep is how long files that nothing in force names stay: for kiosks and
// mirrors that have just begun to read.
const Keep = 7 * 24 * time.Hour

// retire notes on the files that the next state no longer names when that
// began: their time of change.
func (r *Repo) retire(next *state, now time.Time) error {
	old, wanted := r.named(r.now), r.named(next)
	var errs []error
	for name := range old {
		if !wanted[name] && name != wire.MetadataFile(wire.RoleTimestamp, 0) {
			errs = append(errs, os.Chtimes(filepath.Join(r.dir, name), now, now))
		}
	}
	return errors.Join(errs...)
}

// named lists the files that a state needs.
func (r *Repo) named(s *state) map[string]bool {
	wanted := map[string]bool{}
	for role := range s.raw {
		wanted[wire.MetadataFile(role, s.versionOf(role))] = true
	}
	for _, m := range s.targets {
		want(wanted, m)
	}
	return wanted
}

// Prune removes metadata and targets that nothing in force or in a draft has
// named for longer than Keep. Roots stay: a kiosk that was away needs each.
func (r *Repo) Prune(now time.Time) (removed int, err error) {
	wanted := r.named(r.now)
	for _, d := range r.drafts {
		if d.targets != nil {
			want(wanted, d.targets)
		}
	}
	for _, folder := range []string{wire.RepoMetadata, wire.RepoTargets} {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(r.dir, folder), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			rel, err := filepath.Rel(r.dir, path)
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil || wanted[rel] || strings.HasSuffix(rel, "."+wire.RoleRoot+".json") || now.Sub(info.ModTime()) < Keep {
				return err
			}
			removed++
			return os.Remove(path)
		}))
	}
	return removed, err
}

func want(wanted map[string]bool, m *targetsMeta) {
	for path, f := range m.Signed.Targets {
		wanted[wire.TargetFile(path, f.Hashes["sha256"])] = true
	}
}
