package allowlist

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Table is one opened list. Its methods may be called from many goroutines,
// but not after Close.
type Table struct {
	st      Statement
	head    header
	geo     geometry
	f       source
	cache   *pageCache
	pages   sync.Pool  // of *page, to read into
	sealers *sync.Pool // nil without a secret
	flights struct {   // of the gate that was asked for last
		sync.Mutex
		gate  string
		all   []string
		known bool
	}
}

// source is what a table reads from: positioned reads, so that a bad sector is
// an error and not a signal as with mapped memory.
type source interface {
	io.ReaderAt
	io.Closer
}

// Open opens the list in dir: its statement must be signed by one of the keys,
// its header proven, its secret the one it was built with. It judges neither
// expiry nor version: that is the Store's. Without a secret (nil) the list can
// be verified but not asked.
func Open(dir string, keys []ed25519.PublicKey, secret *GenerationSecret) (*Table, error) {
	raw, err := readSmall(filepath.Join(dir, StatementFile), statementSize)
	if err != nil {
		return nil, fmt.Errorf("read list statement: %w", err)
	}
	st, err := VerifyStatement(raw, keys)
	if err != nil {
		return nil, err
	}
	return openTable(dir, st, secret)
}

// openTable opens the table in dir against a statement that is proven.
func openTable(dir string, st Statement, secret *GenerationSecret) (*Table, error) {
	return openTableFile(filepath.Join(dir, TableFile), st, secret)
}

func openTableFile(path string, st Statement, secret *GenerationSecret) (*Table, error) {
	f, info, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("open list: %w", err)
	}
	if uint64(info.Size()) != st.fileSize() {
		return nil, errors.Join(fmt.Errorf("%w: %s has %d bytes, its statement says %d; copy the list again",
			ErrDamaged, path, info.Size(), st.fileSize()), f.Close())
	}
	t, err := newTable(st, f, secret)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

// newTable proves the header and compares it with the statement.
func newTable(st Statement, f source, secret *GenerationSecret) (*Table, error) {
	pages := st.fileSize() / pageSize
	t := &Table{st: st, f: f, cache: newPageCache(int(min(pages, cachedPages)))}
	t.geo.data, t.geo.levels = st.DataPages, treeLevels(st.DataPages)
	if err := t.begin(secret); err != nil {
		return nil, errors.Join(err, t.cache.close())
	}
	return t, nil
}

func (t *Table) begin(secret *GenerationSecret) error {
	st := &t.st
	var first page
	if err := t.proven(0, 0, first[:]); err != nil {
		return err
	}
	h, err := parseHeader(&first)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	g := h.geometry()
	if h.generation != st.Generation || h.version != st.Version || h.entries != st.Entries || g.data != st.DataPages {
		return fmt.Errorf("%w: statement and table disagree; build the list again", ErrDamaged)
	}
	t.head, t.geo = h, g
	if secret == nil {
		return nil
	}
	keys, err := secret.derive()
	if err != nil {
		return err
	}
	if age := st.Issued.Sub(secret.Began); age > MaxGenerationAge {
		return fmt.Errorf("%w: generation %d began on %s and serves 30 days at most; build the list under the next one",
			ErrSecret, secret.Generation, secret.Began.Format(time.DateOnly))
	}
	if secret.Generation != st.Generation || keys.check != h.check {
		return fmt.Errorf("%w: %s is not that of generation %d; copy all three files of the list", ErrSecret, SecretFile, st.Generation)
	}
	t.sealers = &sync.Pool{New: func() any { return newSealer(keys) }}
	return nil
}

// Statement gives the proven statement.
func (t *Table) Statement() Statement { return t.st }

// Sets gives the number of sets of flights and gates.
func (t *Table) Sets() uint64 { return t.head.sets }

// Close releases file and memory.
func (t *Table) Close() error { return errors.Join(t.f.Close(), t.cache.close()) }

// proven copies a part of a data page, from off on: from the cache, or out of
// the page as it is read and proven.
func (t *Table) proven(no, off uint64, part []byte) error {
	if t.cache.get(no, off, part) {
		return nil
	}
	p := t.page()
	defer t.pages.Put(p)
	if err := t.readProven(no, p); err != nil {
		return err
	}
	t.cache.put(no, p)
	copy(part, p[off:])
	return nil
}

// page lends a page to read into; it goes back to t.pages.
func (t *Table) page() *page {
	if p, ok := t.pages.Get().(*page); ok {
		return p
	}
	return new(page)
}

// readProven reads a data page into p and proves it against the root. On an
// error p holds nothing to be used.
func (t *Table) readProven(no uint64, p *page) error {
	if no >= t.geo.data {
		return fmt.Errorf("%w: it points at page %d of %d", ErrDamaged, no, t.geo.data)
	}
	t.announce(no)
	if err := t.read(no, p); err != nil {
		return err
	}
	want, err := t.hash(0, no)
	if err != nil {
		return err
	}
	if leafHash(p) != want {
		return damagedPage(no)
	}
	return nil
}

// announce tells the kernel what the proof of a data page will need, so that a
// cold disk reads it beside each other and not one after the other. It is a
// hint: where it fails the pages are read all the same.
func (t *Table) announce(no uint64) {
	f, ok := t.f.(*os.File)
	if !ok || t.cache.has(t.geo.levels[0].first+no/fan) {
		return // as a rule the proof is at hand and the page itself the only one to read
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for level, i := 0, no/fan; level < len(t.geo.levels) && !t.cache.has(t.geo.levels[level].first+i); level, i = level+1, i/fan {
			_ = unix.Fadvise(int(fd), int64(t.geo.levels[level].first+i)*pageSize, pageSize, unix.FADV_WILLNEED)
		}
		_ = unix.Fadvise(int(fd), int64(no)*pageSize, pageSize, unix.FADV_WILLNEED)
	})
}

// hash gives the proven hash of page i below a level of the tree.
func (t *Table) hash(level int, i uint64) (h [hashSize]byte, err error) {
	if t.cache.get(t.geo.levels[level].first+i/fan, i%fan*hashSize, h[:]) {
		return h, nil
	}
	p := t.page()
	defer t.pages.Put(p)
	if err := t.readNode(level, i/fan, p); err != nil {
		return h, err
	}
	return [hashSize]byte(p[i%fan*hashSize:]), nil
}

// readNode reads a node page into p and proves it: of all levels only the
// highest is compared with the root itself.
func (t *Table) readNode(level int, i uint64, p *page) (err error) {
	no := t.geo.levels[level].first + i
	if err := t.read(no, p); err != nil {
		return err
	}
	want := t.st.Root
	if level+1 < len(t.geo.levels) {
		if want, err = t.hash(level+1, i); err != nil {
			return err
		}
	}
	if nodeHash(level, p) != want {
		return damagedPage(no)
	}
	t.cache.put(no, p)
	return nil
}

func (t *Table) read(no uint64, p *page) error {
	if _, err := t.f.ReadAt(p[:], int64(no)*pageSize); err != nil {
		return fmt.Errorf("%w: page %d cannot be read: %w", ErrDamaged, no, err)
	}
	return nil
}

func damagedPage(no uint64) error {
	return fmt.Errorf("%w: page %d does not fit the signed root; copy the list again and look at the disk", ErrDamaged, no)
}
