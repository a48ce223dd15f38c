package ca_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/central/ca"
	"gateagent/gate/wire"
)

// What central keeps of list secrets: until the last list of each has expired,
// in a file for its owner alone, and never with an issue that goes back.
func TestListSecretsKept(t *testing.T) {
	dir := t.TempDir()
	a, err := ca.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	one := wire.ListSecret{Airport: "SGN", Generation: 1, Began: now, Content: []byte("synthetic secret")}
	if err := a.AddListSecret(one, now); err != nil {
		t.Fatal(err)
	}
	other := one
	other.Content = []byte("another")
	fleet := one
	fleet.Airport = ""
	stale := one
	stale.Generation, stale.Began = 2, now.Add(-62*24*time.Hour)
	unformed := one
	unformed.Airport = "sgn"
	for name, s := range map[string]wire.ListSecret{"another of that number": other, "one for all beside": fleet, "one that is spent": stale, "no airport": unformed} {
		if err := a.AddListSecret(s, now); err == nil || strings.Contains(err.Error(), "synthetic") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := a.AddListSecret(one, now.Add(-time.Hour)); err != nil { // a clock that went back
		t.Error(err)
	}
	set, err := a.ListSecrets(now)
	if err != nil || len(set.Secrets) != 1 || !set.Issued.After(now) || !bytes.Equal(set.Secrets[0].Content, one.Content) {
		t.Errorf("%d secrets of %v, %v", len(set.Secrets), set.Issued, err)
	}
	path := filepath.Join(dir, "list-secrets.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if set, err = a.ListSecrets(now.Add(62 * 24 * time.Hour)); err != nil || len(set.Secrets) != 0 {
		t.Errorf("after its time: %d, %v", len(set.Secrets), err)
	}
	if err := a.RemoveListSecret(1, "SGN", now); err == nil {
		t.Error("what is not there is taken away")
	}
	if err := os.WriteFile(path, []byte(`{"secrets":"synthetic secret`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ListSecrets(now); err == nil || strings.Contains(err.Error(), "synthetic") || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file: %v", err)
	}
}
