package repo

import (
	"crypto"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
)

// ErrOnline says that snapshot or timestamp cannot be signed with the keys at
// hand.
var ErrOnline = errors.New("the keys of snapshot and timestamp are not at hand")

// Result says what a commit has put in force, and which drafts wait for what.
type Result struct {
	Roles   map[string]int64  // role and version; empty when there was nothing to do
	Waiting map[string]string // role and why
}

// Commit puts every draft in force that has its signatures, renews what online
// keys may sign and is due, and signs snapshot and timestamp. Drafts that lack
// a signature stay.
func (r *Repo) Commit(now time.Time, online ...crypto.Signer) (*Result, error) {
	if err := r.renewOnline(now, online); err != nil {
		return nil, err
	}
	if err := r.save(); err != nil {
		return nil, err // what is in force must never be ahead of what is known here
	}
	next, waiting := r.assemble(now)
	res := &Result{Roles: map[string]int64{}, Waiting: waiting}
	if next == nil {
		return res, nil
	}
	if err := r.bind(next, now, online); err != nil {
		return nil, err
	}
	if err := next.prove(r.now.raw[wire.RoleRoot]); err != nil {
		return nil, fmt.Errorf("repository: the new state does not prove itself, nothing was written: %w", err)
	}
	if err := r.write(next); err != nil {
		return nil, err
	}
	for role := range next.raw {
		if string(next.raw[role]) != string(r.now.raw[role]) {
			res.Roles[role] = next.versionOf(role)
		}
	}
	err := r.retire(next, now)
	r.now = next
	return res, errors.Join(err, r.forgetDone())
}

func (s *state) versionOf(role string) int64 {
	switch role {
	case wire.RoleRoot:
		return s.root.Signed.Version
	case wire.RoleSnapshot:
		return s.snapshot.Signed.Version
	case wire.RoleTimestamp:
		return s.timestamp.Signed.Version
	}
	return s.targets[role].Signed.Version
}

// renewOnline drafts and signs the delegated roles whose keys are online and
// which are due; a draft that is there already gets its signatures.
func (r *Repo) renewOnline(now time.Time, online []crypto.Signer) error {
	for _, role := range r.now.delegated() {
		g, _ := r.now.grant(role)
		if r.drafts[role] == nil && g.reachable(online) && due(role, r.now.targets[role].Signed.Expires, now) {
			if _, err := r.touch(role, now); err != nil {
				return err
			}
		}
	}
	_, err := r.sign(online)
	return err
}

// reachable says whether keys at hand meet the threshold.
func (g grant) reachable(keys []crypto.Signer) bool {
	n := 0
	for _, k := range keys {
		if id, err := KeyID(k.Public()); err == nil && slices.Contains(g.ids, id) {
			n++
		}
	}
	return g.threshold > 0 && n >= g.threshold
}

// assemble finds the newest set of metadata in which every role has its
// signatures under the one above. Root and targets are tried with their drafts
// first; a draft that would leave a role below without signatures waits.
func (r *Repo) assemble(now time.Time) (*state, map[string]string) {
	all := map[string]string{}
	for _, use := range [][2]bool{{true, true}, {true, false}, {false, true}, {false, false}} {
		root, targets := use[0], use[1]
		if root && r.drafts[wire.RoleRoot] == nil || targets && r.drafts[wire.RoleTargets] == nil {
			continue
		}
		next, waiting := r.try(root, targets, now)
		for role, why := range waiting {
			if all[role] == "" {
				all[role] = why
			}
		}
		if next != nil {
			maps.DeleteFunc(all, func(role, _ string) bool { return string(next.raw[role]) != string(r.now.raw[role]) })
			return next, all
		}
	}
	return nil, all
}

