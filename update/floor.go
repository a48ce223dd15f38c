package update

import (
	"maps"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// floor is the memory against rollback that outlives the metadata itself: the
// highest versions that were ever proven under the keys of timestamp and
// snapshot. It says what go-tuf would say from the metadata, and goes on
// saying it when they are damaged or lost.
type floor struct {
	Root      int64            `json:"root"`
	Keys      string           `json:"keys"` // of timestamp and snapshot, for which the rest counts
	Timestamp int64            `json:"timestamp,omitempty"`
	Snapshot  int64            `json:"snapshot,omitempty"`
	Roles     map[string]int64 `json:"roles,omitempty"` // as the snapshot named them
}

// timestamp refuses what lies under the floor.
func (f floor) timestamp(c *chain) error {
	v := c.tm.Timestamp.Signed.Version
	if f.Keys == c.keys() && v < f.Timestamp {
		return refuse(Rollback, "timestamp", "it is version %d, the kiosk has had version %d", v, f.Timestamp)
	}
	return nil
}

// snapshot refuses what lies under the floor.
func (f floor) snapshot(c *chain) error {
	if f.Keys != c.keys() {
		return nil
	}
	v := c.tm.Snapshot.Signed.Version
	if v < f.Snapshot {
		return refuse(Rollback, "snapshot", "it is version %d, the kiosk has had version %d", v, f.Snapshot)
	}
	for role, least := range f.Roles {
		if meta := c.roleMeta(role); meta == nil || meta.Version < least {
			return refuse(Rollback, "snapshot", "it lacks version %d of role %s, which the kiosk has had", least, role)
		}
	}
	return nil
}

// raise gives the floor after what a chain has proven so far.
func (f floor) raise(c *chain) floor {
	if f.Keys != c.keys() {
		f = floor{Keys: c.keys()}
	}
	f.Root = c.rootVersion()
	f.Roles = maps.Clone(f.Roles)
	if t := c.tm.Timestamp; t != nil && c.new.timestamp != nil {
		f.Timestamp = max(f.Timestamp, t.Signed.Version)
	}
	if s := c.tm.Snapshot; s != nil && c.new.snapshot != nil {
		f.Snapshot = max(f.Snapshot, s.Signed.Version)
		if f.Roles == nil {
			f.Roles = map[string]int64{}
		}
		for name, meta := range s.Signed.Meta {
			if role, ok := roleOf(name); ok {
				f.Roles[role] = max(f.Roles[role], meta.Version)
			}
		}
	}
	return f
}

// roleOf gives the role of a line of the snapshot.
func roleOf(name string) (string, bool) {
	const end = ".json"
	if len(name) <= len(end) || name[len(name)-len(end):] != end {
		return "", false
	}
	return name[:len(name)-len(end)], true
}

// equal compares two floors.
func (f floor) equal(g floor) bool {
	return f.Root == g.Root && f.Keys == g.Keys && f.Timestamp == g.Timestamp && f.Snapshot == g.Snapshot && maps.Equal(f.Roles, g.Roles)
}

// issued reads when the timestamp says that it was signed; false when it does
// not say it.
func issued(t *metadata.Metadata[metadata.TimestampType], field string) (string, bool) {
	s, ok := t.Signed.UnrecognizedFields[field].(string)
	return s, ok
}
