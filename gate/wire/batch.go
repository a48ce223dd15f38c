package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of a batch. They hold for whoever sends and whoever reads.
const (
	MaxBatchEntries = 200
	MaxBatchBytes   = 256 << 10 // of the encoded message
	MaxBody         = 64 << 10  // of one body, before encoding
	// MaxNumber is of a result: what JSON, databases and programs in any
	// language count exactly. At a million results a second it lasts for centuries.
	MaxNumber = 1 << 53
)

// Versions of the messages.
const (
	BatchVersion    = 2
	AckVersion      = 1
	PresenceVersion = 1
	StatusVersion   = 1
	TimeVersion     = 1 // of TimeQuestion and SignedTime
)

// Labels separate what is signed: a signature over one never serves as the
// other.
const (
	labelResults = "results/v1"
	labelAck     = "ack/v1"

	labelTimeQuestion = "time-question/v1"
	labelTime         = "time/v1"
)

// Entry is one result as it travels. Body is a sealed Record (see Sealer), or
// its JSON where a kiosk has no key to seal to. It is empty when the record's
// time was over before it was sent; the chain needs its hash alone.
type Entry struct {
	Number uint64 `json:"n"`
	Prev   []byte `json:"prev"` // chain hash at Number-1
	Hash   []byte `json:"hash"` // SHA-256 of Body
	Body   []byte `json:"body"`
}

// BodyFits says whether the hash is that of the body, if there still is one.
func (e *Entry) BodyFits() bool {
	return len(e.Body) == 0 && len(e.Hash) == HashSize || bytes.Equal(e.Hash, BodyHash(e.Body))
}

// entryFrame is what an entry needs beside its body: the length, and the hash
// where there is no body.
const entryFrame = 4 + HashSize

// EncodedSize is an upper bound for the encoded size of an entry whose body
// has n bytes; senders fill batches by it.
func EncodedSize(n int) int { return n + entryFrame }

// batchOverhead bounds the encoded size of a batch without its entries, which
// is its head and the end of that line.
const batchOverhead = 512

// BatchRoom is what EncodedSize of all entries of one batch may add up to.
const BatchRoom = MaxBatchBytes - batchOverhead

// Batch is a run of entries of one kiosk and epoch, without gaps, signed by
// the kiosk. The fields with names make its head; see Encode.
type Batch struct {
	V         int     `json:"v"`
	Kiosk     string  `json:"kiosk"`
	Epoch     string  `json:"epoch"` // one per installation, 16 bytes in hex
	First     uint64  `json:"first"`
	Last      uint64  `json:"last"`
	PrevChain []byte  `json:"prev_chain"` // chain hash at First-1
	Chain     []byte  `json:"chain"`      // chain hash at Last
	Entries   []Entry `json:"-"`
	Sig       []byte  `json:"sig"`

	packed bool // the entries still lack the hashes that follow from their bodies
}

// NewBatch builds an unsigned batch from entries in order. prev is the chain
// hash before the first of them.
func NewBatch(kiosk, epoch string, prev []byte, entries []Entry) (*Batch, error) {
	return newBatch(kiosk, epoch, prev, entries, true)
}

// ProvenBatch does the same with entries that were read from an outbox, which
// proves each by its hashes as it gives it away: the bodies are not hashed
// again. Verify does that at central.
func ProvenBatch(kiosk, epoch string, prev []byte, entries []Entry) (*Batch, error) {
	return newBatch(kiosk, epoch, prev, entries, false)
}

func newBatch(kiosk, epoch string, prev []byte, entries []Entry, bodies bool) (*Batch, error) {
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: a batch holds at least one entry", ErrFormat)
	}
	b := &Batch{
		V: BatchVersion, Kiosk: kiosk, Epoch: epoch, PrevChain: prev, Entries: entries,
		First: entries[0].Number, Last: entries[len(entries)-1].Number,
	}
	chain, err := b.recompute(bodies)
	if err != nil {
		return nil, err
	}
	b.Chain = chain
	return b, nil
}

// unpack adds what an entry does not carry on its way.
func (e *Entry) unpack(prev []byte) {
	e.Prev = prev
	if len(e.Body) > 0 {
		e.Hash = BodyHash(e.Body)
	}
}

// recompute checks the entries, if need be with their bodies, and returns the
// chain hash at the last.
func (b *Batch) recompute(bodies bool) ([]byte, error) {
	n := len(b.Entries)
	if n == 0 || n > MaxBatchEntries {
		return nil, fmt.Errorf("%w: batch of %d entries, want 1 to %d", ErrFormat, n, MaxBatchEntries)
	}
	// Last-First and not First+n, which could wrap around.
	if b.First == 0 || b.Last < b.First || b.Last-b.First != uint64(n-1) {
		return nil, fmt.Errorf("%w: batch %d to %d holds %d entries", ErrFormat, b.First, b.Last, n)
	}
	if b.Last > MaxNumber {
		return nil, fmt.Errorf("%w: result %d, the highest is %d", ErrFormat, b.Last, uint64(MaxNumber))
	}
	chain := b.PrevChain
	if b.First == 1 && !bytes.Equal(chain, ChainStart()) {
		return nil, fmt.Errorf("%w: entry 1 does not begin the chain", ErrChain)
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Number != b.First+uint64(i) {
			return nil, fmt.Errorf("%w: entry %d where %d was due", ErrFormat, e.Number, b.First+uint64(i))
		}
		if len(e.Body) > MaxBody {
			return nil, fmt.Errorf("%w: entry %d: body of %d bytes, at most %d", ErrFormat, e.Number, len(e.Body), MaxBody)
		}
		if b.packed {
			e.unpack(chain)
		} else if bodies && !e.BodyFits() {
			return nil, fmt.Errorf("%w: entry %d: the hash is not its body's", ErrChain, e.Number)
		}
		if !bytes.Equal(e.Prev, chain) {
			return nil, fmt.Errorf("%w: entry %d does not follow the one before", ErrChain, e.Number)
		}
		next, err := ChainNext(b.Kiosk, b.Epoch, e.Number, chain, e.Hash)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Number, err)
		}
		chain = next
	}
	return chain, nil
}

