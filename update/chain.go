package update

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// held is metadata as it came, each byte of it proven.
type held struct {
	root      []byte
	timestamp []byte // nil: none yet
	snapshot  []byte
	targets   []byte
	roles     map[string][]byte // delegated roles
	accepted  time.Time         // trusted time when the timestamp was first proven
	keys      string            // of timestamp and snapshot under which they were proven
}

// chain is one pass from the root to the targets. A chain that refused
// anything is thrown away.
type chain struct {
	tm    *trustedmetadata.TrustedMetadata
	new   held
	old   held
	floor floor
}

// begin starts at the root that is held. at is the trusted time.
func begin(old held, f floor, at time.Time) (*chain, error) {
	c := &chain{old: old, floor: f, new: held{root: old.root, roles: map[string][]byte{}}}
	err := guard("root", func() (err error) {
		c.tm, err = trustedmetadata.New(old.root)
		return err
	})
	if err != nil {
		return nil, classify("root", Malformed, err)
	}
	c.tm.RefTime = at
	return c, nil
}

// frozen is the chain as it stands: the pass that made it may go on.
func (c *chain) frozen() *chain {
	tm := *c.tm
	tm.Targets = maps.Clone(c.tm.Targets)
	f := &chain{tm: &tm, new: c.new, old: c.old, floor: c.floor}
	f.new.roles = maps.Clone(c.new.roles)
	return f
}

// rootVersion is the version of the root in force.
func (c *chain) rootVersion() int64 { return c.tm.Root.Signed.Version }

// nextRoot takes the root after the one in force.
func (c *chain) nextRoot(b []byte) error {
	what := fmt.Sprintf("root version %d", c.rootVersion()+1)
	err := guard(what, func() error {
		_, err := c.tm.UpdateRoot(b)
		return err
	})
	if err != nil {
		return classify(what, Rollback, err)
	}
	c.new.root = bytes.Clone(b)
	return nil
}

// keys names the keys of timestamp and snapshot under the root in force. When
// they change, older timestamps and snapshots lose their say: that is how a
// fleet comes back from a version number that a thief drove to its end (TUF
// 1.0, 5.3.11).
func (c *chain) keys() string { return onlineKeys(c.tm.Root) }

