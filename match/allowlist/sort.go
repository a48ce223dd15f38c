package allowlist

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
)

func sortRecords(r []record) {
	slices.SortFunc(r, func(a, b record) int { return a.compare(&b) })
}

// sorter gives all records of a build in order, share by share. It works
// ahead in a goroutine of its own.
type sorter struct {
	b     *Builder
	limit int           // bytes of a share that are sorted in memory
	full  chan []record // sorted, in order
	empty chan []record // to be filled again
	err   error         // of the goroutine; once full is closed
	in    []byte        // a share as it was read
}

// newSorter begins. Everything that is read comes out of full; ctx ends it.
func newSorter(ctx context.Context, b *Builder) *sorter {
	const ahead = 2
	s := &sorter{b: b, limit: b.cfg.shareLimit(), full: make(chan []record), empty: make(chan []record, ahead)}
	for range ahead {
		s.empty <- nil
	}
	go func() {
		defer close(s.full)
		s.err = s.run(ctx)
	}()
	return s
}

func (s *sorter) run(ctx context.Context) error {
	for i := range s.b.spills.shares {
		sh := s.b.spills.shares[i]
		s.b.spills.shares[i] = share{} // its memory is free once it is read
		var err error
		switch {
		case sh.size == 0:
		case sh.size <= int64(s.limit):
			err = s.whole(ctx, sh)
		default:
			err = s.inRuns(ctx, sh)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// room lends memory for n records.
func (s *sorter) room(ctx context.Context, n int) ([]record, error) {
	select {
	case buf := <-s.empty:
		return slices.Grow(buf[:0], n)[:n], nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *sorter) give(ctx context.Context, sorted []record) error {
	select {
	case s.full <- sorted:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// whole sorts a share in memory.
func (s *sorter) whole(ctx context.Context, sh share) (err error) {
	s.in = slices.Grow(s.in[:0], int(sh.size))
	if s.in, _, err = s.b.spills.read(sh, s.in, int(sh.size)); err != nil {
		return err
	}
	out, err := s.room(ctx, len(s.in)/recordSize)
	if err != nil {
		return err
	}
	distribute(s.in, out)
	return s.give(ctx, out)
}

// distribute sorts the records of a share into out: first into as many
// buckets as leave a few records each, by the bits behind the share's, then
// each bucket.
func distribute(in []byte, out []record) {
	width := min(uint(bits.Len(uint(len(out)/4))), 16)
	at := func(i int) uint64 {
		return uint64(binary.BigEndian.Uint32(in[i*recordSize+1:])) >> (32 - width)
	}
	ends := make([]uint32, 1<<width)
	for i := range out {
		ends[at(i)]++
	}
	var sum uint32
	for i, n := range ends {
		ends[i], sum = sum, sum+n
	}
	for i := range out {
		end := &ends[at(i)]
		out[*end] = record(in[i*recordSize:])
		*end++
	}
	var begin uint32
	for _, end := range ends {
		if end-begin > 1 {
			sortRecords(out[begin:end])
		}
		begin = end
	}
}

// inRuns sorts a share that is larger than what memory is meant for: in
// runs on disk, which are merged.
func (s *sorter) inRuns(ctx context.Context, sh share) (err error) {
	path := filepath.Join(s.b.temp, "runs")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	m := &merger{}
	var at int64
	for sh.blocks != nil || sh.rest != nil {
		if s.in, sh, err = s.b.spills.read(sh, s.in[:0], s.limit); err != nil {
			return err
		}
		if len(s.in) == 0 {
			break
		}
		run, err := s.room(ctx, len(s.in)/recordSize)
		if err != nil {
			return err
		}
		distribute(s.in, run)
		for i := range run {
			copy(s.in[i*recordSize:], run[i][:])
		}
		s.empty <- run
		if _, err := f.WriteAt(s.in, at); err != nil {
			return err
		}
		m.heap = append(m.heap, &cursor{r: bufio.NewReaderSize(io.NewSectionReader(f, at, int64(len(s.in))), 1<<16)})
		at += int64(len(s.in))
	}
	if err := m.begin(); err != nil {
		return err
	}
	return s.merged(ctx, m)
}

// mergedRecords are given at a time out of runs.
const mergedRecords = 1 << 12

func (s *sorter) merged(ctx context.Context, m *merger) error {
	for {
		out, err := s.room(ctx, mergedRecords)
		if err != nil {
			return err
		}
		n := 0
		for more := true; more && n < len(out); {
			if more, err = m.next(&out[n]); err != nil {
				return err
			}
			if more {
				n++
			}
		}
		if err := s.give(ctx, out[:n]); err != nil || n < len(out) {
			return err
		}
	}
}

// cursor walks through one sorted run.
type cursor struct {
	now record
	r   *bufio.Reader
}

// next moves on; false at the end.
func (c *cursor) next() (bool, error) {
	_, err := io.ReadFull(c.r, c.now[:])
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

// merger gives the records of all runs in order. It is a binary heap of
// cursors; container/heap would cost an interface call a comparison.
type merger struct{ heap []*cursor }

// begin reads the first record of each run, none of which is empty.
func (m *merger) begin() error {
	for _, c := range m.heap {
		if _, err := c.next(); err != nil {
			return err
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return nil
}

// next gives the smallest record; false at the end.
func (m *merger) next(out *record) (bool, error) {
	if len(m.heap) == 0 {
		return false, nil
	}
	*out = m.heap[0].now
	more, err := m.heap[0].next()
	if err != nil {
		return false, err
	}
	if !more {
		last := len(m.heap) - 1
		m.heap[0], m.heap = m.heap[last], m.heap[:last]
	}
	m.down(0)
	return true, nil
}

func (m *merger) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			return
		}
		if child+1 < len(m.heap) && m.heap[child+1].now.compare(&m.heap[child].now) < 0 {
			child++
		}
		if m.heap[i].now.compare(&m.heap[child].now) <= 0 {
			return
		}
		m.heap[i], m.heap[child] = m.heap[child], m.heap[i]
		i = child
	}
}
