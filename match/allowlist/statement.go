package allowlist

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Sizes of the statement.
const (
	statementBody = 120
	statementSize = statementBody + ed25519.SignatureSize
	// maxValidity is how long a list may be valid: its generation is replaced
	// after 30 days at the latest.
	maxValidity = 30 * 24 * time.Hour
)

// statementDomain separates these signatures from all others by the same key.
const statementDomain = "gateagent/list-statement/v2\x00"

var statementMagic = [8]byte{'G', 'A', 'T', 'E', 'S', 'T', 'M', 'T'}

// Why a list is refused. Load and Open wrap them with what was wrong and what
// to do about it.
var (
	ErrDamaged  = errors.New("list is damaged")
	ErrUnsigned = errors.New("list is not signed by a configured key")
	ErrExpired  = errors.New("list has expired")
	ErrTooNew   = errors.New("list is not valid yet")
	ErrRegress  = errors.New("list is older than the one in use")
	ErrSecret   = errors.New("list secret does not fit")
	ErrClock    = errors.New("clock is not trusted")
	// ErrAirport: the list was made for another airport.
	ErrAirport = errors.New("list is for another airport")
	// ErrBase: the delta does not start from the list in force, or that list is
	// damaged. Only the full list helps.
	ErrBase = errors.New("delta does not fit the list in use")
	// ErrSpace: there is no room for one more file of the list.
	ErrSpace = errors.New("not enough room on the disk")
)

// Statement is what central vouches for about a table. Nothing in the table
// counts without one. It is proven by a signature of its own (VerifyStatement),
// or its bytes were proven by whoever brought them (ParseProven).
type Statement struct {
	Generation uint32
	Version    uint64 // grows with every list, across generations too
	// Revoked is the number of the newest revocation that the table takes into
	// account: later ones apply on top of it (Revocations).
	Revoked uint64
	// Airport is the IATA code of the airport that the list is for, or empty
	// for a list of the whole fleet.
	Airport   string
	Issued    time.Time
	Expires   time.Time
	Entries   uint64
	DataPages uint64 // pages under the tree
	Root      [hashSize]byte
	KeyID     [8]byte // first bytes of the SHA-256 of the signing key; zero without a signature
}

// KeyID names a signing key: the first bytes of its SHA-256.
func KeyID(key ed25519.PublicKey) [8]byte {
	sum := sha256.Sum256(key)
	return [8]byte(sum[:8])
}

func (s *Statement) body() []byte {
	b := make([]byte, statementBody, statementSize)
	be := binary.BigEndian
	copy(b[0:8], statementMagic[:])
	be.PutUint32(b[8:], Layout)
	be.PutUint32(b[12:], s.Generation)
	be.PutUint64(b[16:], s.Version)
	be.PutUint64(b[24:], uint64(s.Issued.Unix()))
	be.PutUint64(b[32:], uint64(s.Expires.Unix()))
	be.PutUint64(b[40:], s.Entries)
	be.PutUint64(b[48:], s.DataPages)
	copy(b[56:88], s.Root[:])
	copy(b[88:96], s.KeyID[:])
	be.PutUint64(b[96:], s.fileSize())
	be.PutUint64(b[104:], s.Revoked)
	copy(b[112:120], s.Airport)
	return b
}

// Marshal gives the statement without a signature, for whoever proves it
// otherwise: the bytes of a target of the update repository.
func (s Statement) Marshal() []byte {
	s.KeyID = [8]byte{}
	return s.body()
}

// FileSize is the size in bytes of the table that the statement is about.
func (s Statement) FileSize() uint64 { return s.fileSize() }

// fileSize of the table that the statement is about.
func (s *Statement) fileSize() uint64 {
	pages := s.DataPages
	for _, l := range treeLevels(s.DataPages) {
		pages += l.pages
	}
	return pages * pageSize
}

// Sign gives the bytes of list.sig.
func (s Statement) Sign(key ed25519.PrivateKey) []byte {
	s.KeyID = KeyID(key.Public().(ed25519.PublicKey))
	body := s.body()
	return append(body, ed25519.Sign(key, append([]byte(statementDomain), body...))...)
}

