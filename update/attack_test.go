package update

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"gateagent/gate/wire"
)

// begun is a kiosk that has taken a first state: a certificate, a list, a
// revocation.
func begun(t *testing.T) (*repo, *kiosk) {
	r := newRepo(t)
	r.put(wire.RoleTrust, "trust/a.cer", []byte("first"), r.custom(wire.KindTrust, 1))
	r.put(testAirport, wire.ListPath("SGN"), []byte("first list"), r.custom(wire.KindList, 1))
	r.put(wire.RoleRevocations, wire.RevocationsPath("SGN"), []byte("nobody"), r.custom(wire.KindRevocations, 1))
	r.publish()
	k := newKiosk(t, r)
	ok(t, k.look(Folder(r.dir)))
	k.has(t, "at first", "first", "first list", "nobody")
	return r, k
}

// has checks what is in force.
func (k *kiosk) has(t *testing.T, when, trust, list, revoked string) {
	t.Helper()
	for path, want := range map[string]string{"trust/a.cer": trust, wire.ListPath("SGN"): list, wire.RevocationsPath("SGN"): revoked} {
		role, _ := wire.TargetRole(path)
		if got := k.took[role].got[path]; got != want {
			t.Errorf("%s: %s is %q, want %q", when, path, got, want)
		}
	}
}

// second publishes a newer state.
func (r *repo) second() {
	r.put(wire.RoleTrust, "trust/a.cer", []byte("second"), r.custom(wire.KindTrust, 2))
	r.put(testAirport, wire.ListPath("SGN"), []byte("second list"), r.custom(wire.KindList, 2))
	r.put(wire.RoleRevocations, wire.RevocationsPath("SGN"), []byte("somebody"), r.custom(wire.KindRevocations, 2))
	r.publish()
}

func (r *repo) read(name string) []byte {
	r.t.Helper()
	return must[[]byte](r.t)(os.ReadFile(r.file(name)))
}

// copied is the repository as it is now, for a mirror that stays behind.
func (r *repo) copied() Folder {
	dir := r.t.TempDir()
	ok(r.t, os.CopyFS(dir, os.DirFS(r.dir)))
	return Folder(dir)
}

// metadataAttack is what a thief or a mirror does to what every kiosk takes
// together, and what it must be called. Nothing of it comes into force.
type metadataAttack struct {
	want Attack
	do   func(r *repo, k *kiosk) Source
}

func metadataAttacks() map[string]metadataAttack {
	return map[string]metadataAttack{
		"rollback of everything": {Rollback, func(r *repo, k *kiosk) Source {
			old := r.copied()
			r.now = r.now.Add(time.Minute)
			r.publish()
			ok(r.t, k.look(Folder(r.dir)))
			return old
		}},
		"rollback of the snapshot by a stolen timestamp key": {Rollback, func(r *repo, k *kiosk) Source {
			v := r.snapshot.Signed.Version
			old := r.read(wire.MetadataFile(wire.RoleSnapshot, v-1))
			r.stamp(old, v-1)
			return Folder(r.dir)
		}},
		"rollback of targets by stolen online keys": {Rollback, func(r *repo, _ *kiosk) Source {
			m := r.roles[wire.RoleRevocations]
			m.Signed.Version--
			m.Signed.Targets = map[string]*metadata.TargetFiles{}
			r.writeRole(wire.RoleRevocations)
			r.publish()
			return Folder(r.dir)
		}},
		"a role vanishes from the snapshot": {Rollback, func(r *repo, _ *kiosk) Source {
			delete(r.roles, wire.RoleRevocations)
			r.publish()
			return Folder(r.dir)
		}},
		"freeze": {Freeze, func(r *repo, k *kiosk) Source {
			k.time.Now = k.time.Now.Add(30 * time.Hour)
			return Folder(r.dir)
		}},
		"freeze with a newer timestamp that has expired, too": {Freeze, func(r *repo, k *kiosk) Source {
			r.second()
			k.time.Now = k.time.Now.Add(30 * time.Hour)
			return Folder(r.dir)
		}},
		"freeze of the snapshot by a stolen timestamp key": {Freeze, func(r *repo, k *kiosk) Source {
			k.time.Now = k.time.Now.AddDate(0, 0, 8)
			r.now = k.time.Now
			v := r.snapshot.Signed.Version
			r.stamp(r.read(wire.MetadataFile(wire.RoleSnapshot, v)), v)
			return Folder(r.dir)
		}},
		"mix and match of snapshots": {MixAndMatch, func(r *repo, _ *kiosk) Source {
			v := r.snapshot.Signed.Version
			old := r.read(wire.MetadataFile(wire.RoleSnapshot, v))
			r.second()
			r.write(wire.MetadataFile(wire.RoleSnapshot, v+1), old)
			return Folder(r.dir)
		}},
		"mix and match of targets": {MixAndMatch, func(r *repo, _ *kiosk) Source {
			old := r.read(wire.MetadataFile(wire.RoleTargets, 1))
			r.targets.Signed.Version++
			r.targets.Signed.Expires = r.now.AddDate(2, 0, 0)
			r.writeTargets()
			r.publish()
			r.write(wire.MetadataFile(wire.RoleTargets, 2), old)
			return Folder(r.dir)
		}},
		"a stolen timestamp key and a snapshot of the thief's own": {Forgery, func(r *repo, _ *kiosk) Source {
			r.keys[metadata.SNAPSHOT] = r.keys[metadata.TIMESTAMP]
			r.publish()
			return Folder(r.dir)
		}},
		"stolen online keys and targets of the thief's own": {Forgery, func(r *repo, _ *kiosk) Source {
			r.keys[metadata.TARGETS] = r.keys[metadata.SNAPSHOT]
			r.targets.Signed.Version++
			r.writeTargets()
			r.publish()
			return Folder(r.dir)
		}},
		"a timestamp that nobody signed": {Forgery, func(r *repo, _ *kiosk) Source {
			r.keys[metadata.TIMESTAMP] = nil
			r.second()
			return Folder(r.dir)
		}},
	}
}

