package chip

import (
	"context"
	"errors"

	"gateagent/gate"
	"gateagent/internal/ber"
)

// ef is an elementary file: identifier, short identifier, folder (ICAO
// 9303-10 section 4.2 table 38 and section 3.11) and how large we let it be.
type ef struct {
	id     uint16
	short  byte
	folder folder
	limit  int
}

const kib = 1024

// files lists what can be read. The limits are ours: several times what
// documents in the field carry.
var files = map[gate.File]ef{
	gate.FileCOM:          {0x011E, 0x1E, folderApplication, 4 * kib},
	gate.FileSOD:          {0x011D, 0x1D, folderApplication, 64 * kib},
	gate.FileCardAccess:   {0x011C, 0x1C, folderMaster, 16 * kib},
	gate.FileCardSecurity: {0x011D, 0x1D, folderMaster, 64 * kib},
	gate.FileATRInfo:      {0x2F01, 0x01, folderMaster, kib},
	gate.DG(1):            {0x0101, 0x01, folderApplication, 4 * kib},
	gate.DG(2):            {0x0102, 0x02, folderApplication, 256 * kib},
	gate.DG(3):            {0x0103, 0x03, folderApplication, 256 * kib},
	gate.DG(4):            {0x0104, 0x04, folderApplication, 256 * kib},
	gate.DG(5):            {0x0105, 0x05, folderApplication, 256 * kib},
	gate.DG(6):            {0x0106, 0x06, folderApplication, 64 * kib},
	gate.DG(7):            {0x0107, 0x07, folderApplication, 256 * kib},
	gate.DG(8):            {0x0108, 0x08, folderApplication, 64 * kib},
	gate.DG(9):            {0x0109, 0x09, folderApplication, 64 * kib},
	gate.DG(10):           {0x010A, 0x0A, folderApplication, 64 * kib},
	gate.DG(11):           {0x010B, 0x0B, folderApplication, 64 * kib},
	gate.DG(12):           {0x010C, 0x0C, folderApplication, 256 * kib},
	gate.DG(13):           {0x010D, 0x0D, folderApplication, 64 * kib},
	gate.DG(14):           {0x010E, 0x0E, folderApplication, 16 * kib},
	gate.DG(15):           {0x010F, 0x0F, folderApplication, 16 * kib},
	gate.DG(16):           {0x0110, 0x10, folderApplication, 64 * kib},
}

// headerNe is how little the first read of a file asks for when the chip does
// not bear reads past the end: any identifier and length.
const headerNe = 8

// maxReopened bounds how often one session runs the access again.
const maxReopened = 1

// reading is what the session has learned about the chip's reads.
type reading struct {
	chunk     int  // largest read that may work
	plain     int  // length that EF.CardAccess was read with
	worked    int  // largest read that has worked
	extended  bool // extended length is known to work
	shortOnly bool // extended length is refused
	exact     bool // reads past the end are refused
	shortEF   trit // READ BINARY by short file identifier
	cut       int  // how much an answer brought that brought too little
	reopened  int
	lost      int // the read by which the session was lost
	// then is the command that will follow the next one, if that is answered
	// in full.
	then *command
	// ahead holds the first bytes of a file that were read early, to prove
	// chip authentication.
	ahead     []byte
	aheadFile gate.File
}

// trit is a question that the chip may have answered.
type trit byte

const (
	unknown trit = iota
	yes
	no
)

func (r *reading) noExtended() { r.extended, r.shortOnly = false, true }

// loses notes that a read of ne bytes has cost the session. What follows asks
// for little, and never past the end of a file.
func (r *reading) loses(ne int) {
	r.lost, r.exact = ne, true
	r.noExtended()
	r.chunk = min(r.chunk, maxProtectedShort)
	if ne <= r.chunk {
		r.chunk = 192
	}
}

func (r *reading) forget() {
	clear(r.ahead)
	r.ahead, r.aheadFile = nil, gate.FileNone
}

// largest is how much one read may ask for now.
func (s *Session) largest() int {
	if s.reads.shortOnly {
		return min(s.reads.chunk, s.shortRoom())
	}
	return s.reads.chunk
}