// ParseStatement reads a statement, signed or not, without checking anything
// but its form: what it says is a claim. VerifyStatement and ParseProven are
// what a kiosk uses.
func ParseStatement(b []byte) (Statement, error) {
	if len(b) != statementSize && len(b) != statementBody || [8]byte(b[0:8]) != statementMagic {
		return Statement{}, fmt.Errorf("%w: %s is no list statement", ErrDamaged, StatementFile)
	}
	be := binary.BigEndian
	if v := be.Uint32(b[8:]); v != Layout {
		return Statement{}, fmt.Errorf("%w: it has layout %d, this program reads layout %d", ErrDamaged, v, Layout)
	}
	issued, expires := be.Uint64(b[24:]), be.Uint64(b[32:])
	s := Statement{
		Generation: be.Uint32(b[12:]),
		Version:    be.Uint64(b[16:]),
		Entries:    be.Uint64(b[40:]),
		DataPages:  be.Uint64(b[48:]),
		Root:       [hashSize]byte(b[56:88]),
		KeyID:      [8]byte(b[88:96]),
		Revoked:    be.Uint64(b[104:]),
		Airport:    strings.TrimRight(string(b[112:120]), "\x00"),
	}
	const maxPages = 1 << 40 // far above what maxEntries needs; keeps sums from overflowing
	if s.Generation == 0 || s.Version == 0 || issued > math.MaxUint32 || expires > math.MaxUint32 || expires <= issued ||
		s.Entries > maxEntries || s.DataPages == 0 || s.DataPages > maxPages || be.Uint64(b[96:]) != s.fileSize() ||
		checkAirport(s.Airport) != nil {
		return Statement{}, fmt.Errorf("%w: %s states impossible values", ErrDamaged, StatementFile)
	}
	s.Issued, s.Expires = time.Unix(int64(issued), 0).UTC(), time.Unix(int64(expires), 0).UTC()
	if s.Expires.Sub(s.Issued) > maxValidity {
		return Statement{}, fmt.Errorf("%w: %s states a validity of more than 30 days", ErrDamaged, StatementFile)
	}
	return s, nil
}

// checkAirport takes an IATA code or nothing.
func checkAirport(code string) error {
	if code != "" && (len(code) != 3 || !only(code, isLetter)) {
		return errors.New("an airport has an IATA code of three capital letters")
	}
	return nil
}

// ParseProven reads a statement whose bytes the caller has proven already. It
// must be the form that Marshal gives, without a signature.
func ParseProven(b []byte) (Statement, error) {
	if len(b) != statementBody {
		return Statement{}, fmt.Errorf("%w: a statement without a signature has %d bytes, not %d", ErrDamaged, statementBody, len(b))
	}
	s, err := ParseStatement(b)
	if err == nil && s.KeyID != [8]byte{} {
		err = fmt.Errorf("%w: the statement names a signing key and has no signature", ErrDamaged)
	}
	return s, err
}

// VerifyStatement reads a statement that one of the keys signed.
func VerifyStatement(b []byte, keys []ed25519.PublicKey) (Statement, error) {
	if len(b) == statementBody {
		return Statement{}, fmt.Errorf("%w: %s carries no signature; it counts only through the update repository", ErrUnsigned, StatementFile)
	}
	s, err := ParseStatement(b)
	if err != nil {
		return Statement{}, err
	}
	for _, key := range keys {
		if len(key) != ed25519.PublicKeySize || KeyID(key) != s.KeyID {
			continue
		}
		if ed25519.Verify(key, append([]byte(statementDomain), b[:statementBody]...), b[statementBody:]) {
			return s, nil
		}
		return Statement{}, fmt.Errorf("%w: the signature in %s by key %s is wrong; copy the list again",
			ErrUnsigned, StatementFile, hex.EncodeToString(s.KeyID[:]))
	}
	return Statement{}, fmt.Errorf("%w: it names key %s; compare with the keys in the configuration",
		ErrUnsigned, hex.EncodeToString(s.KeyID[:]))
}
