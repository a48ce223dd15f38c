package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

// gatectl runs one command line and gives what it printed.
func gatectl(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, &out, &errs); code != want {
		t.Fatalf("gatectl %v: exit %d, want %d: %s", args, code, want, errs.String())
	}
	return out.String(), errs.String()
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newCentral(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	r, err := enrol.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEnrolByCommands(t *testing.T) {
	centre, state, tmp := newCentral(t), t.TempDir(), t.TempDir()
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	listKey := write(t, filepath.Join(tmp, "list.pub"), hex.EncodeToString(pub)+"\n")

	req, _ := gatectl(t, 0, "kiosk", "request", "--state", state, "--name", "sgn-g12")
	reqFile := write(t, filepath.Join(tmp, "r"), req)
	if again, _ := gatectl(t, 0, "kiosk", "request", "--state", state, "--name", "sgn-g12"); !strings.Contains(again, `"kiosk": "sgn-g12"`) {
		t.Error("a second request is no request")
	}
	if _, msg := gatectl(t, 1, "kiosk", "request", "--state", state, "--name", "other"); !strings.Contains(msg, "sgn-g12") {
		t.Errorf("another name over the same keys: %s", msg)
	}
	if _, msg := gatectl(t, 1, "kiosk", "add", reqFile, "--central", centre); !strings.Contains(msg, "--broker") {
		t.Errorf("no broker known: %s", msg)
	}
	bundle, told := gatectl(t, 0, "kiosk", "add", reqFile, "--central", centre, "--broker", "tls://central.example:8883", "--list-key", listKey)
	bundleFile := write(t, filepath.Join(tmp, "b"), bundle)
	_, installed := gatectl(t, 0, "kiosk", "install", bundleFile, "--state", state)
	id, err := wire.LoadIdentity(filepath.Join(state, wire.IdentityFolder))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(id.ListKeys[0], pub) || id.Broker[0] != "tls://central.example:8883" {
		t.Errorf("identity: %v", id.Broker)
	}
	if mark := fingerprint(id.AckKey); !strings.Contains(told, mark) || !strings.Contains(installed, mark) {
		t.Errorf("both ends print another fingerprint: %q, %q", told, installed)
	}
	renewed, _ := gatectl(t, 0, "kiosk", "renew", "sgn-g12", "--central", centre)
	gatectl(t, 0, "kiosk", "install", write(t, bundleFile, renewed), "--state", state)
	if table, _ := gatectl(t, 0, "kiosk", "list", "--central", centre); !strings.Contains(table, "sgn-g12") || !strings.Contains(table, "enrolled") {
		t.Errorf("list: %s", table)
	}
	gatectl(t, 0, "kiosk", "revoke", "sgn-g12", "--central", centre, "--reason", "stolen")
	if table, _ := gatectl(t, 0, "kiosk", "list", "--central", centre); !strings.Contains(table, "revoked") || !strings.Contains(table, "stolen") {
		t.Errorf("list: %s", table)
	}
	if crl, _ := gatectl(t, 0, "kiosk", "crl", "--central", centre); !strings.Contains(crl, "X509 CRL") {
		t.Errorf("revocation list: %s", crl)
	}
	gatectl(t, 1, "kiosk", "renew", "sgn-g12", "--central", centre)
}

func TestKioskBadInput(t *testing.T) {
	centre, tmp := newCentral(t), t.TempDir()
	junk := write(t, filepath.Join(tmp, "junk"), "not a request")
	big := write(t, filepath.Join(tmp, "big"), strings.Repeat("x", maxCarried+1))
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no such central":    {[]string{"kiosk", "list", "--central", filepath.Join(tmp, "typo")}, "holds no central"},
		"junk request":       {[]string{"kiosk", "add", junk, "--central", centre, "--broker", "tls://a:1"}, "not JSON"},
		"huge request":       {[]string{"kiosk", "add", big, "--central", centre, "--broker", "tls://a:1"}, "larger"},
		"missing request":    {[]string{"kiosk", "add", filepath.Join(tmp, "none"), "--central", centre}, "no such file"},
		"junk bundle":        {[]string{"kiosk", "install", junk, "--state", tmp}, "gatectl kiosk request"},
		"bad name":           {[]string{"kiosk", "request", "--state", tmp, "--name", "Gate 12"}, "a-z"},
		"central's name":     {[]string{"kiosk", "request", "--state", tmp, "--name", "central"}, "reserved"},
		"revoke nobody":      {[]string{"kiosk", "revoke", "nobody", "--central", centre, "--reason", "x"}, "no such kiosk"},
		"bad list key":       {[]string{"kiosk", "renew", "x", "--central", centre, "--list-key", junk}, "no Ed25519 public key"},
		"revoke, no reason":  {[]string{"kiosk", "revoke", "nobody", "--central", centre}, "reason"},
		"unknown subcommand": {[]string{"kiosk", "frobnicate"}, "frobnicate"},
	} {
		if _, msg := gatectl(t, 1, c.args...); !strings.Contains(msg, c.says) || strings.Count(strings.TrimSpace(msg), "\n") > 0 {
			t.Errorf("%s: %q", name, msg)
		}
	}
}
