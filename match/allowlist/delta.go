package allowlist

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// A delta is a sorted patch: a head of 104 bytes (magic, layout, generation,
// versions and roots that it leads from and to, kinds of match keys, number of
// new sets), the new sets behind their lengths (2 bytes), the changes, and a
// byte that says that there are no more. A change is its kind (1 byte) and an
// entry (32): one to add, or one of the old table to remove or, with another
// body (16) behind it, to alter. They are sorted by that entry. A delta needs
// no proof of its own: what comes of it has the signed root or counts nothing.
const (
	deltaHead = 104

	changeEnd    = 0
	changeAdd    = 1
	changeAlter  = 2
	changeRemove = 3
)

// DeltaFile is the customary name of a delta.
const DeltaFile = "list.delta"

var deltaMagic = [8]byte{'G', 'A', 'T', 'E', 'D', 'E', 'L', 'T'}

// deltaHeader says what a delta leads from and to.
type deltaHeader struct {
	generation       uint32
	from, to         uint64 // versions
	fromRoot, toRoot [hashSize]byte
	kinds            uint32
	sets             uint32 // new ones, numbered behind the old ones
}

func (h *deltaHeader) marshal() []byte {
	be := binary.BigEndian
	b := append(make([]byte, 0, deltaHead), deltaMagic[:]...)
	b = be.AppendUint32(b, Layout)
	b = be.AppendUint32(b, h.generation)
	b = be.AppendUint64(b, h.from)
	b = be.AppendUint64(b, h.to)
	b = append(append(b, h.fromRoot[:]...), h.toRoot[:]...)
	b = be.AppendUint32(b, h.kinds)
	return be.AppendUint32(b, h.sets)
}

func parseDeltaHeader(b []byte) (deltaHeader, error) {
	be := binary.BigEndian
	if [8]byte(b[:8]) != deltaMagic {
		return deltaHeader{}, fmt.Errorf("%w: the file is no delta", ErrDamaged)
	}
	if v := be.Uint32(b[8:]); v != Layout {
		return deltaHeader{}, fmt.Errorf("%w: the delta has layout %d, this program reads layout %d", ErrDamaged, v, Layout)
	}
	return deltaHeader{
		generation: be.Uint32(b[12:]), from: be.Uint64(b[16:]), to: be.Uint64(b[24:]),
		fromRoot: [hashSize]byte(b[32:]), toRoot: [hashSize]byte(b[64:]), kinds: be.Uint32(b[96:]), sets: be.Uint32(b[100:]),
	}, nil
}

// DeltaSummary describes a delta.
type DeltaSummary struct {
	From    uint64 `json:"from"`
	To      uint64 `json:"to"`
	Added   uint64 `json:"added"`
	Changed uint64 `json:"changed"`
	Removed uint64 `json:"removed"`
	Sets    uint64 `json:"sets"` // new combinations of flights and gates
}

// Diff writes the delta that makes next out of old, proving both as it reads
// them. They must be of one generation, and next built with old as its base.
func Diff(ctx context.Context, old, next *Table, w io.Writer) (DeltaSummary, error) {
	sum := DeltaSummary{From: old.st.Version, To: next.st.Version}
	if old.st.Generation != next.st.Generation || old.st.Version >= next.st.Version || old.head.check != next.head.check {
		return sum, fmt.Errorf("%w: a delta leads to a higher version of the same generation; ship the whole list", ErrBase)
	}
	d := differ{w: bufio.NewWriterSize(w, 1<<18), old: entryReader{t: old, proven: true}, next: entryReader{t: next, proven: true}, sum: &sum}
	if err := d.head(); err != nil {
		return sum, err
	}
	for steps := 0; ; steps++ {
		if steps%(1<<14) == 0 && ctx.Err() != nil {
			return sum, fmt.Errorf("make delta: %w", context.Cause(ctx))
		}
		more, err := d.step()
		if err != nil {
			return sum, err
		}
		if !more {
			break
		}
	}
	d.w.WriteByte(changeEnd) // its error comes out of Flush
	return sum, d.w.Flush()
}

// differ walks through two tables at once.
type differ struct {
	w         *bufio.Writer
	old, next entryReader
	sum       *DeltaSummary
}

// head writes the header and the new sets.
func (d *differ) head() error {
	old, next := d.old.t, d.next.t
	if next.head.sets < old.head.sets {
		return errForeignSets
	}
	for n := range old.head.sets {
		a, err := old.set(uint32(n))
		if err != nil {
			return err
		}
		b, err := next.set(uint32(n))
		if err != nil {
			return err
		}
		if !bytes.Equal(a.encode(), b.encode()) {
			return errForeignSets
		}
	}
	d.sum.Sets = next.head.sets - old.head.sets
	h := deltaHeader{generation: old.st.Generation, from: old.st.Version, to: next.st.Version, fromRoot: old.st.Root, toRoot: next.st.Root,
		kinds: next.head.kinds, sets: uint32(d.sum.Sets)}
	d.w.Write(h.marshal())
	for n := old.head.sets; n < next.head.sets; n++ {
		set, err := next.set(uint32(n))
		if err != nil {
			return err
		}
		enc := set.encode()
		d.w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(enc))))
		d.w.Write(enc)
	}
	return nil
}

