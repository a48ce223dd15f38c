package tpm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"gateagent/internal/tpm/swtpm"
)

var secret = []byte("thirty-two bytes of a test key!!")

func blobOf(t *testing.T, path string, pcrs ...int) []byte {
	t.Helper()
	sealed, err := Seal(t.Context(), path, secret, pcrs)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, secret) {
		t.Fatal("the secret lies in clear")
	}
	return sealed
}

func opens(t *testing.T, path string, sealed []byte) {
	t.Helper()
	got, err := Unseal(t.Context(), path, sealed)
	if err != nil || !bytes.Equal(got, secret) {
		t.Errorf("opened %d bytes, %v", len(got), err)
	}
}

// refused: the TPM works and does not open it, and the error says what to
// think of.
func refused(t *testing.T, name, path string, sealed []byte) {
	t.Helper()
	got, err := Unseal(t.Context(), path, sealed)
	if !errors.Is(err, ErrSealed) || got != nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: opened %d bytes, %v", name, len(got), err)
	}
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	chip := swtpm.Start(t, dir)
	sealed := blobOf(t, chip.Path)
	opens(t, chip.Path, sealed)
	opens(t, chip.Path, sealed) // nothing is left behind in the TPM
	chip.Stop()
	if _, err := Unseal(t.Context(), chip.Path, sealed); err == nil || errors.Is(err, ErrSealed) {
		t.Errorf("without a TPM: %v", err)
	}
	chip = swtpm.Start(t, dir) // the machine is switched off and on
	opens(t, chip.Path, sealed)

	other := swtpm.Start(t, t.TempDir())
	refused(t, "another TPM", other.Path, sealed)
	for range 20 { // far more than a TPM has places for
		if _, err := Unseal(t.Context(), chip.Path, sealed); err != nil {
			t.Fatal(err)
		}
	}
	wipe(t, chip.Path)
	refused(t, "a wiped TPM", chip.Path, sealed)
}

// wipe clears the owner's hierarchy, as a firmware's menu does.
func wipe(t *testing.T, path string) {
	t.Helper()
	_, err := use(t.Context(), path, func(tp transport.TPM) ([]byte, error) {
		_, err := tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}}.Execute(tp)
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every part of what lies on the disk is altered, one bit and as a whole.
func TestAlteredBlob(t *testing.T) {
	t.Parallel()
	chip := swtpm.Start(t, t.TempDir())
	sealed := blobOf(t, chip.Path)
	foreign := blobOf(t, swtpm.Start(t, t.TempDir()).Path)
	var b, f blob
	if err := errors.Join(json.Unmarshal(sealed, &b), json.Unmarshal(foreign, &f)); err != nil {
		t.Fatal(err)
	}
	flip := func(from []byte, at int) []byte {
		out := bytes.Clone(from)
		out[at] ^= 1
		return out
	}
	for name, alter := range map[string]func(*blob){
		"version":             func(b *blob) { b.V = 2 },
		"parent":              func(b *blob) { b.Parent = flip(b.Parent, 9) },
		"first of public":     func(b *blob) { b.Public = flip(b.Public, 0) },
		"end of public":       func(b *blob) { b.Public = flip(b.Public, len(b.Public)-1) },
		"first of private":    func(b *blob) { b.Private = flip(b.Private, 0) },
		"private":             func(b *blob) { b.Private = flip(b.Private, len(b.Private)/2) },
		"half of private":     func(b *blob) { b.Private = b.Private[:len(b.Private)/2] },
		"nothing":             func(b *blob) { b.Private, b.Public = nil, nil },
		"another's":           func(b *blob) { b.Private, b.Public = f.Private, f.Public },
		"all but the parent":  func(b *blob) { p := b.Parent; *b = f; b.Parent = p },
		"a policy it has not": func(b *blob) { b.PCRs = []int{7} },
	} {
		one := b
		alter(&one)
		text, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, name, chip.Path, text)
	}
	refused(t, "cut", chip.Path, sealed[:len(sealed)/2])
	refused(t, "empty", chip.Path, nil)
	opens(t, chip.Path, sealed)
}

// With registers in the policy, a machine that was started otherwise opens
// nothing, with or without the policy's name on the disk.
func TestPolicy(t *testing.T) {
	t.Parallel()
	chip := swtpm.Start(t, t.TempDir())
	sealed, free := blobOf(t, chip.Path, 16, 7), blobOf(t, chip.Path)
	opens(t, chip.Path, sealed)
	var b blob
	if err := json.Unmarshal(sealed, &b); err != nil {
		t.Fatal(err)
	}
	b.PCRs = nil
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "the policy left out", chip.Path, text)
	_, err = use(t.Context(), chip.Path, func(tp transport.TPM) ([]byte, error) {
		_, err := tpm2.PCRExtend{PCRHandle: tpm2.AuthHandle{Handle: 16, Auth: tpm2.PasswordAuth(nil)},
			Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}}}.Execute(tp)
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "another start", chip.Path, sealed)
	opens(t, chip.Path, free)
}

// Who listens between program and TPM hears no secret.
func TestBusTellsNothing(t *testing.T) {
	t.Parallel()
	chip := swtpm.Start(t, t.TempDir())
	tap, heard := listen(t, chip.Path)
	sealed := blobOf(t, tap)
	opens(t, tap, sealed)
	if all := heard(); len(all) < 1000 || bytes.Contains(all, secret) || bytes.Contains(all, secret[:8]) {
		t.Errorf("of %d bytes on the bus, the secret is one", len(all))
	}
}

// listen is a socket that passes everything on to another and remembers it.
func listen(t *testing.T, path string) (tap string, heard func() []byte) {
	t.Helper()
	tap = filepath.Join(t.TempDir(), "tap")
	l, err := net.Listen("unix", tap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var mu sync.Mutex
	var all []byte
	pass := func(to, from net.Conn) {
		buf := make([]byte, 1<<16)
		for {
			n, err := from.Read(buf)
			mu.Lock()
			all = append(all, buf[:n]...)
			mu.Unlock()
			if n > 0 {
				_, _ = to.Write(buf[:n])
			}
			if err != nil {
				_ = to.Close()
				return
			}
		}
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", path)
			if err != nil {
				_ = in.Close()
				continue
			}
			go pass(out, in)
			go pass(in, out)
		}
	}()
	return tap, func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(all)
	}
}

func TestNoTPM(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mute := filepath.Join(t.TempDir(), "mute")
	l, err := net.Listen("unix", mute)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for name, path := range map[string]string{"nothing": plain + "x", "a file": plain, "one that is silent": mute} {
		if got, err := Unseal(ctx, path, []byte("{}")); err == nil || got != nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Seal(t.Context(), plain, make([]byte, MaxSecret+1), nil); err == nil {
		t.Error("a secret that is too long is sealed")
	}
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Fatal("swtpm is missing: run scripts/setup")
	}
}
