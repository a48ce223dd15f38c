package allowlist

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// chunkPages are hashed and written at a time: half a MiB, so that whoever
// shares the machine's cores with a merge waits a millisecond and not ten.
const chunkPages = 128

// hashers are how many goroutines hash and write chunks: hashing costs more
// than everything else that a merge does.
const hashers = 2

// tableWriter writes a table front to back; only the header, which holds the
// counts, is written last. Pages are hashed and written beside the one
// goroutine that calls it. Close must be called whatever happens.
type tableWriter struct {
	out    io.WriterAt // nil: only the root is wanted
	n      uint64      // entries so far
	starts []uint32    // bucket index for fine
	fine   uint

	chunk []byte // under construction
	first uint64 // number of its first page
	full  chan chunk
	empty chan []byte
	end   sync.WaitGroup // of the other side

	mu     sync.Mutex
	hashes [][hashSize]byte // of the data pages
	err    error            // of the other side
	head   header           // counts are filled in as they are known
}

// chunk is a run of whole pages.
type chunk struct {
	first uint64
	bytes []byte
}

// newTableWriter begins a table with its sets; fine is the width of the bucket
// index for at least as many entries as there will be. Without a file nothing
// is written and the root is what comes of it.
func newTableWriter(ctx context.Context, f *os.File, sets *setTable, fine uint) (*tableWriter, error) {
	const depth = 4
	w := &tableWriter{
		fine: fine, starts: make([]uint32, 0, 1<<fine+1),
		full: make(chan chunk, depth), empty: make(chan []byte, depth+hashers),
	}
	if f != nil {
		w.out = f
	}
	for range cap(w.empty) - 1 {
		w.empty <- nil // made when it is needed: a small table has one chunk
	}
	w.chunk = make([]byte, 0, chunkPages*pageSize)
	full := w.full // close forgets it
	for range hashers {
		w.end.Go(func() { w.run(ctx, f, full) })
	}
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

// run hashes and writes chunks, each at its place. Writing out begins at once,
// so that the sync at the end finds little to do.
func (w *tableWriter) run(ctx context.Context, f *os.File, full <-chan chunk) {
	var hashes [chunkPages][hashSize]byte
	for c := range full {
		err := w.failed()
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			pages := len(c.bytes) / pageSize
			for i := range pages {
				hashes[i] = leafHash((*page)(c.bytes[i*pageSize:]))
			}
			if f != nil {
				at := int64(c.first) * pageSize
				_, err = f.WriteAt(c.bytes, at)
				// A hint: what it cannot do, the sync at the end does.
				_ = unix.SyncFileRange(int(f.Fd()), at, int64(len(c.bytes)), unix.SYNC_FILE_RANGE_WRITE)
			}
			w.note(c.first, hashes[:pages], err)
		} else {
			w.note(c.first, nil, err)
		}
		w.empty <- c.bytes[:0]
		runtime.Gosched() // a lane may be waiting
	}
}

// note remembers what came of a chunk.
func (w *tableWriter) note(first uint64, hashes [][hashSize]byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	if need := int(first) + len(hashes) - len(w.hashes); need > 0 {
		w.hashes = append(w.hashes, make([][hashSize]byte, need)...)
	}
	copy(w.hashes[min(int(first), len(w.hashes)):], hashes)
}

func (w *tableWriter) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// close ends the other side and gives its error. What waits for it never
// stops it: there is room in empty for every chunk that there is.
func (w *tableWriter) close() error {
	if w.full != nil {
		close(w.full)
		w.full = nil
		w.end.Wait()
	}
	return w.err
}

// bytes adds whole pages or entries.
func (w *tableWriter) bytes(b []byte) error {
	w.chunk = append(w.chunk, b...)
	if len(w.chunk) < cap(w.chunk) {
		return nil
	}
	return w.hand()
}

// hand gives the chunk, whole pages, to the other side.
func (w *tableWriter) hand() error {
	w.full <- chunk{w.first, w.chunk}
	w.first += uint64(len(w.chunk) / pageSize)
	if w.chunk = <-w.empty; w.chunk == nil {
		w.chunk = make([]byte, 0, chunkPages*pageSize)
	}
	return w.failed()
}

// entries adds entries; they come in order.
func (w *tableWriter) entries(run []byte) error {
	if w.n+uint64(len(run)/entrySize) > maxEntries {
		return errFull
	}
	for at := 0; at < len(run); at += entrySize {
		for b := bucket(run[at:], w.fine); uint64(len(w.starts)) <= b; {
			w.starts = append(w.starts, uint32(w.n))
		}
		w.n++
	}
	for len(run) > 0 {
		part := min(cap(w.chunk)-len(w.chunk), len(run))
		if err := w.bytes(run[:part]); err != nil {
			return err
		}
		run = run[part:]
	}
	return nil
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
		w.full <- chunk{w.first, w.chunk}
	}
	if err := w.close(); err != nil {
		return root, 0, err
	}
	h.entries, h.sets, h.setPages = w.n, w.head.sets, w.head.setPages
	first := h.marshal()
	w.hashes[0] = leafHash(first)
	if root, err = writeTree(w.out, w.hashes); err == nil && w.out != nil {
		_, err = w.out.WriteAt(first[:], 0)
	}
	return root, uint64(len(w.hashes)), err
}