// try puts a set together with or without the drafts of root and targets.
func (r *Repo) try(root, targets bool, now time.Time) (*state, map[string]string) {
	next, waiting := newState(), map[string]string{}
	next.root, next.snapshot, next.timestamp = r.now.root, r.now.snapshot, r.now.timestamp
	maps.Copy(next.raw, r.now.raw)
	maps.Copy(next.targets, r.now.targets)
	if root {
		if why := r.place(next, wire.RoleRoot, now, r.now.root); why != "" {
			waiting[wire.RoleRoot] = why
			return nil, waiting
		}
	}
	if next.root == nil {
		return nil, waiting
	}
	if targets {
		if why := r.place(next, wire.RoleTargets, now, nil); why != "" {
			waiting[wire.RoleTargets] = why
			return nil, waiting
		}
	}
	below := append([]string{wire.RoleTargets}, next.delegated()...)
	for _, role := range below {
		if role != wire.RoleTargets && r.drafts[role] != nil {
			if why := r.place(next, role, now, nil); why != "" {
				waiting[role] = why
			}
		}
	}
	for _, role := range below {
		g, ok := next.grant(role)
		if m := next.targets[role]; !ok || m == nil || !g.holds(m) {
			if waiting[role] == "" {
				waiting[role] = "its metadata must be signed by its new keys: gatectl repo sign"
			}
			if targets && role != wire.RoleTargets {
				waiting[wire.RoleTargets] = "waits for role " + role
			}
			if root {
				waiting[wire.RoleRoot] = "waits for role " + role
			}
			return nil, waiting
		}
	}
	return next, waiting
}

// place puts the draft of a role into the set, or says what it waits for.
// Root must hold under the root before, too (TUF specification, section 6.1).
func (r *Repo) place(next *state, role string, now time.Time, before *rootMeta) string {
	d := r.drafts[role]
	var grants []grant
	if role == wire.RoleRoot {
		g, _ := rootGrant(d.root, role)
		grants = append(grants, g)
		if before != nil {
			g, _ := rootGrant(before, role)
			grants = append(grants, g)
		}
	} else {
		g, ok := next.grant(role)
		if !ok {
			return "nobody delegates it yet"
		}
		grants = append(grants, g)
	}
	for _, g := range grants {
		if !g.holds(d.meta()) {
			return fmt.Sprintf("%d of %d signatures", len(g.signedBy(d.meta())), g.threshold)
		}
	}
	if !d.expires().After(now) {
		return "it expired before it was in force: renew it"
	}
	if d.targets != nil {
		if path := r.missing(d.targets); path != "" {
			return "the content of " + path + " is not here: add it again"
		}
	}
	data, err := d.bytes()
	if err != nil {
		return err.Error()
	}
	next.raw[role] = data
	if role == wire.RoleRoot {
		next.root = d.root
	} else {
		next.targets[role] = d.targets
	}
	return ""
}

// bind signs the snapshot when something below it is new, and the timestamp.
func (r *Repo) bind(next *state, now time.Time, online []crypto.Signer) error {
	snap := metadata.Snapshot(until(now, wire.RoleSnapshot))
	delete(snap.Signed.Meta, "targets.json")
	for role, m := range next.targets {
		snap.Signed.Meta[role+".json"] = metaFile(m.Signed.Version, next.raw[role])
	}
	if old := next.snapshot; old == nil || !sameMeta(old, snap) || !next.signedUnder(wire.RoleSnapshot, old) || due(wire.RoleSnapshot, old.Signed.Expires, now) {
		if old != nil {
			snap.Signed.Version = old.Signed.Version + 1
		}
		if err := seal(r.now, next, wire.RoleSnapshot, snap, online); err != nil {
			return err
		}
		next.snapshot = snap
	}
	bound := metaFile(next.snapshot.Signed.Version, next.raw[wire.RoleSnapshot])
	old := next.timestamp
	if old != nil && old.Signed.Meta["snapshot.json"].Version == bound.Version &&
		next.signedUnder(wire.RoleTimestamp, old) && !due(wire.RoleTimestamp, old.Signed.Expires, now) {
		return nil
	}
	stamp := metadata.Timestamp(until(now, wire.RoleTimestamp))
	stamp.Signed.Meta["snapshot.json"] = bound
	stamp.Signed.UnrecognizedFields = map[string]any{wire.TimestampIssued: now.UTC().Truncate(time.Second).Format(time.RFC3339)}
	if old != nil {
		stamp.Signed.Version = old.Signed.Version + 1
	}
	if err := seal(r.now, next, wire.RoleTimestamp, stamp, online); err != nil {
		return err
	}
	next.timestamp = stamp
	return nil
}

