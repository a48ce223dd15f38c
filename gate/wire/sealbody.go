package wire

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// A sealed body:
//
//	form(1) suite(1) key id(8) encapsulated key(32 or 1,120) index(4, big-endian) salt(16) ciphertext and tag
//
// Each carries the encapsulated key, so that each opens by itself whatever
// else is lost. Number, epoch and chain hash stand in the entry around it.
//
// The salt is made of the key of the context and of all that is sealed, and
// the key of the one body of that and the salt. So a context that goes on
// twice, in a machine that was copied or set back while it ran, does not seal
// two contents with one key and index (the construction is that of a synthetic
// nonce: Rogaway and Shrimpton, Deterministic Authenticated Encryption, 2006).
const (
	formSealed   = 2 // first byte; a record in clear begins with '{'
	formUnsalted = 1 // as written before: no salt, one key for the whole context
	sealHead     = 2 + len(keyID{})
	indexLen     = 4
	saltLen      = 16
	sealKeyLen   = chacha20poly1305.KeySize
	labelSealed  = "sealed/v1"          // associated data
	labelContext = "results-context/v1" // HPKE info
	labelSalt    = "result-salt/v1"
	labelKey     = "result-key/v1"
)

// Bounds of one context: its key is dropped after either.
const (
	ContextResults = 1000
	ContextAge     = time.Hour
)

// IsSealed says whether a body is sealed.
func IsSealed(body []byte) bool {
	return len(body) > 0 && (body[0] == formSealed || body[0] == formUnsalted)
}

// contextInfo binds a context to its key, kiosk and epoch.
func contextInfo(s Suite, id keyID, kiosk, epoch string) []byte {
	return enrolInput(labelContext, []byte{byte(s)}, id[:], []byte(kiosk), []byte(epoch))
}

func sealedData(kiosk, epoch string, number uint64, prev []byte) []byte {
	return signedBytes(labelSealed, kiosk, epoch, []uint64{number}, prev)
}

func sealNonce(index []byte) []byte {
	return append(make([]byte, chacha20poly1305.NonceSize-indexLen), index...)
}

// exporter is what sender and recipient have in common.
type exporter interface {
	Export(exporterContext string, length int) ([]byte, error)
}

// contextKey takes the key of a context. Each form has its own, so that none
// is used in two ways.
func contextKey(x exporter, form byte) (bodyKey, error) {
	if form == formUnsalted {
		key, err := x.Export("results-key/v1", sealKeyLen)
		return func([]byte) []byte { return key }, err
	}
	key, err := x.Export("results-key/v2", sealKeyLen)
	return func(input []byte) []byte {
		m := hmac.New(sha256.New, key)
		_, _ = m.Write(input) // never fails (hash.Hash)
		return m.Sum(nil)
	}, err
}

// bodyKey is the key of a context, as what can be done with it.
type bodyKey func(input []byte) []byte

// salt is that of one body.
func (k bodyKey) salt(index, data, record []byte) []byte {
	return k(enrolInput(labelSalt, index, data, record))[:saltLen]
}

// cipher is that of one body.
func (k bodyKey) cipher(salt []byte) (cipher.AEAD, error) {
	return chacha20poly1305.New(k(enrolInput(labelKey, salt)))
}

// Sealer seals the results of one epoch. Not for several goroutines at once.
type Sealer struct {
	to           *SealKey
	kiosk, epoch string
	now          func() time.Time

	// The context in use.
	key   bodyKey
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
	if s.key == nil || s.next >= ContextResults || s.now().Sub(s.began).Abs() >= ContextAge {
		if err := s.renew(); err != nil {
			return nil, fmt.Errorf("seal result %d: %w", number, err)
		}
	}
	index := binary.BigEndian.AppendUint32(nil, s.next)
	s.next++
	data := sealedData(s.kiosk, s.epoch, number, prev)
	salt := s.key.salt(index, data, record)
	aead, err := s.key.cipher(salt)
	if err != nil {
		return nil, fmt.Errorf("seal result %d: %w", number, err)
	}
	out := make([]byte, 0, len(s.head)+indexLen+saltLen+len(record)+aead.Overhead())
	out = append(out, s.head...)
	out = append(out, index...)
	out = append(out, salt...)
	out = aead.Seal(out, sealNonce(index), record, data)
	if len(out) > MaxBody {
		return nil, fmt.Errorf("seal result %d: %w: %d bytes, at most %d travel", number, ErrFormat, len(out), MaxBody)
	}
	return out, nil
}

