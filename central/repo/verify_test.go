package repo_test

import (
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/central/repo"
	"gateagent/central/repo/repotest"
	"gateagent/gate/wire"
)

func TestStatusSaysWhatADraftChanges(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	f.Add(wire.ListPath("SGN"), list(1, day0), []byte("one"), day0)
	if err := f.Repo.SetKeys(wire.RoleRoot, repo.RoleKeys{Keys: repotest.Publics(f.Keys[wire.RoleRoot][0], repotest.Key(t)), Threshold: 1}, day0); err != nil {
		t.Fatal(err)
	}
	if err := f.Repo.Undelegate("airport-SGN", day0); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"root":    {"is added", "is removed", "is removed", "root: 1 of 2 keys sign, before 2 of 3"},
		"targets": {"airport-SGN is no longer delegated"},
	}
	if _, err := f.Repo.Sign(f.Keys[wire.RoleRoot][2]); err != nil {
		t.Fatal(err)
	}
	s := f.Repo.Status()
	if !s.Issued.Equal(day0) {
		t.Errorf("issued %v", s.Issued)
	}
	for _, role := range s.Roles {
		if w := want[role.Role]; w != nil {
			if role.Draft == nil || len(role.Draft.Changes) != len(w) {
				t.Fatalf("%s: %+v", role.Role, role.Draft)
			}
			for i, c := range role.Draft.Changes {
				if !strings.Contains(c, w[i]) {
					t.Errorf("%s: %q, want %q", role.Role, c, w[i])
				}
			}
		}
		if role.Role == "root" && (len(role.Draft.Signed) != 1 || len(role.Draft.Wanted) != 3) {
			t.Errorf("root: %+v", role.Draft)
		}
	}
}

// People who hold keys elsewhere get a copy, sign there, and bring it back.
func TestSignaturesFromElsewhere(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	f.Add(wire.ListPath("SGN"), list(1, day0), []byte("one"), day0)
	stick := filepath.Join(t.TempDir(), "stick")
	if err := f.Repo.CopyDrafts(stick); err != nil {
		t.Fatal(err)
	}
	there, err := repo.Open(t.Context(), stick)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if _, err := there.Sign(f.Signers("airport-SGN")...); err != nil {
		t.Fatal(err)
	}
	got, err := f.Repo.TakeSignatures(there)
	if err != nil || len(got) != 1 || got[0].Role != "airport-SGN" {
		t.Fatal(got, err)
	}
	if res, err := f.Repo.Commit(day0, f.Online()...); err != nil || res.Roles["airport-SGN"] != 2 {
		t.Fatal(res, err)
	}
	f.Add(wire.ListPath("SGN"), list(2, day0), []byte("two"), day0)
	if _, err := f.Repo.TakeSignatures(there); !errors.Is(err, repo.ErrOther) {
		t.Errorf("signatures of another draft: %v", err)
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	f.Add(wire.ListPath("SGN"), list(1, day0), []byte("one"), day0)
	f.Publish(day0)
	if err := f.Repo.Verify(day0); err != nil {
		t.Fatal(err)
	}
	if err := f.Repo.Verify(day0.Add(25 * time.Hour)); err == nil || !strings.Contains(err.Error(), "timestamp version") {
		t.Errorf("an expired timestamp: %v", err)
	}
	found, err := filepath.Glob(filepath.Join(f.Dir, "targets/lists/SGN/*.statement"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := os.WriteFile(found[0], []byte("owe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.Repo.Verify(day0); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a flipped byte: %v", err)
	}
}

func TestPrune(t *testing.T) {
	f := repotest.New(t, day0, "SGN")
	files := func() (all []string) {
		for _, pattern := range []string{"metadata/*airport*", "targets/lists/SGN/*", "metadata/*root*"} {
			found, err := filepath.Glob(filepath.Join(f.Dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, found...)
		}
		return all
	}
	for v := range uint64(3) {
		f.Add(wire.ListPath("SGN"), list(v+1, day0), []byte{byte(v)}, day0)
		f.Publish(day0)
	}
	before := len(files())
	if _, err := f.Repo.Prune(day0.Add(time.Hour)); err != nil || len(files()) != before {
		t.Errorf("young files went: %d of %d, %v", len(files()), before, err)
	}
	if _, err := f.Repo.Prune(day0.Add(repo.Keep + time.Hour)); err != nil || len(files()) != 3 {
		t.Errorf("left over: %q, %v", files(), err)
	}
	if err := f.Repo.Verify(day0); err != nil {
		t.Error(err)
	}
}

// A commit that is cut off after any write leaves what a kiosk can take, and
// the next one finishes it.
func TestCommitIsCutOff(t *testing.T) {
	steps := 0
	for cut := 0; ; cut++ {
		f := repotest.New(t, day0, "SGN")
		first := f.Root()
		old := f.Signers()
		for _, role := range []string{wire.RoleTimestamp, wire.RoleSnapshot, wire.RoleTargets, "airport-SGN"} {
			fresh := repotest.Key(t)
			if err := f.Repo.SetKeys(role, repo.RoleKeys{Keys: repotest.Publics(fresh), Threshold: 1}, day0); err != nil {
				t.Fatal(err)
			}
			f.Keys[role] = append(f.Keys[role], fresh)
		}
		if _, err := f.Repo.Sign(f.Signers()...); err != nil {
			t.Fatal(err)
		}
		done := repo.CutCommit(f.Repo, cut)
		_, err := f.Repo.Commit(day0, f.Online()...)
		if done() {
			if err != nil {
				t.Fatal(err)
			}
			steps = cut
			break
		}
		mustTake(t, f, first, day0)
		if err := f.Repo.Close(); err != nil {
			t.Fatal(err)
		}
		if f.Repo, err = repo.Open(t.Context(), f.Dir); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Repo.Commit(day0, f.Online()...); err != nil {
			t.Fatalf("after a cut at write %d: %v", cut, err)
		}
		tm := mustTake(t, f, first, day0)
		if tm.Root.Signed.Version != 2 || tm.Targets[wire.RoleTargets].Signed.Version != 2 {
			t.Errorf("after a cut at write %d root %d is in force", cut, tm.Root.Signed.Version)
		}
		_ = old
	}
	if steps < 5 {
		t.Errorf("only %d writes", steps)
	}
}

// With the old keys lost the root goes first: kiosks refuse for a moment
// rather than for good.
func TestRotationWithoutTheOldOnlineKeys(t *testing.T) {
	f := repotest.New(t, day0)
	first := f.Root()
	fresh := repotest.Key(t)
	for _, role := range []string{wire.RoleTimestamp, wire.RoleSnapshot, wire.RoleRevocations} {
		if err := f.Repo.SetKeys(role, repo.RoleKeys{Keys: repotest.Publics(fresh), Threshold: 1}, day0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Repo.Sign(f.Signers(wire.RoleRoot, wire.RoleTargets)...); err != nil {
		t.Fatal(err)
	}
	res, err := f.Repo.Commit(day0, []crypto.Signer{fresh}...)
	if err != nil || res.Roles[wire.RoleRoot] != 2 {
		t.Fatal(res, err)
	}
	tm := mustTake(t, f, first, day0)
	if got := len(tm.Timestamp.Signatures); got != 1 || !slices.Equal(tm.Root.Signed.Roles[wire.RoleTimestamp].KeyIDs, []string{tm.Timestamp.Signatures[0].KeyID}) {
		t.Errorf("%d signatures", got)
	}
}
