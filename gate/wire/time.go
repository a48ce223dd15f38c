package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// NonceSize is the length of the random value that ties an answer to its
// question.
const NonceSize = 32

// TimeQuestion asks central for the time. The kiosk's signature keeps
// everybody else from having times signed.
type TimeQuestion struct {
	V     int    `json:"v"`
	Kiosk string `json:"kiosk"`
	Nonce []byte `json:"nonce"` // fresh for each question
	Sig   []byte `json:"sig"`
}

// SignedTime is central's answer: the time when it met the question, for that
// kiosk and that question alone.
type SignedTime struct {
	V     int       `json:"v"`
	Kiosk string    `json:"kiosk"`
	Nonce []byte    `json:"nonce"` // of the question
	Time  time.Time `json:"time"`  // UTC, whole milliseconds
	Sig   []byte    `json:"sig"`
}

// NewTimeQuestion makes and signs a question with a fresh nonce.
func NewTimeQuestion(kiosk string, key ed25519.PrivateKey) (*TimeQuestion, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sign question for the time: key of %d bytes", len(key))
	}
	q := &TimeQuestion{V: TimeVersion, Kiosk: kiosk, Nonce: make([]byte, NonceSize)}
	_, _ = rand.Read(q.Nonce) // never fails (crypto/rand)
	q.Sig = ed25519.Sign(key, q.signed())
	return q, nil
}

func (q *TimeQuestion) signed() []byte {
	return enrolInput(labelTimeQuestion, []byte(q.Kiosk), q.Nonce)
}

// Verify checks form and signature by the kiosk's key.
func (q *TimeQuestion) Verify(key ed25519.PublicKey) error {
	if err := checkTime(q.V, q.Kiosk, q.Nonce); err != nil {
		return fmt.Errorf("question for the time: %w", err)
	}
	if err := verify(key, q.signed(), q.Sig); err != nil {
		return fmt.Errorf("question for the time: %w", err)
	}
	return nil
}

// Answer makes the answer to a question that was verified.
func (q *TimeQuestion) Answer(now time.Time, key ed25519.PrivateKey) (*SignedTime, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("sign time: key of %d bytes", len(key))
	}
	t := &SignedTime{V: TimeVersion, Kiosk: q.Kiosk, Nonce: bytes.Clone(q.Nonce), Time: now.UTC().Truncate(time.Millisecond)}
	t.Sig = ed25519.Sign(key, t.signed())
	return t, nil
}

func (t *SignedTime) signed() []byte {
	return enrolInput(labelTime, []byte(t.Kiosk), t.Nonce, binary.BigEndian.AppendUint64(nil, uint64(t.Time.UnixMilli())))
}

// Verify checks form and signature by central's acknowledgement key, and that
// it answers that question.
func (t *SignedTime) Verify(key ed25519.PublicKey, q *TimeQuestion) error {
	if err := checkTime(t.V, t.Kiosk, t.Nonce); err != nil {
		return fmt.Errorf("signed time: %w", err)
	}
	if !t.Time.Equal(t.Time.Truncate(time.Millisecond)) {
		return fmt.Errorf("signed time: %w: parts of a millisecond are not signed", ErrFormat)
	}
	if err := verify(key, t.signed(), t.Sig); err != nil {
		return fmt.Errorf("signed time: %w", err)
	}
	if q == nil || t.Kiosk != q.Kiosk || !bytes.Equal(t.Nonce, q.Nonce) {
		return fmt.Errorf("signed time: %w", ErrStale)
	}
	return nil
}

func checkTime(v int, kiosk string, nonce []byte) error {
	if v != TimeVersion {
		return fmt.Errorf("%w %d", ErrVersion, v)
	}
	if len(nonce) != NonceSize {
		return fmt.Errorf("%w: nonce of %d bytes", ErrFormat, len(nonce))
	}
	return CheckName(kiosk)
}

// Encode writes the question as it travels.
func (q *TimeQuestion) Encode() ([]byte, error) {
	return encode("question for the time", q, MaxTimeBytes)
}

// DecodeTimeQuestion reads a question within its bounds. Only Verify makes it
// believable.
func DecodeTimeQuestion(data []byte) (*TimeQuestion, error) {
	q := new(TimeQuestion)
	if err := decode("question for the time", data, MaxTimeBytes, q); err != nil {
		return nil, err
	}
	if q.V != TimeVersion {
		return nil, fmt.Errorf("question for the time: %w %d", ErrVersion, q.V)
	}
	return q, nil
}

// Encode writes the answer as it travels.
func (t *SignedTime) Encode() ([]byte, error) { return encode("signed time", t, MaxTimeBytes) }

// DecodeSignedTime reads an answer within its bounds. Only Verify makes it
// believable.
func DecodeSignedTime(data []byte) (*SignedTime, error) {
	t := new(SignedTime)
	if err := decode("signed time", data, MaxTimeBytes, t); err != nil {
		return nil, err
	}
	if t.V != TimeVersion {
		return nil, fmt.Errorf("signed time: %w %d", ErrVersion, t.V)
	}
	return t, nil
}
