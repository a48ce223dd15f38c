package wire

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// MaxCommandBytes bounds a Command.
const MaxCommandBytes = 8 << 10

// CommandVersion is the version of Command.
const CommandVersion = 1

// CommandDocKeys is the kind of a command that carries a DocKeySet, sealed.
const CommandDocKeys = "document_keys"

// ErrOld is wrapped where a kiosk refuses something that central has replaced
// since.
var ErrOld = errors.New("older than what is in force")

// Command is central's word to one kiosk, signed. A kiosk ignores kinds that it
// does not know.
type Command struct {
	V      int       `json:"v"`
	Kiosk  string    `json:"kiosk"`
	Kind   string    `json:"kind"`
	Issued time.Time `json:"issued"` // of what it carries; UTC, whole seconds
	Sealed []byte    `json:"sealed"` // to the kiosk's seal key
	Sig    []byte    `json:"sig"`    // by central's acknowledgement key
}

func (c *Command) signed() []byte {
	return enrolInput("command/v1", []byte(c.Kiosk), []byte(c.Kind), binary.BigEndian.AppendUint64(nil, uint64(c.Issued.Unix())), c.Sealed)
}

// Sign completes the command with central's signature.
func (c *Command) Sign(ack ed25519.PrivateKey) error {
	if len(ack) != ed25519.PrivateKeySize {
		return fmt.Errorf("sign command: key of %d bytes", len(ack))
	}
	c.Sig = ed25519.Sign(ack, c.signed())
	return nil
}

// Verify checks form and signature by central's acknowledgement key, and that
// it is for that kiosk.
func (c *Command) Verify(kiosk string, key ed25519.PublicKey) error {
	if c.V != CommandVersion {
		return fmt.Errorf("command: %w %d", ErrVersion, c.V)
	}
	if err := verify(key, c.signed(), c.Sig); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	if c.Kiosk != kiosk {
		return fmt.Errorf("command: %w: it is for kiosk %q", ErrFormat, clip(c.Kiosk))
	}
	if !c.Issued.Equal(c.Issued.Truncate(time.Second)) {
		return fmt.Errorf("command: %w: parts of a second are not signed", ErrFormat)
	}
	return nil
}

// Encode writes the command as it travels.
func (c *Command) Encode() ([]byte, error) { return encode("command", c, MaxCommandBytes) }

// DecodeCommand reads a command within its bounds. Only Verify makes it
// believable.
func DecodeCommand(data []byte) (*Command, error) {
	c := new(Command)
	if err := decode("command", data, MaxCommandBytes, c); err != nil {
		return nil, err
	}
	if c.V != CommandVersion {
		return nil, fmt.Errorf("command: %w %d", ErrVersion, c.V)
	}
	return c, nil
}

// Command makes the signed command that brings the set to a kiosk.
func (s *DocKeySet) Command(kiosk string, sealKey []byte, ack ed25519.PrivateKey) (*Command, error) {
	sealed, err := s.Seal(kiosk, sealKey)
	if err != nil {
		return nil, err
	}
	return newCommand(kiosk, CommandDocKeys, s.Issued, sealed, ack)
}

// newCommand makes a signed command.
func newCommand(kiosk, kind string, issued time.Time, sealed []byte, ack ed25519.PrivateKey) (*Command, error) {
	c := &Command{V: CommandVersion, Kiosk: kiosk, Kind: kind, Issued: issued.UTC().Truncate(time.Second), Sealed: sealed}
	return c, c.Sign(ack)
}