// shortRoom is how many bytes a protected answer of short length carries.
func (s *Session) shortRoom() int {
	if s.sm == nil {
		return maxProtectedShort
	}
	return s.sm.suite.shortRoom()
}

// first is how much the first read of a file asks for.
func (s *Session) first(limit int) int {
	switch {
	case s.reads.exact:
		return headerNe
	case s.reads.extended:
		return min(s.largest(), limit)
	}
	return min(s.largest(), s.shortRoom())
}

// rungs are the lengths that chips in the field are known to stop at.
func (s *Session) rungs() []int { return []int{2048, 1024, 512, s.shortRoom(), 192, 128, 64} }

// smaller lists what to ask for when a read of ne bytes is refused. A
// Ukrainian chip wants at most 192.
func (s *Session) smaller(ne int) []int {
	sizes := []int{ne}
	for _, n := range s.rungs() {
		if n < ne {
			sizes = append(sizes, n)
		}
	}
	return sizes
}

// ReadFile reads one whole file under secure messaging: as many bytes as its
// header declares, within the file's limit.
func (s *Session) ReadFile(ctx context.Context, f gate.File) ([]byte, error) {
	step := "read " + f.String()
	e, ok := files[f]
	if !ok {
		return nil, fault(gate.ChipMissing, gate.CodeFileMissing, step, 0, errors.New("no such file is defined"))
	}
	if err := s.alive(step); err != nil {
		return nil, err
	}
	r := fileRead{s, ctx, step, f, e}
	buf := s.takeAhead(f)
	if buf == nil {
		if err := s.enter(ctx, step, e.folder); err != nil {
			return nil, err
		}
		var err error
		if buf, err = r.start(); err != nil {
			return nil, err
		}
	}
	if f == gate.FileATRInfo {
		return buf, nil // data objects without a frame; the first read has them all
	}
	_, header, length, err := ber.Header(buf)
	if err != nil {
		return nil, fault(gate.ChipNonsense, gate.CodeChipNonsense, step, 0, err)
	}
	total := header + length
	if total > e.limit {
		return nil, fault(gate.ChipNonsense, gate.CodeTooLarge, step, 0, nil)
	}
	return r.rest(buf, total)
}

func (s *Session) takeAhead(f gate.File) []byte {
	if s.reads.ahead == nil || s.reads.aheadFile != f || s.place.file != f {
		return nil
	}
	b := s.reads.ahead
	s.reads.ahead, s.reads.aheadFile = nil, gate.FileNone
	return b
}

// fileRead is the reading of one file.
type fileRead struct {
	*Session
	ctx  context.Context
	step string
	f    gate.File
	ef   ef
}

// start selects the file and reads its beginning, by short identifier in one
// command where the chip can do that.
func (r fileRead) start() ([]byte, error) {
	if r.reads.shortEF != no {
		got, refused, err := r.ranged(r.ctx, r.step, r.firstReads(0x80|r.ef.short), nil)
		if err != nil {
			return nil, err
		}
		if got.readable() {
			r.reads.shortEF = yes
			r.place.file = r.f
			return r.begun(got, refused)
		}
		if r.reads.shortEF == yes {
			return nil, statusFault(r.step, got.sw)
		}
	}
	if err := r.selectIt(); err != nil {
		return nil, err
	}
	got, refused, err := r.ranged(r.ctx, r.step, r.firstReads(0), r.selectIt)
	if err != nil {
		return nil, err
	}
	if !got.readable() {
		return nil, statusFault(r.step, got.sw)
	}
	if r.reads.shortEF == unknown {
		r.reads.shortEF = no // the file is there, only that way to it is not
	}
	return r.begun(got, refused)
}

// firstReads lists the first read and the one of the header alone.
func (r fileRead) firstReads(p1 byte) []command {
	first := command{ins: insReadBinary, p1: p1, ne: r.first(r.ef.limit)}
	if first.ne <= headerNe {
		return []command{first}
	}
	header := first
	header.ne = headerNe
	return []command{first, header}
}

