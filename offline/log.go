package offline

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"gateagent/internal/durable"
)

// SQLite reads its log up to the first frame that does not fit and takes that
// for its end, as it is after a power cut. Where a page of the log went bad
// behind our back, everything after it would be gone without a word, and its
// numbers given again. So we look first.

// Layout of the log's header (https://www.sqlite.org/fileformat2.html, section
// 4.1): the last bit of the magic number says in which byte order sums are
// made.
const (
	walMagic    = 0x377f0682
	walSumAt    = 24 // in the header, of what is before it
	frameSumAt  = 16 // in a frame's header
	frameSalted = 8  // salts of a frame's header
	headSalted  = 16 // salts of the log's header
)

// keptLogName is a copy of a log that went bad: SQLite removes the log itself
// when it closes the database.
const keptLogName = "outbox.damaged-log"

// logFrame is one frame of a log.
type logFrame struct {
	page, commit uint32 // commit: the frame ends a transaction, with so many pages in the database
	at           int64  // of the page
	ours         bool   // of this round of the log
	fits         bool   // the sums follow on those of the frame before it
}

// logWalk goes through a log.
type logWalk struct {
	f     *os.File
	sound bool // the header is
	order binary.ByteOrder
	salts string
	sums  [2]uint32 // as stored with the frame before
	at    int64
	frame [frameHeader + pageSize]byte
}

func walkLog(f *os.File) (*logWalk, error) {
	w := &logWalk{f: f, order: binary.BigEndian, at: walHeader}
	head := make([]byte, walHeader)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, err
	}
	magic := binary.BigEndian.Uint32(head)
	if magic&1 == 0 {
		w.order = binary.LittleEndian
	}
	w.salts = string(head[headSalted:walSumAt])
	w.sums = stored(head[walSumAt:])
	w.sound = magic&^1 == walMagic && w.add([2]uint32{}, head[:walSumAt]) == w.sums
	if !w.sound { // the first frame tells
		if _, err := f.ReadAt(w.frame[:frameHeader], walHeader); err != nil {
			return nil, err
		}
		w.salts = string(w.frame[frameSalted:frameSumAt])
	}
	return w, nil
}

func stored(b []byte) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// add carries the sums on over bytes (section 4.2 of the same page).
func (w *logWalk) add(s [2]uint32, data []byte) [2]uint32 {
	for ; len(data) >= 8; data = data[8:] {
		s[0] += w.order.Uint32(data) + s[1]
		s[1] += w.order.Uint32(data[4:]) + s[0]
	}
	return s
}

// next gives the next frame, and false at the end of the file.
func (w *logWalk) next() (logFrame, bool) {
	if _, err := w.f.ReadAt(w.frame[:], w.at); err != nil {
		return logFrame{}, false
	}
	head := w.frame[:frameHeader]
	f := logFrame{page: binary.BigEndian.Uint32(head), commit: binary.BigEndian.Uint32(head[4:]), at: w.at + frameHeader}
	f.ours = f.page != 0 && string(head[frameSalted:frameSumAt]) == w.salts
	sums := w.add(w.add(w.sums, head[:8]), w.frame[frameHeader:])
	w.sums = stored(head[frameSumAt:])
	f.fits = f.ours && sums == w.sums
	w.at += frameHeader + pageSize
	return f, true
}

// checkLog finds a log of which a part went bad that had been synced. A torn
// end is none: each transaction is synced before the next begins, so behind a
// frame that was never synced there may be the end of its own transaction and
// nothing that follows on that. What went bad within the last two transactions
// looks the same and is not found.
func checkLog(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := walkLog(f)
	if err != nil {
		return nil // shorter than a frame: nothing can be lost
	}
	torn, ended := !w.sound, !w.sound
	for {
		frame, ok := w.next()
		switch {
		case !ok:
			return nil
		case !torn && frame.fits:
		case torn && ended && frame.ours && (frame.fits || !w.sound):
			return damage("a part of its log that had been synced cannot be read")
		default:
			torn = true
			ended = frame.ours && frame.commit != 0
		}
	}
}

// keepLog copies a log that went bad, or whose database is gone, once. It says
// whether there is one. There is a file of the database afterwards.
func keepLog(folder string) (bool, error) {
	if exists(folder, keptLogName) {
		return true, nil
	}
	log, gone := filepath.Join(folder, dbName+"-wal"), isEmpty(filepath.Join(folder, dbName))
	if err := checkLog(log); !isDamage(err) && (err != nil || !gone || isEmpty(log)) {
		return false, errors.Join(err, touch(filepath.Join(folder, dbName)))
	}
	data, err := os.ReadFile(log)
	if err != nil {
		return false, err
	}
	if err := durable.WriteFile(filepath.Join(folder, keptLogName), data, 0o600); err != nil {
		return false, err
	}
	return true, touch(filepath.Join(folder, dbName))
}

// touch makes a file that is not there.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
