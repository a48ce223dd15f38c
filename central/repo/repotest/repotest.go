// Package repotest makes update repositories with keys in memory, for tests
// of whoever makes or proves one.
package repotest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/central/repo"
	"gateagent/gate/wire"
)

// Fixture is a repository with all its keys.
type Fixture struct {
	Dir  string
	Repo *repo.Repo
	Keys map[string][]ed25519.PrivateKey // by role
	T    testing.TB
}

// New makes a repository: three root keys of which two sign, one key for every
// other role, and an airport role for each airport. It is in force at now.
func New(t testing.TB, now time.Time, airports ...string) *Fixture {
	t.Helper()
	f := &Fixture{Dir: filepath.Join(t.TempDir(), "repo"), Keys: map[string][]ed25519.PrivateKey{}, T: t}
	roles := []string{wire.RoleRoot, wire.RoleTargets, wire.RoleSnapshot, wire.RoleTimestamp, wire.RoleRevocations,
		wire.RoleTrust, wire.RoleSoftware, wire.RoleModels, wire.RoleSettings}
	for _, a := range airports {
		role, err := wire.AirportRole(a)
		f.check(err)
		roles = append(roles, role)
	}
	plan := repo.Plan{Roles: map[string]repo.RoleKeys{}}
	for _, role := range roles {
		n, threshold := 1, 1
		if role == wire.RoleRoot {
			n, threshold = 3, 2
		}
		for range n {
			f.Keys[role] = append(f.Keys[role], Key(t))
		}
		plan.Roles[role] = repo.RoleKeys{Keys: Publics(f.Keys[role]...), Threshold: threshold}
	}
	var err error
	f.Repo, err = repo.Init(t.Context(), f.Dir, plan, now)
	f.check(err)
	t.Cleanup(func() { _ = f.Repo.Close() })
	f.Publish(now)
	return f
}

// Key makes an Ed25519 key.
func Key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Publics gives the public halves.
func Publics(keys ...ed25519.PrivateKey) []crypto.PublicKey {
	var all []crypto.PublicKey
	for _, k := range keys {
		all = append(all, k.Public())
	}
	return all
}

// Signers gives all keys, or those of some roles.
func (f *Fixture) Signers(roles ...string) []crypto.Signer {
	var all []crypto.Signer
	for role, keys := range f.Keys {
		wanted := len(roles) == 0
		for _, r := range roles {
			wanted = wanted || r == role
		}
		for _, k := range keys {
			if wanted {
				all = append(all, k)
			}
		}
	}
	return all
}

// Online gives the keys that a running central has.
func (f *Fixture) Online() []crypto.Signer {
	return f.Signers(wire.RoleSnapshot, wire.RoleTimestamp, wire.RoleRevocations)
}

// Add puts a target into the draft of its role.
func (f *Fixture) Add(path string, t wire.Target, content []byte, now time.Time) {
	f.T.Helper()
	f.check(f.Repo.Add(path, &t, bytes.NewReader(content), now))
}

// Publish signs all drafts with all keys and puts them in force.
func (f *Fixture) Publish(now time.Time) *repo.Result {
	f.T.Helper()
	_, err := f.Repo.Sign(f.Signers()...)
	f.check(err)
	res, err := f.Repo.Commit(now, f.Online()...)
	f.check(err)
	return res
}

// Read reads a served file: wire.MetadataFile or wire.TargetFile name it.
func (f *Fixture) Read(name string) []byte {
	f.T.Helper()
	data, err := os.ReadFile(filepath.Join(f.Dir, name))
	f.check(err)
	return data
}

// Root is the first root, which a kiosk trusts from its enrolment on.
func (f *Fixture) Root() []byte { return f.Read(wire.MetadataFile(wire.RoleRoot, 1)) }

func (f *Fixture) check(err error) {
	f.T.Helper()
	if err != nil {
		f.T.Fatal(err)
	}
}