// begun takes the first bytes of a file.
func (r fileRead) begun(got response, refused bool) ([]byte, error) {
	if len(got.data) == 0 {
		return nil, nonsense(r.step, "an empty file")
	}
	// The header alone was given. Either reads past the end are refused, or
	// the first one was too long: which of the two shows where a length is
	// refused that has worked elsewhere.
	switch asked := r.first(r.ef.limit); {
	case !refused:
		r.reads.worked = max(r.reads.worked, asked)
	case asked <= r.reads.worked:
		r.reads.exact = true
	}
	return got.data, nil
}

func (r fileRead) selectIt() error {
	r.place.file = gate.FileNone
	got, err := r.must(r.ctx, r.step, selectFile(r.ef.id))
	if err != nil {
		return err
	}
	if !got.ok() {
		return statusFault(r.step, got.sw)
	}
	r.place.file = r.f
	return nil
}

// rest reads on until total bytes are there.
func (r fileRead) rest(buf []byte, total int) ([]byte, error) {
	// Sixteen bytes a read are fewer than any honest chip brings.
	for range total/16 + 16 {
		if len(buf) >= total {
			return buf[:total], nil
		}
		got, err := r.next(len(buf), total-len(buf))
		if err != nil {
			return nil, err
		}
		buf = append(buf, got...)
	}
	if len(buf) >= total {
		return buf[:total], nil
	}
	return nil, nonsense(r.step, "%d bytes of %d after as many reads as were allowed", len(buf), total)
}

// next reads up to want bytes at offset, at least one.
func (r fileRead) next(offset, want int) ([]byte, error) {
	odd, rest := offset > maxEvenOffset, want
	want = r.piece(offset, rest)
	var tries []command
	for _, n := range r.smaller(want) {
		tries = append(tries, readAt(offset, n))
	}
	if rest > want {
		then := readAt(offset+want, r.piece(offset+want, rest-want))
		r.reads.then = &then
	}
	got, refused, err := r.ranged(r.ctx, r.step, tries, r.selectIt)
	switch {
	case err != nil:
		return nil, err
	case got.sw == 0x6B00 || got.readable() && len(got.data) == 0:
		return nil, nonsense(r.step, "the file ends after %d bytes, %d before the declared end", offset, want)
	case !got.readable():
		return nil, statusFault(r.step, got.sw)
	}
	data := got.data
	if odd {
		if data, err = ber.Expect(got.data, doDiscretionary); err != nil || len(data) == 0 {
			return nil, nonsense(r.step, "no data object 53 in the answer")
		}
	}
	if len(data) > want {
		return nil, nonsense(r.step, "%d bytes where %d were asked for", len(data), want)
	}
	r.sized(len(data), want, refused)
	return data, nil
}

// piece is how much of what is left from offset on one read asks for.
func (r fileRead) piece(offset, left int) int {
	n := min(left, r.largest())
	if offset <= maxEvenOffset {
		n = min(n, maxEvenOffset+1-offset)
	}
	return n
}

// sized learns from a read that brought n bytes where want were asked for. A
// chip that gives the same number twice will not give more.
func (r fileRead) sized(n, want int, refused bool) {
	s := &r.reads
	s.worked = max(s.worked, n)
	switch {
	case n == want:
		return
	case refused || s.cut == n:
		s.chunk = min(s.chunk, max(n, 64))
	}
	s.cut = n
}

const (
	maxEvenOffset   = 0x7FFF // fits into P1-P2 of READ BINARY B0
	doOffset        = 0x54
	doDiscretionary = 0x53
)

// readAt is a READ BINARY of n bytes at offset: with the odd instruction
// beyond 32 KiB, where offset and answer are data objects (ICAO 9303-10
// section 3.5.2) whose frame counts in Le.
func readAt(offset, n int) command {
	if offset <= maxEvenOffset {
		return command{ins: insReadBinary, p1: byte(offset >> 8), p2: byte(offset), ne: n}
	}
	return command{ins: insReadBinaryOdd, data: offsetObject(offset), ne: n + len(ber.Make(doDiscretionary, make([]byte, n))) - n}
}

func offsetObject(offset int) []byte {
	b := []byte{byte(offset >> 16), byte(offset >> 8), byte(offset)}
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return ber.Make(doOffset, b)
}

// readable: the answer brings data, perhaps up to the end of the file.
func (r response) readable() bool { return r.sw == swOK || r.sw == swEndOf }
