package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// A batch travels as its head, one line of JSON, and behind that the bodies,
// each after its length in four bytes (big-endian). Neither numbers nor hashes
// of the entries travel: they follow from head and bodies. Where a body is
// gone, its length is 0 and the hash of what it was follows.

// Encode writes the batch as it travels.
func (b *Batch) Encode() ([]byte, error) {
	head, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("batch: encode: %w", err)
	}
	room := len(head) + 1
	for i := range b.Entries {
		room += EncodedSize(len(b.Entries[i].Body))
	}
	out := append(append(make([]byte, 0, room), head...), '\n')
	for i := range b.Entries {
		e := &b.Entries[i]
		out = binary.BigEndian.AppendUint32(out, uint32(len(e.Body)))
		if len(e.Body) > 0 {
			out = append(out, e.Body...)
			continue
		}
		if len(e.Hash) != HashSize {
			return nil, fmt.Errorf("batch: %w: entry %d has neither a body nor its hash", ErrFormat, e.Number)
		}
		out = append(out, e.Hash...)
	}
	return within("batch", out, MaxBatchBytes)
}

// DecodeBatch reads a batch within its bounds. Only Verify makes it believable,
// and adds the hashes. The bodies lie in data.
func DecodeBatch(data []byte) (*Batch, error) {
	b := new(Batch)
	head, rest, _ := bytes.Cut(data, []byte{'\n'})
	if len(data) > MaxBatchBytes {
		head = data // which is refused as too long
	}
	if err := decode("batch", head, MaxBatchBytes, b); err != nil {
		return nil, err
	}
	if b.V != BatchVersion {
		return nil, fmt.Errorf("batch: %w %d", ErrVersion, b.V)
	}
	b.packed = true
	// Last-First and not a sum, which could wrap around; Verify says more.
	n := b.Last - b.First
	if n >= MaxBatchEntries {
		return nil, fmt.Errorf("batch: %w: entries %d to %d, at most %d are read", ErrFormat, b.First, b.Last, MaxBatchEntries)
	}
	b.Entries = make([]Entry, n+1)
	for i := range b.Entries {
		e := &b.Entries[i]
		e.Number = b.First + uint64(i)
		var err error
		if rest, err = e.take(rest); err != nil {
			return nil, fmt.Errorf("batch: entry %d of %d: %w", i+1, n+1, err)
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("batch: %w: %d bytes follow on the last entry", ErrFormat, len(rest))
	}
	return b, nil
}

// take reads one entry and gives what follows on it.
func (e *Entry) take(in []byte) (rest []byte, err error) {
	if len(in) < 4 {
		return nil, fmt.Errorf("%w: it is missing", ErrFormat)
	}
	n := int(binary.BigEndian.Uint32(in))
	in = in[4:]
	switch {
	case n > MaxBody:
		return nil, fmt.Errorf("%w: body of %d bytes, at most %d", ErrFormat, n, MaxBody)
	case n == 0 && len(in) >= HashSize:
		e.Hash = in[:HashSize:HashSize]
		return in[HashSize:], nil
	case n == 0 || n > len(in):
		return nil, fmt.Errorf("%w: it ends too early", ErrFormat)
	}
	e.Body = in[:n:n]
	return in[n:], nil
}
