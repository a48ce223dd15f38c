package repo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"gateagent/gate/wire"
)

// state is a whole set of metadata. raw has the bytes of each role.
type state struct {
	root      *rootMeta
	timestamp *timestampMeta
	snapshot  *snapshotMeta
	targets   map[string]*targetsMeta // targets itself and what it delegates
	raw       map[string][]byte
}

func newState() *state {
	return &state{targets: map[string]*targetsMeta{}, raw: map[string][]byte{}}
}

// load reads the state in force. A repository that nobody has committed to yet
// is empty.
func load(dir string) (*state, error) {
	s := newState()
	version, err := newestRoot(dir)
	if err != nil || version == 0 {
		return s, err
	}
	if s.root, err = read(s, dir, wire.RoleRoot, version, metadata.Root()); err != nil {
		return nil, err
	}
	s.timestamp, err = read(s, dir, wire.RoleTimestamp, 0, metadata.Timestamp())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil // the first commit was cut off between root and timestamp
	}
	if err != nil {
		return nil, err
	}
	bound := s.timestamp.Signed.Meta["snapshot.json"]
	if bound == nil {
		return nil, errors.New("timestamp.json names no snapshot: restore the repository from a backup")
	}
	if s.snapshot, err = read(s, dir, wire.RoleSnapshot, bound.Version, metadata.Snapshot()); err != nil {
		return nil, err
	}
	for name, f := range s.snapshot.Signed.Meta {
		role := strings.TrimSuffix(name, ".json")
		if s.targets[role], err = read(s, dir, role, f.Version, metadata.Targets()); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func read[T metadata.Roles](s *state, dir, role string, version int64, into *metadata.Metadata[T]) (*metadata.Metadata[T], error) {
	path := filepath.Join(dir, wire.MetadataFile(role, version))
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("repository: %w", err)
	}
	if _, err := into.FromBytes(data); err != nil {
		return nil, fmt.Errorf("repository: %s: %w: restore it from a backup", path, err)
	}
	s.raw[role] = data
	return into, nil
}

// newestRoot is the version of the newest root, 0 without any.
func newestRoot(dir string) (int64, error) {
	entries, err := os.ReadDir(filepath.Join(dir, wire.RepoMetadata))
	if err != nil {
		return 0, fmt.Errorf("repository: %w", err)
	}
	var newest int64
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), ".root.json")
		if n, err := strconv.ParseInt(number, 10, 64); ok && err == nil {
			newest = max(newest, n)
		}
	}
	return newest, nil
}

// NewestRoot reads the newest root of a repository's folder; nil where there is
// no repository yet.
func NewestRoot(dir string) ([]byte, error) {
	version, err := newestRoot(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && version == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	root, err := os.ReadFile(filepath.Join(dir, wire.MetadataFile(wire.RoleRoot, version)))
	if err != nil {
		return nil, fmt.Errorf("repository: %w", err)
	}
	return root, nil
}

// grant finds who may sign a role in this state.
func (s *state) grant(role string) (grant, bool) {
	switch role {
	case wire.RoleRoot, wire.RoleTargets, wire.RoleSnapshot, wire.RoleTimestamp:
		return rootGrant(s.root, role)
	}
	return targetsGrant(s.targets[wire.RoleTargets], role)
}

// delegated lists the roles below targets.
func (s *state) delegated() []string {
	var roles []string
	if t := s.targets[wire.RoleTargets]; t != nil && t.Signed.Delegations != nil {
		for _, r := range t.Signed.Delegations.Roles {
			roles = append(roles, r.Name)
		}
	}
	return roles
}

// complete says that there is something that a kiosk could take.
func (s *state) complete() bool { return s.timestamp != nil }

// prove takes the state as a kiosk would that knows the root before. Expiry is
// left out: one airport that has let its metadata expire must not hold up the
// others.
func (s *state) prove(before []byte) error {
	if before == nil {
		before = s.raw[wire.RoleRoot]
	}
	tm, err := trustedmetadata.New(before)
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	tm.RefTime = time.Unix(0, 0)
	if tm.Root.Signed.Version < s.root.Signed.Version {
		if _, err := tm.UpdateRoot(s.raw[wire.RoleRoot]); err != nil {
			return fmt.Errorf("root: %w", err)
		}
	}
	if _, err := tm.UpdateTimestamp(s.raw[wire.RoleTimestamp]); err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	if _, err := tm.UpdateSnapshot(s.raw[wire.RoleSnapshot], false); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if _, err := tm.UpdateTargets(s.raw[wire.RoleTargets]); err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	for _, role := range s.delegated() {
		if _, err := tm.UpdateDelegatedTargets(s.raw[role], role, wire.RoleTargets); err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
	}
	return nil
}

// metaFile describes bytes for the role above.
func metaFile(version int64, data []byte) *metadata.MetaFiles {
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}
