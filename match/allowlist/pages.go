package allowlist

import (
	"context"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// chunkPages are hashed and written at a time: half a MiB, so that whoever
// shares the machine's cores with a merge waits a millisecond and not ten.
const chunkPages = 128

// tableWriter writes a table front to back; only the header, which holds the
// counts, is written last. Pages are hashed and written beside the one
// goroutine that calls it. Close must be called whatever happens.
type tableWriter struct {
	f      *os.File
	n      uint64   // entries so far
	starts []uint32 // bucket index for fine
	fine   uint

	chunk  []byte // under construction
	full   chan []byte
	empty  chan []byte
	end    chan struct{}    // closed when the other side has ended
	hashes [][hashSize]byte // of the data pages; the other side's until end
	err    error            // the other side's until end
	head   header           // counts are filled in as they are known
}

// newTableWriter begins a table with its sets; fine is the width of the bucket
// index for at least as many entries as there will be.
func newTableWriter(ctx context.Context, f *os.File, sets *setTable, fine uint) (*tableWriter, error) {
	const depth = 4
	w := &tableWriter{
		f: f, fine: fine, starts: make([]uint32, 0, 1<<fine+1),
		full: make(chan []byte, depth), empty: make(chan []byte, depth), end: make(chan struct{}),
	}
	for range depth - 1 {
		w.empty <- make([]byte, 0, chunkPages*pageSize)
	}
	w.chunk = make([]byte, 0, chunkPages*pageSize)
	go w.run(ctx, w.full)
	dir, data := sets.layOut()
	w.head.sets, w.head.setPages = uint64(len(sets.order)), uint64(len(data))
	if err := w.bytes(new(page)[:]); err != nil { // the header's place
		return w, err
	}
	for _, p := range append(dir, data...) {
		if err := w.bytes(p[:]); err != nil {
			return w, err
		}
	}
	return w, nil
}

// run hashes and writes chunks. Writing out begins at once, so that the sync at
// the end finds little to do.
func (w *tableWriter) run(ctx context.Context, full <-chan []byte) {
	defer close(w.end)
	var at int64
	for chunk := range full {
		if w.err == nil && ctx.Err() != nil {
			w.err = context.Cause(ctx)
		}
		if w.err == nil {
			for p := chunk; len(p) > 0; p = p[pageSize:] {
				w.hashes = append(w.hashes, leafHash((*page)(p)))
			}
			_, w.err = w.f.WriteAt(chunk, at)
			// A hint: what it cannot do, the sync at the end does.
			_ = unix.SyncFileRange(int(w.f.Fd()), at, int64(len(chunk)), unix.SYNC_FILE_RANGE_WRITE)
			at += int64(len(chunk))
		}
		w.empty <- chunk[:0]
	}
}

// close ends the other side and gives its error.
func (w *tableWriter) close() error {
	if w.full != nil {
		close(w.full)
		w.full = nil
		for ended := false; !ended; {
			select {
			case <-w.empty:
			case <-w.end:
				ended = true
			}
		}
	}
	return w.err
}

// bytes adds whole pages or entries.
func (w *tableWriter) bytes(b []byte) error {
	w.chunk = append(w.chunk, b...)
	if len(w.chunk) < cap(w.chunk) {
		return nil
	}
	return w.hand(w.chunk)
}

// hand gives a chunk of whole pages to the other side.
func (w *tableWriter) hand(chunk []byte) error {
	w.full <- chunk
	select {
	case w.chunk = <-w.empty:
		return nil
	case <-w.end: // it ends early never; kept from waiting for ever all the same
		return w.err
	}
}

// entry adds one entry; they come in order.
func (w *tableWriter) entry(e []byte) error {
	if w.n == maxEntries {
		return errFull
	}
	for b := bucket(e, w.fine); uint64(len(w.starts)) <= b; {
		w.starts = append(w.starts, uint32(w.n))
	}
	w.n++
	return w.bytes(e[:entrySize])
}

// pad ends a region: its last page is filled with zeros.
func (w *tableWriter) pad() error {
	if over := len(w.chunk) % pageSize; over != 0 {
		return w.bytes(zeros[:pageSize-over])
	}
	return nil
}

// finish writes bucket index, tree and header, and gives the root and the
// number of data pages. The index was kept for fine; where fewer entries came,
// every second, fourth... start is used.
func (w *tableWriter) finish(h header) (root [hashSize]byte, pages uint64, err error) {
	if err := w.pad(); err != nil {
		return root, 0, err
	}
	for len(w.starts) < 1<<w.fine+1 {
		w.starts = append(w.starts, uint32(w.n))
	}
	var slot [slotSize]byte
	for b := 0; b < len(w.starts); b += 1 << (w.fine - bucketBits(w.n)) {
		binary.BigEndian.PutUint32(slot[:], w.starts[b])
		if err := w.bytes(slot[:]); err != nil {
			return root, 0, err
		}
	}
	if err := w.pad(); err != nil {
		return root, 0, err
	}
	if len(w.chunk) > 0 {
		w.full <- w.chunk
	}
	if err := w.close(); err != nil {
		return root, 0, err
	}
	h.entries, h.sets, h.setPages = w.n, w.head.sets, w.head.setPages
	first := h.marshal()
	w.hashes[0] = leafHash(first)
	if root, err = writeTree(w.f, w.hashes); err == nil {
		_, err = w.f.WriteAt(first[:], 0)
	}
	return root, uint64(len(w.hashes)), err
}
