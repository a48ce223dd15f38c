package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// Errors that callers tell apart; the wrapping text names the field.
var (
	ErrFormat    = errors.New("malformed message")
	ErrVersion   = errors.New("unknown version")
	ErrSignature = errors.New("signature does not verify")
	ErrChain     = errors.New("hash chain does not fit")
	ErrStale     = errors.New("the answer is to another question")
)

// HashSize is the length of every hash in this package (SHA-256).
const HashSize = sha256.Size

// epochChars is the length of an epoch, 16 bytes in lower-case hex.
const epochChars = 32

// chainLabel separates the chain's hash from every other use of SHA-256.
const chainLabel = "chain/v1"

// ChainStart is the chain hash before entry 1 of an epoch: 32 zero bytes.
func ChainStart() []byte { return make([]byte, HashSize) }

// BodyHash is the hash of a stored body that the chain runs over. It covers
// the body as it travels, so a body that is deleted later leaves a chain that
// still verifies.
func BodyHash(body []byte) []byte {
	h := sha256.Sum256(body)
	return h[:]
}

// ChainNext computes the chain hash at entry number:
//
//	SHA-256("chain/v1" 00 kiosk 00 epoch(16 bytes) number(8 bytes, big-endian) prev bodyHash)
//
// The kiosk and epoch in it keep a chain from being passed off as another's.
func ChainNext(kiosk, epoch string, number uint64, prev, bodyHash []byte) ([]byte, error) {
	if err := CheckName(kiosk); err != nil {
		return nil, err
	}
	if err := CheckEpoch(epoch); err != nil {
		return nil, err
	}
	if number == 0 {
		return nil, fmt.Errorf("%w: entries are numbered from 1", ErrFormat)
	}
	if len(prev) != HashSize || len(bodyHash) != HashSize {
		return nil, fmt.Errorf("%w: hashes have %d bytes", ErrFormat, HashSize)
	}
	var room [len(chainLabel) + MaxName + epochChars/2 + 2 + 8 + 2*HashSize]byte
	in := append(room[:0], chainLabel...)
	in = append(in, 0)
	in = append(in, kiosk...)
	in = append(in, 0)
	in, err := hex.AppendDecode(in, []byte(epoch))
	if err != nil {
		return nil, fmt.Errorf("%w: epoch: %w", ErrFormat, err)
	}
	in = binary.BigEndian.AppendUint64(in, number)
	in = append(in, prev...)
	in = append(in, bodyHash...)
	h := sha256.Sum256(in)
	return h[:], nil
}

// MaxName is the greatest length of a kiosk's name.
const MaxName = 40

// CheckName refuses a kiosk name that is not [a-z0-9-]{1,40}: the name is a
// level of an MQTT topic and a part of what is signed.
func CheckName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w: kiosk name %q: want 1 to %d of a-z, 0-9 and -", ErrFormat, clip(name), MaxName)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%w: kiosk name %q: want 1 to %d of a-z, 0-9 and -", ErrFormat, clip(name), MaxName)
		}
	}
	return nil
}

// CheckEpoch refuses an epoch that is not 32 lower-case hex digits.
func CheckEpoch(epoch string) error {
	if !lowerHex(epoch, epochChars) {
		return fmt.Errorf("%w: epoch %q: want %d lower-case hex digits", ErrFormat, clip(epoch), epochChars)
	}
	return nil
}

func lowerHex(s string, n int) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == n
}

// clip keeps a hostile value from filling a log line.
func clip(s string) string {
	if len(s) > 48 {
		return s[:48] + "…"
	}
	return s
}
