package wire

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gateagent/internal/durable"
)

// IdentityFolder is the folder of a kiosk's keys and bundle inside its state
// folder.
const IdentityFolder = "identity"

// Files inside the identity folder, all of mode 0600.
const (
	fileName    = "name"
	fileTLS     = "tls.key"
	fileSigning = "signing.key"
	fileSeal    = "seal.key"
	fileSealPub = "seal.pub" // stays where seal.key is kept elsewhere
	fileBundle  = "bundle.json"
)

// Save writes the keys into the identity folder dir (mode 0700, files 0600).
// The name is written last: without it the folder holds no keys. It never
// overwrites keys that are there.
func (k *KioskKeys) Save(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, fileName)); err == nil {
		return fmt.Errorf("identity folder %s already holds keys: they are never overwritten; move the folder away to start anew", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("identity folder: %w", err)
	}
	for _, f := range []struct {
		name string
		key  any
	}{{fileTLS, k.TLS}, {fileSigning, k.Signing}, {fileSeal, k.Seal}} {
		der, err := x509.MarshalPKCS8PrivateKey(f.key)
		if err != nil {
			return fmt.Errorf("identity folder %s: %s: %w", dir, f.name, err)
		}
		if err := writePrivate(filepath.Join(dir, f.name), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
			return err
		}
	}
	if err := writePrivate(filepath.Join(dir, fileSealPub), k.SealPub.Bytes()); err != nil {
		return err
	}
	return writePrivate(filepath.Join(dir, fileName), []byte(k.Name+"\n"))
}

// LoadKioskKeys reads the keys from the identity folder. The error is
// fs.ErrNotExist when there are none.
func LoadKioskKeys(dir string) (*KioskKeys, error) {
	name, err := readPrivate(dir, fileName)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("identity folder %s holds no keys: make them with `gatectl kiosk request`: %w", dir, fs.ErrNotExist)
		}
		return nil, err
	}
	k := &KioskKeys{Name: string(bytes.TrimSpace(name))}
	if err := CheckKioskName(k.Name); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, fileName), err)
	}
	if k.TLS, err = readKey[*ecdsa.PrivateKey](dir, fileTLS); err != nil {
		return nil, err
	}
	if k.Signing, err = readKey[ed25519.PrivateKey](dir, fileSigning); err != nil {
		return nil, err
	}
	return k, k.loadSeal(dir)
}

// loadSeal reads the seal key, or its public half alone where the key itself
// has been taken elsewhere.
func (k *KioskKeys) loadSeal(dir string) (err error) {
	if k.Seal, err = readKey[*ecdh.PrivateKey](dir, fileSeal); err == nil {
		k.SealPub = k.Seal.PublicKey()
		return nil
	}
	k.Seal = nil
	raw, noPub := readPrivate(dir, fileSealPub)
	if !errors.Is(err, fs.ErrNotExist) || noPub != nil {
		return err
	}
	if k.SealPub, err = ecdh.X25519().NewPublicKey(raw); err != nil {
		return fmt.Errorf("%s: %w: the kiosk has to be enrolled anew", filepath.Join(dir, fileSealPub), err)
	}
	return nil
}

func readKey[K any](dir, file string) (K, error) {
	var none K
	path := filepath.Join(dir, file)
	data, err := readPrivate(dir, file)
	if err != nil {
		return none, err
	}
	defer clear(data)
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return none, fmt.Errorf("%s holds no PEM private key: the kiosk has to be enrolled anew", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The parser's own words may quote what it read.
		return none, fmt.Errorf("%s cannot be read as a private key: the kiosk has to be enrolled anew", path)
	}
	k, ok := key.(K)
	if !ok {
		return none, fmt.Errorf("%s holds a key of another kind: the kiosk has to be enrolled anew", path)
	}
	return k, nil
}

// LoadIdentity reads an enrolled kiosk's identity from its identity folder
// (IdentityFolder inside the kiosk's state folder).
func LoadIdentity(dir string) (*Identity, error) {
	keys, err := LoadKioskKeys(dir)
	if err != nil {
		return nil, err
	}
	return keys.Identity(dir)
}

// Identity joins the keys with the bundle in their folder.
func (k *KioskKeys) Identity(dir string) (*Identity, error) {
	data, err := readPrivate(dir, fileBundle)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("kiosk %s is not enrolled yet: %s is missing; install central's bundle with `gatectl kiosk install`", k.Name, filepath.Join(dir, fileBundle))
	}
	if err != nil {
		return nil, err
	}
	b, err := ParseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, fileBundle), err)
	}
	id, err := NewIdentity(k, b)
	if err != nil {
		return nil, err
	}
	id.dir = dir
	return id, nil
}

// InstallBundle checks a bundle against the keys in the identity folder and
// puts it in force. Where a bundle is in force already, the new one must come
// from the same central (the same acknowledgement key) and be no older, unless
// replace says that this kiosk moves to another central.
func InstallBundle(dir string, data []byte, replace bool) (*Identity, error) {
	keys, err := LoadKioskKeys(dir)
	if err != nil {
		return nil, err
	}
	b, err := ParseBundle(data)
	if err != nil {
		return nil, err
	}
	id, err := NewIdentity(keys, b)
	if err != nil {
		return nil, err
	}
	if old, err := readPrivate(dir, fileBundle); err == nil && !replace {
		var in Bundle
		if err := json.Unmarshal(old, &in); err == nil {
			if !bytes.Equal(in.AckKey, b.AckKey) {
				return nil, fmt.Errorf("the bundle for kiosk %s comes from another central than the one in force: install it with --replace if this kiosk moves", b.Kiosk)
			}
			if b.Issued.Before(in.Issued) {
				return nil, fmt.Errorf("the bundle for kiosk %s is older than the one in force: fetch the newest from central", b.Kiosk)
			}
		}
	}
	return id, writePrivate(filepath.Join(dir, fileBundle), data)
}

// readPrivate reads a small file that nobody else may read.
func readPrivate(dir, file string) ([]byte, error) {
	path := filepath.Join(dir, file)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("identity folder: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s is readable by others (mode %04o): set it to 0600", path, info.Mode().Perm())
	}
	if info.Size() > maxEnrolFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, info.Size(), maxEnrolFile)
	}
	return os.ReadFile(path)
}

func writePrivate(path string, data []byte) error {
	if err := durable.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("identity folder: %w", err)
	}
	return nil
}