// moreAttacks are those on roots and on the form of files.
func moreAttacks() map[string]metadataAttack {
	return map[string]metadataAttack{
		"two timestamps under one version": {Equivocation, func(r *repo, _ *kiosk) Source {
			r.timestamp.Signed.Version--
			r.publish()
			return Folder(r.dir)
		}},
		"a root with too few signatures": {Forgery, func(r *repo, _ *kiosk) Source {
			r.root.Signed.Version++
			r.writeRoot(r.keys[metadata.ROOT][:1])
			return Folder(r.dir)
		}},
		"a root that is signed twice by one key": {Malformed, func(r *repo, _ *kiosk) Source {
			r.root.Signed.Version++
			k := r.keys[metadata.ROOT][0]
			r.root.ClearSignatures()
			b := sign(r.t, r.root, k, k)
			r.write(wire.MetadataFile(wire.RoleRoot, 2), b)
			return Folder(r.dir)
		}},
		"a root of the thief's own keys": {Forgery, func(r *repo, _ *kiosk) Source {
			r.give(metadata.ROOT, 3)
			r.root.Signed.Version++
			r.writeRoot(r.keys[metadata.ROOT])
			return Folder(r.dir)
		}},
		"a root that skips a version": {Rollback, func(r *repo, _ *kiosk) Source {
			r.root.Signed.Version += 2
			b := sign(r.t, r.root, r.keys[metadata.ROOT]...)
			r.write(wire.MetadataFile(wire.RoleRoot, 2), b)
			return Folder(r.dir)
		}},
		"the clock is set back a year": {TimeRegress, func(r *repo, k *kiosk) Source {
			k.time.Now = k.time.Now.AddDate(-1, 0, 0)
			return Folder(r.dir)
		}},
		"a timestamp without a snapshot": {Malformed, func(r *repo, _ *kiosk) Source {
			r.timestamp.Signed.Version++
			r.timestamp.Signed.Meta = map[string]*metadata.MetaFiles{}
			r.write(wire.MetadataFile(wire.RoleTimestamp, 0), sign(r.t, r.timestamp, r.keys[metadata.TIMESTAMP]...))
			return Folder(r.dir)
		}},
		"a snapshot with an empty line": {Malformed, func(r *repo, _ *kiosk) Source {
			r.snapshot.Signed.Version++
			r.snapshot.Signed.Meta["trust.json"] = nil
			b := sign(r.t, r.snapshot, r.keys[metadata.SNAPSHOT]...)
			r.write(wire.MetadataFile(wire.RoleSnapshot, r.snapshot.Signed.Version), b)
			r.stamp(b, r.snapshot.Signed.Version)
			return Folder(r.dir)
		}},
		"no JSON at all": {Malformed, func(r *repo, _ *kiosk) Source {
			r.write(wire.MetadataFile(wire.RoleTimestamp, 0), []byte("<html>please log in</html>"))
			return Folder(r.dir)
		}},
		"a timestamp without end": {EndlessData, func(r *repo, _ *kiosk) Source {
			r.write(wire.MetadataFile(wire.RoleTimestamp, 0), bytes.Repeat([]byte(" "), wire.MaxTimestampBytes+1))
			return Folder(r.dir)
		}},
		"a longer snapshot than was signed": {EndlessData, func(r *repo, _ *kiosk) Source {
			r.second()
			name := wire.MetadataFile(wire.RoleSnapshot, r.snapshot.Signed.Version)
			r.write(name, append(r.read(name), ' '))
			return Folder(r.dir)
		}},
	}
}