// renew begins a context and lets go of the key before.
func (s *Sealer) renew() error {
	s.key = nil
	enc, sender, err := hpke.NewSender(s.to.pub, hpke.HKDFSHA256(), hpke.ExportOnly(), contextInfo(s.to.suite, s.to.id, s.kiosk, s.epoch))
	if err != nil {
		return err
	}
	key, err := contextKey(sender, formSealed)
	if err != nil {
		return err
	}
	head := make([]byte, 0, sealHead+len(enc))
	head = append(head, formSealed, byte(s.to.suite))
	head = append(head, s.to.id[:]...)
	s.head = append(head, enc...)
	s.key, s.began, s.next = key, s.now(), 0
	return nil
}

// openContexts bounds the contexts whose keys an Opener remembers.
const openContexts = 512

// Opener opens sealed results with the private keys that it was given. It may
// be used from several goroutines.
type Opener struct {
	keys map[keyID]*OpenKey

	mu    sync.Mutex // guards known
	known map[string]bodyKey
}

// NewOpener takes the keys that may have been sealed to.
func NewOpener(keys ...*OpenKey) *Opener {
	o := &Opener{keys: map[keyID]*OpenKey{}, known: map[string]bodyKey{}}
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
	saltLen := saltLen
	if body[0] == formUnsalted {
		saltLen = 0
	}
	if len(body) < sealHead+encLen+indexLen+saltLen+chacha20poly1305.Overhead {
		return fail(fmt.Errorf("%w: %d bytes", ErrFormat, len(body)))
	}
	key := o.keys[keyID(body[2:sealHead])]
	if key == nil || key.suite != suite {
		return fail(fmt.Errorf("it is sealed to the key %x, which is not here", body[2:sealHead]))
	}
	head, rest := body[:sealHead+encLen], body[sealHead+encLen:]
	context, err := o.context(key, kiosk, epoch, head)
	if err != nil {
		return fail(err)
	}
	index, salt, rest := rest[:indexLen], rest[indexLen:indexLen+saltLen], rest[indexLen+saltLen:]
	aead, err := context.cipher(salt)
	if err != nil {
		return fail(err)
	}
	record, err := aead.Open(nil, sealNonce(index), rest, sealedData(kiosk, epoch, number, prev))
	if err != nil {
		return fail(errors.New("it was altered, or belongs to another place in the chain"))
	}
	return record, nil
}

// context finds or derives the key of one context.
func (o *Opener) context(key *OpenKey, kiosk, epoch string, head []byte) (bodyKey, error) {
	name := kiosk + "/" + epoch + "/" + string(head)
	o.mu.Lock()
	defer o.mu.Unlock()
	if k := o.known[name]; k != nil {
		return k, nil
	}
	r, err := hpke.NewRecipient(head[sealHead:], key.priv, hpke.HKDFSHA256(), hpke.ExportOnly(), contextInfo(key.suite, key.Public().id, kiosk, epoch))
	if err != nil {
		return nil, fmt.Errorf("%w: encapsulated key", ErrFormat)
	}
	k, err := contextKey(r, head[0])
	if err != nil {
		return nil, err
	}
	for old := range o.known {
		if len(o.known) < openContexts {
			break
		}
		delete(o.known, old)
	}
	o.known[name] = k
	return k, nil
}
