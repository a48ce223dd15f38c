package allowlist

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gateagent/internal/durable"
)

// Names of the files that GenerateKeys writes.
const (
	SigningKeyFile = "signing.key"
	PublicKeyFile  = "signing.pub"
)

// GenerateKeys makes the pair of keys that signs lists: signing.key for
// central alone, signing.pub for the kiosks. It never replaces a key.
func GenerateKeys(dir string) (ed25519.PublicKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	private, public := filepath.Join(dir, SigningKeyFile), filepath.Join(dir, PublicKeyFile)
	for _, path := range []string{private, public} {
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%s exists already and is not replaced: kiosks that trust it would refuse every list", path)
		}
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		path, block string
		perm        os.FileMode
		der         func() ([]byte, error)
	}{
		{private, "PRIVATE KEY", 0o600, func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }},
		{public, "PUBLIC KEY", 0o644, func() ([]byte, error) { return x509.MarshalPKIXPublicKey(pub) }},
	} {
		der, err := f.der()
		if err != nil {
			return nil, err
		}
		if err := durable.WriteFile(f.path, pem.EncodeToMemory(&pem.Block{Type: f.block, Bytes: der}), f.perm); err != nil {
			return nil, err
		}
	}
	return pub, nil
}

// ReadSigningKey reads a signing.key. A file that others may read is refused.
func ReadSigningKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others than its owner; treat it as stolen or run chmod 600 on it", path)
	}
	b, err := readSmall(path, 4096)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s holds no PEM block PRIVATE KEY", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: not a private key in PKCS #8", path)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an Ed25519 key; make one with gatectl list keygen", path)
	}
	return private, nil
}

// ReadPublicKeys reads every public key in a signing.pub.
func ReadPublicKeys(path string) ([]ed25519.PublicKey, error) {
	b, err := readSmall(path, 64<<10)
	if err != nil {
		return nil, err
	}
	keys, err := ParsePublicKeys(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// ParsePublicKeys reads one or more PEM blocks with Ed25519 public keys.
func ParsePublicKeys(b []byte) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("holds a PEM block that is no public key")
		}
		public, ok := key.(ed25519.PublicKey)
		if !ok {
			return nil, errors.New("holds a public key that is not Ed25519")
		}
		keys, b = append(keys, public), rest
	}
	if len(keys) == 0 {
		return nil, errors.New("holds no PEM block PUBLIC KEY")
	}
	return keys, nil
}
