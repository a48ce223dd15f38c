package allowlist

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"time"
)

// Answer is what an entry says. The zero value is no entry.
type Answer uint8

// Answers of an entry.
const (
	Allow  Answer = 1
	Refer  Answer = 2
	Refuse Answer = 3
)

// String names the answer as in the CSV.
func (a Answer) String() string {
	switch a {
	case Allow:
		return "allow"
	case Refer:
		return "refer"
	case Refuse:
		return "refuse"
	}
	return "invalid"
}

// body is the sealed half of an entry. Layout: from and until in seconds
// since 1970 (4 each), number of the set (4), flags (1), magic (3). Flags:
// bits 0 and 1 the answer, bit 2 priority, the others zero.
type body struct {
	from, until uint32 // from <= t < until
	set         uint32
	answer      Answer
	priority    bool
}

const flagPriority = 4

// bodyMagic is the redundancy by which a wrong key is noticed: these three
// bytes, five zero flags and a possible set number.
var bodyMagic = [3]byte{'G', 'A', 'L'}

// errBody: a body does not open. Its page was proven, so key and table do not
// belong together.
var errBody = errors.New("an entry does not open with the list's secret")

func (b body) pack() (p [bodySize]byte) {
	binary.BigEndian.PutUint32(p[0:], b.from)
	binary.BigEndian.PutUint32(p[4:], b.until)
	binary.BigEndian.PutUint32(p[8:], b.set)
	p[12] = byte(b.answer)
	if b.priority {
		p[12] |= flagPriority
	}
	copy(p[13:], bodyMagic[:])
	return p
}

func unpackBody(p [bodySize]byte) (body, error) {
	b := body{
		from:     binary.BigEndian.Uint32(p[0:]),
		until:    binary.BigEndian.Uint32(p[4:]),
		set:      binary.BigEndian.Uint32(p[8:]),
		answer:   Answer(p[12] & 3),
		priority: p[12]&flagPriority != 0,
	}
	if b.answer == 0 || b.from >= b.until || b.pack() != p {
		return body{}, errBody
	}
	return b, nil
}

// holds says whether the window contains t.
func (b body) holds(t time.Time) bool { return !b.early(t) && !b.late(t) }
func (b body) early(t time.Time) bool { return t.Unix() < int64(b.from) }
func (b body) late(t time.Time) bool  { return t.Unix() >= int64(b.until) }

// sealer computes indexes and bodies. It belongs to one goroutine at a time.
type sealer struct {
	index, body hash.Hash
	sum         [sha256.Size]byte // scratch
	page        page              // scratch
	plain       [bodySize]byte    // scratch: what goes through an interface would be allocated
	entry       [entrySize]byte   // scratch
}

func newSealer(d *derived) *sealer {
	return &sealer{index: hmac.New(sha256.New, d.index[:]), body: hmac.New(sha256.New, d.body[:])}
}

func (s *sealer) indexOf(e *encoded) (out [indexSize]byte) {
	s.index.Reset()
	s.index.Write(e.b[:e.n])
	s.index.Sum(s.sum[:0])
	copy(out[:], s.sum[:])
	return out
}

// block is the document's own cipher: HKDF-Expand (RFC 5869 section 2.3) with
// the document as info; one output block, so one HMAC with counter 1.
func (s *sealer) block(e *encoded) (cipher.Block, error) {
	e.b[e.n] = 1
	s.body.Reset()
	s.body.Write(e.b[:e.n+1])
	return aes.NewCipher(s.body.Sum(s.sum[:0]))
}

// seal gives an entry: index and sealed body.
func (s *sealer) seal(e *encoded, b body) (out [entrySize]byte, err error) {
	block, err := s.block(e)
	if err != nil {
		return out, err
	}
	index := s.indexOf(e)
	copy(s.entry[:], index[:])
	s.plain = b.pack()
	block.Encrypt(s.entry[indexSize:], s.plain[:])
	return s.entry, nil
}

// open opens the sealed half of an entry.
func open(block cipher.Block, sealed []byte) (body, error) {
	var plain [bodySize]byte
	block.Decrypt(plain[:], sealed[:bodySize])
	return unpackBody(plain)
}
