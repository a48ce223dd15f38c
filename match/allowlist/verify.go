package allowlist

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
)

// Verify proves every page and checks that the builder kept the rules of the
// layout: order of the entries, bucket index, sets, zero padding. It reads the
// whole file once and keeps one page in memory.
func (t *Table) Verify(ctx context.Context) error {
	v := verifier{t: t}
	for no := range t.geo.data {
		if no%1024 == 0 && ctx.Err() != nil {
			return fmt.Errorf("verify list: %w", context.Cause(ctx))
		}
		if err := t.readProven(no, &v.p); err != nil {
			return err
		}
		if err := v.page(no); err != nil {
			return fmt.Errorf("%w: page %d: %w; build the list again", ErrDamaged, no, err)
		}
	}
	for level, r := range t.geo.levels {
		if err := t.verifyPadding(level, r); err != nil {
			return err
		}
	}
	for n := range t.head.sets {
		if _, err := t.set(uint32(n)); err != nil {
			return err
		}
	}
	return nil
}

// verifyPadding checks the unused end of the last node page of a level.
func (t *Table) verifyPadding(level int, r region) error {
	below := t.geo.data
	if level > 0 {
		below = t.geo.levels[level-1].pages
	}
	var last page
	if err := t.readNode(level, r.pages-1, &last); err != nil {
		return err
	}
	if used := below - (r.pages-1)*fan; !zero(last[used*hashSize:]) {
		return fmt.Errorf("%w: a tree page is not padded with zeros", ErrDamaged)
	}
	return nil
}

// verifier walks through the data pages in order.
type verifier struct {
	t      *Table
	p      page
	last   [entrySize]byte
	starts []uint32 // first entry of every bucket up to the current one
}

func (v *verifier) page(no uint64) error {
	g := &v.t.geo
	switch {
	case no >= g.index.first:
		return v.index(no - g.index.first)
	case no >= g.entries.first:
		return v.entries(no - g.entries.first)
	case no >= g.sets.first:
		return nil // read set by set afterwards
	case no >= g.dir.first:
		used := min(v.t.head.sets-(no-g.dir.first)*dirFan, dirFan)
		if !zero(v.p[used*dirEntry:]) {
			return fmt.Errorf("not padded with zeros")
		}
	}
	return nil
}

func (v *verifier) entries(no uint64) error {
	used := min(v.t.head.entries-no*perPage, perPage)
	for i := range used {
		e := v.p[i*entrySize : (i+1)*entrySize]
		if (no > 0 || i > 0) && bytes.Compare(v.last[:], e) >= 0 {
			return fmt.Errorf("entry %d is out of order", no*perPage+i)
		}
		copy(v.last[:], e)
		for b := bucket(e, v.t.geo.bucketBits); uint64(len(v.starts)) <= b; {
			v.starts = append(v.starts, uint32(no*perPage+i))
		}
	}
	if !zero(v.p[used*entrySize:]) {
		return fmt.Errorf("not padded with zeros")
	}
	return nil
}

func (v *verifier) index(no uint64) error {
	slots := uint64(1)<<v.t.geo.bucketBits + 1
	for uint64(len(v.starts)) < slots {
		v.starts = append(v.starts, uint32(v.t.head.entries))
	}
	used := min(slots-no*slotFan, slotFan)
	for i := range used {
		if binary.BigEndian.Uint32(v.p[i*slotSize:]) != v.starts[no*slotFan+i] {
			return fmt.Errorf("bucket %d begins at the wrong entry", no*slotFan+i)
		}
	}
	if !zero(v.p[used*slotSize:]) {
		return fmt.Errorf("not padded with zeros")
	}
	return nil
}

// zeros is never written to.
var zeros page

func zero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }
