package allowlist

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// tableWriter writes a table front to back; only the header, which holds the
// counts, is written last.
type tableWriter struct {
	b      *Builder
	ctx    context.Context
	w      *bufio.Writer
	hashes [][hashSize]byte // of the data pages written so far

	entries page // under construction
	n       uint64
	starts  []uint32 // bucket index for fineBits
	fine    uint
}

// write gives the statement, not yet signed.
func (w *tableWriter) write(path string) (Statement, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return Statement{}, err
	}
	st, err := w.writeTo(f)
	return st, errors.Join(err, f.Close())
}

func (w *tableWriter) writeTo(f *os.File) (Statement, error) {
	w.w = bufio.NewWriterSize(f, 1<<20)
	if err := w.page(new(page)); err != nil { // the header's place
		return Statement{}, err
	}
	dir, data := w.b.sets.layOut()
	for _, p := range append(dir, data...) {
		if err := w.page(p); err != nil {
			return Statement{}, err
		}
	}
	if err := w.merge(); err != nil {
		return Statement{}, err
	}
	h := header{generation: w.b.cfg.Secret.Generation, version: w.b.cfg.Version, entries: w.n,
		sets: uint64(len(w.b.sets.order)), setPages: uint64(len(data)), kinds: w.b.kinds, check: w.b.keys.check}
	if err := w.index(); err != nil {
		return Statement{}, err
	}
	first := h.marshal()
	w.hashes[0] = leafHash(first)
	root, err := writeTree(w.w, w.hashes)
	if err != nil {
		return Statement{}, err
	}
	if err := w.w.Flush(); err != nil {
		return Statement{}, err
	}
	if _, err := f.WriteAt(first[:], 0); err != nil {
		return Statement{}, err
	}
	return Statement{Generation: h.generation, Version: h.version, Issued: w.b.cfg.Issued, Expires: w.b.cfg.Expires, Revoked: w.b.cfg.Revoked, Airport: w.b.cfg.Airport,
		Entries: w.n, DataPages: uint64(len(w.hashes)), Root: root}, nil
}

func (w *tableWriter) page(p *page) error {
	w.hashes = append(w.hashes, leafHash(p))
	_, err := w.w.Write(p[:])
	return err
}

// merge writes the entries of all runs in order. Records with the same index
// belong to one document: repeated entries are merged into the first line's,
// and a document with too many is rejected as a whole, since dropping some
// could drop a refusal.
func (w *tableWriter) merge() error {
	m, err := w.b.spills.merge()
	if err != nil {
		return err
	}
	total := w.b.spills.count
	w.fine = bucketBits(total)
	var group []record // distinct entries of one document
	flooded := false   // the document has too many
	for done := uint64(0); ; done++ {
		if done%(1<<16) == 0 {
			if w.ctx.Err() != nil {
				return context.Cause(w.ctx)
			}
			w.b.cfg.Progress("merging", done, total)
		}
		var r record
		more, err := m.next(&r)
		if err != nil {
			return err
		}
		if !more {
			return w.flush(group, flooded)
		}
		switch last := len(group) - 1; {
		case last < 0 || !bytes.Equal(group[last].index(), r.index()):
			if err := w.flush(group, flooded); err != nil {
				return err
			}
			group, flooded = append(group[:0], r), false
		case bytes.Equal(group[last].entry(), r.entry()):
			w.duplicate(&r, &group[last])
		case len(group) == maxPerKey:
			flooded = true
			w.tooMany(&r)
		default:
			group = append(group, r)
		}
	}
}

func (w *tableWriter) duplicate(r, first *record) {
	w.b.sum.Duplicates++
	w.b.cfg.Report(Issue{Line: r.line(), Reason: "says the same as another", Duplicate: true, Of: first.line()})
}

func (w *tableWriter) tooMany(r *record) {
	w.b.sum.Rejected++
	w.b.cfg.Report(Issue{Line: r.line(), Field: "number", Reason: fmt.Sprintf("has more than %d different entries; all of them are left out", maxPerKey)})
}

// flush writes the entries of one document.
func (w *tableWriter) flush(group []record, flooded bool) error {
	for i := range group {
		if flooded {
			w.tooMany(&group[i])
			continue
		}
		if w.n == maxEntries {
			return fmt.Errorf("more than %d entries do not fit into one list", uint64(maxEntries))
		}
		for b := bucket(group[i].index(), w.fine); uint64(len(w.starts)) <= b; {
			w.starts = append(w.starts, uint32(w.n))
		}
		copy(w.entries[w.n%perPage*entrySize:], group[i].entry())
		w.n++
		if w.n%perPage == 0 {
			if err := w.page(&w.entries); err != nil {
				return err
			}
			clear(w.entries[:])
		}
	}
	return nil
}

// index ends the entries and writes the bucket index. The merge kept it for
// the number of records; repeated ones may have made it finer than the
// entries need, then every second, fourth... start is used.
func (w *tableWriter) index() error {
	if w.n%perPage != 0 {
		if err := w.page(&w.entries); err != nil {
			return err
		}
	}
	for len(w.starts) < 1<<w.fine+1 {
		w.starts = append(w.starts, uint32(w.n))
	}
	step := 1 << (w.fine - bucketBits(w.n))
	var p page
	used := 0
	for b := 0; b < len(w.starts); b += step {
		if used == slotFan {
			if err := w.page(&p); err != nil {
				return err
			}
			p, used = page{}, 0
		}
		binary.BigEndian.PutUint32(p[used*slotSize:], w.starts[b])
		used++
	}
	return w.page(&p)
}
