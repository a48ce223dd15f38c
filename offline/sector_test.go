package offline

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/psanford/sqlite3vfs"

	"gateagent/gate/wire"
)

// A sector of the disk that cannot be read any more (the kernel says EIO), while
// all others can and everything can be written, is damage like any other.
func TestBadSector(t *testing.T) {
	must(t, sqlite3vfs.RegisterVFS("badsector", sectorVFS{}))
	o := open(t, Config{Dir: quickDir(t), vfs: "badsector", unreadableAfter: time.Nanosecond})
	for n := range 300 {
		appendAll(t, o, record(wire.KindDecision, n, wire.OutcomeAbort))
	}
	epoch := o.Queue().Epoch
	must(t, o.Close())
	at := leaves(t, o.path)
	newest, early := at[300].page, at[150].page
	info, err := os.Stat(o.path)
	must(t, err)

	theBadSector.set(info, int64(early-1)*pageSize)
	o = open(t, o.cfg)
	for range 5 {
		if drainOld(t, o, epoch); o.Queue().Epoch != epoch {
			break
		}
	}
	settle(t, o)
	if q := o.Queue(); q.Epoch == epoch && q.Acknowledged < q.Last {
		t.Errorf("in the middle: %d results wait for ever behind %d", q.Last-q.Acknowledged, q.Acknowledged)
	}
	must(t, o.Close())

	theBadSector.set(info, int64(newest-1)*pageSize)
	defer theBadSector.set(nil, 0)
	for range 5 {
		var again *Outbox
		if again, err = Open(t.Context(), o.cfg); err == nil {
			must(t, again.Close())
			break
		}
	}
	if err != nil {
		t.Errorf("at the end: the gate does not start any more: %v", err)
	}
}

type badSector struct {
	mu   sync.Mutex
	file os.FileInfo
	at   int64
}

var theBadSector badSector

func (b *badSector) set(file os.FileInfo, at int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file, b.at = file, at
}

func (b *badSector) hit(f *os.File, off int64, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(info, b.file) && off < b.at+512 && off+int64(n) > b.at
}

type sectorVFS struct{}

func (sectorVFS) Open(name string, flags sqlite3vfs.OpenFlag) (sqlite3vfs.File, sqlite3vfs.OpenFlag, error) {
	how := os.O_RDWR
	if flags&sqlite3vfs.OpenCreate != 0 {
		how |= os.O_CREATE
	}
	f, err := os.OpenFile(name, how, 0o600)
	if err != nil {
		return nil, 0, sqlite3vfs.CantOpenError
	}
	return &sectorFile{f}, flags, nil
}
func (sectorVFS) Delete(name string, _ bool) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return sqlite3vfs.IOError
	}
	return nil
}
func (sectorVFS) Access(name string, _ sqlite3vfs.AccessFlag) (bool, error) {
	_, err := os.Stat(name)
	return err == nil, nil
}
func (sectorVFS) FullPathname(name string) string { return name }

type sectorFile struct{ f *os.File }

func (f *sectorFile) Close() error { return f.f.Close() }
func (f *sectorFile) ReadAt(p []byte, off int64) (int, error) {
	if theBadSector.hit(f.f, off, len(p)) {
		return 0, sqlite3vfs.IOErrorRead
	}
	n, err := f.f.ReadAt(p, off)
	if n < len(p) && errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, err
}
func (f *sectorFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f *sectorFile) Truncate(n int64) error                   { return f.f.Truncate(n) }
func (f *sectorFile) Sync(sqlite3vfs.SyncType) error           { return f.f.Sync() }
func (f *sectorFile) FileSize() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
func (f *sectorFile) Lock(sqlite3vfs.LockType) error   { return nil }
func (f *sectorFile) Unlock(sqlite3vfs.LockType) error { return nil }
func (f *sectorFile) CheckReservedLock() (bool, error) { return true, nil }
func (f *sectorFile) SectorSize() int64                { return 512 }
func (f *sectorFile) DeviceCharacteristics() sqlite3vfs.DeviceCharacteristic {
	return 0
}
