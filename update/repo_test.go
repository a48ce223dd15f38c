package update

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// start is when the world of these tests begins.
var start = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// repo is the issuing side, made here from the library's types alone: it can
// sign what an honest one never would.
type repo struct {
	t    testing.TB
	dir  string
	now  time.Time
	keys map[string][]ed25519.PrivateKey // by role; a thief copies them

	root      *metadata.Metadata[metadata.RootType]
	targets   *metadata.Metadata[metadata.TargetsType]
	roles     map[string]*metadata.Metadata[metadata.TargetsType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	anchor    []byte // the first root
}

const testAirport = "airport-SGN"

func delegatedRoles() []string {
	return []string{wire.RoleRevocations, wire.RoleTrust, testAirport, "airport-HAN", wire.RoleSettings, wire.RoleSoftware, wire.RoleModels}
}

// newRepo makes a repository: two of three root keys, one key for each other
// role.
func newRepo(t testing.TB) *repo {
	r := &repo{t: t, dir: t.TempDir(), now: start, keys: map[string][]ed25519.PrivateKey{},
		roles: map[string]*metadata.Metadata[metadata.TargetsType]{}}
	r.root = metadata.Root(start.AddDate(1, 0, 0))
	for role, n := range map[string]int{metadata.ROOT: 3, metadata.TARGETS: 1, metadata.SNAPSHOT: 1, metadata.TIMESTAMP: 1} {
		r.give(role, n)
	}
	r.root.Signed.Roles[metadata.ROOT].Threshold = 2
	r.targets = metadata.Targets(start.AddDate(1, 0, 0))
	r.targets.Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{}}
	for _, role := range delegatedRoles() {
		r.delegate(role)
	}
	r.snapshot = metadata.Snapshot(start.AddDate(0, 0, 7))
	r.timestamp = metadata.Timestamp(start.AddDate(0, 0, 1))
	r.snapshot.Signed.Version, r.timestamp.Signed.Version = 0, 0
	r.writeRoot(r.keys[metadata.ROOT][:2])
	r.anchor = must[[]byte](t)(os.ReadFile(r.file(wire.MetadataFile(wire.RoleRoot, 1))))
	r.writeTargets()
	for _, role := range delegatedRoles() {
		r.writeRole(role)
	}
	r.publish()
	return r
}

func (r *repo) file(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r *repo) write(name string, b []byte) {
	r.t.Helper()
	ok(r.t, os.MkdirAll(filepath.Dir(r.file(name)), 0o700))
	ok(r.t, os.WriteFile(r.file(name), b, 0o600))
}

func newKey(t testing.TB) ed25519.PrivateKey {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	ok(t, err)
	return k
}

func tufKey(t testing.TB, k ed25519.PrivateKey) *metadata.Key {
	return must[*metadata.Key](t)(metadata.KeyFromPublicKey(k.Public()))
}

// give gives a top-level role n new keys instead of those it has.
func (r *repo) give(role string, n int) {
	r.t.Helper()
	for _, id := range append([]string{}, r.root.Signed.Roles[role].KeyIDs...) {
		ok(r.t, r.root.Signed.RevokeKey(id, role))
	}
	r.keys[role] = nil
	for range n {
		k := newKey(r.t)
		ok(r.t, r.root.Signed.AddKey(tufKey(r.t, k), role))
		r.keys[role] = append(r.keys[role], k)
	}
}

func (r *repo) delegate(role string) {
	r.t.Helper()
	paths := must[[]string](r.t)(wire.RolePaths(role))
	r.targets.Signed.Delegations.Roles = append(r.targets.Signed.Delegations.Roles,
		metadata.DelegatedRole{Name: role, Threshold: 1, Terminating: true, Paths: paths})
	k := newKey(r.t)
	ok(r.t, r.targets.Signed.AddKey(tufKey(r.t, k), role))
	r.keys[role] = []ed25519.PrivateKey{k}
	r.roles[role] = metadata.Targets(start.AddDate(0, 0, 30))
}

