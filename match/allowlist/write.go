package allowlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
)

// listWriter makes a table out of a Builder's runs.
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
	if err := w.merge(); err != nil {
		return Statement{}, err
	}
	root, pages, err := w.finish(header{generation: b.cfg.Secret.Generation, version: b.cfg.Version, kinds: b.kinds, check: b.keys.check})
	if err != nil {
		return Statement{}, err
	}
	return Statement{Generation: b.cfg.Secret.Generation, Version: b.cfg.Version, Issued: b.cfg.Issued, Expires: b.cfg.Expires,
		Revoked: b.cfg.Revoked, Airport: b.cfg.Airport, Entries: w.n, DataPages: pages, Root: root}, nil
}

// merge writes the entries of all runs in order. Records with the same index
// belong to one document: repeated entries are merged into the first line's,
// and a document with too many is rejected as a whole, since dropping some
// could drop a refusal.
func (w *listWriter) merge() error {
	m, err := w.b.spills.merge()
	if err != nil {
		return err
	}
	total := w.b.spills.count
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

func (w *listWriter) duplicate(r, first *record) {
	w.b.sum.Duplicates++
	w.b.cfg.Report(Issue{Line: r.line(), Reason: "says the same as another", Duplicate: true, Of: first.line()})
}

func (w *listWriter) tooMany(r *record) {
	w.b.sum.Rejected++
	w.b.cfg.Report(Issue{Line: r.line(), Field: "number", Reason: fmt.Sprintf("has more than %d different entries; all of them are left out", maxPerKey)})
}

// flush writes the entries of one document.
func (w *listWriter) flush(group []record, flooded bool) error {
	for i := range group {
		if flooded {
			w.tooMany(&group[i])
			continue
		}
		if err := w.entry(group[i].entry()); err != nil {
			return err
		}
	}
	return nil
}
