package update

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// StatusFile is where Run leaves its status for tools, inside the folder.
const StatusFile = "status.json"

// Status is what is in force and how old it is.
type Status struct {
	Root      int64     `json:"root"`                // version
	Timestamp int64     `json:"timestamp,omitempty"` // version
	Snapshot  int64     `json:"snapshot,omitempty"`
	Issued    time.Time `json:"issued,omitzero"`  // of the timestamp
	Expires   time.Time `json:"expires,omitzero"` // of the timestamp
	Source    string    `json:"source,omitempty"` // that last had everything
	Looked    time.Time `json:"looked,omitzero"`  // when it had

	Roles   []RoleStatus `json:"roles"`
	Notices []string     `json:"notices,omitempty"`
}

// RoleStatus is what is in force of a role.
type RoleStatus struct {
	Role    string    `json:"role"`
	Version uint64    `json:"version"`
	Detail  string    `json:"detail,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Issued  time.Time `json:"issued,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

// Status says what is in force.
func (u *Updater) Status() Status {
	notices := u.Notices()
	u.mu.Lock()
	defer u.mu.Unlock()
	s := Status{Root: int64(u.root.Version), Issued: u.issued, Source: u.reached, Looked: u.at, Roles: []RoleStatus{}}
	if c := u.latest; c != nil {
		s.Timestamp, s.Expires = c.tm.Timestamp.Signed.Version, c.tm.Timestamp.Signed.Expires.UTC()
		s.Snapshot = c.tm.Snapshot.Signed.Version
	}
	for _, role := range slices.Sorted(maps.Keys(u.roles)) {
		r := u.roles[role]
		s.Roles = append(s.Roles, RoleStatus{role, r.in.Version, r.in.Detail, r.since, r.issued, r.expires, r.problem})
	}
	for _, n := range notices {
		s.Notices = append(s.Notices, n.Level+": "+n.Text)
	}
	return s
}

// writeStatus leaves the status for tools. It need not survive a power cut.
func (u *Updater) writeStatus() {
	b, err := json.Marshal(u.Status())
	if err != nil {
		return
	}
	path := filepath.Join(u.cfg.Dir, StatusFile)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(b) {
		return
	}
	temp := path + ".new"
	if os.WriteFile(temp, b, 0o600) != nil || os.Rename(temp, path) != nil {
		u.log.Debug("status not written", "file", path)
	}
}

// ReadStatus reads the status that a running agent left in its update folder,
// and when it was written.
func ReadStatus(dir string) (s Status, at time.Time, err error) {
	path := filepath.Join(dir, StatusFile)
	info, err := os.Stat(path)
	if err != nil {
		return s, at, err
	}
	b, err := readAtMost(path, 1<<20)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, info.ModTime(), err
}
