package allowlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Merge makes the table of the next version out of an older one and a delta
// between the two, and writes it to a new file. It reads and writes front to
// back with little memory; whatever comes out has the root in next, or it is an
// error. Pages of the old table are not proven one by one: an altered one shows
// in the root.
func Merge(ctx context.Context, old *Table, delta io.Reader, next Statement, to string) (err error) {
	d, err := openDelta(delta)
	if err != nil {
		return err
	}
	if err := d.leads(&old.st, &next); err != nil {
		return err
	}
	sets, err := old.allSets()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBase, err)
	}
	if err := d.sets(sets, next.DataPages); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := newTableWriter(ctx, f, sets, bucketBits(next.Entries))
	defer w.close()
	if err != nil {
		return err
	}
	p := patcher{d: d, w: w, old: entryReader{t: old}, limit: next.Entries}
	if err := p.run(); err != nil {
		return err
	}
	root, pages, err := w.finish(header{generation: next.Generation, version: next.Version, kinds: d.head.kinds, check: old.head.check})
	if err != nil {
		return err
	}
	if root != next.Root || pages != next.DataPages || w.n != next.Entries {
		return errOtherRoot
	}
	return nil
}

var errOtherRoot = fmt.Errorf("%w: what comes of the two has not the signed root; load the whole list and look at the disk", ErrBase)

// leads says whether a delta leads from one list to another.
func (d *deltaReader) leads(old, next *Statement) error {
	h := &d.head
	switch {
	case h.generation != old.Generation || h.from != old.Version || h.fromRoot != old.Root:
		return fmt.Errorf("%w: it starts from generation %d version %d, in force is generation %d version %d; fetch the whole list or the delta between",
			ErrBase, h.generation, h.from, old.Generation, old.Version)
	case next.Generation != old.Generation || h.to != next.Version || h.toRoot != next.Root:
		return fmt.Errorf("%w: delta and statement belong to different lists; fetch both again", ErrDamaged)
	}
	return nil
}

// allSets gives the sets of a table as a new one is begun with.
func (t *Table) allSets() (*setTable, error) {
	all := &setTable{order: make([]string, 0, t.head.sets)}
	for n := range t.head.sets {
		set, err := t.set(uint32(n))
		if err != nil {
			return nil, err
		}
		all.order = append(all.order, string(set.encode()))
	}
	return all, nil
}

// patcher applies a delta to the entries of a table.
type patcher struct {
	d     *deltaReader
	w     *tableWriter
	old   entryReader
	limit uint64 // entries that there may be
}

func (p *patcher) run() error {
	if err := p.d.next(); err != nil {
		return err
	}
	for {
		e, err := p.old.peek()
		if err != nil {
			return err
		}
		if p.d.now.kind == changeEnd && e == nil {
			return nil
		}
		if e != nil && (p.d.now.kind == changeEnd || bytes.Compare(e[:indexSize], p.d.now.entry[:indexSize]) < 0) {
			err = p.emit(e)
			p.old.skip()
		} else {
			err = p.patch([indexSize]byte(p.d.now.entry[:]))
		}
		if err != nil {
			return err
		}
	}
}

// emit keeps a wrong delta from filling the disk.
func (p *patcher) emit(e []byte) error {
	if p.w.n == p.limit {
		return errOtherRoot
	}
	return p.w.entry(e)
}

var errNoFit = fmt.Errorf("%w: it changes entries that are not there; load the whole list", ErrBase)

// patch writes the entries of one index, changed.
func (p *patcher) patch(index [indexSize]byte) error {
	group, err := p.old.group(index)
	if err != nil {
		return err
	}
	for p.d.now.kind != changeEnd && [indexSize]byte(p.d.now.entry[:]) == index {
		c := p.d.now
		at := slices.Index(group, c.entry)
		switch {
		case c.kind == changeAdd && at < 0:
			group = append(group, c.entry)
		case c.kind == changeAlter && at >= 0:
			copy(group[at][indexSize:], c.body[:])
		case c.kind == changeRemove && at >= 0:
			group = slices.Delete(group, at, at+1)
		default:
			return errNoFit
		}
		if len(group) > maxPerKey {
			return errNoFit
		}
		if err := p.d.next(); err != nil {
			return err
		}
	}
	slices.SortFunc(group, func(a, b entry) int { return bytes.Compare(a[:], b[:]) })
	for i := range group {
		if err := p.emit(group[i][:]); err != nil {
			return err
		}
	}
	return nil
}

// entryReader gives the entries of a table in order.
type entryReader struct {
	t      *Table
	proven bool // each page is proven before its entries are given
	buf    []byte
	rest   []byte
	no     uint64 // pages read
	n      uint64 // entries read
	few    []entry
}

// peek gives the next entry, valid until skip; nil at the end.
func (r *entryReader) peek() ([]byte, error) {
	if len(r.rest) == 0 {
		if err := r.fill(); err != nil || len(r.rest) == 0 {
			return nil, err
		}
	}
	return r.rest[:entrySize], nil
}

func (r *entryReader) skip() { r.rest = r.rest[entrySize:] }

// fill reads on.
func (r *entryReader) fill() error {
	region, entries := r.t.geo.entries, r.t.head.entries
	if r.n == entries {
		return nil
	}
	if r.buf == nil {
		r.buf = make([]byte, chunkPages*pageSize)
	}
	pages := min(region.pages-r.no, chunkPages)
	chunk := r.buf[:pages*pageSize]
	if r.proven {
		for i := range pages {
			if err := r.t.readProven(region.first+r.no+i, (*page)(chunk[i*pageSize:])); err != nil {
				return err
			}
		}
	} else if _, err := r.t.f.ReadAt(chunk, int64(region.first+r.no)*pageSize); err != nil {
		return fmt.Errorf("%w: it cannot be read: %w", ErrBase, err)
	}
	r.no += pages
	n := min(entries-r.n, pages*perPage)
	r.n += n
	r.rest = chunk[:n*entrySize]
	return nil
}

// group gives the entries with an index, if they are next; valid until the next
// call.
func (r *entryReader) group(index [indexSize]byte) ([]entry, error) {
	r.few = r.few[:0]
	for {
		e, err := r.peek()
		if err != nil || e == nil || [indexSize]byte(e) != index {
			return r.few, err
		}
		if len(r.few) == maxPerKey {
			return nil, fmt.Errorf("%w: a document has more than %d entries", ErrDamaged, maxPerKey)
		}
		r.few = append(r.few, entry(e))
		r.skip()
	}
}