func (b *Batch) signed() []byte {
	return signedBytes(labelResults, b.Kiosk, b.Epoch, []uint64{b.First, b.Last}, b.Chain)
}

// Sign puts the kiosk's signature on the batch.
func (b *Batch) Sign(key ed25519.PrivateKey) error {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("sign batch: key of %d bytes", len(key))
	}
	b.Sig = ed25519.Sign(key, b.signed())
	return nil
}

// Verify checks version, bounds, the whole chain and the signature of the
// kiosk whose key is given; the entries of a decoded batch have their hashes
// from then on. The caller compares Kiosk with the topic and
// PrevChain with what it holds for that kiosk and epoch.
func (b *Batch) Verify(key ed25519.PublicKey) error {
	if b.V != BatchVersion {
		return fmt.Errorf("batch: %w %d", ErrVersion, b.V)
	}
	// The cheap signature first: whoever lacks the key gets no hashing done.
	if err := verify(key, b.signed(), b.Sig); err != nil {
		return fmt.Errorf("batch %d to %d: %w", b.First, b.Last, err)
	}
	chain, err := b.recompute(true)
	if err != nil {
		return fmt.Errorf("batch %d to %d: %w", b.First, b.Last, err)
	}
	b.packed = false
	if !bytes.Equal(chain, b.Chain) {
		return fmt.Errorf("batch %d to %d: %w: the last hash differs", b.First, b.Last, ErrChain)
	}
	return nil
}

// ErrAckRefused is wrapped by whoever holds results and refuses an
// acknowledgement for what it says. Any other error about one means that it
// could not be carried out.
var ErrAckRefused = errors.New("the acknowledgement does not fit the results here")

// Ack is central's word that everything up to Number is on its disk. A number
// lower than the kiosk's asks for everything after it again; 0 with
// ChainStart asks for the whole epoch.
type Ack struct {
	V      int    `json:"v"`
	Kiosk  string `json:"kiosk"`
	Epoch  string `json:"epoch"`
	Number uint64 `json:"n"`
	Chain  []byte `json:"chain"` // chain hash at Number
	Sig    []byte `json:"sig"`
}

func (a *Ack) signed() []byte {
	return signedBytes(labelAck, a.Kiosk, a.Epoch, []uint64{a.Number}, a.Chain)
}

// Sign puts central's signature on the acknowledgement.
func (a *Ack) Sign(key ed25519.PrivateKey) error {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("sign acknowledgement: key of %d bytes", len(key))
	}
	a.Sig = ed25519.Sign(key, a.signed())
	return nil
}

// Verify checks form and signature. The kiosk then compares kiosk, epoch and
// chain hash with its own row; the signature alone deletes nothing.
func (a *Ack) Verify(key ed25519.PublicKey) error {
	if a.V != AckVersion {
		return fmt.Errorf("acknowledgement: %w %d", ErrVersion, a.V)
	}
	if err := CheckName(a.Kiosk); err != nil {
		return fmt.Errorf("acknowledgement: %w", err)
	}
	if err := CheckEpoch(a.Epoch); err != nil {
		return fmt.Errorf("acknowledgement: %w", err)
	}
	if len(a.Chain) != HashSize {
		return fmt.Errorf("acknowledgement: %w: chain hash of %d bytes", ErrFormat, len(a.Chain))
	}
	if a.Number == 0 && !bytes.Equal(a.Chain, ChainStart()) {
		return fmt.Errorf("acknowledgement of nothing: %w", ErrChain)
	}
	if err := verify(key, a.signed(), a.Sig); err != nil {
		return fmt.Errorf("acknowledgement of %d: %w", a.Number, err)
	}
	return nil
}

// signedBytes lays fields out so that no two different sets of fields give
// the same bytes: each carries its length.
func signedBytes(label, kiosk, epoch string, numbers []uint64, chain []byte) []byte {
	out := make([]byte, 0, 4*(4+len(numbers))+8*len(numbers)+len(label)+len(kiosk)+len(epoch)+len(chain))
	field := func(b []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(b)))
		out = append(out, b...)
	}
	field([]byte(label))
	field([]byte(kiosk))
	field([]byte(epoch))
	for _, n := range numbers {
		field(binary.BigEndian.AppendUint64(nil, n))
	}
	field(chain)
	return out
}

func verify(key ed25519.PublicKey, msg, sig []byte) error {
	if len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: public key of %d bytes", ErrSignature, len(key))
	}
	if !ed25519.Verify(key, msg, sig) {
		return ErrSignature
	}
	return nil
}
