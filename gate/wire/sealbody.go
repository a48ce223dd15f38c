package wire

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
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
// Salt and index are the nonce. The salt is made of all that is sealed, under
// another key of the context, so that a context that goes on twice, in a
// machine that was copied or set back while it ran, meets no nonce again with
// another content (a synthetic nonce, as in Rogaway and Shrimpton,
// Deterministic Authenticated Encryption, 2006).
const (
	formSealed   = 2 // first byte; a record in clear begins with '{'
	formUnsalted = 1 // as written before: no salt, ChaCha20-Poly1305
	sealHead     = 2 + len(keyID{})
	indexLen     = 4
	saltLen      = 16
	sealKeyLen   = chacha20poly1305.KeySize
	labelSealed  = "sealed/v1"          // associated data
	labelContext = "results-context/v1" // HPKE info
	labelSalt    = "results-salt/v1"    // HPKE exporter contexts
	labelKey     = "results-key/v2"
	labelBefore  = "results-key/v1" // of formUnsalted
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

// sealNonce is that of XChaCha20-Poly1305: the salt, four zero bytes, the
// index; without a salt that of ChaCha20-Poly1305: eight zero bytes, the index.
func sealNonce(salt, index []byte) []byte {
	zeros := chacha20poly1305.NonceSizeX - saltLen - indexLen
	if len(salt) == 0 {
		zeros = chacha20poly1305.NonceSize - indexLen
	}
	return slices.Concat(salt, make([]byte, zeros), index)
}

// exporter is what sender and recipient have in common.
type exporter interface {
	Export(exporterContext string, length int) ([]byte, error)
}

// contextCipher makes the cipher of a context. Each form has a key of its own,
// so that none is used in two ways.
func contextCipher(x exporter, form byte) (cipher.AEAD, error) {
	label, algorithm := labelKey, chacha20poly1305.NewX
	if form == formUnsalted {
		label, algorithm = labelBefore, chacha20poly1305.New
	}
	key, err := x.Export(label, sealKeyLen)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return algorithm(key)
}

// Sealer seals the results of one epoch. Not for several goroutines at once.
type Sealer struct {
	to           *SealKey
	kiosk, epoch string
	now          func() time.Time

	// The context in use. Its key lies in aead alone.
	aead  cipher.AEAD
	salts hash.Hash // HMAC under the key of salts
	head  []byte    // of its envelopes, up to the index
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
	index := binary.BigEndian.AppendUint32(nil, s.next)
	s.next++
	data := sealedData(s.kiosk, s.epoch, number, prev)
	salt := s.salt(index, data, record)
	out := make([]byte, 0, len(s.head)+indexLen+saltLen+len(record)+s.aead.Overhead())
	out = append(out, s.head...)
	out = append(out, index...)
	out = append(out, salt...)
	out = s.aead.Seal(out, sealNonce(salt, index), record, data)
	if len(out) > MaxBody {
		return nil, fmt.Errorf("seal result %d: %w: %d bytes, at most %d travel", number, ErrFormat, len(out), MaxBody)
	}
	return out, nil
}

// salt is that of one body.
func (s *Sealer) salt(index, data, record []byte) []byte {
	s.salts.Reset()
	_, _ = s.salts.Write(index) // never fails (hash.Hash)
	_, _ = s.salts.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
	_, _ = s.salts.Write(data)
	_, _ = s.salts.Write(record)
	return s.salts.Sum(nil)[:saltLen]
}

// renew begins a context and lets go of the key before.
func (s *Sealer) renew() error {
	s.aead = nil
	enc, sender, err := hpke.NewSender(s.to.pub, hpke.HKDFSHA256(), hpke.ExportOnly(), contextInfo(s.to.suite, s.to.id, s.kiosk, s.epoch))
	if err != nil {
		return err
	}
	aead, err := contextCipher(sender, formSealed)
	if err != nil {
		return err
	}
	key, err := sender.Export(labelSalt, sealKeyLen)
	if err != nil {
		return err
	}
	defer clear(key)
	head := make([]byte, 0, sealHead+len(enc))
	head = append(head, formSealed, byte(s.to.suite))
	head = append(head, s.to.id[:]...)
	s.head = append(head, enc...)
	s.aead, s.salts, s.began, s.next = aead, hmac.New(sha256.New, key), s.now(), 0
	return nil
}

// openContexts bounds the contexts whose keys an Opener remembers.
const openContexts = 512

// Opener opens sealed results with the private keys that it was given. It may
// be used from several goroutines.
type Opener struct {
	keys  map[keyID]*OpenKey
	known *contexts
	may   func() bool // asked before each key agreement; nil: no need to ask
}

// contexts are those whose keys are remembered.
type contexts struct {
	mu sync.Mutex
	by map[string]cipher.AEAD // guarded by mu
}

// NewOpener takes the keys that may have been sealed to.
func NewOpener(keys ...*OpenKey) *Opener {
	o := &Opener{keys: map[keyID]*OpenKey{}, known: &contexts{by: map[string]cipher.AEAD{}}}
	for _, k := range keys {
		o.keys[k.Public().id] = k
	}
	return o
}

// Asking gives an Opener that asks before each key agreement whether it may,
// and shares all it knows with this one. A true sealer begins a context seldom
// (see ContextResults, ContextAge); whoever wants to keep the recipient busy
// has one in each body, and it costs the sealer nothing.
func (o *Opener) Asking(may func() bool) *Opener {
	return &Opener{keys: o.keys, known: o.known, may: may}
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
	aead, err := o.context(key, kiosk, epoch, head)
	if err != nil {
		return fail(err)
	}
	index, salt, rest := rest[:indexLen], rest[indexLen:indexLen+saltLen], rest[indexLen+saltLen:]
	record, err := aead.Open(nil, sealNonce(salt, index), rest, sealedData(kiosk, epoch, number, prev))
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
	if aead := o.known.find(name); aead != nil {
		return aead, nil
	}
	if o.may != nil && !o.may() {
		return nil, errors.New("it begins a context, and there were too many of these")
	}
	// Nobody waits for a key agreement of somebody else: two that need the same
	// one at once both make it.
	r, err := hpke.NewRecipient(head[sealHead:], key.priv, hpke.HKDFSHA256(), hpke.ExportOnly(), contextInfo(key.suite, key.Public().id, kiosk, epoch))
	if err != nil {
		return nil, fmt.Errorf("%w: encapsulated key", ErrFormat)
	}
	aead, err := contextCipher(r, head[0])
	if err != nil {
		return nil, err
	}
	o.known.keep(name, aead)
	return aead, nil
}

func (c *contexts) find(name []byte) cipher.AEAD {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[string(name)]
}

func (c *contexts) keep(name []byte, aead cipher.AEAD) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.by {
		if len(c.by) < openContexts {
			break
		}
		delete(c.by, old)
	}
	c.by[string(name)] = aead
}
