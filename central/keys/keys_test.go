package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func answer(s string) Ask { return func(string) ([]byte, error) { return []byte(s), nil } }

const secret = "correct horse battery"

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root-1.key")
	pub, err := Create(path, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	data, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(data, []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")) {
		t.Errorf("%q, %v", data, err)
	}
	k, err := Open(path, answer(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	sig, err := k.Sign(rand.Reader, []byte("message"), crypto.Hash(0))
	if err != nil || !ed25519.Verify(pub.(ed25519.PublicKey), []byte("message"), sig) {
		t.Errorf("signature: %v", err)
	}
	if beside, err := Public(path, nil); err != nil || !pub.(ed25519.PublicKey).Equal(beside) {
		t.Errorf("public key beside it: %v", err)
	}
	if _, err := Open(path, answer(secret+" ")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if _, err := Create(path, []byte(secret)); err == nil {
		t.Error("a key was replaced")
	}
	if _, err := Create(path+"2", []byte("short")); err == nil {
		t.Error("a short passphrase")
	}
	if all, err := List(filepath.Dir(path)); err != nil || !slices.Equal(all, []string{path + PublicSuffix}) {
		t.Errorf("listed %q, %v", all, err)
	}
	if _, err := Open(path+PublicSuffix, answer(secret)); err == nil {
		t.Error("a public key was opened as a private one")
	}
}

func TestTokenReference(t *testing.T) {
	for ref, want := range map[string]string{
		"pkcs11:token=gate;object=a%20b?module-path=/lib/x.so":  "",
		"pkcs11:object=a;token=gate;type=private?module-path=x": "",
		"pkcs11:token=gate;object=a":                            "want pkcs11:token=LABEL",
		"pkcs11:object=a?module-path=x":                         "want pkcs11:token=LABEL",
		"pkcs11:token=a?module-path=x&pin-value=1234":           "no pin-value",
		"pkcs11:token=a;colour=red?module-path=x":               "unknown part",
		"pkcs11:token=%zz?module-path=x":                        "token",
	} {
		got, err := parseToken(ref)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", ref, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "1234") {
			t.Errorf("a PIN in an error: %v", err)
		}
	}
	if got, _ := parseToken("pkcs11:token=gate;object=a%20b?module-path=/lib/x.so"); got != (tokenRef{"gate", "a b", "/lib/x.so"}) {
		t.Errorf("%+v", got)
	}
}

// softToken makes a token of SoftHSM, a PKCS#11 library in software, with
// PIN 98765432.
func softToken(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", "gate", "--so-pin", "12345678", "--pin", "98765432").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v: %s", err, out)
	}
	return "pkcs11:token=gate;object=%s?module-path=/usr/lib/softhsm/libsofthsm2.so"
}

func TestKeyInToken(t *testing.T) {
	ref := strings.Replace(softToken(t), "%s", "root-1", 1)
	pin := answer("98765432")
	pub, err := CreateInToken(ref, elliptic.P256(), pin)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(ref, pin)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("message"))
	sig, err := k.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(pub.(*ecdsa.PublicKey), sum[:], sig) {
		t.Errorf("signature: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if again, err := Public(ref, pin); err != nil || !pub.(*ecdsa.PublicKey).Equal(again) {
		t.Errorf("public key: %v", err)
	}
	if labels, err := ListToken(ref, pin); err != nil || !slices.Equal(labels, []string{"root-1"}) {
		t.Errorf("labels %q, %v", labels, err)
	}
	if _, err := CreateInToken(ref, elliptic.P256(), pin); err == nil {
		t.Error("a key in a token was replaced")
	}
	other := strings.Replace(ref, "root-1", "wide", 1)
	if _, err := CreateInToken(other, elliptic.P521(), pin); err == nil {
		t.Error("a curve that kiosks do not take")
	}
	if pub, err := CreateInToken(other, elliptic.P384(), pin); err != nil || pub.(*ecdsa.PublicKey).Curve != elliptic.P384() {
		t.Errorf("P-384: %v", err)
	}
	if _, err := Open(strings.Replace(ref, "root-1", "root-2", 1), pin); err == nil || !strings.Contains(err.Error(), "0 keys of that name") {
		t.Errorf("a key that is not there: %v", err)
	}
	if _, err := Open(ref, answer("11111111")); err == nil {
		t.Error("a wrong PIN")
	}
}
