package wire

import (
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrUnreadable is wrapped where a sealed body cannot be opened: it is sealed
// to another key, belongs to another place, or was altered.
var ErrUnreadable = errors.New("the result cannot be opened")

// Suite says how results are sealed: HPKE (RFC 9180) with HKDF-SHA256 used for
// its export alone (section 5.3), and ChaCha20-Poly1305 (RFC 8439).
type Suite uint8

// Suites.
const (
	// SuiteX25519 is DHKEM(X25519), RFC 9180 section 7.1.
	SuiteX25519 Suite = 1
	// SuiteHybrid is X25519 with ML-KEM-768, which stays shut when either one
	// of them is broken; 1,088 bytes more for each result.
	SuiteHybrid Suite = 2
)

// ParseSuite reads the name of a suite.
func ParseSuite(name string) (Suite, error) {
	for _, s := range []Suite{SuiteX25519, SuiteHybrid} {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("sealing %q: write %s or %s", name, SuiteX25519, SuiteHybrid)
}

// String gives the name that configurations and commands use.
func (s Suite) String() string {
	switch s {
	case SuiteX25519:
		return "x25519"
	case SuiteHybrid:
		return "x25519-mlkem768"
	}
	return fmt.Sprintf("unknown suite %d", uint8(s))
}

// kem gives the key encapsulation and the length of what it encapsulates.
func (s Suite) kem() (hpke.KEM, int, error) {
	switch s {
	case SuiteX25519:
		return hpke.DHKEM(ecdh.X25519()), 32, nil
	case SuiteHybrid:
		return hpke.MLKEM768X25519(), 1120, nil
	}
	return nil, 0, fmt.Errorf("%w: sealing %s", ErrVersion, s)
}

// keyID names a public key in an envelope.
type keyID [8]byte

// SealKey is a public key to which results are sealed.
type SealKey struct {
	suite Suite
	pub   hpke.PublicKey
	id    keyID
}

func newSealKey(s Suite, pub hpke.PublicKey) *SealKey {
	k := &SealKey{suite: s, pub: pub}
	sum := sha256.Sum256(k.Bytes())
	copy(k.id[:], sum[:])
	return k
}

// ParseSealKey reads what Bytes wrote.
func ParseSealKey(b []byte) (*SealKey, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("sealing key: %w: it is empty", ErrFormat)
	}
	s := Suite(b[0])
	kem, _, err := s.kem()
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	pub, err := kem.NewPublicKey(b[1:])
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w: %w", ErrFormat, err)
	}
	return newSealKey(s, pub), nil
}

// Bytes gives the key: the suite, then the public key as the suite has it.
func (k *SealKey) Bytes() []byte { return append([]byte{byte(k.suite)}, k.pub.Bytes()...) }

// Text writes the key as a file's line.
func (k *SealKey) Text() string { return k.suite.String() + " " + hex.EncodeToString(k.Bytes()) + "\n" }

// ParseSealKeyText reads what Text wrote.
func ParseSealKeyText(text string) (*SealKey, error) {
	_, digits, _ := strings.Cut(strings.TrimSpace(text), " ")
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w: not the line that `gatectl outbox keygen` makes", ErrFormat)
	}
	return ParseSealKey(b)
}

// Overhead is by how much a record grows when it is sealed to this key.
func (k *SealKey) Overhead() int {
	_, enc, _ := k.suite.kem() // a key has a suite that is known
	return sealHead + enc + indexLen + chacha20poly1305.Overhead
}

// Suite says how it is sealed to this key.
func (k *SealKey) Suite() Suite { return k.suite }

// ID names the key as envelopes do.
func (k *SealKey) ID() string { return hex.EncodeToString(k.id[:]) }

// OpenKey is the private key to a SealKey. It stays where results are read.
type OpenKey struct {
	suite Suite
	priv  hpke.PrivateKey
}

// NewOpenKey makes a fresh key pair.
func NewOpenKey(s Suite) (*OpenKey, error) {
	kem, _, err := s.kem()
	if err != nil {
		return nil, err
	}
	priv, err := kem.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make a sealing key: %w", err)
	}
	return &OpenKey{s, priv}, nil
}

