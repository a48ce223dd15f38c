package update

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateagent/gate/wire"
	"gateagent/internal/durable"
)

// Names inside the store's folder.
const (
	rootFile    = "root.json" // the newest root that was proven
	floorFile   = "floor"     // see floor
	setFile     = "set"       // timestamp, snapshot, targets and roles in force
	targetsDir  = "targets"   // proven target files by their SHA-256
	storeFormat = 1
	maxSetFile  = 64 << 20
)

// ErrDamaged says that something on the kiosk's own disk is not what was
// written there.
var ErrDamaged = errors.New("damaged")

// store is the folder with everything that must survive. Each step of it is
// atomic and synced; a crash between two leaves an older state that is whole.
type store struct {
	dir   string
	held  held
	floor floor
}

// set is the metadata in force as it stands in one file: to sync one file is
// what a revocation has time for.
type set struct {
	V         int               `json:"v"`
	Accepted  time.Time         `json:"accepted"`
	Keys      string            `json:"keys"` // as held.keys
	Timestamp []byte            `json:"timestamp"`
	Snapshot  []byte            `json:"snapshot"`
	Targets   []byte            `json:"targets"`
	Roles     map[string][]byte `json:"roles"`
}

// openStore opens or makes the folder. anchor is the root to begin with where
// the folder has none yet. What is damaged is dropped and named in the error
// beside a usable store: the floor keeps out what is older, and a source
// brings the rest again.
func openStore(dir string, anchor []byte) (*store, error) {
	if err := os.MkdirAll(filepath.Join(dir, targetsDir), 0o700); err != nil {
		return nil, fmt.Errorf("update folder: %w", err)
	}
	if err := durable.RemoveTemps(dir); err != nil {
		return nil, fmt.Errorf("update folder: %w", err)
	}
	s := &store{dir: dir}
	if err := s.readFloor(); err != nil {
		return nil, err
	}
	if err := s.readRoot(anchor); err != nil {
		return nil, err
	}
	err := s.readSet()
	if err != nil {
		s.held = held{root: s.held.root}
	}
	return s, err
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// readFloor fails on a floor that cannot be understood: to go on without one
// would let something older in.
func (s *store) readFloor() error {
	b, err := readAtMost(s.path(floorFile), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = unsum(b, &s.floor)
	}
	if err != nil {
		return fmt.Errorf("update folder: %s: %w: what is older could not be told from what is newer; move %s away and begin anew from the root that the kiosk was given", s.path(floorFile), err, s.dir)
	}
	return nil
}

// readRoot takes the newest root that the folder has, else the anchor. A root
// that is damaged begins again at the anchor; the floor stays.
func (s *store) readRoot(anchor []byte) error {
	b, err := readAtMost(s.path(rootFile), wire.MaxRootBytes)
	if err == nil {
		if _, bad := begin(held{root: b}, floor{}, time.Time{}); bad == nil {
			s.held.root = b
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("update folder: %w", err)
	}
	if len(anchor) == 0 {
		return fmt.Errorf("update folder %s: there is no root to begin with: name the file in update.root", s.dir)
	}
	if _, err := begin(held{root: anchor}, floor{}, time.Time{}); err != nil {
		return fmt.Errorf("update.root: %w: give the root file that central made", err)
	}
	s.held.root = bytes.Clone(anchor)
	return nil
}

// readSet reads the set in force. load proves it.
func (s *store) readSet() error {
	b, err := readAtMost(s.path(setFile), maxSetFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was accepted yet
	}
	var in set
	if err == nil {
		err = unsum(b, &in)
	}
	if err == nil && in.V != storeFormat {
		err = fmt.Errorf("format %d, this program reads %d", in.V, storeFormat)
	}
	if err != nil {
		return fmt.Errorf("update folder: %s: %w: it is fetched again", s.path(setFile), err)
	}
	s.held = held{root: s.held.root, accepted: in.Accepted, keys: in.Keys,
		timestamp: in.Timestamp, snapshot: in.Snapshot, targets: in.Targets, roles: in.Roles}
	return nil
}

// keepRoot makes a proven root the one to begin with.
func (s *store) keepRoot(c *chain) error {
	if err := s.keepFloor(c); err != nil {
		return err
	}
	if err := durable.WriteFile(s.path(rootFile), c.new.root, 0o600); err != nil {
		return err
	}
	s.held.root = c.new.root
	return nil
}

// keepFloor raises the floor to what a chain has proven.
func (s *store) keepFloor(c *chain) error {
	next := s.floor.raise(c)
	if next.equal(s.floor) {
		return nil
	}
	b, err := withSum(next)
	if err == nil {
		err = durable.WriteFile(s.path(floorFile), b, 0o600)
	}
	if err != nil {
		return err
	}
	s.floor = next
	return nil
}

// commit makes what a chain has proven the set in force.
func (s *store) commit(c *chain) error {
	h := c.new
	b, err := withSum(set{V: storeFormat, Accepted: h.accepted.UTC(), Keys: h.keys,
		Timestamp: h.timestamp, Snapshot: h.snapshot, Targets: h.targets, Roles: h.roles})
	if err == nil {
		err = durable.WriteFile(s.path(setFile), b, 0o600)
	}
	if err != nil {
		return err
	}
	s.held = h
	s.held.roles = maps.Clone(h.roles)
	return nil
}

// withSum writes v as one line of JSON behind its SHA-256.
func withSum(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return fmt.Appendf(nil, "%x %s\n", sum, b), nil
}

// unsum reads what withSum wrote, whole.
func unsum(b []byte, v any) error {
	sum, rest, ok := strings.Cut(strings.TrimSuffix(string(b), "\n"), " ")
	if got := sha256.Sum256([]byte(rest)); !ok || hex.EncodeToString(got[:]) != sum {
		return ErrDamaged
	}
	d := json.NewDecoder(strings.NewReader(rest))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// readAtMost reads a regular file of at most max bytes.
func readAtMost(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(b)) > max {
		err = fmt.Errorf("%s is larger than %d bytes: %w", path, max, ErrDamaged)
	}
	return b, err
}
