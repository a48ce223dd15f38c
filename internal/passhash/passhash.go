// Package passhash keeps PINs and passwords as argon2id hashes (RFC 9106) in
// the PHC string format.
package passhash

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of new hashes: the second recommendation of RFC 9106 section 4
// is 64 MiB and 3 passes; a kiosk is small, so 19 MiB and 2 passes (the OWASP
// password storage minimum).
const (
	memoryKiB = 19 * 1024
	passes    = 2
	lanes     = 1
	saltLen   = 16
	keyLen    = 32
)

// Limits of what Verify will compute, so that an edited file cannot stall us.
const (
	maxMemoryKiB = 256 * 1024
	maxPasses    = 16
)

// Hash makes the stored form of a secret.
func Hash(secret []byte) string {
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	key := argon2.IDKey(secret, salt, passes, memoryKiB, lanes, keyLen)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, lanes, b64(salt), b64(key))
}

// ErrMalformed: the stored form is not ours.
var ErrMalformed = errors.New("the stored hash is malformed")

// stored is a hash taken apart.
type stored struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

func parse(text string) (stored, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return stored{}, ErrMalformed
	}
	var version, m, t, p uint32
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return stored{}, ErrMalformed
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &m, &t, &p); err != nil ||
		m == 0 || m > maxMemoryKiB || t == 0 || t > maxPasses || p == 0 || p > 16 {
		return stored{}, ErrMalformed
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(key) < 16 || len(key) > 64 {
		return stored{}, ErrMalformed
	}
	return stored{m, t, uint8(p), salt, key}, nil
}

// Check says whether a stored form is well-formed, without a secret.
func Check(text string) error {
	_, err := parse(text)
	return err
}

// Verify says whether the secret belongs to the stored form.
func Verify(text string, secret []byte) (bool, error) {
	h, err := parse(text)
	if err != nil {
		return false, err
	}
	got := argon2.IDKey(secret, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(got, h.key) == 1, nil
}
