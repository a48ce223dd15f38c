package repo_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"gateagent/central/repo"
	"gateagent/central/repo/repotest"
	"gateagent/gate/wire"
)

var day0 = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func list(version uint64, at time.Time) wire.Target {
	return wire.Target{Kind: wire.KindList, Version: version, Generation: 1, Issued: at, Expires: at.Add(72 * time.Hour)}
}

// take does what a kiosk does: from its root to the targets of all roles.
func take(f *repotest.Fixture, root []byte, at time.Time) (*trustedmetadata.TrustedMetadata, error) {
	tm, err := trustedmetadata.New(root)
	if err != nil {
		return nil, err
	}
	tm.RefTime = at
	for {
		data, err := os.ReadFile(filepath.Join(f.Dir, wire.MetadataFile(wire.RoleRoot, tm.Root.Signed.Version+1)))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if _, err := tm.UpdateRoot(data); err != nil {
			return nil, err
		}
	}
	if _, err := tm.UpdateTimestamp(f.Read(wire.MetadataFile(wire.RoleTimestamp, 0))); err != nil {
		return nil, err
	}
	if _, err := tm.UpdateSnapshot(f.Read(wire.MetadataFile(wire.RoleSnapshot, tm.Timestamp.Signed.Meta["snapshot.json"].Version)), false); err != nil {
		return nil, err
	}
	meta := tm.Snapshot.Signed.Meta
	if _, err := tm.UpdateTargets(f.Read(wire.MetadataFile(wire.RoleTargets, meta["targets.json"].Version))); err != nil {
		return nil, err
	}
	for _, d := range tm.Targets[wire.RoleTargets].Signed.Delegations.Roles {
		if _, err := tm.UpdateDelegatedTargets(f.Read(wire.MetadataFile(d.Name, meta[d.Name+".json"].Version)), d.Name, wire.RoleTargets); err != nil {
			return nil, err
		}
	}
	return tm, nil
}

