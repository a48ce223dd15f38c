package offline

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gateagent/gate/wire"
)

// pageSize is that of our databases, SQLite's default.
const pageSize = 4096

// Layout of the write-ahead log (https://www.sqlite.org/fileformat2.html,
// section 4.1).
const (
	walHeader   = 32
	frameHeader = 24
)

// pageScan reads the results of a damaged database from its pages, without the
// tree above them: for when the way to a page is lost and the page is not.
// Nothing of it is believed before its hashes are checked.
type pageScan struct {
	db, wal *os.File         // wal is nil when there is none
	logged  map[uint32]int64 // where the log has a newer version of a page
	size    uint32           // pages that belong to the database, as the log says; 0: it does not
	rows    map[uint64]place // where a row is
	epoch   string           // of the row of meta, if that was found
	acked   uint64
	seq     uint64 // the newest number ever given, if that was found
	steps   int    // rows of acked that were found, and
	stepped uint64 // the highest number in them: meta has the same
}

// place is a cell on a page.
type place struct {
	page   uint32
	offset int
}

// scanPages looks through a folder's database once.
func scanPages(ctx context.Context, folder string) (*pageScan, error) {
	db, err := os.Open(filepath.Join(folder, dbName))
	if err != nil {
		return nil, err
	}
	s := &pageScan{db: db, logged: make(map[uint32]int64), rows: make(map[uint64]place)}
	for _, name := range []string{keptLogName, dbName + "-wal"} {
		if s.wal, err = os.Open(filepath.Join(folder, name)); err == nil {
			s.index()
			break
		}
		s.wal = nil
	}
	info, err := db.Stat()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	inFile := uint32(info.Size() / pageSize)
	numbers := make([]uint32, 0, len(s.logged))
	for n := range s.logged {
		if n > inFile {
			numbers = append(numbers, n)
		}
	}
	for n := uint32(1); n <= inFile; n++ {
		numbers = append(numbers, n)
	}
	for _, n := range numbers {
		if page, err := s.page(n); err == nil {
			s.leaf(n, page)
		}
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), s.close())
		}
	}
	return s, nil
}

func (s *pageScan) close() error {
	err := s.db.Close()
	if s.wal != nil {
		err = errors.Join(err, s.wal.Close())
	}
	return err
}

// index finds the newest version of each page in the log, up to the last
// commit; of a page that went bad the one before.
func (s *pageScan) index() {
	w, err := walkLog(s.wal)
	if err != nil {
		return
	}
	open, follows := make(map[uint32]int64), w.sound
	for {
		f, ok := w.next()
		if !ok {
			return
		}
		if f.ours && (f.fits || !follows) {
			open[f.page] = f.at
		}
		if follows = f.ours; f.ours && f.commit != 0 {
			maps.Copy(s.logged, open)
			clear(open)
			s.size = f.commit
		}
	}
}

