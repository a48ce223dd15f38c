package allowlist

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// record is an entry with the line it came from, as it is sorted: by all of
// its bytes, so that the order never depends on which worker had it.
type record [recordSize]byte

const recordSize = entrySize + 8

func (r *record) line() int64   { return int64(binary.BigEndian.Uint64(r[entrySize:])) }
func (r *record) entry() []byte { return r[:entrySize] }
func (r *record) index() []byte { return r[:indexSize] }

func (r *record) compare(o *record) int {
	a, b := binary.BigEndian.Uint64(r[:]), binary.BigEndian.Uint64(o[:])
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return bytes.Compare(r[8:], o[8:])
}

func sortRecords(r []record) {
	slices.SortFunc(r, func(a, b record) int { return a.compare(&b) })
}

// spills are the sorted runs: on disk, and the last of each worker in memory.
type spills struct {
	mu    sync.Mutex
	files []*os.File
	last  [][]record
	count uint64
}

func (s *spills) close() {
	for _, f := range s.files {
		f.Close() // scratch: nothing to lose
	}
	s.files, s.last = nil, nil
}

// work seals jobs into records until there are no more.
func (b *Builder) work(in <-chan []job, limit int) error {
	s := newSealer(b.keys)
	var run []record
	for {
		select {
		case <-b.groupCtx.Done():
			return b.groupCtx.Err()
		case jobs, more := <-in:
			if !more {
				sortRecords(run)
				b.spills.mu.Lock()
				b.spills.last = append(b.spills.last, run)
				b.spills.count += uint64(len(run))
				b.spills.mu.Unlock()
				return nil
			}
			for i := range jobs {
				entry, err := s.seal(&jobs[i].doc, jobs[i].body)
				if err != nil {
					return err
				}
				var r record
				copy(r[:], entry[:])
				binary.BigEndian.PutUint64(r[entrySize:], uint64(jobs[i].line))
				run = append(run, r)
			}
			select {
			case b.spent <- jobs[:0]:
			default:
			}
			if len(run) >= limit {
				if err := b.spill(run); err != nil {
					return err
				}
				run = run[:0]
			}
		}
	}
}

// spill sorts a run and writes it to a file.
func (b *Builder) spill(run []record) error {
	sortRecords(run)
	b.spills.mu.Lock()
	f, err := os.OpenFile(filepath.Join(b.temp, "run-"+strconv.Itoa(len(b.spills.files))), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		b.spills.files = append(b.spills.files, f)
		b.spills.count += uint64(len(run))
	}
	b.spills.mu.Unlock()
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range run {
		if _, err := w.Write(run[i][:]); err != nil {
			return err
		}
	}
	return w.Flush()
}

// cursor walks through one sorted run.
type cursor struct {
	now  record
	rest []record      // in memory
	r    *bufio.Reader // or on disk
}

// next moves on; false at the end.
func (c *cursor) next() (bool, error) {
	if c.r == nil {
		if len(c.rest) == 0 {
			return false, nil
		}
		c.now, c.rest = c.rest[0], c.rest[1:]
		return true, nil
	}
	_, err := io.ReadFull(c.r, c.now[:])
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

// merger gives the records of all runs in order. It is a binary heap of
// cursors; container/heap would cost an interface call a comparison.
type merger struct{ heap []*cursor }

func (s *spills) merge() (*merger, error) {
	m := &merger{}
	var all []*cursor
	for _, f := range s.files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		all = append(all, &cursor{r: bufio.NewReaderSize(f, 1<<20)})
	}
	for _, run := range s.last {
		all = append(all, &cursor{rest: run})
	}
	for _, c := range all {
		more, err := c.next()
		if err != nil {
			return nil, err
		}
		if more {
			m.heap = append(m.heap, c)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return m, nil
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
