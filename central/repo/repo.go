package repo

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// PendingFolder holds the drafts, beside metadata and targets. Like the lock it
// is not served.
const (
	PendingFolder = "pending"
	lockFile      = "lock"
)

// ErrWait says that another process works on the repository.
var ErrWait = errors.New("the repository is in use by another command")

// Repo is a repository that this process alone works on until Close. What is
// drafted stays in memory until Sign, Save or Commit: a change that fails half
// way leaves no half draft behind.
type Repo struct {
	dir    string
	lock   *os.File
	now    *state
	drafts map[string]*draft
	saved  map[string]string                                      // drafts as they lie on the disk
	put    func(path string, data []byte, perm os.FileMode) error // writes a file of metadata, durably
}

// Plan says who signs what in a new repository: root, targets, snapshot and
// timestamp, and each role that targets delegates to.
type Plan struct {
	Roles map[string]RoleKeys
}

// Init makes the folder of a new repository and drafts the first version of
// every role. Nothing counts before Sign and Commit.
func Init(ctx context.Context, dir string, p Plan, now time.Time) (_ *Repo, err error) {
	for _, folder := range []string{"", wire.RepoMetadata, wire.RepoTargets, PendingFolder} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, fmt.Errorf("repository: %w", err)
		}
	}
	r, err := Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.now.root != nil || len(r.drafts) > 0 {
		return nil, fmt.Errorf("%s holds a repository already: change it with rotate, or take another folder", dir)
	}
	r.drafts[wire.RoleRoot] = &draft{role: wire.RoleRoot, root: metadata.Root(until(now, wire.RoleRoot))}
	r.drafts[wire.RoleTargets] = &draft{role: wire.RoleTargets, targets: metadata.Targets(until(now, wire.RoleTargets))}
	for _, role := range []string{wire.RoleRoot, wire.RoleTargets, wire.RoleSnapshot, wire.RoleTimestamp} {
		if _, ok := p.Roles[role]; !ok {
			return nil, fmt.Errorf("repository: role %s has no keys", role)
		}
	}
	for _, role := range slices.Sorted(maps.Keys(p.Roles)) {
		if err := r.setKeys(role, p.Roles[role], now); err != nil {
			return nil, err
		}
	}
	return r, r.save()
}

// Open opens a repository, and waits while another process has it, until ctx
// ends.
func Open(ctx context.Context, dir string) (_ *Repo, err error) {
	if _, err := os.Stat(filepath.Join(dir, wire.RepoMetadata)); err != nil {
		return nil, fmt.Errorf("%s holds no repository (%w): make one with gatectl repo init, or name its folder", dir, err)
	}
	r := &Repo{dir: dir, drafts: map[string]*draft{}, saved: map[string]string{}, put: durable.WriteFile}
	if r.lock, err = lock(ctx, filepath.Join(dir, lockFile)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.lock.Close())
		}
	}()
	if r.now, err = load(dir); err != nil {
		return nil, err
	}
	return r, r.loadDrafts()
}

// Close lets others work on the repository.
func (r *Repo) Close() error { return r.lock.Close() }

// lockRetry is how often a lock that somebody else holds is tried.
const lockRetry = 20 * time.Millisecond

func lock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("repository: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("repository: lock %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s: %w", path, ErrWait), f.Close())
		case <-time.After(lockRetry):
		}
	}
}

func (r *Repo) pendingPath(role string) string {
	return filepath.Join(r.dir, PendingFolder, role+".json")
}