func TestMetadataAttacks(t *testing.T) {
	all := metadataAttacks()
	maps.Copy(all, moreAttacks())
	for name, a := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, k := begun(t)
			src := a.do(r, k)
			before := k.held()
			err := k.look(src)
			if got := attackOf(err); got != a.want {
				t.Fatalf("%v; want a refusal for %s", err, a.want)
			}
			k.has(t, "after the attack", "first", "first list", "nobody")
			if after := k.held(); !bytes.Equal(after, before) {
				t.Error("the metadata in force changed")
			}
			k.alarmed(t, a.want)
			k.restart()
			if after := k.held(); !bytes.Equal(after, before) {
				t.Error("a restart finds other metadata in force")
			}
		})
	}
}

// held gives the metadata in force, for comparison.
func (k *kiosk) held() []byte {
	var all []byte
	for _, b := range [][]byte{k.store.held.root, k.store.held.timestamp, k.store.held.snapshot, k.store.held.targets} {
		all = append(all, b...)
	}
	return all
}

// alarmed wants a notice that names the attack.
func (k *kiosk) alarmed(t *testing.T, want Attack) {
	t.Helper()
	for _, n := range k.Notices() {
		if n.Level == "fault" && strings.Contains(n.Text, "refused ("+string(want)+")") && strings.Contains(n.Text, "stays") {
			return
		}
	}
	t.Errorf("no notice names the attack %s: %v", want, k.Notices())
}

// A stolen key of one role harms that role alone, and only by silence:
// everything else goes on, revocations first of all.
func TestStolenRoleKey(t *testing.T) {
	for name, tc := range map[string]struct {
		want Attack
		do   func(r *repo)
	}{
		"another airport":     {Overreach, func(r *repo) { r.steal("lists/HAN/statement", wire.KindList) }},
		"trust material":      {Overreach, func(r *repo) { r.steal("trust/evil.cer", wire.KindTrust) }},
		"software":            {Overreach, func(r *repo) { r.steal("software/evil", wire.KindSoftware) }},
		"revocations":         {Overreach, func(r *repo) { r.steal("revocations/SGN", wire.KindRevocations) }},
		"a path of nobody":    {Overreach, func(r *repo) { r.stealAs("../../etc/passwd", `{"kind":"trust"}`) }},
		"another role's kind": {Malformed, func(r *repo) { r.stealAs("lists/SGN/x", `{"kind":"software"}`) }},
		"a delegation of its own": {Overreach, func(r *repo) {
			r.roles[testAirport].Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{},
				Roles: []metadata.DelegatedRole{{Name: "evil", Paths: []string{"*"}, Threshold: 1}}}
			r.steal("lists/SGN/x", wire.KindList)
		}},
		"a forged role": {Forgery, func(r *repo) {
			r.keys[testAirport] = r.keys[wire.RoleRevocations]
			r.steal("lists/SGN/x", wire.KindList)
		}},
		"an expired role": {Freeze, func(r *repo) {
			r.roles[testAirport].Signed.Expires = start
			r.steal("lists/SGN/x", wire.KindList)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, k := begun(t)
			r.put(wire.RoleRevocations, wire.RevocationsPath("SGN"), []byte("somebody"), r.custom(wire.KindRevocations, 2))
			r.put(wire.RoleTrust, "trust/a.cer", []byte("second"), r.custom(wire.KindTrust, 2))
			tc.do(r)
			r.publish()
			_ = k.look(Folder(r.dir))
			k.has(t, "with a stolen airport key", "second", "first list", "somebody")
			k.alarmed(t, tc.want)
			// The operator gives the airport a new key: all is well again.
			r.targets.Signed.Delegations.Roles = r.targets.Signed.Delegations.Roles[:0]
			for _, role := range delegatedRoles() {
				old := r.roles[role]
				r.delegate(role)
				r.roles[role].Signed.Version = old.Signed.Version + 1
				if role != testAirport {
					r.roles[role].Signed.Targets = old.Signed.Targets
				}
				r.writeRole(role)
			}
			r.targets.Signed.Version++
			r.writeTargets()
			r.put(testAirport, wire.ListPath("SGN"), []byte("third list"), r.custom(wire.KindList, 3))
			r.publish()
			ok(t, k.look(Folder(r.dir)))
			k.has(t, "with a new key", "second", "third list", "somebody")
		})
	}
}

