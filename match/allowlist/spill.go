package allowlist

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
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

// shares are what records are parted into while they come, by the first byte
// of their index. Indexes are a keyed hash, so the shares are even, and each is
// small enough to be sorted in memory, one after another: nothing is merged
// unless somebody repeats one document millions of times.
const shares = 256

// leastBlock is how many bytes of a share a worker keeps in memory at least.
const leastBlock = 16 * recordSize

// blockLimit gives the bytes of a share that each of the workers keeps in
// memory: all of them have half of what there is.
func (c *BuildConfig) blockLimit(workers int) int {
	return max(int(c.Memory/2/int64(workers)/shares)/recordSize*recordSize, leastBlock)
}

// shareLimit gives the bytes of a share that are sorted in memory: it is read
// beside room for two that are sorted.
func (c *BuildConfig) shareLimit() int { return max(int(c.Memory/6), leastBlock) }

// share is where the records of one share lie.
type share struct {
	blocks []extent // on disk
	rest   [][]byte // in memory, what each worker had left
	size   int64    // of both, in bytes
}

type extent struct {
	at   int64
	size int
}

// spills are the records, sealed and not yet sorted.
type spills struct {
	mu     sync.Mutex
	file   *os.File // of all blocks; nil while everything fits into memory
	end    int64    // of the file
	shares [shares]share
	count  uint64
}

func (s *spills) close() {
	if s.file != nil {
		s.file.Close() // scratch: nothing to lose
		s.file = nil
	}
	s.shares = [shares]share{}
}

// work seals jobs into records until there are no more. It keeps a block of
// records of each share in memory, limit bytes each.
func (b *Builder) work(in <-chan []job, limit int) error {
	s := newSealer(b.keys)
	var open [shares][]byte
	for {
		select {
		case <-b.groupCtx.Done():
			return b.groupCtx.Err()
		case jobs, more := <-in:
			if !more {
				b.spills.keep(&open)
				return nil
			}
			for i := range jobs {
				entry, err := s.seal(&jobs[i].doc, jobs[i].body)
				if err != nil {
					return err
				}
				block := &open[entry[0]]
				*block = binary.BigEndian.AppendUint64(append(withRoom(*block, limit), entry[:]...), uint64(jobs[i].line))
				if len(*block) < limit {
					continue
				}
				if err := b.spill(entry[0], *block); err != nil {
					return err
				}
				*block = (*block)[:0]
			}
			select {
			case b.spent <- jobs[:0]:
			default:
			}
		}
	}
}

// withRoom gives a block with room for one more record; it doubles up to limit.
func withRoom(block []byte, limit int) []byte {
	if len(block) < cap(block) {
		return block
	}
	return append(make([]byte, 0, min(max(2*len(block), leastBlock), limit)), block...)
}

// keep takes over what a worker has left in memory.
func (s *spills) keep(open *[shares][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, block := range open {
		if len(block) == 0 {
			continue
		}
		s.shares[i].rest = append(s.shares[i].rest, block)
		s.shares[i].size += int64(len(block))
		s.count += uint64(len(block) / recordSize)
	}
}

// spill writes a block of a share to the file.
func (b *Builder) spill(no byte, block []byte) error {
	s := &b.spills
	s.mu.Lock()
	if s.file == nil {
		f, err := os.OpenFile(filepath.Join(b.temp, "records"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			s.mu.Unlock()
			return err
		}
		s.file = f
	}
	f, at := s.file, s.end
	s.end += int64(len(block))
	s.shares[no].blocks = append(s.shares[no].blocks, extent{at, len(block)})
	s.shares[no].size += int64(len(block))
	s.count += uint64(len(block) / recordSize)
	s.mu.Unlock()
	_, err := f.WriteAt(block, at)
	return err
}

// read appends the records of a share, block by block, to buf until it holds
// at least limit bytes, and gives what is left of the share.
func (s *spills) read(sh share, buf []byte, limit int) ([]byte, share, error) {
	for len(buf) < limit && len(sh.blocks) > 0 {
		next := sh.blocks[0]
		begin := len(buf)
		buf = append(buf, make([]byte, next.size)...)
		if _, err := s.file.ReadAt(buf[begin:], next.at); err != nil {
			return buf, sh, err
		}
		sh.blocks = sh.blocks[1:]
	}
	for len(buf) < limit && len(sh.rest) > 0 {
		buf = append(buf, sh.rest[0]...)
		sh.rest = sh.rest[1:]
	}
	return buf, sh, nil
}