func mustTake(t *testing.T, f *repotest.Fixture, root []byte, at time.Time) *trustedmetadata.TrustedMetadata {
	t.Helper()
	tm, err := take(f, root, at)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

func TestPublishedTargetIsProven(t *testing.T) {
	f := repotest.New(t, day0, "SGN", "HAN")
	content := []byte("a statement")
	f.Add(wire.ListPath("SGN"), list(7, day0), content, day0)
	res := f.Publish(day0)
	if res.Roles["airport-SGN"] != 2 || res.Roles[wire.RoleTimestamp] != 2 || res.Roles["airport-HAN"] != 0 || len(res.Waiting) != 0 {
		t.Errorf("put in force: %+v", res)
	}
	tm := mustTake(t, f, f.Root(), day0)
	got := tm.Targets["airport-SGN"].Signed.Targets[wire.ListPath("SGN")]
	sum := sha256.Sum256(content)
	if got == nil || !bytes.Equal(got.Hashes["sha256"], sum[:]) || got.Length != int64(len(content)) {
		t.Fatalf("entry %+v", got)
	}
	entry, err := wire.ParseTarget(wire.ListPath("SGN"), *got.Custom)
	if err != nil || *entry != list(7, day0) {
		t.Errorf("custom %+v, %v", entry, err)
	}
	if data := f.Read(wire.TargetFile(wire.ListPath("SGN"), sum[:])); !bytes.Equal(data, content) {
		t.Errorf("content %q", data)
	}
	if at, err := time.Parse(time.RFC3339, tm.Timestamp.Signed.UnrecognizedFields[wire.TimestampIssued].(string)); err != nil || !at.Equal(day0) {
		t.Errorf("timestamp issued %v, %v", at, err)
	}
	if err := f.Repo.Add(wire.ListPath("SGN"), &wire.Target{Kind: wire.KindList, Version: 7, Generation: 1, Issued: day0, Expires: day0.Add(time.Hour)},
		strings.NewReader("x"), day0); err == nil {
		t.Error("version 7 was added twice")
	}
}

// A draft waits for its threshold, piece by piece, and nothing of it is in
// force meanwhile.
func TestRootRotationInPieces(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	first := f.Root()
	old, fresh := f.Keys[wire.RoleRoot], repotest.Key(t)
	kept := []crypto.Signer{old[0], old[1]}
	err := f.Repo.SetKeys(wire.RoleRoot, repo.RoleKeys{Keys: repotest.Publics(old[0], fresh), Threshold: 2}, day0)
	if err != nil {
		t.Fatal(err)
	}
	step := func(why string, done bool, keys ...crypto.Signer) {
		t.Helper()
		if _, err := f.Repo.Sign(keys...); err != nil {
			t.Fatal(err)
		}
		res, err := f.Repo.Commit(day0, f.Online()...)
		if err != nil {
			t.Fatal(err)
		}
		if (res.Roles[wire.RoleRoot] == 2) != done || (res.Waiting[wire.RoleRoot] == "") != done {
			t.Fatalf("%s: %+v", why, res)
		}
	}
	step("nobody", false)
	step("one of the old", false, kept[0])
	step("old and new have one each in common", false, fresh)
	step("two of the old, two of the new", true, kept[1])
	if tm := mustTake(t, f, first, day0); tm.Root.Signed.Version != 2 {
		t.Errorf("root %d", tm.Root.Signed.Version)
	}
}

// The keys of each sort of role can be changed, and a kiosk that was away follows.
func TestRotateEverySortOfRole(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	first := f.Root()
	f.Add(wire.ListPath("SGN"), list(1, day0), []byte("one"), day0)
	f.Publish(day0)
	for _, role := range []string{wire.RoleRoot, wire.RoleTargets, wire.RoleSnapshot, wire.RoleTimestamp, wire.RoleRevocations, "airport-SGN"} {
		fresh := repotest.Key(t)
		if err := f.Repo.SetKeys(role, repo.RoleKeys{Keys: repotest.Publics(fresh), Threshold: 1}, day0); err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		f.Keys[role+" before"] = f.Keys[role]
		f.Keys[role] = append(slices.Clone(f.Keys[role]), fresh)
		res := f.Publish(day0)
		if len(res.Waiting) > 0 {
			t.Fatalf("%s: %+v", role, res)
		}
		tm := mustTake(t, f, first, day0)
		if tm.Targets["airport-SGN"].Signed.Targets[wire.ListPath("SGN")] == nil {
			t.Fatalf("after %s the list is gone", role)
		}
	}
}

// A targets key that is changed must sign again what the old one signed, or
// kiosks would refuse everything: the root waits for it.
func TestRootWaitsForTargets(t *testing.T) {
	f := repotest.New(t, day0)
	fresh := repotest.Key(t)
	if err := f.Repo.SetKeys(wire.RoleTargets, repo.RoleKeys{Keys: repotest.Publics(fresh), Threshold: 1}, day0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Repo.Sign(f.Signers(wire.RoleRoot)...); err != nil {
		t.Fatal(err)
	}
	res, err := f.Repo.Commit(day0, f.Online()...)
	if err != nil || res.Roles[wire.RoleRoot] != 0 || res.Waiting[wire.RoleRoot] == "" {
		t.Fatalf("%+v, %v", res, err)
	}
	if _, err := f.Repo.Sign(fresh); err != nil {
		t.Fatal(err)
	}
	if res, err = f.Repo.Commit(day0, f.Online()...); err != nil || res.Roles[wire.RoleRoot] != 2 || len(res.Waiting) > 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	mustTake(t, f, f.Root(), day0)
}

// One airport that waits for a signature holds nobody up.
func TestAirportsAreApart(t *testing.T) {
	f := repotest.New(t, day0, "SGN", "HAN")
	f.Add(wire.ListPath("SGN"), list(1, day0), []byte("one"), day0)
	f.Add(wire.ListPath("HAN"), list(1, day0), []byte("two"), day0)
	if _, err := f.Repo.Sign(f.Signers("airport-HAN")...); err != nil {
		t.Fatal(err)
	}
	res, err := f.Repo.Commit(day0, f.Online()...)
	if err != nil || res.Roles["airport-HAN"] != 2 || res.Roles["airport-SGN"] != 0 || !strings.Contains(res.Waiting["airport-SGN"], "0 of 1") {
		t.Fatalf("%+v, %v", res, err)
	}
	tm := mustTake(t, f, f.Root(), day0)
	if len(tm.Targets["airport-SGN"].Signed.Targets) != 0 || len(tm.Targets["airport-HAN"].Signed.Targets) != 1 {
		t.Error("the airports got mixed up")
	}
}

func TestDelegateAndUndelegate(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	f.Add(wire.ListPath("SGN"), list(1, day0), []byte("one"), day0)
	f.Publish(day0)
	key := repotest.Key(t)
	if err := f.Repo.SetKeys("airport-DAD", repo.RoleKeys{Keys: repotest.Publics(key), Threshold: 1}, day0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Repo.Sign(f.Signers(wire.RoleTargets)...); err != nil {
		t.Fatal(err)
	}
	if res, err := f.Repo.Commit(day0, f.Online()...); err != nil || len(res.Roles) != 0 || res.Waiting[wire.RoleTargets] != "waits for role airport-DAD" {
		t.Fatalf("%+v, %v", res, err)
	}
	f.Keys["airport-DAD"] = append(f.Keys["airport-DAD"], key)
	f.Publish(day0)
	if tm := mustTake(t, f, f.Root(), day0); tm.Targets["airport-DAD"] == nil {
		t.Fatal("the new airport is not there")
	}
	if err := f.Repo.Undelegate("airport-SGN", day0); err != nil {
		t.Fatal(err)
	}
	f.Publish(day0)
	tm := mustTake(t, f, f.Root(), day0)
	if tm.Targets["airport-SGN"] != nil || tm.Snapshot.Signed.Meta["airport-SGN.json"] == nil {
		t.Error("the old airport is still delegated, or gone from the snapshot")
	}
	if err := f.Repo.SetKeys("airport-SGN", repo.RoleKeys{Keys: repotest.Publics(key), Threshold: 1}, day0); err != nil {
		t.Fatal(err)
	}
	f.Publish(day0)
	if tm := mustTake(t, f, f.Root(), day0); tm.Targets["airport-SGN"] == nil || len(tm.Targets["airport-SGN"].Signed.Targets) != 0 {
		t.Error("delegated again, the airport is not there, or its old list came back")
	}
}

func TestRevokedKeyCountsNowhere(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	stolen := f.Keys["airport-SGN"][0]
	id, err := repo.KeyID(stolen.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Repo.RevokeKey(id, nil, day0); !errors.Is(err, repo.ErrThreshold) {
		t.Fatalf("the only key of a role: %v", err)
	}
	fresh := repotest.Key(t)
	roles, err := f.Repo.RevokeKey(id, fresh.Public(), day0)
	if err != nil || !slices.Equal(roles, []string{"airport-SGN"}) {
		t.Fatal(roles, err)
	}
	f.Keys["airport-SGN"][0] = fresh
	f.Publish(day0)
	tm := mustTake(t, f, f.Root(), day0)
	f.Keys["airport-SGN"][0] = stolen
	f.Add(wire.ListPath("SGN"), list(9, day0), []byte("forged"), day0)
	if res := f.Publish(day0); res.Roles["airport-SGN"] != 0 {
		t.Error("a revoked key signed")
	}
	for k := range tm.Targets[wire.RoleTargets].Signed.Delegations.Keys {
		if k == id {
			t.Error("the revoked key is still named")
		}
	}
	if _, err := f.Repo.RevokeKey(id, nil, day0); err == nil {
		t.Error("revoked twice")
	}
}

func TestOnlineKeysStayApart(t *testing.T) {
	f := repotest.New(t, day0)
	for _, role := range []string{wire.RoleRoot, wire.RoleTargets, wire.RoleTrust, "airport-SGN"} {
		err := f.Repo.SetKeys(role, repo.RoleKeys{Keys: repotest.Publics(f.Keys[wire.RoleTimestamp]...), Threshold: 1}, day0)
		if err == nil || !strings.Contains(err.Error(), "lie at central") {
			t.Errorf("%s with the timestamp's key: %v", role, err)
		}
	}
}

// Online roles renew themselves; nothing happens while nothing is due.
func TestRenewal(t *testing.T) {
	f := repotest.New(t, day0)
	for _, c := range []struct {
		after time.Duration
		want  []string
	}{
		{30 * time.Minute, nil},
		{61 * time.Minute, []string{wire.RoleTimestamp}},
		{37 * time.Hour, []string{wire.RoleRevocations, wire.RoleSnapshot, wire.RoleTimestamp}},
		{37*time.Hour + time.Minute, nil},
	} {
		res, err := f.Repo.Commit(day0.Add(c.after), f.Online()...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for role := range res.Roles {
			got = append(got, role)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
		mustTake(t, f, f.Root(), day0.Add(c.after))
	}
	if _, err := f.Repo.Commit(day0.Add(48*time.Hour), f.Signers(wire.RoleSnapshot)...); !errors.Is(err, repo.ErrOnline) {
		t.Errorf("without the timestamp's key: %v", err)
	}
}

func TestOpenAgain(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	f.Add(wire.ListPath("SGN"), list(1, day0), []byte("one"), day0)
	if err := f.Repo.Save(); err != nil {
		t.Fatal(err)
	}
	if err := f.Repo.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	f.Repo = r
	if got := r.Targets("airport-SGN")[wire.ListPath("SGN")]; got == nil || got.Version != 1 {
		t.Errorf("the draft was forgotten: %+v", got)
	}
	f.Publish(day0)
}
