package wire

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// DocKey is a key of document references (Decision.DocRef). Central makes it
// and gives it to every kiosk of the fleet, so that references of one key can
// be compared across kiosks, and those of two keys by nobody.
type DocKey struct {
	ID    string    `json:"id"`    // derived from the key: 8 hex digits
	From  time.Time `json:"from"`  // when it comes into force
	Until time.Time `json:"until"` // when its time is over
	Key   []byte    `json:"key"`   // 32 bytes
}

// DocKeySet is what a kiosk holds at one time: the key in force, the one
// before, and the next one as soon as central has it.
type DocKeySet struct {
	Issued time.Time `json:"issued"` // a kiosk takes no set that is older than its own
	Keys   []DocKey  `json:"keys"`
}

const (
	docKeyLen = 32
	docRefLen = 16 // 128 bits, as the index of the allowlist
	// maxDocKeys bounds a set: before, now, next, and room.
	maxDocKeys = 8
)

// NewDocKey makes a key for a time.
func NewDocKey(from, until time.Time) DocKey {
	k := DocKey{From: from.UTC().Truncate(time.Second), Until: until.UTC().Truncate(time.Second), Key: make([]byte, docKeyLen)}
	_, _ = rand.Read(k.Key) // never fails (crypto/rand)
	k.ID = k.name()
	return k
}

func (k *DocKey) name() string {
	sum := sha256.Sum256(enrolInput("document-key-id/v1", k.Key))
	return hex.EncodeToString(sum[:4])
}

// Ref makes the keyed hash of a document: the key's name, a dot, and the first
// 16 bytes of HMAC-SHA-256 (RFC 2104) in hex.
func (k *DocKey) Ref(issuer, docType, number string) string {
	m := hmac.New(sha256.New, k.Key)
	m.Write(enrolInput("document/v1", []byte(issuer), []byte(docType), []byte(number)))
	return k.ID + "." + hex.EncodeToString(m.Sum(nil)[:docRefLen])
}

// At gives the key in force at a time, the latest where several are; nil when
// none is.
func (s *DocKeySet) At(now time.Time) *DocKey {
	var found *DocKey
	for i := range s.Keys {
		k := &s.Keys[i]
		if !now.Before(k.From) && now.Before(k.Until) && (found == nil || !k.From.Before(found.From)) {
			found = k
		}
	}
	return found
}

// Newest gives the key that comes into force last, of several at one moment the
// last in order; nil when there is none.
func (s *DocKeySet) Newest() *DocKey {
	var found *DocKey
	for i := range s.Keys {
		if k := &s.Keys[i]; found == nil || !k.From.Before(found.From) {
			found = k
		}
	}
	return found
}

// Name names the set in a Status: by its newest key. Empty: there is none.
func (s *DocKeySet) Name() string {
	if k := s.Newest(); k != nil {
		return k.ID
	}
	return ""
}

// Check refuses a set that is not whole.
func (s *DocKeySet) Check() error {
	if len(s.Keys) == 0 || len(s.Keys) > maxDocKeys {
		return fmt.Errorf("document keys: %w: %d keys, want 1 to %d", ErrFormat, len(s.Keys), maxDocKeys)
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		if len(k.Key) != docKeyLen || k.ID != k.name() || k.Until.Before(k.From) {
			return fmt.Errorf("document keys: %w: key %d of %d is not whole", ErrFormat, i+1, len(s.Keys))
		}
	}
	return nil
}

// docKeysInfo binds sealed keys to their purpose and kiosk.
func docKeysInfo(kiosk string) []byte { return enrolInput("document-keys/v1", []byte(kiosk)) }

// Seal seals the set to the kiosk's X25519 key (HPKE base mode of RFC 9180:
// X25519, HKDF-SHA256, ChaCha20-Poly1305).
func (s *DocKeySet) Seal(kiosk string, sealKey []byte) ([]byte, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	return sealSet("document keys", kiosk, sealKey, docKeysInfo(kiosk), s)
}

func openDocKeys(kiosk string, key *ecdh.PrivateKey, sealed []byte) (*DocKeySet, error) {
	plain, err := openSealed(key, docKeysInfo(kiosk), sealed)
	if errors.Is(err, errNotOurs) {
		return nil, errors.New("the document keys are not sealed to this kiosk's key")
	}
	if err != nil {
		return nil, fmt.Errorf("document keys: %w", err)
	}
	defer clear(plain)
	s := new(DocKeySet)
	if err := decode("document keys", plain, MaxCommandBytes, s); err != nil {
		return nil, err
	}
	return s, s.Check()
}

// same says whether two sets hold the same keys for the same times.
func (s *DocKeySet) same(o *DocKeySet) bool {
	if len(s.Keys) != len(o.Keys) {
		return false
	}
	for i := range s.Keys {
		a, b := &s.Keys[i], &o.Keys[i]
		if !bytes.Equal(a.Key, b.Key) || !a.From.Equal(b.From) || !a.Until.Equal(b.Until) {
			return false
		}
	}
	return true
}
