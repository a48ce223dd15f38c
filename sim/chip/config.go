// Package chip is a virtual ICAO 9303 chip: the card's side of SELECT, READ
// BINARY, PACE, BAC, secure messaging, chip authentication and active
// authentication, with a timing model. It is the independent counterpart of
// the terminal that ships and shares no protocol code with it. It never
// checks that its files make sense: it serves what it is given, so that
// altered and cloned documents can be played too.
package chip

import (
	"crypto"
	"math/big"
	"time"

	"gateagent/internal/ec"
	"gateagent/internal/modp"
)

// Elementary file identifiers (ICAO 9303-10 section 3.11 and table 38).
// EF.CardSecurity under the MF and EF.SOD under the application share 011D.
const (
	FileCardAccess   = 0x011C
	FileCardSecurity = 0x011D
	FileATRInfo      = 0x2F01
	FileDIR          = 0x2F00
	FileSOD          = 0x011D
	FileCOM          = 0x011E
)

// FileDG gives the identifier of data group n.
func FileDG(n int) uint16 { return 0x0100 + uint16(n) }

// AID is the eMRTD application (ICAO 9303-10 section 3.6), used by
// Vietnam's citizen card as well.
func AID() []byte { return []byte{0xA0, 0, 0, 0x02, 0x47, 0x10, 0x01} }

// Cipher is the symmetric part of a protocol.
type Cipher uint8

// Ciphers by the last byte of the protocol's object identifier (ICAO
// 9303-11 sections 4.4.3 and 6.2).
const (
	TripleDES Cipher = 1 + iota
	AES128
	AES192
	AES256
)

// Mapping is how PACE turns its nonce into a generator (ICAO 9303-11 section
// 4.4.3.3).
type Mapping uint8

// Mappings.
const (
	GenericMapping Mapping = iota
	IntegratedMapping
	ChipAuthMapping // by ECDH and AES only
)

// PACE is one way to open the chip.
type PACE struct {
	Cipher  Cipher
	Curve   *ec.Curve // nil: DH
	Group   int       // number of the DH group (0 to 2) where Curve is nil
	ID      int       // number that EF.CardAccess gives the domain parameters (ICAO 9303-11 section 9.5.1)
	Mapping Mapping
	Static  *big.Int // private key of the chip authentication mapping
}

// ChipKey is one key for chip authentication.
type ChipKey struct {
	Cipher  Cipher
	Curve   *ec.Curve   // nil: DH
	Group   *modp.Group // where Curve is nil
	Private *big.Int
	ID      int  // 0: the key has no identifier
	KAT     bool // only MSE:Set KAT (3DES is meant)
}

// ActiveKey is the key for active authentication: RSA where N is set, else
// ECDSA where Curve is set, else none. Hash is that of the signature.
type ActiveKey struct {
	N, D  *big.Int
	Curve *ec.Curve
	Hash  crypto.Hash
	ActiveForm
}

// ActiveForm is how the answer of active authentication is written; its zero
// value is what most chips do: partial recovery, and r and s in full width.
type ActiveForm struct {
	Full     bool // RSA: the whole message is recovered from the signature
	Padded   bool // RSA: a short message, filled up with nibbles B
	Explicit bool // RSA with SHA-1: trailer 33CC instead of BC
	Lesser   bool // RSA: the lesser of s and n - s is sent
	DER      bool // ECDSA: a sequence of r and s
}

// Quirks are habits of real chips that a terminal must survive.
type Quirks struct {
	NoSelectMF     bool   // SELECT of the MF answers 6D00
	NoLeOnSelect   bool   // SELECT with an Le answers 6700
	NoExtended     bool   // extended length answers 6700
	SelectAppFirst bool   // EF.CardAccess is not there before the application was selected
	MaxRead        int    // most bytes that one READ BINARY gives; 0: no bound
	TooLongStatus  uint16 // answered to an Le above MaxRead: 0x6700 or 0x6C00 (the chip adds the right length); 0: fewer bytes
	TooLongPlain   bool   // an Le above MaxRead is answered by 6700 in plain; the send counter stands still and the session lives on
	TooLongLoses   bool   // the same, but the session is gone
	AAPart         int    // the answer of active authentication is cut to this with an Le of at most 256
	NoShortEF      bool   // READ BINARY by short identifier answers 6A86
	NoOddRead      bool   // READ BINARY with odd instruction answers 6D00
	RejectStatus   uint16 // answered to a wrong password; 0: 6300
	Tries          int    // wrong passwords are counted, and answered 63Cx; 0: without end
	ShortIntegers  bool   // public values of DH are sent without leading zeros
	NoMappingProof bool   // the chip authentication mapping ends without its proof
}

// Config is one chip. Zero means absent: a chip without PACE and BAC is open
// to everybody.
type Config struct {
	AID         []byte            // nil: the eMRTD application
	Files       map[uint16][]byte // under the application
	MasterFiles map[uint16][]byte // under the MF, free to read
	Denied      []uint16          // application files that always answer 6982
	PACE        []PACE
	BAC         bool
	CAN         string
	MRZInfo     []byte // as the terminal hashes it (ICAO 9303-11 section 9.7.2)
	ChipKeys    []ChipKey
	Active      ActiveKey
	RefuseAA    bool // INTERNAL AUTHENTICATE answers 6D00 although there is a key
	RefuseCA    bool // MSE for chip authentication answers 6A80
	Quirks      Quirks
	Model       Model
	// Seed makes nonces, ephemeral keys and challenges reproducible; 0 takes
	// them from the operating system.
	Seed int64
	// Fault may change or swallow what the chip answers. index counts the
	// commands since the last Reset, from 0. With mute the chip never
	// answers: Process returns nil only after Reset or Close.
	Fault func(index int, apdu, resp []byte) (out []byte, mute bool)
}

// Model says how long the real thing takes. The zero Model takes no time.
type Model struct {
	BitRate int           // kbit/s on the air: 106, 424, 848; 0: the air takes no time
	PerAPDU time.Duration // for each command and answer together
	PerByte time.Duration // inside the chip, for each byte in and out
	KeyStep time.Duration // for each elliptic curve or RSA operation of the chip
	// PACE and ChipAuth replace the key steps of the whole protocol where
	// they are set.
	PACE, ChipAuth time.Duration
}

// Typical is a middling chip: 424 kbit/s, 8 ms a command, 10 µs a byte,
// 60 ms a key step.
func Typical() Model {
	return Model{BitRate: 424, PerAPDU: 8 * time.Millisecond, PerByte: 10 * time.Microsecond, KeyStep: 60 * time.Millisecond}
}

// Slow is Typical with 0.9 s for PACE and 0.4 s for chip authentication.
func Slow() Model {
	m := Typical()
	m.PACE, m.ChipAuth = 900*time.Millisecond, 400*time.Millisecond
	return m
}

// bitsPerByte: ISO/IEC 14443-3 type A sends eight bits and a parity bit.
const bitsPerByte = 9

// Latency gives what one command costs: in and out are the lengths of
// command and answer, steps how many key operations it needed.
func (m Model) Latency(in, out, steps int) time.Duration {
	n := time.Duration(in + out)
	d := m.PerAPDU + n*m.PerByte + time.Duration(steps)*m.KeyStep
	if m.BitRate > 0 {
		d += n * bitsPerByte * time.Millisecond / time.Duration(m.BitRate)
	}
	return d
}