func onlineKeys(root *metadata.Metadata[metadata.RootType]) string {
	h := sha256.New()
	for _, role := range []string{metadata.TIMESTAMP, metadata.SNAPSHOT} {
		fmt.Fprintf(h, "%s\n", role)
		if r := root.Signed.Roles[role]; r != nil {
			fmt.Fprintf(h, "%d %q\n", r.Threshold, slices.Sorted(slices.Values(r.KeyIDs)))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// takeTimestamp takes a timestamp. It gives false when it is the one that is
// held already.
func (c *chain) takeTimestamp(b []byte) (news bool, err error) {
	const what = "timestamp"
	if c.old.timestamp != nil && c.old.keys == c.keys() {
		// For comparison alone, so its own expiry does not matter. Should it
		// not count any more, the floor still does.
		_ = guard(what, func() error {
			_, err := c.tm.UpdateTimestamp(c.old.timestamp)
			return err
		})
	}
	same := bytes.Equal(b, c.old.timestamp)
	err = guard(what, func() error {
		m, err := metadata.Timestamp().FromBytes(b)
		if err != nil {
			return err
		}
		if meta := m.Signed.Meta[snapshotFile]; meta == nil || len(m.Signed.Meta) != 1 || meta.Version < 1 {
			return errors.New("it must name the snapshot, and nothing else")
		}
		_, err = c.tm.UpdateTimestamp(b)
		return err
	})
	switch {
	case is[metadata.ErrEqualVersionNumber](err) && !same:
		return false, refuse(Equivocation, what, "version %d is known with another content", c.tm.Timestamp.Signed.Version)
	case is[metadata.ErrEqualVersionNumber](err):
		if c.tm.Timestamp.Signed.IsExpired(c.tm.RefTime) {
			return false, refuse(Freeze, what, "version %d has expired on %s", c.tm.Timestamp.Signed.Version, stamp(c.tm.Timestamp.Signed.Expires))
		}
	case err != nil:
		return false, classify(what, Rollback, err)
	}
	if err := c.floor.timestamp(c); err != nil {
		return false, err
	}
	c.new.timestamp, c.new.keys = bytes.Clone(b), c.keys()
	if c.new.accepted = c.tm.RefTime; same {
		c.new.accepted = c.old.accepted
	}
	return !same, nil
}

const snapshotFile = metadata.SNAPSHOT + ".json"

// snapshotMeta is what the timestamp says about the snapshot.
func (c *chain) snapshotMeta() *metadata.MetaFiles { return c.tm.Timestamp.Signed.Meta[snapshotFile] }

// takeSnapshot takes the snapshot that the timestamp names.
func (c *chain) takeSnapshot(b []byte) error {
	const what = "snapshot"
	meta := c.snapshotMeta()
	err := guard(what, func() error {
		if err := meta.VerifyLengthHashes(b); err != nil {
			return err
		}
		m, err := metadata.Snapshot().FromBytes(b)
		if err != nil {
			return err
		}
		if m.Signed.Version != meta.Version {
			return refuse(MixAndMatch, what, "it is version %d, the timestamp names version %d", m.Signed.Version, meta.Version)
		}
		for name, f := range m.Signed.Meta {
			if f == nil || f.Version < 1 {
				return fmt.Errorf("its line about %q is empty", name)
			}
		}
		if c.old.snapshot != nil && c.old.keys == c.keys() {
			// An older snapshot never fits the new timestamp; it is loaded to be
			// compared with.
			_, _ = c.tm.UpdateSnapshot(c.old.snapshot, true)
		}
		if c.tm.Snapshot != nil {
			if gone := missing(c.tm.Snapshot.Signed.Meta, m.Signed.Meta); gone != "" {
				return refuse(Rollback, what, "the role %s is gone from it", gone)
			}
		}
		_, err = c.tm.UpdateSnapshot(b, false)
		return err
	})
	if err != nil {
		return classify(what, Rollback, err)
	}
	if err := c.floor.snapshot(c); err != nil {
		return err
	}
	c.new.snapshot = bytes.Clone(b)
	return nil
}

// missing names a line of old that is not in fresh.
func missing(old, fresh map[string]*metadata.MetaFiles) string {
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if fresh[name] == nil {
			return strings.TrimSuffix(name, ".json")
		}
	}
	return ""
}

// roleMeta is what the snapshot says about a role; nil when nothing.
func (c *chain) roleMeta(role string) *metadata.MetaFiles {
	return c.tm.Snapshot.Signed.Meta[role+".json"]
}

// takeTargets takes the top level targets.
func (c *chain) takeTargets(b []byte) error {
	err := c.takeRole(metadata.TARGETS, metadata.ROOT, b)
	if err == nil {
		c.new.targets = bytes.Clone(b)
	}
	return err
}

// takeDelegated takes a role that the top level targets delegate to.
func (c *chain) takeDelegated(role string, b []byte) error {
	err := c.takeRole(role, metadata.TARGETS, b)
	if err == nil {
		c.new.roles[role] = bytes.Clone(b)
	}
	return err
}

func (c *chain) takeRole(role, parent string, b []byte) error {
	err := guard(role, func() error {
		if c.roleMeta(role) == nil {
			return refuse(MixAndMatch, role, "the snapshot does not name it")
		}
		_, err := c.tm.UpdateDelegatedTargets(b, role, parent)
		return err
	})
	return classify(role, MixAndMatch, err)
}

// delegated says whether the top level targets delegate to a role.
func (c *chain) delegated(role string) bool {
	d := c.tm.Targets[metadata.TARGETS].Signed.Delegations
	return d != nil && slices.ContainsFunc(d.Roles, func(r metadata.DelegatedRole) bool { return r.Name == role })
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