func (s *pageScan) page(n uint32) ([]byte, error) {
	page := make([]byte, pageSize)
	var err error
	if at, ok := s.logged[n]; ok {
		_, err = s.wal.ReadAt(page, at)
	} else {
		_, err = s.db.ReadAt(page, int64(n-1)*pageSize)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return page, err
}

// leaf notes the rows of a page if it is a leaf of a table (section 1.6: type
// 13, the number of cells, and a pointer to each).
func (s *pageScan) leaf(n uint32, page []byte) {
	const leafTable, headerSize = 13, 8
	if page[0] != leafTable {
		return
	}
	cells := int(binary.BigEndian.Uint16(page[3:]))
	for i := range cells {
		at := headerSize + 2*i
		if at+2 > pageSize {
			return
		}
		p := place{n, int(binary.BigEndian.Uint16(page[at:]))}
		id, cols, err := s.cell(page, p.offset)
		switch {
		case err != nil:
		case len(cols) == 6 && len(cols[2]) == wire.HashSize && len(cols[3]) == wire.HashSize && len(cols[4]) == wire.HashSize:
			if _, had := s.rows[id]; !had || s.within(n) {
				s.rows[id] = p
			}
		case len(cols) == 5 && id == 1 && wire.CheckEpoch(string(cols[2])) == nil:
			s.epoch, s.acked = string(cols[2]), uint64(integer(cols[4]))
		case len(cols) == 2 && string(cols[0]) == "result":
			s.seq = max(s.seq, uint64(integer(cols[1])))
		case len(cols) == 2 && len(cols[0]) == 0 && integer(cols[1]) >= 0:
			s.steps++
			s.stepped = max(s.stepped, uint64(integer(cols[1])))
		}
	}
}

var errCell = damageError("a cell of a page is damaged")

// cell takes a row apart: its key and the bytes of its columns (section 2.1).
func (s *pageScan) cell(page []byte, at int) (id uint64, cols [][]byte, err error) {
	if at >= len(page) {
		return 0, nil, errCell
	}
	size, n := varint(page[at:])
	if n == 0 || size > 2*wire.MaxBody {
		return 0, nil, errCell
	}
	id, m := varint(page[at+n:])
	if m == 0 {
		return 0, nil, errCell
	}
	payload, err := s.payload(page, at+n+m, int(size))
	if err != nil {
		return 0, nil, err
	}
	head, n := varint(payload)
	if n == 0 || head < uint64(n) || head > uint64(len(payload)) {
		return 0, nil, errCell
	}
	body := payload[head:]
	for types := payload[n:head]; len(types) > 0; {
		kind, n := varint(types)
		if n == 0 {
			return 0, nil, errCell
		}
		types = types[n:]
		width := columnWidth(kind)
		if width > uint64(len(body)) {
			return 0, nil, errCell
		}
		cols = append(cols, body[:width])
		body = body[width:]
	}
	return id, cols, nil
}

// columnWidth is how many bytes a column of a serial type has.
func columnWidth(kind uint64) uint64 {
	switch {
	case kind >= 12:
		return (kind - 12) / 2
	case kind == 5:
		return 6
	case kind == 6, kind == 7:
		return 8
	case kind <= 4:
		return kind
	}
	return 0 // 8 and 9 are the constants 0 and 1
}

// payload gathers what a cell holds, from its page and those it overflows to
// (section 1.6, the bounds of what stays on the page).
func (s *pageScan) payload(page []byte, at, size int) ([]byte, error) {
	const most, least = pageSize - 35, (pageSize-12)*32/255 - 23
	local := size
	if size > most {
		if local = least + (size-least)%(pageSize-4); local > most {
			local = least
		}
	}
	if at+local > len(page) {
		return nil, errCell
	}
	out := append([]byte(nil), page[at:at+local]...)
	if local == size {
		return out, nil
	}
	if at+local+4 > len(page) {
		return nil, errCell
	}
	for next := binary.BigEndian.Uint32(page[at+local:]); len(out) < size; {
		if next == 0 {
			return nil, errCell
		}
		more, err := s.page(next)
		if err != nil {
			return nil, err
		}
		next = binary.BigEndian.Uint32(more)
		out = append(out, more[4:min(pageSize, 4+size-len(out))]...)
	}
	return out, nil
}

// row gives a result as it is on its page.
func (s *pageScan) row(number uint64) (e wire.Entry, at int64, chain []byte, err error) {
	p, ok := s.rows[number]
	if !ok {
		return e, 0, nil, errCell
	}
	page, err := s.page(p.page)
	if err != nil {
		return e, 0, nil, err
	}
	_, cols, err := s.cell(page, p.offset)
	if err != nil {
		return e, 0, nil, err
	}
	return wire.Entry{Number: number, Prev: cols[2], Hash: cols[3], Body: cols[5]}, integer(cols[1]), cols[4], nil
}

// integer reads a big-endian two's complement number.
func integer(b []byte) int64 {
	var v int64
	for i, c := range b {
		if i == 0 {
			v = int64(int8(c))
			continue
		}
		v = v<<8 | int64(c)
	}
	return v
}

// varint reads SQLite's variable-length number; n is 0 when there is none.
func varint(b []byte) (v uint64, n int) {
	for i, c := range b {
		if i == 8 {
			return v<<8 | uint64(c), 9
		}
		v = v<<7 | uint64(c&0x7f)
		if c&0x80 == 0 {
			return v, i + 1
		}
	}
	return 0, 0
}

// within says whether a page belongs to the database.
func (s *pageScan) within(page uint32) bool { return s.size == 0 || page <= s.size }

// numbers gives the results on pages that belong to the database, in order. On
// others lie results that were deleted.
func (s *pageScan) numbers() (out []uint64) {
	for n, p := range s.rows {
		if s.within(p.page) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
