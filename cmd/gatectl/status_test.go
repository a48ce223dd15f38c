package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/gate/wire"
	"gateagent/match/allowlist"
)

// Secrets by commands: central gets one, the bundle and the carried file bring
// it, and status says what a stolen disk tells, before and after the kiosk's
// key was taken off it.
func TestListSecretsByCommands(t *testing.T) {
	centre, state, tmp := newCentral(t), t.TempDir(), t.TempDir()
	file := func(name string) string { return filepath.Join(tmp, name) }
	secret := allowlist.NewSecret(3, time.Now())
	if err := secret.Write(file("generation-3.secret")); err != nil {
		t.Fatal(err)
	}
	gatectl(t, 0, "list", "secret", "add", file("generation-3.secret"), "--airport", "SGN", "--central", centre)
	if table, _ := gatectl(t, 0, "list", "secret", "show", "--central", centre); !strings.Contains(table, "3") || !strings.Contains(table, "SGN") || strings.Contains(table, string(secret.Reveal()[60:80])) {
		t.Errorf("show: %s", table)
	}
	if err := os.MkdirAll(filepath.Join(centre, "repo", "metadata"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(centre, "repo", "metadata", "1.root.json"), `{"old": 1}`)
	write(t, filepath.Join(centre, "repo", "metadata", "2.root.json"), `{"synthetic": "root"}`)

	req, _ := gatectl(t, 0, "kiosk", "request", "--state", state, "--name", "k1")
	if out, _ := gatectl(t, 0, "status", "--state", state); !strings.Contains(out, "A STOLEN DISK OPENS THE LIST") || !strings.Contains(out, "not enrolled") {
		t.Errorf("before enrolment: %s", out)
	}
	bundle, told := gatectl(t, 0, "kiosk", "add", write(t, file("r"), req), "--central", centre, "--broker", "tls://c.example:8883", "--airport", "SGN")
	_, installed := gatectl(t, 0, "kiosk", "install", write(t, file("b"), bundle), "--state", state)
	_, mark, ok := strings.Cut(strings.TrimSpace(told), "root of the update repository ")
	if !ok || !strings.Contains(installed, mark) {
		t.Errorf("both ends print another root: %q, %q", told, installed)
	}
	dir := filepath.Join(state, wire.IdentityFolder)
	id, err := wire.LoadIdentity(dir)
	if err != nil || string(id.Root) != `{"synthetic": "root"}` {
		t.Fatalf("root %q, %v", id.Root, err)
	}
	ring, err := wire.OpenListSecrets(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ring.Find(3, "SGN"); err != nil || !bytes.Equal(got, secret.Reveal()) {
		t.Errorf("the bundle brought %d bytes, %v", len(got), err)
	}

	// A new generation, carried; the kiosk's key lies elsewhere by now.
	next := allowlist.NewSecret(4, time.Now())
	if err := next.Write(file("generation-4.secret")); err != nil {
		t.Fatal(err)
	}
	gatectl(t, 0, "list", "secret", "add", file("generation-4.secret"), "--central", centre)
	fill(t, state, id.SealTo, 0, 2)
	gatectl(t, 0, "outbox", "export", "--state", state, "--out", file("e"))
	gatectl(t, 0, "central", "import", file("e"), "--central", centre, "--ack", file("a"))
	keys, err := wire.LoadKioskKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.HideSeal(dir); err != nil {
		t.Fatal(err)
	}
	gatectl(t, 0, "outbox", "acknowledge", file("a"), "--state", state)
	if id, err = keys.Identity(dir); err != nil { // whoever has the key
		t.Fatal(err)
	}
	if ring, err = wire.OpenListSecrets(dir, id); err != nil {
		t.Fatal(err)
	}
	if got, err := ring.Find(4, "SGN"); err != nil || !bytes.Equal(got, next.Reveal()) {
		t.Errorf("the file brought %d bytes, %v", len(got), err)
	}
	var s kioskStatus
	out, _ := gatectl(t, 0, "status", "--state", state, "--json")
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Secret.DiskOpens || s.Secret.Protection != "credential" || s.Secret.Sent.IsZero() || s.Kiosk != "k1" || len(s.Results) != 1 || len(s.Problem) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	write(t, filepath.Join(dir, wire.FileSealTPM), "{}")
	if out, _ := gatectl(t, 0, "status", "--state", state); !strings.Contains(out, "the TPM keeps") || strings.Contains(out, "STOLEN") {
		t.Errorf("with a TPM: %s", out)
	}
	if err := os.Mkdir(filepath.Join(state, "incoming"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := next.Write(filepath.Join(state, "incoming", allowlist.SecretFile)); err != nil {
		t.Fatal(err)
	}
	if out, _ := gatectl(t, 0, "status", "--state", state); !strings.Contains(out, "STOLEN DISK OPENS THE LIST (in clear: incoming/list.key)") {
		t.Errorf("with list.key beside it: %s", out)
	}
	gatectl(t, 0, "list", "secret", "remove", "--generation", "3", "--airport", "SGN", "--central", centre)
	if table, _ := gatectl(t, 0, "list", "secret", "show", "--central", centre); strings.Contains(table, "SGN") {
		t.Errorf("after it was removed: %s", table)
	}
	gatectl(t, 1, "list", "secret", "add", file("r"), "--central", centre)
	gatectl(t, 1, "kiosk", "renew", "k1", "--central", centre, "--airport", "Saigon")
	gatectl(t, 1, "status", "--state", filepath.Join(tmp, "none"))
}
