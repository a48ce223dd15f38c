package pcsc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gateagent/gate"

	"github.com/ebfe/scard"
)

// Error is every failure of a reader. It unwraps to its kind and to its cause,
// so that errors.Is finds gate.ErrCardGone, gate.ErrReaderFault,
// context.DeadlineExceeded and context.Canceled.
type Error struct {
	Reader string // name of the reader, or what was asked for
	Op     string // what was being done, for example "transmit"
	Kind   error  // gate.ErrCardGone, gate.ErrReaderFault or the error of the context
	Err    error  // cause, may be nil; never holds payload
	Remedy string // what to do, may be empty
}

// Error names the reader, what was done, what went wrong and what to do.
func (e *Error) Error() string {
	s := fmt.Sprintf("card reader %q: ", e.Reader)
	if e.Reader == "" {
		s = "card readers: "
	}
	s += e.Op
	// The cause of a fault says more than that there is one.
	if e.Err == nil || e.Kind != gate.ErrReaderFault {
		s += ": " + e.Kind.Error()
	}
	if e.Err != nil {
		s += ": " + strings.TrimSuffix(strings.TrimPrefix(e.Err.Error(), "scard: "), ".")
	}
	if e.Remedy != "" {
		s += ": " + e.Remedy
	}
	return s
}

// Unwrap gives kind and cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// remedies by cause; what is not listed has none.
var remedies = map[scard.Error]string{
	scard.ErrNoService:          "start the PC/SC daemon: `systemctl start pcscd.socket`",
	scard.ErrServiceStopped:     "start the PC/SC daemon: `systemctl start pcscd.socket`",
	scard.ErrSharingViolation:   "another program uses the card: end it",
	scard.ErrResetCard:          "another program reset the card: end it, or configure exclusive access",
	scard.ErrUnknownReader:      "check the reader's cable",
	scard.ErrReaderUnavailable:  "check the reader's cable",
	scard.ErrNoReadersAvailable: "check the reader's cable",
	scard.ErrNoAccess:           "allow the user access to pcscd (polkit: org.debian.pcsc-lite.access_pcsc)",
	scard.ErrSecurityViolation:  "allow the user access to pcscd (polkit: org.debian.pcsc-lite.access_pcsc)",
}

// kindOf sorts what PC/SC says into what a caller does about it. What is not
// known is a fault of the reader.
//
// A transmit that fails between reader and chip comes back as "not transacted"
// and a chip that does not start as "unresponsive" or "unpowered": with a
// contactless chip that is a document that moved, and the traveller can mend
// it by presenting it again.
func kindOf(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if errors.Is(err, errEmpty) {
		return gate.ErrCardGone
	}
	var code scard.Error
	if !errors.As(err, &code) {
		return gate.ErrReaderFault
	}
	switch code {
	case scard.ErrRemovedCard, scard.ErrNoSmartcard, scard.ErrNotTransacted,
		scard.ErrUnresponsiveCard, scard.ErrUnpoweredCard:
		return gate.ErrCardGone
	case scard.ErrTimeout, scard.ErrWaitedTooLong:
		return context.DeadlineExceeded
	case scard.ErrCancelled, scard.ErrCancelledByUser, scard.ErrSystemCancelled:
		return context.Canceled
	}
	return gate.ErrReaderFault
}

// failure wraps what PC/SC or a context returned.
func failure(reader, op string, err error) *Error {
	e := &Error{Reader: reader, Op: op, Kind: kindOf(err), Err: err}
	if e.Kind == err {
		e.Err = nil // a bare context error says all
	}
	var code scard.Error
	if errors.As(err, &code) {
		e.Remedy = remedies[code]
	}
	return e
}

// fault is a reader fault that PC/SC itself did not report.
func fault(reader, op, why, remedy string) *Error {
	return &Error{Reader: reader, Op: op, Kind: gate.ErrReaderFault, Err: errors.New(why), Remedy: remedy}
}
