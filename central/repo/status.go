package repo

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
)

// Status is a repository at a glance.
type Status struct {
	Issued time.Time    `json:"issued"` // of the timestamp in force; zero before the first commit
	Roles  []RoleStatus `json:"roles"`
}

// RoleStatus is one role: in force, and its draft if it has one.
type RoleStatus struct {
	Role      string       `json:"role"`
	Version   int64        `json:"version"` // 0: nothing is in force
	Expires   time.Time    `json:"expires,omitzero"`
	Keys      []string     `json:"keys"`
	Threshold int          `json:"threshold"`
	Targets   int          `json:"targets"`
	Draft     *DraftStatus `json:"draft,omitempty"`
}

// DraftStatus is what a draft would change, and who has signed it.
type DraftStatus struct {
	Version int64     `json:"version"`
	Expires time.Time `json:"expires"`
	Signed  []string  `json:"signed"`
	Wanted  []string  `json:"wanted"` // keys whose signature counts and is missing
	Changes []string  `json:"changes"`
}

// Status describes every role.
func (r *Repo) Status() Status {
	var s Status
	if t := r.now.timestamp; t != nil {
		text, _ := t.Signed.UnrecognizedFields[wire.TimestampIssued].(string)
		s.Issued, _ = time.Parse(time.RFC3339, text) // zero when it cannot be read
	}
	for _, role := range r.Roles() {
		st := RoleStatus{Role: role, Version: r.versionOf(role)}
		if all := r.grants(role); len(all) > 0 {
			g := all[len(all)-1] // as it is in force, if it is
			st.Keys, st.Threshold = g.ids, g.threshold
		}
		switch {
		case role == wire.RoleSnapshot && r.now.complete():
			st.Version, st.Expires = r.now.snapshot.Signed.Version, r.now.snapshot.Signed.Expires
		case role == wire.RoleTimestamp && r.now.complete():
			st.Version, st.Expires = r.now.timestamp.Signed.Version, r.now.timestamp.Signed.Expires
		case role == wire.RoleRoot && st.Version > 0:
			st.Expires = r.now.root.Signed.Expires
		case st.Version > 0 && r.now.targets[role] != nil:
			st.Expires, st.Targets = r.now.targets[role].Signed.Expires, len(r.now.targets[role].Signed.Targets)
		}
		if d := r.drafts[role]; d != nil {
			st.Draft = r.draftStatus(d)
		}
		s.Roles = append(s.Roles, st)
	}
	return s
}

func (r *Repo) draftStatus(d *draft) *DraftStatus {
	st := &DraftStatus{Version: d.version(), Expires: d.expires(), Changes: r.changes(d)}
	for _, g := range r.grants(d.role) {
		got := g.signedBy(d.meta())
		for _, id := range g.ids {
			to := &st.Wanted
			if slices.Contains(got, id) {
				to = &st.Signed
			}
			if !slices.Contains(*to, id) {
				*to = append(*to, id)
			}
		}
	}
	return st
}

// changes says in words what a draft would change.
func (r *Repo) changes(d *draft) []string {
	var out []string
	if d.root != nil {
		for _, role := range []string{wire.RoleRoot, wire.RoleTargets, wire.RoleSnapshot, wire.RoleTimestamp} {
			was, _ := rootGrant(r.now.root, role)
			is, _ := rootGrant(d.root, role)
			out = append(out, grantChanges(role, was, is)...)
		}
	} else {
		out = r.targetsChanges(d)
	}
	if len(out) == 0 {
		out = []string{"valid until " + d.expires().Format(time.DateOnly) + ", otherwise as before"}
	}
	return out
}

func grantChanges(role string, was, is grant) []string {
	var out []string
	for _, id := range is.ids {
		if !slices.Contains(was.ids, id) {
			out = append(out, fmt.Sprintf("%s: key %s is added", role, short(id)))
		}
	}
	for _, id := range was.ids {
		if !slices.Contains(is.ids, id) {
			out = append(out, fmt.Sprintf("%s: key %s is removed", role, short(id)))
		}
	}
	if was.threshold != is.threshold && is.threshold > 0 {
		out = append(out, fmt.Sprintf("%s: %d of %d keys sign, before %d of %d", role, is.threshold, len(is.ids), was.threshold, len(was.ids)))
	}
	return out
}

func (r *Repo) targetsChanges(d *draft) []string {
	old := r.now.targets[d.role]
	if old == nil {
		old = metadata.Targets()
	}
	var out []string
	roles := (&state{targets: map[string]*targetsMeta{wire.RoleTargets: d.targets}}).delegated()
	if d.role == wire.RoleTargets {
		for _, role := range r.now.delegated() {
			if !slices.Contains(roles, role) {
				out = append(out, role+" is no longer delegated")
			}
		}
		for _, role := range roles {
			was, _ := targetsGrant(old, role)
			is, _ := targetsGrant(d.targets, role)
			out = append(out, grantChanges(role, was, is)...)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(d.targets.Signed.Targets)) {
		f, before := d.targets.Signed.Targets[path], old.Signed.Targets[path]
		if before != nil && f.Equal(*before) && f.Custom != nil && before.Custom != nil && string(*f.Custom) == string(*before.Custom) {
			continue
		}
		out = append(out, targetLine(path, f))
	}
	for _, path := range slices.Sorted(maps.Keys(old.Signed.Targets)) {
		if d.targets.Signed.Targets[path] == nil {
			out = append(out, path+" is removed")
		}
	}
	return out
}

func targetLine(path string, f *metadata.TargetFiles) string {
	t, err := entryOf(path, f)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s: %s version %d, %d bytes, SHA-256 %s, until %s", path, t.Kind, t.Version, f.Length,
		f.Hashes["sha256"].String(), t.Expires.Format(time.RFC3339))
}
