// Package keys keeps the keys that sign the update repository: in files under
// a passphrase, or in PKCS#11 tokens, which never give them away.
//
// A key is named by a reference: the path of a file, or a PKCS#11 URI (RFC
// 7512). Files are what cosign writes, too: PKCS#8 under scrypt and NaCl's
// secretbox, in PEM; their public half lies beside them in NAME.pub, PKIX in
// PEM.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"

	"gateagent/internal/durable"
)

// PublicSuffix is what the name of a public key's file ends with.
const PublicSuffix = ".pub"

// MinPassphrase is how long a passphrase must be at least.
const MinPassphrase = 12

// maxFile bounds a key file that is read.
const maxFile = 64 << 10

// PEM types of the files.
const (
	pemPrivate = "ENCRYPTED SIGSTORE PRIVATE KEY"
	pemPublic  = "PUBLIC KEY"
)

// ErrPassphrase says that a passphrase does not open the file, or that the
// file is damaged: the cipher cannot tell the two apart.
var ErrPassphrase = errors.New("the passphrase is wrong, or the file is damaged")

// Key is a private key that is ready to sign. Close ends the session with its
// token.
type Key struct {
	crypto.Signer
	close func() error
}

// Close lets go of the key.
func (k *Key) Close() error {
	if k.close == nil {
		return nil
	}
	return k.close()
}

// Create makes an Ed25519 key in a file that only its owner can read, and its
// public half beside it. It never replaces one.
func Create(path string, passphrase []byte) (crypto.PublicKey, error) {
	if len(passphrase) < MinPassphrase {
		return nil, fmt.Errorf("key %s: a passphrase of %d bytes: want at least %d", path, len(passphrase), MinPassphrase)
	}
	for _, p := range []string{path, path + PublicSuffix} {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is there already and is not replaced: take another name", p)
		}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	defer clear(private)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	sealed, err := encrypted.Encrypt(der, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, err)
	}
	if err := durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: sealed}), 0o600); err != nil {
		return nil, err
	}
	return public, WritePublic(path+PublicSuffix, public)
}

// WritePublic writes a public key for others to read.
func WritePublic(path string, public crypto.PublicKey) error {
	text, err := PublicPEM(public)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, text, 0o644)
}

// PublicPEM is a public key as text.
func PublicPEM(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// Ask gives the passphrase or PIN for what it names. It is asked once for each
// key that needs one, and what it gives is wiped after use.
type Ask func(what string) ([]byte, error)

// Open makes a key ready to sign.
func Open(ref string, ask Ask) (*Key, error) {
	if IsToken(ref) {
		return openToken(ref, ask)
	}
	sealed, err := readPEM(ref, pemPrivate)
	if err != nil {
		return nil, err
	}
	passphrase, err := ask("passphrase of key " + ref)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	defer clear(passphrase)
	der, err := encrypted.Decrypt(sealed, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, ErrPassphrase)
	}
	defer clear(der)
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	switch k := parsed.(type) {
	case ed25519.PrivateKey:
		return &Key{Signer: k}, nil
	case *ecdsa.PrivateKey:
		return &Key{Signer: k}, nil
	}
	return nil, fmt.Errorf("key %s: a key of type %T: want Ed25519, or ECDSA on P-256 or P-384", ref, parsed)
}

// Public reads the public half: of a .pub file, of the file beside a key, or
// out of a token, which may want its PIN.
func Public(ref string, ask Ask) (crypto.PublicKey, error) {
	if IsToken(ref) {
		k, err := openToken(ref, ask)
		if err != nil {
			return nil, err
		}
		return k.Public(), k.Close()
	}
	if !strings.HasSuffix(ref, PublicSuffix) {
		ref += PublicSuffix
	}
	der, err := readPEM(ref, pemPublic)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	return key, nil
}

func readPEM(path, kind string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("key %s: %d bytes are no key", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("key %s: no %s in PEM; gatectl key new makes one", path, strings.ToLower(kind))
	}
	return block.Bytes, nil
}

// List names the public keys in a folder.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	var all []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), PublicSuffix) && e.Type().IsRegular() {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return all, nil
}