// loadDrafts reads the drafts, and removes those that a commit which was cut
// off has put in force already.
func (r *Repo) loadDrafts() error {
	dir := filepath.Join(r.dir, PendingFolder)
	if err := durable.RemoveTemps(dir); err != nil {
		return fmt.Errorf("repository: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("repository: %w", err)
	}
	for _, e := range entries {
		role, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		data, err := os.ReadFile(r.pendingPath(role))
		if err != nil {
			return fmt.Errorf("repository: %w", err)
		}
		d, err := parseDraft(role, data)
		if err != nil {
			return fmt.Errorf("%s: %w: remove it and begin that change anew", r.pendingPath(role), err)
		}
		if d.version() <= r.versionOf(role) {
			if err := os.Remove(r.pendingPath(role)); err != nil {
				return fmt.Errorf("repository: %w", err)
			}
			continue
		}
		r.drafts[role], r.saved[role] = d, string(data)
	}
	return nil
}

// versionOf is the version of a role in force, 0 without one.
func (r *Repo) versionOf(role string) int64 {
	switch {
	case role == wire.RoleRoot && r.now.root != nil:
		return r.now.root.Signed.Version
	case r.now.targets[role] != nil:
		return r.now.targets[role].Signed.Version
	}
	return 0
}

// Save keeps what was drafted since Open. Without it nothing of that is left.
func (r *Repo) Save() error { return r.save() }

// save writes the drafts that have changed and removes those that are gone.
func (r *Repo) save() error {
	for role := range r.saved {
		if r.drafts[role] != nil {
			continue
		}
		if err := os.Remove(r.pendingPath(role)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("repository: %w", err)
		}
		delete(r.saved, role)
	}
	for role, d := range r.drafts {
		data, err := d.bytes()
		if err != nil {
			return fmt.Errorf("draft of role %s: %w", role, err)
		}
		if r.saved[role] == string(data) {
			continue
		}
		if err := durable.WriteFile(r.pendingPath(role), data, 0o644); err != nil {
			return fmt.Errorf("repository: %w", err)
		}
		r.saved[role] = string(data)
	}
	return nil
}

// touch gives the draft of a role to be edited: the one at hand, or one after
// what is in force. Its signatures are void and its validity begins anew.
func (r *Repo) touch(role string, now time.Time) (*draft, error) {
	d := r.drafts[role]
	if d == nil {
		data, ok := r.now.raw[role]
		if !ok {
			return nil, fmt.Errorf("role %s: nobody has delegated it; see gatectl repo delegate --help", role)
		}
		var err error
		if d, err = parseDraft(role, data); err != nil {
			return nil, err
		}
		r.drafts[role] = d
	}
	d.edited(r.versionOf(role)+1, until(now, role))
	return d, nil
}

// grants lists who may sign a role: as it will be, and as it is.
func (r *Repo) grants(role string) []grant {
	var all []grant
	next := &state{root: r.now.root, targets: map[string]*targetsMeta{wire.RoleTargets: r.now.targets[wire.RoleTargets]}}
	if d := r.drafts[wire.RoleRoot]; d != nil {
		next.root = d.root
	}
	if d := r.drafts[wire.RoleTargets]; d != nil {
		next.targets[wire.RoleTargets] = d.targets
	}
	for _, s := range []*state{next, r.now} {
		if g, ok := s.grant(role); ok {
			all = append(all, g)
		}
	}
	return all
}

// Signature says what a key has signed.
type Signature struct {
	Role    string `json:"role"`
	Version int64  `json:"version"`
	KeyID   string `json:"key"`
}

// Sign puts the signatures of keys under all drafts that want them, and saves
// the drafts.
func (r *Repo) Sign(keys ...crypto.Signer) ([]Signature, error) {
	done, err := r.sign(keys)
	if err != nil {
		return nil, err
	}
	return done, r.save()
}

func (r *Repo) sign(keys []crypto.Signer) ([]Signature, error) {
	var done []Signature
	for _, role := range slices.Sorted(maps.Keys(r.drafts)) {
		d := r.drafts[role]
		for _, key := range keys {
			id, err := KeyID(key.Public())
			if err != nil {
				return nil, err
			}
			grants := r.grants(role)
			if !slices.ContainsFunc(grants, func(g grant) bool { return slices.Contains(g.ids, id) }) ||
				slices.ContainsFunc(grants, func(g grant) bool { return slices.Contains(g.signedBy(d.meta()), id) }) {
				continue
			}
			if err := d.sign(key); err != nil {
				return nil, fmt.Errorf("role %s: %w", role, err)
			}
			done = append(done, Signature{Role: role, Version: d.version(), KeyID: id})
		}
	}
	return done, nil
}
