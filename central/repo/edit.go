package repo

import (
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
)

// SetKeys drafts other keys for a role: a new root for root and the roles
// under it, new targets for what targets delegates. A role that is not there
// yet is delegated. What the old keys signed is drafted anew for the new ones.
func (r *Repo) SetKeys(role string, k RoleKeys, now time.Time) error {
	return r.setKeys(role, k, now)
}

func (r *Repo) setKeys(role string, k RoleKeys, now time.Time) error {
	ids, keys, err := checkKeys(role, k)
	if err != nil {
		return err
	}
	switch role {
	case wire.RoleRoot, wire.RoleTargets, wire.RoleSnapshot, wire.RoleTimestamp:
		err = r.setTopKeys(role, ids, keys, k.Threshold, now)
	default:
		err = r.setDelegatedKeys(role, ids, keys, k.Threshold, now)
	}
	if err != nil {
		return err
	}
	return r.checkApart()
}

// checkKeys refuses what no quorum could come from.
func checkKeys(role string, k RoleKeys) ([]string, map[string]*metadata.Key, error) {
	keys := map[string]*metadata.Key{}
	var ids []string
	for _, pub := range k.Keys {
		key, err := keyOf(pub)
		if err != nil {
			return nil, nil, fmt.Errorf("role %s: %w", role, err)
		}
		id, err := key.ID()
		if err != nil {
			return nil, nil, fmt.Errorf("role %s: %w", role, err)
		}
		if keys[id] != nil {
			return nil, nil, fmt.Errorf("role %s: key %s stands twice", role, short(id))
		}
		keys[id], ids = key, append(ids, id)
	}
	if k.Threshold < 1 || k.Threshold > len(ids) {
		return nil, nil, fmt.Errorf("role %s: %d signatures of %d keys: want 1 to %d", role, k.Threshold, len(ids), len(ids))
	}
	return ids, keys, nil
}

func (r *Repo) setTopKeys(role string, ids []string, keys map[string]*metadata.Key, threshold int, now time.Time) error {
	d, err := r.touch(wire.RoleRoot, now)
	if err != nil {
		return err
	}
	s := &d.root.Signed
	maps.Copy(s.Keys, keys)
	s.Roles[role] = &metadata.Role{KeyIDs: ids, Threshold: threshold}
	used := map[string]bool{}
	for _, other := range s.Roles {
		for _, id := range other.KeyIDs {
			used[id] = true
		}
	}
	maps.DeleteFunc(s.Keys, func(id string, _ *metadata.Key) bool { return !used[id] })
	if role == wire.RoleTargets {
		_, err = r.touch(wire.RoleTargets, now)
	}
	return err
}

func (r *Repo) setDelegatedKeys(role string, ids []string, keys map[string]*metadata.Key, threshold int, now time.Time) error {
	paths, err := wire.RolePaths(role)
	if err != nil {
		return err
	}
	d, err := r.touch(wire.RoleTargets, now)
	if err != nil {
		return err
	}
	s := &d.targets.Signed
	if s.Delegations == nil {
		s.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{}, Roles: []metadata.DelegatedRole{}}
	}
	maps.Copy(s.Delegations.Keys, keys)
	entry := metadata.DelegatedRole{Name: role, KeyIDs: ids, Threshold: threshold, Terminating: true, Paths: paths}
	at := slices.IndexFunc(s.Delegations.Roles, func(o metadata.DelegatedRole) bool { return o.Name == role })
	if at >= 0 {
		s.Delegations.Roles[at] = entry
	} else {
		s.Delegations.Roles = append(s.Delegations.Roles, entry)
	}
	forgetUnused(s.Delegations)
	if r.drafts[role] == nil && r.now.targets[role] == nil {
		r.drafts[role] = &draft{role: role, targets: metadata.Targets()}
	}
	d, err = r.touch(role, now)
	if err == nil && at < 0 {
		clear(d.targets.Signed.Targets) // what it held when it was delegated before does not come back
	}
	return err
}

func forgetUnused(d *metadata.Delegations) {
	used := map[string]bool{}
	for _, r := range d.Roles {
		for _, id := range r.KeyIDs {
			used[id] = true
		}
	}
	maps.DeleteFunc(d.Keys, func(id string, _ *metadata.Key) bool { return !used[id] })
}

