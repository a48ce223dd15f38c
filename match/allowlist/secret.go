package allowlist

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gateagent/internal/durable"
)

// MaxGenerationAge is how long lists may be built under one secret.
const MaxGenerationAge = 30 * 24 * time.Hour

// maxSecretFile bounds a file of a secret.
const maxSecretFile = 1024

const secretTitle = "gateagent list secret, layout 1"

// GenerationSecret is the secret of one list generation. Every list of the
// generation is built and read with it. It prints as "[secret]".
type GenerationSecret struct {
	Generation uint32
	Began      time.Time
	value      [32]byte
}

// NewSecret draws a secret for a new generation.
func NewSecret(generation uint32, began time.Time) *GenerationSecret {
	s := &GenerationSecret{Generation: generation, Began: began.UTC().Truncate(time.Second)}
	rand.Read(s.value[:]) // never fails, see crypto/rand
	return s
}

// String hides the secret.
func (*GenerationSecret) String() string { return "[secret]" }

// GoString hides the secret from %#v.
func (*GenerationSecret) GoString() string { return "[secret]" }

// LogValue hides the secret from log/slog.
func (*GenerationSecret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalText hides the secret from encoders. Write is the way to a file.
func (*GenerationSecret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Write puts the secret into a file that only its owner can read.
func (s *GenerationSecret) Write(path string) error {
	b := s.encode()
	defer clear(b)
	return durable.WriteFile(path, b, 0o600)
}

// Reveal gives the secret's file, to be sealed for a kiosk or kept by a TPM.
// ParseSecret reads it.
func (s *GenerationSecret) Reveal() []byte { return s.encode() }

// ParseSecret reads what Reveal gave.
func ParseSecret(b []byte) (*GenerationSecret, error) {
	s, err := parseSecret(string(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSecret, err)
	}
	return s, nil
}

// Wipe overwrites the secret.
func (s *GenerationSecret) Wipe() { clear(s.value[:]) }

func (s *GenerationSecret) encode() []byte {
	return fmt.Appendf(nil, "%s\ngeneration %d\nbegan %s\nsecret %s\n",
		secretTitle, s.Generation, s.Began.Format(time.RFC3339), hex.EncodeToString(s.value[:]))
}

// ReadSecret reads a file that Write wrote.
func ReadSecret(path string) (*GenerationSecret, error) {
	b, err := readSmall(path, maxSecretFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	s, err := parseSecret(string(b))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; copy the file again", ErrSecret, path, err)
	}
	return s, nil
}

func parseSecret(text string) (*GenerationSecret, error) {
	s := &GenerationSecret{}
	var began, value string
	// Sscanf alone is lenient about spaces; the comparison below is not.
	if _, err := fmt.Sscanf(text, secretTitle+"\ngeneration %d\nbegan %s\nsecret %s\n", &s.Generation, &began, &value); err != nil {
		return nil, fmt.Errorf("not a file of the form %q", secretTitle)
	}
	at, err := time.Parse(time.RFC3339, began)
	if err != nil {
		return nil, fmt.Errorf("line 3: not a time")
	}
	s.Began = at.UTC()
	raw, err := hex.DecodeString(strings.TrimSpace(value))
	if err != nil || len(raw) != len(s.value) {
		return nil, fmt.Errorf("line 4: not %d bytes in hexadecimal", len(s.value))
	}
	copy(s.value[:], raw)
	if string(s.encode()) != text {
		return nil, fmt.Errorf("not a file of the form %q", secretTitle)
	}
	return s, nil
}

// derived holds the keys drawn from a secret.
type derived struct {
	index [32]byte
	body  [32]byte
	check [16]byte
}

// derive draws the keys (HKDF with SHA-256, RFC 5869).
func (s *GenerationSecret) derive() (*derived, error) {
	d := &derived{}
	for _, part := range []struct {
		info string
		out  []byte
	}{
		{"gateagent/list/1/index", d.index[:]},
		{"gateagent/list/1/body", d.body[:]},
		{"gateagent/list/1/check", d.check[:]},
	} {
		key, err := hkdf.Key(sha256.New, s.value[:], nil, part.info, len(part.out))
		if err != nil {
			return nil, err
		}
		copy(part.out, key)
	}
	return d, nil
}
