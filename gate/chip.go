package gate

import (
	"context"
	"errors"
	"fmt"
)

// Transmitter carries one command APDU to a chip and brings its response
// APDU (data and the two status bytes). It ends when ctx ends. It is the seam
// between drivers/pcsc and drivers/chip.
type Transmitter interface {
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
}

// AccessKey is what opens a chip. Either part may be empty.
type AccessKey struct {
	// CAN is the card access number, ASCII digits.
	CAN Secret
	// MRZInfo is the MRZ information of ICAO 9303-11 section 4.3.2 and
	// 9.7.2: document number, birth and expiry, each with its check digit.
	MRZInfo Secret
}

// Empty says whether there is nothing to open a chip with.
func (k AccessKey) Empty() bool { return len(k.CAN) == 0 && len(k.MRZInfo) == 0 }

// Wipe overwrites the key.
func (k AccessKey) Wipe() { k.CAN.Wipe(); k.MRZInfo.Wipe() }

// File names an elementary file of the eMRTD (ICAO 9303-10 section 4.2).
type File uint8

// Files by name. Data group n is DG(n).
const (
	FileNone File = iota
	FileDG1       // FileDG1+n-1 is data group n
)

// The other files.
const (
	FileCOM File = 32 + iota
	FileSOD
	FileCardAccess
	FileCardSecurity
	FileATRInfo
)

// DG names data group n, 1 to 16; anything else is FileNone.
func DG(n int) File {
	if n < 1 || n > 16 {
		return FileNone
	}
	return FileDG1 + File(n-1)
}

// DGNumber gives the number of a data group and whether f is one.
func (f File) DGNumber() (int, bool) {
	n := int(f-FileDG1) + 1
	return n, f >= FileDG1 && n <= 16
}

// String names the file as ICAO does.
func (f File) String() string {
	if n, ok := f.DGNumber(); ok {
		return fmt.Sprintf("DG%d", n)
	}
	switch f {
	case FileCOM:
		return "EF.COM"
	case FileSOD:
		return "EF.SOD"
	case FileCardAccess:
		return "EF.CardAccess"
	case FileCardSecurity:
		return "EF.CardSecurity"
	case FileATRInfo:
		return "EF.ATR/INFO"
	}
	return "no file"
}

// Access says how a chip was opened.
type Access struct {
	// Protocol is CheckPACE or CheckBAC: the protocol in use, also when it
	// failed. Empty when none was tried.
	Protocol CheckID
	// Detail names protocol, mapping, cipher, curve and kind of password,
	// for example "PACE-ECDH-GM-AES-CBC-CMAC-128 brainpoolP256r1 CAN".
	Detail string
	// Established says that the protocol itself succeeded, also when a later
	// step (selecting the application) failed.
	Established bool
	// ChipMapping says that PACE ran with the chip authentication mapping,
	// whose proof of the chip has yet to be judged.
	ChipMapping bool
	// CardSecurity holds the raw bytes of EF.CardSecurity, read where
	// ChipMapping is set; CardSecurityFault says why there are none. The
	// fault may also be what ended Open.
	CardSecurity      []byte
	CardSecurityFault error
	// CardAccess holds the raw bytes of EF.CardAccess; nil when the chip
	// has none.
	CardAccess []byte
}

// Chip offers the steps of ICAO 9303-11 on one document in the field. It
// judges nothing. drivers/chip implements it. Every error is a *ChipError.
type Chip interface {
	// Open reads EF.CardAccess, runs PACE, or BAC where the chip offers no
	// PACE, reads EF.CardSecurity where the mapping calls for it, and selects
	// the eMRTD application. Access is filled as far as it went also when an
	// error is returned.
	Open(ctx context.Context, key AccessKey) (Access, error)
	// ReadFile reads one whole file under secure messaging.
	ReadFile(ctx context.Context, f File) ([]byte, error)
	// ChipAuthenticate runs chip authentication with the keys that a proven
	// DG14 states, and proves the new session by one protected command. The
	// string names the protocol. A DG14 without chip authentication gives
	// kind ChipNotOffered.
	ChipAuthenticate(ctx context.Context, dg14 []byte) (string, error)
	// ProveMapping judges the proof that came with the chip authentication
	// mapping, against the key that cardSecurity states: the proven
	// SecurityInfos of EF.CardSecurity. Nothing is sent. The string names
	// the protocol.
	ProveMapping(ctx context.Context, cardSecurity []byte) (string, error)
	// ActiveAuthenticate sends the 8-byte challenge (INTERNAL AUTHENTICATE)
	// and brings the chip's raw answer.
	ActiveAuthenticate(ctx context.Context, challenge []byte) ([]byte, error)
	// Stats counts what went over the air so far.
	Stats() ChipStats
	// Close forgets all session keys.
	Close()
}

// ChipStats counts commands and bytes of one session.
type ChipStats struct {
	APDUs    int
	BytesOut int
	BytesIn  int
}

// ChipErrorKind sorts what can go wrong between reader and chip.
type ChipErrorKind uint8

// Kinds. The zero value is the harshest: nonsense from the chip.
const (
	ChipNonsense    ChipErrorKind = iota // F: malformed or wrong answer, lost or forged secure messaging, lying length
	ChipGone                             // A: the document left the field
	ChipDeadline                         // A: the context ended
	ChipDevice                           // A: the reader or its daemon failed
	ChipPassword                         // A, 1101: the chip rejected the password
	ChipUnsupported                      // N: no application, no usable protocol, no key for it
	ChipNotOffered                       // the proof or protocol is not announced
	ChipMissing                          // the file does not exist (6A82, 6A83, 6A88)
	ChipDenied                           // the file is locked (6982, 6985, 6988)
	ChipStatus                           // any other status word
	ChipAlgorithm                        // announced, but with an algorithm we do not have: U
)

// ChipError is every error of a Chip.
type ChipError struct {
	Kind ChipErrorKind
	Code Code   // why, from the access codes
	Step string // what was being done, for example "PACE", "read DG2"; no data
	SW   uint16 // the status word, 0 when there was none
	Err  error  // cause, nil or without payload data
}

// Error describes the fault without any payload.
func (e *ChipError) Error() string {
	s := e.Step + ": " + e.Code.Info().Text
	if e.SW != 0 {
		s += fmt.Sprintf(" (status %04X)", e.SW)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *ChipError) Unwrap() error { return e.Err }

// Errors that a Transmitter wraps so that drivers/chip can sort them.
var (
	// ErrCardGone: the document left the field.
	ErrCardGone = errors.New("the document left the field")
	// ErrReaderFault: reader, driver or daemon failed, or a transmit was
	// abandoned; the reader is out of order.
	ErrReaderFault = errors.New("the card reader failed")
)