func sign[T metadata.Roles](t testing.TB, m *metadata.Metadata[T], keys ...ed25519.PrivateKey) []byte {
	t.Helper()
	m.ClearSignatures()
	for _, k := range keys {
		s := must[signature.Signer](t)(signature.LoadSigner(k, crypto.Hash(0)))
		_, err := m.Sign(s)
		ok(t, err)
	}
	return must[[]byte](t)(m.ToBytes(false))
}

func (r *repo) writeRoot(keys []ed25519.PrivateKey) {
	r.t.Helper()
	r.write(wire.MetadataFile(wire.RoleRoot, r.root.Signed.Version), sign(r.t, r.root, keys...))
}

// rotate writes the next root, signed by the old keys and the new.
func (r *repo) rotate(change func()) {
	r.t.Helper()
	old := r.keys[metadata.ROOT]
	change()
	r.root.Signed.Version++
	r.writeRoot(append(append([]ed25519.PrivateKey{}, old[:2]...), fresh(old, r.keys[metadata.ROOT])...))
}

// fresh gives the keys that are not among the old.
func fresh(old, all []ed25519.PrivateKey) (out []ed25519.PrivateKey) {
	for _, k := range all {
		known := false
		for _, o := range old {
			known = known || k.Equal(o)
		}
		if !known {
			out = append(out, k)
		}
	}
	return out
}

func (r *repo) writeTargets() {
	r.t.Helper()
	r.write(wire.MetadataFile(wire.RoleTargets, r.targets.Signed.Version), sign(r.t, r.targets, r.keys[metadata.TARGETS]...))
}

func (r *repo) writeRole(role string) {
	r.t.Helper()
	m := r.roles[role]
	r.write(wire.MetadataFile(role, m.Signed.Version), sign(r.t, m, r.keys[role]...))
}

