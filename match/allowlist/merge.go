package allowlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
)

// Merge makes the table of the next version out of an older one and a delta
// between the two, and writes it to a new file. It reads and writes front to
// back with little memory; whatever comes out has the root in next, or it is an
// error. Pages of the old table are not proven one by one: an altered one shows
// in the root.
func Merge(ctx context.Context, old *Table, delta io.Reader, next Statement, to string) error {
	return merge(ctx, old, delta, next, func() (*os.File, error) {
		return os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	})
}

// CheckDelta says whether a delta makes the table of next out of an older one,
// without writing it: what central asks before its update repository vouches
// for the delta. ErrBase and ErrDamaged say that it does not.
func CheckDelta(ctx context.Context, old *Table, delta io.Reader, next Statement) error {
	return merge(ctx, old, delta, next, func() (*os.File, error) { return nil, nil })
}

// merge writes to the file that create makes, nowhere if that is nil.
func merge(ctx context.Context, old *Table, delta io.Reader, next Statement, create func() (*os.File, error)) (err error) {
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
	f, err := create()
	if err != nil {
		return err
	}
	if f != nil {
		defer func() { err = errors.Join(err, f.Close()) }()
	}
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
		same := p.old.rest // nothing changes any more
		if p.d.now.kind != changeEnd {
			same = before(p.old.rest, p.d.now.entry[:indexSize])
		}
		if len(same) > 0 {
			err = p.emit(same)
			p.old.rest = p.old.rest[len(same):]
		} else {
			err = p.patch([indexSize]byte(p.d.now.entry[:]))
		}
		if err != nil {
			return err
		}
	}
}

// before gives the entries at the head of sorted ones that come before an
// index. A delta changes one in a hundred or fewer, so it looks ahead in steps
// that double, then halves the last one.
func before(entries, index []byte) []byte {
	is := func(i int) bool { return bytes.Compare(entries[i*entrySize:i*entrySize+indexSize], index) < 0 }
	all, step := len(entries)/entrySize, 1
	for step <= all && is(step-1) {
		step *= 2
	}
	known := step / 2 // as many come before it
	n := sort.Search(min(step-1, all)-known, func(i int) bool { return !is(known + i) })
	return entries[:(known+n)*entrySize]
}

// emit keeps a wrong delta from filling the disk.
func (p *patcher) emit(entries []byte) error {
	if p.w.n+uint64(len(entries)/entrySize) > p.limit {
		return errOtherRoot
	}
	return p.w.entries(entries)
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
