package wire

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrUnreadable is wrapped where a sealed body cannot be opened: it is sealed
// to another key, belongs to another place, or was altered.
var ErrUnreadable = errors.New("the result cannot be opened")

// Suite says how results are sealed: HPKE (RFC 9180) with HKDF-SHA256 used for
// its export alone (section 5.3), and XChaCha20-Poly1305
// (draft-irtf-cfrg-xchacha-03; RFC 8439).
type Suite uint8

// Suites.
const (
	// SuiteX25519 is DHKEM(X25519), RFC 9180 section 7.1.
	SuiteX25519 Suite = 1
	// SuiteHybrid is X25519 with ML-KEM-768, which stays shut when either one
	// of them is broken; 1,088 bytes more for each result.
	SuiteHybrid Suite = 2
)

// ParseSuite reads the name of a suite.
func ParseSuite(name string) (Suite, error) {
	for _, s := range []Suite{SuiteX25519, SuiteHybrid} {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("sealing %q: write %s or %s", name, SuiteX25519, SuiteHybrid)
}

// String gives the name that configurations and commands use.
func (s Suite) String() string {
	switch s {
	case SuiteX25519:
		return "x25519"
	case SuiteHybrid:
		return "x25519-mlkem768"
	}
	return fmt.Sprintf("unknown suite %d", uint8(s))
}

// kem gives the key encapsulation and the length of what it encapsulates.
func (s Suite) kem() (hpke.KEM, int, error) {
	switch s {
	case SuiteX25519:
		return hpke.DHKEM(ecdh.X25519()), 32, nil
	case SuiteHybrid:
		return hpke.MLKEM768X25519(), 1120, nil
	}
	return nil, 0, fmt.Errorf("%w: sealing %s", ErrVersion, s)
}

// keyID names a public key in an envelope.
type keyID [8]byte

// SealKey is a public key to which results are sealed.
type SealKey struct {
	suite Suite
	pub   hpke.PublicKey
	id    keyID
}

func newSealKey(s Suite, pub hpke.PublicKey) *SealKey {
	k := &SealKey{suite: s, pub: pub}
	sum := sha256.Sum256(k.Bytes())
	copy(k.id[:], sum[:])
	return k
}

// ParseSealKey reads what Bytes wrote.
func ParseSealKey(b []byte) (*SealKey, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("sealing key: %w: it is empty", ErrFormat)
	}
	s := Suite(b[0])
	kem, _, err := s.kem()
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	pub, err := kem.NewPublicKey(b[1:])
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w: %w", ErrFormat, err)
	}
	return newSealKey(s, pub), nil
}

// Bytes gives the key: the suite, then the public key as the suite has it.
func (k *SealKey) Bytes() []byte { return append([]byte{byte(k.suite)}, k.pub.Bytes()...) }

// Text writes the key as a file's line.
func (k *SealKey) Text() string { return k.suite.String() + " " + hex.EncodeToString(k.Bytes()) + "\n" }

// ParseSealKeyText reads what Text wrote.
func ParseSealKeyText(text string) (*SealKey, error) {
	_, digits, _ := strings.Cut(strings.TrimSpace(text), " ")
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w: not the line that `gatectl outbox keygen` makes", ErrFormat)
	}
	return ParseSealKey(b)
}

// Overhead is by how much a record grows when it is sealed to this key.
func (k *SealKey) Overhead() int {
	_, enc, _ := k.suite.kem() // a key has a suite that is known
	return sealHead + enc + indexLen + saltLen + chacha20poly1305.Overhead
}

// Suite says how it is sealed to this key.
func (k *SealKey) Suite() Suite { return k.suite }

// ID names the key as envelopes do.
func (k *SealKey) ID() string { return hex.EncodeToString(k.id[:]) }

// OpenKey is the private key to a SealKey. It stays where results are read.
type OpenKey struct {
	suite Suite
	priv  hpke.PrivateKey
}

// NewOpenKey makes a fresh key pair.
func NewOpenKey(s Suite) (*OpenKey, error) {
	kem, _, err := s.kem()
	if err != nil {
		return nil, err
	}
	priv, err := kem.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make a sealing key: %w", err)
	}
	return &OpenKey{s, priv}, nil
}

// ParseOpenKey reads what Text wrote.
func ParseOpenKey(text string) (*OpenKey, error) {
	name, digits, _ := strings.Cut(strings.TrimSpace(text), " ")
	s, err := ParseSuite(name)
	if err != nil {
		return nil, errors.New("no private sealing key: the line does not begin with the name of a suite")
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return nil, errors.New("no private sealing key: not hex digits")
	}
	defer clear(raw)
	kem, _, err := s.kem()
	if err != nil {
		return nil, err
	}
	priv, err := kem.NewPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("no private sealing key of %s", s)
	}
	return &OpenKey{s, priv}, nil
}

// Text writes the private key for a file of mode 0600.
func (k *OpenKey) Text() (string, error) {
	raw, err := k.priv.Bytes()
	if err != nil {
		return "", fmt.Errorf("write a sealing key: %w", err)
	}
	defer clear(raw)
	return k.suite.String() + " " + hex.EncodeToString(raw) + "\n", nil
}

// Public gives the key to which results are sealed.
func (k *OpenKey) Public() *SealKey { return newSealKey(k.suite, k.priv.PublicKey()) }
