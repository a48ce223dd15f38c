package wire

import (
	"crypto/ecdh"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gateagent/internal/durable"
)

// FileSealTPM is the kiosk's seal key in the identity folder as its TPM sealed
// it.
const FileSealTPM = "seal.tpm"

// SealInClear says whether the kiosk's seal key lies in its identity folder in
// clear.
func SealInClear(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, fileSeal))
	return err == nil
}

// ParseSealPrivate reads a seal key as its file holds it. Errors never quote
// what was read.
func ParseSealPrivate(text []byte) (*ecdh.PrivateKey, error) {
	if block, _ := pem.Decode(text); block != nil && block.Type == "PRIVATE KEY" {
		defer clear(block.Bytes)
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if k, ok := key.(*ecdh.PrivateKey); err == nil && ok && k.Curve() == ecdh.X25519() {
			return k, nil
		}
	}
	return nil, errors.New("it holds no seal key of a kiosk")
}

// UseSeal takes the seal key from where it is kept, if it is the one that the
// kiosk was enrolled with.
func (k *KioskKeys) UseSeal(key *ecdh.PrivateKey) error {
	if !key.PublicKey().Equal(k.SealPub) {
		return fmt.Errorf("it holds the seal key of another kiosk than %s, or one from before its enrolment", k.Name)
	}
	k.Seal = key
	return nil
}

// HideSeal takes the seal key out of the identity folder, where it lies in
// clear, once it is kept elsewhere. Its public half stays.
func (k *KioskKeys) HideSeal(dir string) error {
	if !SealInClear(dir) {
		return nil
	}
	if err := writePrivate(filepath.Join(dir, fileSealPub), k.SealPub.Bytes()); err != nil {
		return err
	}
	return durable.Erase(filepath.Join(dir, fileSeal))
}