// Undelegate drafts targets without a role: kiosks take nothing from it any
// more. What it once signed keeps its place in the snapshot, as TUF demands.
func (r *Repo) Undelegate(role string, now time.Time) error {
	if _, err := wire.RolePaths(role); err != nil {
		return err
	}
	if len(r.grants(role)) == 0 {
		return fmt.Errorf("role %s is not delegated", role)
	}
	d, err := r.touch(wire.RoleTargets, now)
	if err != nil {
		return err
	}
	del := d.targets.Signed.Delegations
	del.Roles = slices.DeleteFunc(del.Roles, func(o metadata.DelegatedRole) bool { return o.Name == role })
	forgetUnused(del)
	delete(r.drafts, role)
	return nil
}

// RevokeKey drafts the repository without a key, wherever it counts. Replace
// takes its place in each role; without it a role that needs the key to reach
// its threshold refuses.
func (r *Repo) RevokeKey(id string, replace crypto.PublicKey, now time.Time) ([]string, error) {
	var roles []string
	for _, role := range r.Roles() {
		all := r.grants(role)
		if len(all) == 0 || !slices.Contains(all[0].ids, id) {
			continue
		}
		k, err := all[0].without(id, replace)
		if err != nil {
			return nil, fmt.Errorf("role %s: %w", role, err)
		}
		if err := r.setKeys(role, k, now); err != nil {
			return nil, err
		}
		roles = append(roles, role)
	}
	if len(roles) == 0 {
		return nil, fmt.Errorf("key %s counts for no role; gatectl repo status lists those that do", short(id))
	}
	return roles, nil
}

// ErrThreshold says that a role would have fewer keys than it wants
// signatures.
var ErrThreshold = errors.New("too few keys would be left for its threshold: name a key that takes the place")

func (g grant) without(id string, replace crypto.PublicKey) (RoleKeys, error) {
	k := RoleKeys{Threshold: g.threshold}
	for _, other := range g.ids {
		if other == id {
			continue
		}
		pub, err := g.keys[other].ToPublicKey()
		if err != nil {
			return k, err
		}
		k.Keys = append(k.Keys, pub)
	}
	if replace != nil {
		k.Keys = append(k.Keys, replace)
	}
	if len(k.Keys) < k.Threshold {
		return k, ErrThreshold
	}
	return k, nil
}

// Keys gives the keys of a role, as a draft has them or as they are in force.
func (r *Repo) Keys(role string) (RoleKeys, error) {
	all := r.grants(role)
	if len(all) == 0 {
		return RoleKeys{}, fmt.Errorf("role %s: nobody has delegated it; see gatectl repo delegate --help", role)
	}
	return all[0].without("", nil)
}

// Renew drafts a role anew as it is, with its validity from now on.
func (r *Repo) Renew(role string, now time.Time) error {
	_, err := r.touch(role, now)
	return err
}

// Drop throws the draft of a role away.
func (r *Repo) Drop(role string) error {
	if r.drafts[role] == nil {
		return fmt.Errorf("role %s has no draft", role)
	}
	delete(r.drafts, role)
	return nil
}

// Roles lists the roles that there are or will be: root and what it names,
// then what targets delegates.
func (r *Repo) Roles() []string {
	all := []string{wire.RoleRoot, wire.RoleTargets, wire.RoleSnapshot, wire.RoleTimestamp}
	next := r.now
	if d := r.drafts[wire.RoleTargets]; d != nil {
		next = &state{targets: map[string]*targetsMeta{wire.RoleTargets: d.targets}}
	}
	for _, role := range append(next.delegated(), r.now.delegated()...) {
		if !slices.Contains(all, role) {
			all = append(all, role)
		}
	}
	return all
}

// checkApart keeps keys that lie on a running machine away from roles that
// are signed by people: whoever takes central must not own the fleet.
func (r *Repo) checkApart() error {
	online := map[string]string{}
	for _, role := range []string{wire.RoleSnapshot, wire.RoleTimestamp, wire.RoleRevocations} {
		if all := r.grants(role); len(all) > 0 {
			for _, id := range all[0].ids {
				online[id] = role
			}
		}
	}
	for _, role := range r.Roles() {
		if role == wire.RoleSnapshot || role == wire.RoleTimestamp || role == wire.RoleRevocations {
			continue
		}
		if all := r.grants(role); len(all) > 0 {
			for _, id := range all[0].ids {
				if online[id] != "" {
					return fmt.Errorf("key %s signs %s, whose keys lie at central: it cannot sign %s, too; take another key", short(id), online[id], role)
				}
			}
		}
	}
	return nil
}