func (s *state) signedUnder(role string, meta any) bool {
	g, ok := s.grant(role)
	return ok && g.holds(meta)
}

func sameMeta(a, b *snapshotMeta) bool {
	return maps.EqualFunc(a.Signed.Meta, b.Signed.Meta, func(x, y *metadata.MetaFiles) bool {
		return x.Version == y.Version && x.Length == y.Length && x.Hashes.Equal(y.Hashes)
	})
}

// seal signs with every online key that the root names now or will name, so
// that a kiosk which has either of them takes it.
func seal[T metadata.Roles](before, next *state, role string, m *metadata.Metadata[T], online []crypto.Signer) error {
	for _, s := range []*state{before, next} {
		g, ok := s.grant(role)
		if !ok {
			continue
		}
		for _, key := range online {
			if id, err := KeyID(key.Public()); err == nil && slices.Contains(g.ids, id) {
				if err := sign(m, key); err != nil {
					return fmt.Errorf("%s: %w", role, err)
				}
			}
		}
	}
	g, _ := next.grant(role)
	if !g.holds(m) {
		return fmt.Errorf("%w: %s wants %d of %s", ErrOnline, role, g.threshold, strings.Join(shortAll(g.ids), ", "))
	}
	data, err := m.ToBytes(false)
	if err != nil {
		return fmt.Errorf("%s: %w", role, err)
	}
	next.raw[role] = data
	return nil
}

func shortAll(ids []string) []string {
	var all []string
	for _, id := range ids {
		all = append(all, short(id))
	}
	return all
}

// write puts the files of the new state down in their order: what is below
// first, the timestamp last, the root where no reader is left between two.
func (r *Repo) write(next *state) error {
	order := append(slices.Sorted(maps.Keys(next.targets)), wire.RoleSnapshot)
	last := []string{wire.RoleRoot, wire.RoleTimestamp}
	if r.now.complete() && r.now.holdsUnderRoot(next) {
		last = []string{wire.RoleTimestamp, wire.RoleRoot}
	}
	for _, role := range append(order, last...) {
		if string(next.raw[role]) == string(r.now.raw[role]) {
			continue
		}
		path := filepath.Join(r.dir, wire.MetadataFile(role, next.versionOf(role)))
		if err := r.put(path, next.raw[role], 0o644); err != nil {
			return fmt.Errorf("repository: %w", err)
		}
	}
	return nil
}

// holdsUnderRoot says whether a kiosk that still has this state's root takes
// the next one.
func (s *state) holdsUnderRoot(next *state) bool {
	for role, m := range map[string]any{wire.RoleTimestamp: next.timestamp, wire.RoleSnapshot: next.snapshot,
		wire.RoleTargets: next.targets[wire.RoleTargets]} {
		if !s.signedUnder(role, m) {
			return false
		}
	}
	return true
}

// forgetDone removes the drafts that are in force.
func (r *Repo) forgetDone() error {
	maps.DeleteFunc(r.drafts, func(role string, d *draft) bool { return d.version() <= r.versionOf(role) })
	return r.save()
}

// CanCommit says whether keys can sign the snapshot and timestamp that a
// commit would make.
func (r *Repo) CanCommit(keys ...crypto.Signer) bool {
	for _, role := range []string{wire.RoleSnapshot, wire.RoleTimestamp} {
		all := r.grants(role)
		if len(all) == 0 || !slices.ContainsFunc(all, func(g grant) bool { return g.reachable(keys) }) {
			return false
		}
	}
	return true
}

// ready is the word for what waits for nothing but the online keys.
const ready = "signed; gatecentral puts it in force, or gatectl repo timestamp with the online keys"

// Waiting says what every draft waits for.
func (r *Repo) Waiting(now time.Time) map[string]string {
	next, waiting := r.assemble(now)
	for role := range r.drafts {
		if waiting[role] == "" && next != nil && string(next.raw[role]) != string(r.now.raw[role]) {
			waiting[role] = ready
		} else if waiting[role] == "" {
			waiting[role] = "waits for the others"
		}
		if role == wire.RoleRevocations {
			waiting[role] = "gatecentral signs it and puts it in force"
		}
	}
	return waiting
}
