package allowlist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"time"
)

// Entry is one opened entry of a document.
type Entry struct {
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"` // the first moment outside the window
	Answer   Answer    `json:"-"`
	Priority bool      `json:"priority"`
	SetNo    uint32    `json:"set"`
	Set
	body body
}

// Find gives every entry of a document, in the order of the table, all proven.
// None is no error. A malformed document is a *FieldError; everything else that
// fails means that the table cannot be believed.
func (t *Table) Find(d Document) ([]Entry, error) {
	d, err := d.normalise()
	if err != nil {
		return nil, err
	}
	var out []Entry
	err = t.withSealer(func(s *sealer) error {
		e := d.encode()
		out, err = t.find(s, &e, s.indexOf(&e), nil)
		return err
	})
	return out, err
}

// withSealer lends a sealer.
func (t *Table) withSealer(use func(*sealer) error) error {
	if t.sealers == nil {
		return errors.New("the list was opened without its secret and cannot be asked")
	}
	s := t.sealers.Get().(*sealer)
	defer t.sealers.Put(s)
	return use(s)
}

// find appends the entries of a document to out.
func (t *Table) find(s *sealer, e *encoded, index [indexSize]byte, out []Entry) ([]Entry, error) {
	sealed, err := t.sealed(s, index)
	if err != nil || len(sealed) == 0 {
		return out, err
	}
	block, err := s.block(e)
	if err != nil {
		return nil, err
	}
	for ; len(sealed) > 0; sealed = sealed[bodySize:] {
		b, err := open(block, sealed)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		set, err := t.set(b.set)
		if err != nil {
			return nil, err
		}
		out = append(out, Entry{
			From: time.Unix(int64(b.from), 0).UTC(), Until: time.Unix(int64(b.until), 0).UTC(),
			Answer: b.answer, Priority: b.priority, SetNo: b.set, Set: set, body: b,
		})
	}
	return out, nil
}

// sealed gives the bodies of every entry with the index, one after another. It
// reads into the sealer's page: a page of entries is proven each time from the
// very bytes that are used.
func (t *Table) sealed(s *sealer, index [indexSize]byte) ([]byte, error) {
	lo, hi, err := t.slot(bucket(index[:], t.geo.bucketBits))
	if err != nil || lo == hi {
		return nil, err
	}
	p := &s.page
	first, last := lo/perPage, (hi-1)/perPage
	at := ^uint64(0) // the page that p holds
	load := func(no uint64) error {
		if no == at {
			return nil
		}
		at = no
		return t.readProven(t.geo.entries.first+no, p)
	}
	// The first page whose last entry of the bucket is not before the index.
	for first < last {
		mid := (first + last) / 2
		if err := load(mid); err != nil {
			return nil, err
		}
		end := min(hi-mid*perPage, perPage)
		if bytes.Compare(indexAt(p, end-1), index[:]) < 0 {
			first = mid + 1
		} else {
			last = mid
		}
	}
	var out []byte
	for no := first; no <= (hi-1)/perPage; no++ {
		if err := load(no); err != nil {
			return nil, err
		}
		begin, end := max(lo, no*perPage)-no*perPage, min(hi-no*perPage, perPage)
		i := begin + uint64(sort.Search(int(end-begin), func(i int) bool {
			return bytes.Compare(indexAt(p, begin+uint64(i)), index[:]) >= 0
		}))
		for ; i < end && [indexSize]byte(indexAt(p, i)) == index; i++ {
			out = append(out, p[i*entrySize+indexSize:(i+1)*entrySize]...)
		}
		if i < end {
			break
		}
		if len(out) > maxPerKey*bodySize {
			return nil, fmt.Errorf("%w: a document has more than %d entries", ErrDamaged, maxPerKey)
		}
	}
	return out, nil
}

func indexAt(p *page, i uint64) []byte { return p[i*entrySize : i*entrySize+indexSize] }

// slot gives the entries of a bucket: lo <= n < hi.
func (t *Table) slot(bucket uint64) (lo, hi uint64, err error) {
	read := func(n uint64) uint64 {
		if err != nil {
			return 0
		}
		var slot [slotSize]byte
		err = t.proven(t.geo.index.first+n/slotFan, n%slotFan*slotSize, slot[:])
		return uint64(binary.BigEndian.Uint32(slot[:]))
	}
	lo, hi = read(bucket), read(bucket+1)
	if err == nil && (lo > hi || hi > t.head.entries) {
		err = fmt.Errorf("%w: bucket %d points outside the table; build the list again", ErrDamaged, bucket)
	}
	return lo, hi, err
}

// set gives a set of flights and gates by its number.
func (t *Table) set(n uint32) (Set, error) {
	if uint64(n) >= t.head.sets {
		return Set{}, fmt.Errorf("%w: an entry names set %d of %d; build the list again", ErrDamaged, n, t.head.sets)
	}
	var dir [dirEntry]byte
	if err := t.proven(t.geo.dir.first+uint64(n)/dirFan, uint64(n)%dirFan*dirEntry, dir[:]); err != nil {
		return Set{}, err
	}
	at := parsePlace(dir[:])
	end := int(at.offset) + int(at.length)
	if uint64(at.page) >= t.geo.sets.pages || end > pageSize {
		return Set{}, fmt.Errorf("%w: set %d lies outside the table; build the list again", ErrDamaged, n)
	}
	enc := make([]byte, at.length)
	if err := t.proven(t.geo.sets.first+uint64(at.page), uint64(at.offset), enc); err != nil {
		return Set{}, err
	}
	set, err := decodeSet(enc)
	if err != nil {
		return Set{}, fmt.Errorf("%w: set %d: %w; build the list again", ErrDamaged, n, err)
	}
	return set, nil
}