// ParseOpenKey reads what Text wrote.
func ParseOpenKey(text string) (*OpenKey, error) {
	name, digits, _ := strings.Cut(strings.TrimSpace(text), " ")
	s, err := ParseSuite(name)
	if err != nil {
		return nil, errors.New("no private sealing key: the line does not begin with the name of a suite")
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return nil, errors.New("no private sealing key: not hex digits")
	}
	defer clear(raw)
	kem, _, err := s.kem()
	if err != nil {
		return nil, err
	}
	priv, err := kem.NewPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("no private sealing key of %s", s)
	}
	return &OpenKey{s, priv}, nil
}

// Text writes the private key for a file of mode 0600.
func (k *OpenKey) Text() (string, error) {
	raw, err := k.priv.Bytes()
	if err != nil {
		return "", fmt.Errorf("write a sealing key: %w", err)
	}
	defer clear(raw)
	return k.suite.String() + " " + hex.EncodeToString(raw) + "\n", nil
}

// Public gives the key to which results are sealed.
func (k *OpenKey) Public() *SealKey { return newSealKey(k.suite, k.priv.PublicKey()) }

// A sealed body:
//
//	form(1) suite(1) key id(8) encapsulated key(32 or 1,120) index(4, big-endian) ciphertext and tag
//
// Each carries the encapsulated key, so that each opens by itself whatever
// else is lost. Number, epoch and chain hash stand in the entry around it.
const (
	formSealed   = 1 // first byte; a record in clear begins with '{'
	sealHead     = 2 + len(keyID{})
	indexLen     = 4
	sealKeyLen   = chacha20poly1305.KeySize
	labelSealed  = "sealed/v1"          // associated data
	labelContext = "results-context/v1" // HPKE info
	labelExport  = "results-key/v1"     // HPKE exporter context
)

// Bounds of one context: its key is dropped after either.
const (
	ContextResults = 1000
	ContextAge     = time.Hour
)

// IsSealed says whether a body is sealed.
func IsSealed(body []byte) bool { return len(body) > 0 && body[0] == formSealed }

// contextInfo binds a context to its key, kiosk and epoch.
func contextInfo(s Suite, id keyID, kiosk, epoch string) []byte {
	return enrolInput(labelContext, []byte{byte(s)}, id[:], []byte(kiosk), []byte(epoch))
}

func sealedData(kiosk, epoch string, number uint64, prev []byte) []byte {
	return signedBytes(labelSealed, kiosk, epoch, []uint64{number}, prev)
}

func sealNonce(index uint32) []byte {
	var n [chacha20poly1305.NonceSize]byte
	binary.BigEndian.PutUint32(n[len(n)-indexLen:], index)
	return n[:]
}

// exporter is what sender and recipient have in common.
type exporter interface {
	Export(exporterContext string, length int) ([]byte, error)
}

func contextCipher(x exporter) (cipher.AEAD, error) {
	key, err := x.Export(labelExport, sealKeyLen)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.New(key)
}

// Sealer seals the results of one epoch. Not for several goroutines at once.
type Sealer struct {
	to           *SealKey
	kiosk, epoch string
	now          func() time.Time

	// The context in use. Its key lies in aead alone.
	aead  cipher.AEAD
	head  []byte // of its envelopes, up to the index
	began time.Time
	next  uint32
}

// NewSealer begins to seal; now is the clock by which contexts age.
func NewSealer(to *SealKey, kiosk, epoch string, now func() time.Time) *Sealer {
	return &Sealer{to: to, kiosk: kiosk, epoch: epoch, now: now}
}

// Seal seals a record for one place in the chain. Each call uses a nonce of
// its own, whatever becomes of the envelope.
func (s *Sealer) Seal(number uint64, prev, record []byte) ([]byte, error) {
	if s.aead == nil || s.next >= ContextResults || s.now().Sub(s.began).Abs() >= ContextAge {
		if err := s.renew(); err != nil {
			return nil, fmt.Errorf("seal result %d: %w", number, err)
		}
	}
	index := s.next
	s.next++
	out := make([]byte, 0, len(s.head)+indexLen+len(record)+s.aead.Overhead())
	out = append(out, s.head...)
	out = binary.BigEndian.AppendUint32(out, index)
	out = s.aead.Seal(out, sealNonce(index), record, sealedData(s.kiosk, s.epoch, number, prev))
	if len(out) > MaxBody {
		return nil, fmt.Errorf("seal result %d: %w: %d bytes, at most %d travel", number, ErrFormat, len(out), MaxBody)
	}
	return out, nil
}

