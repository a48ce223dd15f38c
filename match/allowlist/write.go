package allowlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
)

// listWriter makes a table out of a Builder's records.
type listWriter struct {
	b   *Builder
	ctx context.Context
	*tableWriter
}

// write gives the statement, not yet signed.
func (b *Builder) writeTable(ctx context.Context, path string) (Statement, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return Statement{}, err
	}
	st, err := b.writeTo(ctx, f)
	return st, errors.Join(err, f.Close())
}

func (b *Builder) writeTo(ctx context.Context, f *os.File) (Statement, error) {
	t, err := newTableWriter(ctx, f, b.sets, bucketBits(b.spills.count))
	defer t.close()
	if err != nil {
		return Statement{}, err
	}
	w := listWriter{b, ctx, t}
	if err := w.sort(); err != nil {
		return Statement{}, err
	}
	root, pages, err := w.finish(header{generation: b.cfg.Secret.Generation, version: b.cfg.Version, kinds: b.kinds, check: b.keys.check})
	if err != nil {
		return Statement{}, err
	}
	return Statement{Generation: b.cfg.Secret.Generation, Version: b.cfg.Version, Issued: b.cfg.Issued, Expires: b.cfg.Expires,
		Revoked: b.cfg.Revoked, Airport: b.cfg.Airport, Entries: w.n, DataPages: pages, Root: root}, nil
}

// sort writes the entries of all records in order. Records with the same index
// belong to one document: repeated entries are merged into the first line's,
// and a document with too many is rejected as a whole, since dropping some
// could drop a refusal.
func (w *listWriter) sort() error {
	ctx, stop := context.WithCancel(w.ctx)
	s := newSorter(ctx, w.b)
	defer func() {
		stop()
		for range s.full { // until the sorter has ended: what it reads is closed next
		}
	}()
	var g group
	var done uint64
	for records := range s.full {
		for i := range records {
			if done%(1<<16) == 0 {
				w.b.cfg.Progress("merging", done, w.b.spills.count)
			}
			done++
			if err := w.record(&g, &records[i]); err != nil {
				return err
			}
		}
		s.empty <- records
	}
	if s.err != nil {
		return s.err
	}
	return w.flush(&g)
}

// group is the distinct entries of one document.
type group struct {
	records []record
	flooded bool // the document has too many
}

// record takes the next record.
func (w *listWriter) record(g *group, r *record) error {
	switch last := len(g.records) - 1; {
	case last < 0 || !bytes.Equal(g.records[last].index(), r.index()):
		if err := w.flush(g); err != nil {
			return err
		}
		g.records, g.flooded = append(g.records[:0], *r), false
	case bytes.Equal(g.records[last].entry(), r.entry()):
		w.duplicate(r, &g.records[last])
	case len(g.records) == maxPerKey:
		g.flooded = true
		w.tooMany(r)
	default:
		g.records = append(g.records, *r)
	}
	return nil
}

func (w *listWriter) duplicate(r, first *record) {
	w.b.sum.Duplicates++
	w.b.cfg.Report(Issue{Line: r.line(), Reason: "says the same as another", Duplicate: true, Of: first.line()})
}

func (w *listWriter) tooMany(r *record) {
	w.b.sum.Rejected++
	w.b.cfg.Report(Issue{Line: r.line(), Field: "number", Reason: fmt.Sprintf("has more than %d different entries; all of them are left out", maxPerKey)})
}

// flush writes the entries of one document.
func (w *listWriter) flush(g *group) error {
	for i := range g.records {
		if g.flooded {
			w.tooMany(&g.records[i])
			continue
		}
		if err := w.entries(g.records[i].entry()); err != nil {
			return err
		}
	}
	return nil
}