func metaOf(b []byte, version int64) *metadata.MetaFiles {
	sum := sha256.Sum256(b)
	return &metadata.MetaFiles{Version: version, Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}

// publish signs a snapshot of everything and a timestamp of it, and gives the
// timestamp.
func (r *repo) publish() []byte {
	r.t.Helper()
	s := r.snapshot
	s.Signed.Version++
	s.Signed.Expires = r.now.AddDate(0, 0, 7)
	s.Signed.Meta = map[string]*metadata.MetaFiles{}
	for role, v := range r.versions() {
		b := must[[]byte](r.t)(os.ReadFile(r.file(wire.MetadataFile(role, v))))
		s.Signed.Meta[role+".json"] = metaOf(b, v)
	}
	b := sign(r.t, s, r.keys[metadata.SNAPSHOT]...)
	r.write(wire.MetadataFile(wire.RoleSnapshot, s.Signed.Version), b)
	return r.stamp(b, s.Signed.Version)
}

func (r *repo) versions() map[string]int64 {
	out := map[string]int64{wire.RoleTargets: r.targets.Signed.Version}
	for role, m := range r.roles {
		out[role] = m.Signed.Version
	}
	return out
}

// stamp signs the next timestamp.
func (r *repo) stamp(snapshot []byte, version int64) []byte {
	r.t.Helper()
	ts := r.timestamp
	ts.Signed.Version++
	ts.Signed.Expires = r.now.AddDate(0, 0, 1)
	ts.Signed.UnrecognizedFields = map[string]any{wire.TimestampIssued: r.now.Format(time.RFC3339)}
	ts.Signed.Meta = map[string]*metadata.MetaFiles{snapshotFile: metaOf(snapshot, version)}
	b := sign(r.t, ts, r.keys[metadata.TIMESTAMP]...)
	r.write(wire.MetadataFile(wire.RoleTimestamp, 0), b)
	return b
}

// put gives a role a target and writes the role anew; publish follows.
func (r *repo) put(role, path string, content []byte, custom wire.Target) {
	r.t.Helper()
	r.putAs(role, path, content, must[[]byte](r.t)(custom.Encode(path)))
}

func (r *repo) putAs(role, path string, content, custom []byte) {
	r.t.Helper()
	sum := sha256.Sum256(content)
	raw := json.RawMessage(custom)
	m := r.roles[role]
	m.Signed.Targets[path] = &metadata.TargetFiles{Length: int64(len(content)), Hashes: metadata.Hashes{"sha256": sum[:]}, Custom: &raw}
	m.Signed.Version++
	r.write(wire.TargetFile(path, sum[:]), content)
	r.writeRole(role)
}

// custom is an entry of a kind, issued now.
func (r *repo) custom(kind string, version uint64) wire.Target {
	c := wire.Target{Kind: kind, Version: version, Issued: r.now, Expires: r.now.Add(72 * time.Hour)}
	switch kind {
	case wire.KindList, wire.KindTable, wire.KindDelta, wire.KindRevocations:
		c.Generation = 1
	case wire.KindSoftware:
		c.Release, c.Arch = "v1", "amd64"
	}
	return c
}

// takes is an applier that remembers what it was given.
type takes struct {
	role  string
	got   map[string]string // content by path
	calls int
	fail  error
	lazy  bool // fetches nothing
}

func (a *takes) Role() string { return a.role }

func (a *takes) Apply(ctx context.Context, p Push) (InForce, error) {
	a.calls++
	if a.fail != nil {
		return InForce{}, a.fail
	}
	got, in := map[string]string{}, InForce{}
	for _, t := range p.Targets {
		in.Version = max(in.Version, t.Version)
		in.Detail = hex.EncodeToString(t.SHA256[:4])
		if a.lazy {
			continue
		}
		path, err := p.Fetch(ctx, t)
		if err != nil {
			return InForce{}, err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return InForce{}, err
		}
		got[t.Path] = string(b)
	}
	a.got = got
	return in, nil
}

// kiosk is an Updater over folders, driven by hand.
type kiosk struct {
	*Updater
	t    testing.TB
	cfg  Config
	time gate.TrustedTime
	took map[string]*takes
	// hasty gives sources little time, where a test is about that.
	hasty bool
}

func newKiosk(t testing.TB, r *repo, sources ...Source) *kiosk {
	k := &kiosk{t: t, took: map[string]*takes{}, time: gate.TrustedTime{Now: start.Add(time.Minute), Trusted: true}}
	k.cfg = Config{Dir: filepath.Join(t.TempDir(), "update"), Root: r.anchor, Airport: "SGN", Sources: sources,
		Time: func() gate.TrustedTime { return k.time }}
	for _, role := range []string{wire.RoleRevocations, wire.RoleTrust, testAirport, wire.RoleSettings, wire.RoleSoftware, wire.RoleModels} {
		k.took[role] = &takes{role: role}
		k.cfg.Appliers = append(k.cfg.Appliers, k.took[role])
	}
	k.restart()
	return k
}

// restart is what a new start of the agent makes of the disk.
func (k *kiosk) restart() {
	k.t.Helper()
	u := must[*Updater](k.t)(New(k.cfg))
	u.pace = pace{small: 20 * time.Second, window: 20 * time.Second, chunk: 4 << 10}
	if k.hasty {
		u.pace.small, u.pace.window = time.Second, time.Second
	}
	k.Updater = u
	u.Start(k.t.Context())
	k.drain()
}

// look is one look at a source with all that follows.
func (k *kiosk) look(src Source) error {
	k.t.Helper()
	err := k.refresh(k.t.Context(), src, nil)
	if err != nil {
		k.suspect(src, err)
	}
	k.drain()
	return err
}

// drain does the appliers' work.
func (k *kiosk) drain() {
	select {
	case j := <-k.jobs:
		k.workOn(k.t.Context(), j)
	default:
	}
}
