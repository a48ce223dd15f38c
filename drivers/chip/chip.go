// Package chip speaks the protocols of ICAO Doc 9303-11 with the contactless
// chip of a travel document: PACE, basic access control, secure messaging,
// chip and active authentication, and file reading, over anything that
// transmits APDUs. It offers single steps and judges nothing: whether a file
// is genuine is decided in match/document, what follows in gate.
//
// Everything that comes from the chip is hostile until proven: every loop and
// every allocation is bounded, every error is a *gate.ChipError, and no error
// or log ever holds key or payload bytes.
package chip

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"gateagent/gate"
)

// Session is one document in the field. It serves one goroutine at a time.
type Session struct {
	t     gate.Transmitter
	opts  Options
	stats gate.ChipStats

	key   gate.AccessKey // own copy, to renew a lost session
	pace  *paceChoice    // how the chip was opened; nil with BAC
	ca    *caChoice      // chip authentication that ran; nil before
	cam   *mappingProof  // what the last PACE left to prove the chip with; nil without
	caKey *chipKey       // the key that has proven the mapping; nil before
	sm    *secure        // nil outside secure messaging
	dead  *gate.ChipError
	place place
	reads reading
	kind  kind // type of chip; the zero kind before EF.CardAccess was looked for
}

var _ gate.Chip = (*Session)(nil)

// Options of a session. The zero value serves real documents.
type Options struct {
	// Rand gives nonces and ephemeral keys; nil means crypto/rand.
	Rand io.Reader
	// MaxRead bounds how many bytes one READ BINARY asks for; 0 means as
	// many as the chip states, or DefaultMaxRead where it states nothing. At
	// most 223, no command is of extended length: for readers that cannot
	// carry those.
	MaxRead int
	// Memory is shared by the sessions of one reader, so that it learns how
	// types of chips are read; nil remembers nothing.
	Memory *Memory
}

const (
	// DefaultMaxRead is how much one READ BINARY asks for where chip and
	// reader know extended length and EF.ATR/INFO says nothing of it. Beyond
	// it, the time of a read hardly shrinks.
	DefaultMaxRead = 4096
	// mostRead is what a protected answer of 32 KiB has room for, the most
	// that readers are known to carry.
	mostRead = 0x7F00
)

// New makes a session over t. Nothing is sent before Open.
func New(t gate.Transmitter, opts Options) *Session {
	if opts.Rand == nil {
		opts.Rand = rand.Reader
	}
	if opts.MaxRead <= 0 || opts.MaxRead > mostRead {
		opts.MaxRead = mostRead
	}
	s := &Session{t: t, opts: opts, reads: reading{chunk: min(opts.MaxRead, DefaultMaxRead)}}
	if opts.MaxRead <= maxProtectedShort {
		s.reads.shortOnly = true
	}
	return s
}

// Stats counts what went over the air so far.
func (s *Session) Stats() gate.ChipStats { return s.stats }

// Close forgets all keys. The session cannot be used afterwards.
func (s *Session) Close() {
	s.remember()
	s.kind = kind{}
	s.dropSecure()
	s.key.Wipe()
	s.key = gate.AccessKey{}
	s.reads.forget()
	s.cam, s.caKey = nil, nil
	s.dead = fault(gate.ChipNonsense, gate.CodeSecureMessaging, "closed session", 0, errClosed)
}

var (
	errClosed    = errors.New("the session is closed")
	errNotOpened = errors.New("the chip was not opened")
)

func (s *Session) dropSecure() {
	if s.sm != nil {
		s.sm.wipe()
		s.sm = nil
	}
}

// fault makes an error of this package.
func fault(kind gate.ChipErrorKind, code gate.Code, step string, sw uint16, err error) *gate.ChipError {
	return &gate.ChipError{Kind: kind, Code: code, Step: step, SW: sw, Err: err}
}

// nonsense is the error for malformed data from the chip.
func nonsense(step, format string, args ...any) *gate.ChipError {
	return fault(gate.ChipNonsense, gate.CodeChipNonsense, step, 0, fmt.Errorf(format, args...))
}

// die makes an error final: chip and terminal no longer agree on counters or
// keys, so no later command can be trusted.
func (s *Session) die(e *gate.ChipError) *gate.ChipError {
	s.dropSecure()
	s.dead = e
	return e
}

// alive gives the error that ended the session, with the step that now
// wanted to run.
func (s *Session) alive(step string) error {
	if s.dead == nil {
		return nil
	}
	e := *s.dead
	e.Step = step
	return &e
}

// deviceFault sorts an error of the transmitter.
func deviceFault(ctx context.Context, step string, err error) *gate.ChipError {
	switch {
	case errors.Is(err, gate.ErrCardGone):
		return fault(gate.ChipGone, gate.CodeChipGone, step, 0, err)
	case errors.Is(err, gate.ErrReaderFault):
		return fault(gate.ChipDevice, gate.CodeReaderFault, step, 0, err)
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault(gate.ChipDeadline, gate.CodeDeadline, step, 0, err)
	}
	return fault(gate.ChipDevice, gate.CodeReaderFault, step, 0, err)
}

// statusFault sorts a status word that ends a step which reads or selects.
func statusFault(step string, sw uint16) *gate.ChipError {
	switch sw {
	case 0x6A82, 0x6A83, 0x6A88:
		return fault(gate.ChipMissing, gate.CodeFileMissing, step, sw, nil)
	case 0x6982, 0x6985, 0x6988:
		return fault(gate.ChipDenied, gate.CodeFileDenied, step, sw, nil)
	}
	return fault(gate.ChipStatus, gate.CodeChipStatus, step, sw, nil)
}