// renew begins a context and lets go of the key before.
func (s *Sealer) renew() error {
	s.aead = nil
	enc, sender, err := hpke.NewSender(s.to.pub, hpke.HKDFSHA256(), hpke.ExportOnly(), contextInfo(s.to.suite, s.to.id, s.kiosk, s.epoch))
	if err != nil {
		return err
	}
	aead, err := contextCipher(sender)
	if err != nil {
		return err
	}
	head := make([]byte, 0, sealHead+len(enc))
	head = append(head, formSealed, byte(s.to.suite))
	head = append(head, s.to.id[:]...)
	s.head = append(head, enc...)
	s.aead, s.began, s.next = aead, s.now(), 0
	return nil
}

// openContexts bounds the contexts whose keys an Opener remembers.
const openContexts = 512

// Opener opens sealed results with the private keys that it was given. It may
// be used from several goroutines.
type Opener struct {
	keys map[keyID]*OpenKey

	mu    sync.Mutex // guards known
	known map[string]cipher.AEAD
}

// NewOpener takes the keys that may have been sealed to.
func NewOpener(keys ...*OpenKey) *Opener {
	o := &Opener{keys: map[keyID]*OpenKey{}, known: map[string]cipher.AEAD{}}
	for _, k := range keys {
		o.keys[k.Public().id] = k
	}
	return o
}

// Open gives the record of a body at its place in the chain. A body that is
// not sealed is the record itself.
func (o *Opener) Open(kiosk, epoch string, number uint64, prev, body []byte) ([]byte, error) {
	if !IsSealed(body) {
		return body, nil
	}
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("result %d of kiosk %s, epoch %s: %w: %w", number, clip(kiosk), clip(epoch), ErrUnreadable, err)
	}
	if len(body) < sealHead {
		return fail(fmt.Errorf("%w: %d bytes", ErrFormat, len(body)))
	}
	suite := Suite(body[1])
	_, encLen, err := suite.kem()
	if err != nil {
		return fail(err)
	}
	if len(body) < sealHead+encLen+indexLen+chacha20poly1305.Overhead {
		return fail(fmt.Errorf("%w: %d bytes", ErrFormat, len(body)))
	}
	key := o.keys[keyID(body[2:sealHead])]
	if key == nil || key.suite != suite {
		return fail(fmt.Errorf("it is sealed to the key %x, which is not here", body[2:sealHead]))
	}
	head, rest := body[:sealHead+encLen], body[sealHead+encLen:]
	aead, err := o.context(key, kiosk, epoch, head)
	if err != nil {
		return fail(err)
	}
	index := binary.BigEndian.Uint32(rest)
	record, err := aead.Open(nil, sealNonce(index), rest[indexLen:], sealedData(kiosk, epoch, number, prev))
	if err != nil {
		return fail(errors.New("it was altered, or belongs to another place in the chain"))
	}
	return record, nil
}

// context finds or derives the key of one context.
func (o *Opener) context(key *OpenKey, kiosk, epoch string, head []byte) (cipher.AEAD, error) {
	var room [MaxName + epochChars + 2 + sealHead + 64]byte // enough for all but the hybrid suite
	name := append(append(append(append(room[:0], kiosk...), '/'), epoch...), '/')
	name = append(name, head...)
	o.mu.Lock()
	defer o.mu.Unlock()
	if aead := o.known[string(name)]; aead != nil {
		return aead, nil
	}
	r, err := hpke.NewRecipient(head[sealHead:], key.priv, hpke.HKDFSHA256(), hpke.ExportOnly(), contextInfo(key.suite, key.Public().id, kiosk, epoch))
	if err != nil {
		return nil, fmt.Errorf("%w: encapsulated key", ErrFormat)
	}
	aead, err := contextCipher(r)
	if err != nil {
		return nil, err
	}
	for old := range o.known {
		if len(o.known) < openContexts {
			break
		}
		delete(o.known, old)
	}
	o.known[string(name)] = aead
	return aead, nil
}