var errForeignSets = fmt.Errorf("%w: the newer list was not built with the older one as its base; ship the whole list", ErrBase)

// step goes on to the next entry of either, and writes what differs at its
// index; false at the end.
func (d *differ) step() (more bool, err error) {
	a, err := d.old.peek()
	if err != nil {
		return false, err
	}
	b, err := d.next.peek()
	if err != nil || a == nil && b == nil {
		return false, err
	}
	if a != nil && b != nil && bytes.Equal(a, b) { // what nearly all of them are
		d.old.skip()
		d.next.skip()
		return true, nil
	}
	index := [indexSize]byte(bytes.Repeat([]byte{math.MaxUint8}, indexSize))
	for _, e := range [][]byte{a, b} {
		if e != nil && bytes.Compare(e[:indexSize], index[:]) < 0 {
			index = [indexSize]byte(e)
		}
	}
	was, err := d.old.group(index)
	if err != nil {
		return false, err
	}
	is, err := d.next.group(index)
	if err != nil {
		return false, err
	}
	d.changes(was, is)
	return true, nil
}

// changes writes what makes the entries of one index into others.
func (d *differ) changes(was, is []entry) {
	gone := slices.DeleteFunc(slices.Clone(was), func(e entry) bool { return slices.Contains(is, e) })
	come := slices.DeleteFunc(slices.Clone(is), func(e entry) bool { return slices.Contains(was, e) })
	altered := min(len(gone), len(come))
	var out []change
	for i, e := range gone {
		c := change{kind: changeRemove, entry: e}
		if i < altered {
			c.kind = changeAlter
			copy(c.body[:], come[i][indexSize:])
		}
		out = append(out, c)
	}
	for _, e := range come[altered:] {
		out = append(out, change{kind: changeAdd, entry: e})
	}
	slices.SortFunc(out, func(a, b change) int { return bytes.Compare(a.entry[:], b.entry[:]) })
	for i := range out {
		c := &out[i]
		d.w.WriteByte(c.kind)
		d.w.Write(c.entry[:])
		if c.kind == changeAlter {
			d.w.Write(c.body[:])
		}
	}
	d.sum.Changed += uint64(altered)
	d.sum.Removed += uint64(len(gone) - altered)
	d.sum.Added += uint64(len(come) - altered)
}

// entry is one entry of a table.
type entry [entrySize]byte

// change is one line of the patch.
type change struct {
	kind  byte
	entry entry
	body  [bodySize]byte // the new one, of changeAlter
}

// deltaReader reads a delta front to back.
type deltaReader struct {
	r    *bufio.Reader
	head deltaHeader
	now  change // the next change; its kind is changeEnd at the end
}

// openDelta reads the head.
func openDelta(r io.Reader) (*deltaReader, error) {
	d := &deltaReader{r: bufio.NewReaderSize(r, 1<<18)}
	var b [deltaHead]byte
	if _, err := io.ReadFull(d.r, b[:]); err != nil {
		return nil, shortDelta(err)
	}
	var err error
	d.head, err = parseDeltaHeader(b[:])
	return d, err
}

func shortDelta(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the delta is cut short; fetch it again", ErrDamaged)
	}
	return err
}

// sets adds the new sets to those of the old table; together they may fill so
// many pages.
func (d *deltaReader) sets(all *setTable, pages uint64) error {
	if uint64(d.head.sets)+uint64(len(all.order)) > maxSets {
		return fmt.Errorf("%w: the delta has too many sets", ErrDamaged)
	}
	var size uint64
	for range d.head.sets {
		var b [2]byte
		if _, err := io.ReadFull(d.r, b[:]); err != nil {
			return shortDelta(err)
		}
		n := binary.BigEndian.Uint16(b[:])
		if size += uint64(n); n > pageSize || size/pageSize > pages {
			return fmt.Errorf("%w: the delta's sets do not fit into the list", ErrDamaged)
		}
		enc := make([]byte, n)
		if _, err := io.ReadFull(d.r, enc); err != nil {
			return shortDelta(err)
		}
		if _, err := decodeSet(enc); err != nil {
			return fmt.Errorf("%w: delta: %w", ErrDamaged, err)
		}
		all.order = append(all.order, string(enc))
	}
	return nil
}

// next reads on. Changes come in order, and nothing follows the end.
func (d *deltaReader) next() error {
	last := d.now
	kind, err := d.r.ReadByte()
	if err != nil {
		return shortDelta(err)
	}
	d.now = change{kind: kind}
	switch kind {
	case changeEnd:
		if _, err := d.r.ReadByte(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: something follows the end of the delta; fetch it again", ErrDamaged)
		}
		return nil
	case changeAdd, changeAlter, changeRemove:
	default:
		return fmt.Errorf("%w: the delta holds a change that this program does not know; fetch it again", ErrDamaged)
	}
	_, err = io.ReadFull(d.r, d.now.entry[:])
	if err == nil && kind == changeAlter {
		_, err = io.ReadFull(d.r, d.now.body[:])
	}
	if err != nil {
		return shortDelta(err)
	}
	if last.kind != changeEnd && bytes.Compare(last.entry[:], d.now.entry[:]) >= 0 {
		return fmt.Errorf("%w: the delta is out of order; fetch it again", ErrDamaged)
	}
	return nil
}
