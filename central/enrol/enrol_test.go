package enrol_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

func open(t *testing.T) (*enrol.Registry, string) {
	t.Helper()
	dir := t.TempDir()
	r, err := enrol.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, dir
}

func request(t *testing.T, name string) (*wire.KioskKeys, []byte) {
	t.Helper()
	keys, err := wire.NewKioskKeys(name)
	if err != nil {
		t.Fatal(err)
	}
	req, err := keys.Request(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := enrol.Encode(req)
	if err != nil {
		t.Fatal(err)
	}
	return keys, data
}

var opts = enrol.Options{Broker: []string{"tls://127.0.0.1:8883"}, ListKeys: [][]byte{make([]byte, 32)}}

func TestKeysToIdentityThroughFiles(t *testing.T) {
	r, _ := open(t)
	keys, req := request(t, "sgn-g12")
	kioskDir := filepath.Join(t.TempDir(), "identity")
	if err := keys.Save(kioskDir); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.LoadIdentity(kioskDir); err == nil || !strings.Contains(err.Error(), "gatectl kiosk install") {
		t.Fatalf("identity without a bundle: %v", err)
	}
	b, err := r.Add(t.Context(), req, opts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file, err := enrol.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(file, []byte("PRIVATE")) {
		t.Fatal("a private key stands in the bundle")
	}
	if _, err := wire.InstallBundle(kioskDir, file, false); err != nil {
		t.Fatal(err)
	}
	id, err := wire.LoadIdentity(kioskDir)
	if err != nil {
		t.Fatal(err)
	}
	if id.Name != "sgn-g12" || id.DocKeys.At(time.Now()) == nil || len(id.ListKeys) != 1 || id.Broker[0] != opts.Broker[0] ||
		!id.AckKey.Equal(r.CA.AckKey().Public()) {
		t.Fatalf("identity: %+v", id.Name)
	}
	if _, err := id.Certificate.Leaf.Verify(x509.VerifyOptions{Roots: id.CA, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(id.NotAfter()); left < 390*24*time.Hour {
		t.Fatalf("certificate lasts %s", left)
	}
	ok, err := r.Store.CertificateValid(t.Context(), enrol.Serial(id.Certificate.Leaf), "sgn-g12")
	if err != nil || !ok {
		t.Fatal("central does not know the certificate it issued", err)
	}
	infos, err := os.ReadDir(kioskDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range infos {
		if i, err := e.Info(); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v %v", e.Name(), i.Mode(), err)
		}
	}
}

func TestSameDocumentKeysForEveryKioskAndNoStranger(t *testing.T) {
	r, dir := open(t)
	first := ""
	for _, name := range []string{"a", "b"} {
		keys, req := request(t, name)
		b, err := r.Add(t.Context(), req, opts, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		id, err := wire.NewIdentity(keys, b)
		if err != nil {
			t.Fatal(err)
		}
		ref := id.DocKeys.At(time.Now()).Ref("VNM", "ID", "1")
		if first == "" {
			first = ref
		} else if ref != first {
			t.Error("two kiosks refer to one document differently")
		}
		other, err := wire.NewKioskKeys(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.NewIdentity(other, b); err == nil {
			t.Error("a bundle fits keys that it was not made for")
		}
	}
	again, err := enrol.Open(t.Context(), dir) // the tool beside the service
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.CA.Root().Equal(r.CA.Root()) {
		t.Error("a second opening made another CA")
	}
	if list, err := again.List(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("the second process sees %d kiosks, %v", len(list), err)
	}
}

func TestAddRenewRevokeReplace(t *testing.T) {
	r, _ := open(t)
	ctx := t.Context()
	keys, req := request(t, "k1")
	b1, err := r.Add(ctx, req, opts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(ctx, req, opts, time.Now()); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Fatalf("second add: %v", err)
	}
	b2, err := r.Renew(ctx, "k1", enrol.Options{}, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if b2.Certificate == b1.Certificate || b2.Broker[0] != b1.Broker[0] || len(b2.ListKeys) != 1 {
		t.Fatal("the renewed bundle is not a fresh certificate with the same options")
	}
	id1, id2 := identity(t, keys, b1), identity(t, keys, b2)
	valid(t, r, id1, true)
	valid(t, r, id2, true)
	keys3, req3 := request(t, "k1")
	o := opts
	o.Replace = true
	b3, err := r.Add(ctx, req3, o, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id3 := identity(t, keys3, b3)
	valid(t, r, id1, false)
	valid(t, r, id2, false)
	valid(t, r, id3, true)
	if err := r.Revoke(ctx, "k1", "stolen", time.Now()); err != nil {
		t.Fatal(err)
	}
	valid(t, r, id3, false)
	if _, err := r.Renew(ctx, "k1", enrol.Options{}, time.Now()); err == nil {
		t.Fatal("a revoked kiosk was renewed")
	}
	if err := r.Revoke(ctx, "nobody", "", time.Now()); err == nil {
		t.Fatal("revoked nobody")
	}
	crl, err := r.RevocationList(ctx, time.Now())
	if err != nil || !bytes.Contains(crl, []byte("X509 CRL")) {
		t.Fatal(err)
	}
}

func identity(t *testing.T, k *wire.KioskKeys, b *wire.Bundle) *wire.Identity {
	t.Helper()
	id, err := wire.NewIdentity(k, b)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func valid(t *testing.T, r *enrol.Registry, id *wire.Identity, want bool) {
	t.Helper()
	got, err := r.Store.CertificateValid(context.Background(), enrol.Serial(id.Certificate.Leaf), id.Name)
	if err != nil || got != want {
		t.Errorf("certificate valid: %v %v, want %v", got, err, want)
	}
}

func TestAlteredFilesAreRefused(t *testing.T) {
	r, _ := open(t)
	keys, req := request(t, "k1")
	for name, change := range map[string][2]string{
		"name":    {`"kiosk": "k1"`, `"kiosk": "k2"`},
		"version": {`"v": 1`, `"v": 9`},
		"json":    {`{`, `[`},
	} {
		bad := bytes.Replace(req, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(bad, req) {
			t.Fatalf("%s: nothing was altered", name)
		}
		if _, err := r.Add(t.Context(), bad, opts, time.Now()); err == nil {
			t.Errorf("%s: an altered request was enrolled", name)
		}
	}
	b, err := r.Add(t.Context(), req, opts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "identity")
	if err := keys.Save(dir); err != nil {
		t.Fatal(err)
	}
	b.Broker[0] = "tls://evil.example:8883"
	altered, err := enrol.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.InstallBundle(dir, altered, false); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("an altered bundle: %v", err)
	}
	if err := keys.Save(dir); err == nil {
		t.Error("keys were overwritten")
	}
	if err := os.Chmod(filepath.Join(dir, "signing.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := wire.LoadKioskKeys(dir); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("keys that others may read: %v", err)
	}
}

func TestBundleOfAnotherCentral(t *testing.T) {
	r1, _ := open(t)
	r2, _ := open(t)
	keys, req := request(t, "k1")
	dir := filepath.Join(t.TempDir(), "identity")
	if err := keys.Save(dir); err != nil {
		t.Fatal(err)
	}
	install := func(r *enrol.Registry, at time.Time, replace bool) error {
		o := opts
		o.Replace = true
		b, err := r.Add(t.Context(), req, o, at)
		if err != nil {
			t.Fatal(err)
		}
		data, err := enrol.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		_, err = wire.InstallBundle(dir, data, replace)
		return err
	}
	now := time.Now()
	if err := install(r1, now, false); err != nil {
		t.Fatal(err)
	}
	if err := install(r1, now.Add(-time.Hour), false); err == nil || !strings.Contains(err.Error(), "older") {
		t.Errorf("older bundle: %v", err)
	}
	if err := install(r2, now, false); err == nil || !strings.Contains(err.Error(), "another central") {
		t.Errorf("bundle of another central: %v", err)
	}
	if err := install(r2, now, true); err != nil {
		t.Error(err)
	}
}

func TestLostKeyIsNoNewCA(t *testing.T) {
	_, dir := open(t)
	if err := os.Remove(filepath.Join(dir, enrol.CAFolder, "ack.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := enrol.Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("a CA folder without its key: %v", err)
	}
}

// A broker whose key got lost is put on the list, and a kiosk that has the list
// refuses it at its next handshake, and no other.
func TestRevokedBroker(t *testing.T) {
	r, _ := open(t)
	keys, req := request(t, "sgn-g12")
	dir := filepath.Join(t.TempDir(), "identity")
	if err := keys.Save(dir); err != nil {
		t.Fatal(err)
	}
	b, err := r.Add(t.Context(), req, opts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := enrol.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	id, err := wire.InstallBundle(dir, data, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RevokeBroker(t.Context(), []byte(b.Certificate)); err == nil {
		t.Error("a kiosk's certificate was taken for a broker's")
	}
	old, next := brokerCertificate(t, r), brokerCertificate(t, r)
	if err := r.RevokeBroker(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := r.RevokeBroker(t.Context(), old); err != nil { // twice does no harm
		t.Fatal(err)
	}
	list, err := r.RevocationList(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := wire.InstallRevoked(dir, list); n != 1 || err != nil {
		t.Fatalf("%d certificates (%v)", n, err)
	}
	if id, err = wire.LoadIdentity(dir); err != nil {
		t.Fatal(err)
	}
	verify := func(certificate []byte) error {
		block, _ := pem.Decode(certificate)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return id.TLS("127.0.0.1").VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}})
	}
	if err := verify(old); !errors.Is(err, wire.ErrRevoked) {
		t.Errorf("the revoked broker: %v", err)
	}
	if err := verify(next); err != nil {
		t.Errorf("the next broker: %v", err)
	}
	earlier, err := r.RevocationList(t.Context(), time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	other, _ := open(t)
	foreign, err := other.RevocationList(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"older": earlier, "another central's": foreign, "a certificate": old, "nothing": nil} {
		if _, err := wire.InstallRevoked(dir, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// A list that cannot be read lets nobody through.
	if err := os.WriteFile(filepath.Join(dir, "revoked.pem"), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	if verify(next) == nil {
		t.Error("a broker passes although the list cannot be read")
	}
}

func brokerCertificate(t *testing.T, r *enrol.Registry) []byte {
	t.Helper()
	files, err := r.BrokerFiles(t.Context(), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return files["server.pem"]
}
