package wire

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// CommandListSecrets is the kind of a command that carries a ListSecretSet,
// sealed.
const CommandListSecrets = "list_secrets"

// ListSecret is what opens the allowlists of one generation.
type ListSecret struct {
	Airport    string    `json:"airport,omitempty"` // IATA code of the lists; empty: of any airport
	Generation uint32    `json:"generation"`
	Began      time.Time `json:"began"`
	Content    []byte    `json:"content"` // as in the file list.key
}

// ListSecretSet is what one kiosk is to have of them at one time.
type ListSecretSet struct {
	Issued  time.Time    `json:"issued"` // a kiosk takes no set that is older than its own
	Secrets []ListSecret `json:"secrets"`
}

const (
	// MaxListSecrets bounds a set.
	MaxListSecrets = 12
	// maxListSecret bounds the content of one.
	maxListSecret = 256
)

// Name names the set in a Status; empty: there is no secret in it. It tells
// nothing of them: their content is drawn at random.
func (s *ListSecretSet) Name() string {
	if len(s.Secrets) == 0 {
		return ""
	}
	var parts [][]byte
	for i := range s.Secrets {
		k := &s.Secrets[i]
		parts = append(parts, []byte(k.Airport), binary.BigEndian.AppendUint32(nil, k.Generation), k.Content)
	}
	in := enrolInput("list-secrets-name/v1", parts...)
	defer clear(in)
	sum := sha256.Sum256(in)
	return hex.EncodeToString(sum[:4])
}

// For gives what kiosks of an airport are to have of the set: its own and what
// is for every airport. It shares the secrets with the whole set.
func (s *ListSecretSet) For(airport string) *ListSecretSet {
	part := &ListSecretSet{Issued: s.Issued}
	for _, k := range s.Secrets {
		if k.Airport == "" || k.Airport == airport {
			part.Secrets = append(part.Secrets, k)
		}
	}
	return part
}

// Check refuses a set that is not whole.
func (s *ListSecretSet) Check() error {
	if len(s.Secrets) > MaxListSecrets {
		return fmt.Errorf("list secrets: %w: %d of them, at most %d", ErrFormat, len(s.Secrets), MaxListSecrets)
	}
	for i := range s.Secrets {
		k := &s.Secrets[i]
		if k.Generation == 0 || len(k.Content) == 0 || len(k.Content) > maxListSecret || !airportForm(k.Airport) {
			return fmt.Errorf("list secrets: %w: number %d of %d is not whole", ErrFormat, i+1, len(s.Secrets))
		}
	}
	return nil
}

// airportForm: empty, or three capital letters (IATA Resolution 763).
func airportForm(s string) bool {
	for _, c := range []byte(s) {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return s == "" || len(s) == 3
}

// Wipe overwrites the secrets.
func (s *ListSecretSet) Wipe() {
	for i := range s.Secrets {
		clear(s.Secrets[i].Content)
	}
}

// listSecretsInfo binds sealed secrets to their purpose and kiosk.
func listSecretsInfo(kiosk string) []byte { return enrolInput("list-secrets/v1", []byte(kiosk)) }

// Seal seals the set to the kiosk's X25519 key, as DocKeySet.Seal does.
func (s *ListSecretSet) Seal(kiosk string, sealKey []byte) ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	return sealSet("list secrets", kiosk, sealKey, listSecretsInfo(kiosk), s)
}

// Command makes the signed command that brings the set to a kiosk.
func (s *ListSecretSet) Command(kiosk string, sealKey []byte, ack ed25519.PrivateKey) (*Command, error) {
	sealed, err := s.Seal(kiosk, sealKey)
	if err != nil {
		return nil, err
	}
	return newCommand(kiosk, CommandListSecrets, s.Issued, sealed, ack)
}

func openListSecrets(kiosk string, key *ecdh.PrivateKey, sealed []byte) (*ListSecretSet, error) {
	plain, err := openSealed(key, listSecretsInfo(kiosk), sealed)
	if errors.Is(err, errNotOurs) {
		return nil, errors.New("the list secrets are not sealed to this kiosk's key")
	}
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	s := new(ListSecretSet)
	if err := decode("list secrets", plain, MaxCommandBytes, s); err != nil {
		return nil, errors.New("list secrets: they open, and are not whole") // the parser's words may quote them
	}
	return s, s.Check()
}