func (r *repo) steal(path, kind string) {
	b, err := json.Marshal(r.custom(kind, math.MaxInt32))
	ok(r.t, err)
	r.stealAs(path, string(b))
}

func (r *repo) stealAs(path, custom string) {
	m := r.roles[testAirport]
	raw := json.RawMessage(custom)
	m.Signed.Targets[path] = &metadata.TargetFiles{Length: 4, Hashes: metadata.Hashes{"sha256": make([]byte, 32)}, Custom: &raw}
	m.Signed.Version++
	r.writeRole(testAirport)
}

// A thief drives the version of the timestamp to its end. New keys, given by
// the root, bring the fleet back, and the old ones have no say any more.
func TestFastForwardRecovery(t *testing.T) {
	r, k := begun(t)
	honest := r.timestamp.Signed.Version
	thief := r.keys[metadata.TIMESTAMP]
	r.timestamp.Signed.Version = math.MaxInt32
	r.publish()
	ok(t, k.look(Folder(r.dir))) // it is signed by the key that counts
	r.timestamp.Signed.Version = honest
	r.second()
	if err := k.look(Folder(r.dir)); attackOf(err) != Rollback {
		t.Fatalf("before the rotation: %v", err)
	}
	r.rotate(func() { r.give(metadata.TIMESTAMP, 1) })
	r.publish()
	k.restart() // at the worst moment
	ok(t, k.look(Folder(r.dir)))
	k.has(t, "after the rotation", "second", "second list", "somebody")
	r.keys[metadata.TIMESTAMP] = thief
	r.timestamp.Signed.Version = math.MaxInt32
	r.publish()
	if err := k.look(Folder(r.dir)); attackOf(err) != Forgery {
		t.Errorf("the thief's key still counts: %v", err)
	}
	if got := k.Status(); got.Root != 2 || got.Timestamp >= math.MaxInt32 {
		t.Errorf("status %+v", got)
	}
}

// A root that takes a key away counts although the mirror keeps everything
// else back.
func TestRootCountsAlone(t *testing.T) {
	r, k := begun(t)
	thief := r.keys[metadata.TIMESTAMP]
	r.rotate(func() { r.give(metadata.TIMESTAMP, 1) })
	stolen := append(r.keys[metadata.TIMESTAMP][:0:0], thief...)
	honest := r.keys[metadata.TIMESTAMP]
	r.keys[metadata.TIMESTAMP] = stolen
	r.publish()
	for range 2 {
		if err := k.look(Folder(r.dir)); attackOf(err) != Forgery {
			t.Fatalf("the revoked key counts: %v", err)
		}
		k.restart()
	}
	k.has(t, "meanwhile", "first", "first list", "nobody")
	r.keys[metadata.TIMESTAMP] = honest
	r.second()
	ok(t, k.look(Folder(r.dir)))
	k.has(t, "afterwards", "second", "second list", "somebody")
}

// Without a trusted time nothing new is taken, and that is said.
func TestUntrustedClock(t *testing.T) {
	r, k := begun(t)
	r.second()
	k.time.Trusted = false
	if k.lookAll(t.Context(), nil); k.cfg.Sources != nil {
		t.Fatal("this kiosk has no mirrors")
	}
	if err := k.look(Folder(r.dir)); err != ErrClock {
		t.Errorf("%v", err)
	}
	k.has(t, "without a clock", "first", "first list", "nobody")
}
