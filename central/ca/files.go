package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gateagent/internal/durable"
)

// Files of the CA's folder, all of mode 0600.
const (
	fileRoot    = "ca.pem"
	fileRootKey = "ca.key"
	fileAck     = "ack.key"
	// One for each suite, and for each key that was laid beside them, by its
	// name; fileSealPub, written last, says that central's own were made.
	fileSeal    = "seal-%s.key"
	fileSealPub = "seal.pub"
)

func (a *Authority) path(file string) string { return filepath.Join(a.dir, file) }

func (a *Authority) load() error {
	data, err := os.ReadFile(a.path(fileRoot))
	if err != nil {
		return fmt.Errorf("CA: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return fmt.Errorf("CA: %s holds no PEM certificate: restore the folder from a backup", a.path(fileRoot))
	}
	if a.root, err = x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("CA: %s: %w: restore the folder from a backup", a.path(fileRoot), err)
	}
	if a.key, err = readKey[*ecdsa.PrivateKey](a.path(fileRootKey)); err != nil {
		return err
	}
	if !a.key.PublicKey.Equal(a.root.PublicKey) {
		return fmt.Errorf("CA: %s is not the key of %s: restore the folder from a backup", a.path(fileRootKey), fileRoot)
	}
	if a.ack, err = readKey[ed25519.PrivateKey](a.path(fileAck)); err != nil {
		return err
	}
	return nil
}

func readKey[K any](path string) (K, error) {
	var none K
	data, err := readPrivate(path)
	if err != nil {
		return none, err
	}
	defer clear(data)
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return none, fmt.Errorf("CA: %s holds no PEM private key: restore the folder from a backup", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The parser's own words may quote what it read.
		return none, fmt.Errorf("CA: %s cannot be read as a private key: restore the folder from a backup", path)
	}
	k, ok := key.(K)
	if !ok {
		return none, fmt.Errorf("CA: %s holds a key of another kind: restore the folder from a backup", path)
	}
	return k, nil
}

func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("CA: %s is missing: restore the folder from a backup; a new one would make every kiosk a stranger", path)
	}
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("CA: %s is readable by others (mode %04o): set it to 0600", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}

func writePrivate(path string, data []byte) error { return durable.WriteFile(path, data, 0o600) }

func writeKey(path string, key any) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(der)
	return writePrivate(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func crlPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}
