package disk

import (
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/psanford/sqlite3vfs"
)

// Op is a kind of operation.
type Op uint8

// The operations. A mark is not one of the disk: it tells where in the course
// of events its user was.
const (
	Write Op = iota + 1
	Truncate
	Sync
	Delete
	Read
	Mark
)

// String names the operation.
func (o Op) String() string {
	names := []string{"nothing", "write", "truncate", "sync", "delete", "read", "mark"}
	if int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// Event is something that happened to the disk; reads are not written down.
type Event struct {
	Op   Op
	File string
	At   int64  // of a write; the new size of a truncation
	Data []byte // of a write
	Note string // of a mark
	Hard bool   // a deletion that is synced at once
}

// Disk is one simulated disk. Its methods may be called at any time.
type Disk struct {
	mu     sync.Mutex
	files  map[string]*file // as a program sees them
	events []Event
	lies   bool
	fault  fault
	failed int
}

// Kind is how an operation fails.
type Kind uint8

// The kinds: a disk that is broken, or was mounted read-only, which SQLite's own
// layer for Unix does not tell apart; and one that is full.
const (
	Broken Kind = iota
	Full
)

// says is SQLite's word for a failure of the kind.
func (k Kind) says(broken error) error {
	if k == Full {
		return sqlite3vfs.FullError
	}
	return broken
}

// fault is when operations fail, and how.
type fault struct {
	kind  Kind
	ops   []Op
	after int // how many still succeed
	stuck bool
	armed bool
}

type file struct {
	disk *Disk
	name string
	data []byte
}

// Events gives everything that happened so far.
func (d *Disk) Events() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// Mark writes down where the user of the disk is.
func (d *Disk) Mark(note string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, Event{Op: Mark, Note: note})
}

// Lie makes the disk answer every sync and carry out none, as disks with a
// volatile cache do that ignore the flush.
func (d *Disk) Lie() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lies = true
}

// Fail lets the operations of some kinds fail, after so many more that succeed:
// once, or stuck from then on.
func (d *Disk) Fail(after int, stuck bool, ops ...Op) { d.FailAs(Broken, after, stuck, ops...) }

// FailAs is Fail with the kind of failure.
func (d *Disk) FailAs(kind Kind, after int, stuck bool, ops ...Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.failed = fault{kind: kind, ops: ops, after: after, stuck: stuck, armed: true}, 0
}

// Heal ends all failing and says how many operations failed.
func (d *Disk) Heal() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault.armed = false
	return d.failed
}

// Files gives the content of the disk as a program sees it now.
func (d *Disk) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string][]byte)
	for name, f := range d.files {
		out[name] = slices.Clone(f.data)
	}
	return out
}

// Put replaces the content of the disk, as found and synced.
func (d *Disk) Put(files map[string][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.files)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := slices.Clone(files[name])
		d.files[name] = &file{disk: d, name: name, data: data}
		d.events = append(d.events, Event{Op: Write, File: name, Data: slices.Clone(data)}, Event{Op: Sync, File: name})
	}
}

// Grow writes zeros behind a file, up to a size, and syncs them, as a program
// does that gives a file its length beforehand.
func (d *Disk) Grow(name string, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[name]
	if !ok || int64(len(f.data)) >= size {
		return
	}
	at := int64(len(f.data))
	f.data = resize(f.data, size)
	d.events = append(d.events, Event{Op: Write, File: name, At: at, Data: make([]byte, size-at)})
	if !d.lies {
		d.events = append(d.events, Event{Op: Sync, File: name})
	}
}

// fails says whether this operation is to fail. The caller holds mu.
func (d *Disk) fails(op Op) bool {
	if !d.fault.armed || !slices.Contains(d.fault.ops, op) {
		return false
	}
	if d.fault.after > 0 {
		d.fault.after--
		return false
	}
	d.fault.armed = d.fault.stuck
	d.failed++
	return true
}

func (d *Disk) open(name string, create bool) (*file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[name]
	if !ok {
		if !create {
			return nil, sqlite3vfs.CantOpenError
		}
		f = &file{disk: d, name: name}
		d.files[name] = f
	}
	return f, nil
}

func (d *Disk) has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.files[name]
	return ok
}

func (d *Disk) remove(name string, hard bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails(Delete) {
		return d.fault.kind.says(sqlite3vfs.IOError)
	}
	delete(d.files, name)
	d.events = append(d.events, Event{Op: Delete, File: name, Hard: hard})
	return nil
}

// Close keeps the file (sqlite3vfs.File, as all that follow).
func (f *file) Close() error { return nil }

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.fails(Read) {
		return 0, sqlite3vfs.IOErrorRead
	}
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.fails(Write) {
		return 0, f.disk.fault.kind.says(sqlite3vfs.IOErrorWrite)
	}
	f.data = put(f.data, p, off)
	f.disk.events = append(f.disk.events, Event{Op: Write, File: f.name, At: off, Data: slices.Clone(p)})
	return len(p), nil
}

func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.fails(Truncate) {
		return f.disk.fault.kind.says(sqlite3vfs.IOError)
	}
	f.data = resize(f.data, size)
	f.disk.events = append(f.disk.events, Event{Op: Truncate, File: f.name, At: size})
	return nil
}

func (f *file) Sync(sqlite3vfs.SyncType) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.fails(Sync) {
		return sqlite3vfs.IOError
	}
	if !f.disk.lies {
		f.disk.events = append(f.disk.events, Event{Op: Sync, File: f.name})
	}
	return nil
}

func (f *file) FileSize() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *file) Lock(sqlite3vfs.LockType) error   { return nil }
func (f *file) Unlock(sqlite3vfs.LockType) error { return nil }

// CheckReservedLock: nobody else holds the file. The module turns the answer
// around.
func (f *file) CheckReservedLock() (bool, error) { return true, nil }

func (f *file) SectorSize() int64 { return Sector }

// DeviceCharacteristics are those of SQLite's own layer for Unix.
func (f *file) DeviceCharacteristics() sqlite3vfs.DeviceCharacteristic {
	return sqlite3vfs.IocapPowersafeOverwrite
}

// put writes into a buffer that grows as a file does.
func put(data, p []byte, off int64) []byte {
	if end := off + int64(len(p)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[off:], p)
	return data
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}
