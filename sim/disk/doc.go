// Package disk is a simulated disk under SQLite. It keeps the files of a
// folder in memory, writes down every write, truncation, sync and deletion,
// and can say afterwards what a power cut at any of these moments would have
// left: what was synced, and of the rest nothing, everything or some sectors.
// It can also fail: the n-th operation, once or from then on.
//
// It stands below the real driver as a VFS of SQLite
// (https://www.sqlite.org/vfs.html). It has no shared memory, so a database in
// WAL mode must be opened with exclusive locking.
package disk

import (
	"path/filepath"
	"strings"
	"sync"

	"github.com/psanford/sqlite3vfs"
)

// Host is one VFS; each of its disks is a folder.
type Host struct {
	mu    sync.Mutex
	disks map[string]*Disk // guarded by mu; by folder
}

// Register makes a VFS known to SQLite, for the rest of the process and under
// a name that nobody else uses. It must be called before databases are opened.
func Register(name string) (*Host, error) {
	h := &Host{disks: make(map[string]*Disk)}
	if err := sqlite3vfs.RegisterVFS(name, h); err != nil {
		return nil, err
	}
	return h, nil
}

// New gives the host an empty disk in the place of a folder.
func (h *Host) New(folder string) *Disk {
	d := &Disk{files: make(map[string]*file)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.disks[filepath.Clean(folder)] = d
	return d
}

// find gives the disk and the name on it of a path.
func (h *Host) find(path string) (*Disk, string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, ok := h.disks[filepath.Dir(path)]
	return d, filepath.Base(path), ok
}

// Open opens or makes a file (sqlite3vfs.VFS).
func (h *Host) Open(path string, flags sqlite3vfs.OpenFlag) (sqlite3vfs.File, sqlite3vfs.OpenFlag, error) {
	d, name, ok := h.find(path)
	if !ok {
		return nil, 0, sqlite3vfs.CantOpenError
	}
	f, err := d.open(name, flags&sqlite3vfs.OpenCreate != 0)
	return f, flags, err
}

// Delete removes a file (sqlite3vfs.VFS).
func (h *Host) Delete(path string, dirSync bool) error {
	d, name, ok := h.find(path)
	if !ok {
		return sqlite3vfs.NotFoundError
	}
	return d.remove(name, dirSync)
}

// Access says whether a file is there (sqlite3vfs.VFS).
func (h *Host) Access(path string, _ sqlite3vfs.AccessFlag) (bool, error) {
	d, name, ok := h.find(path)
	return ok && d.has(name), nil
}

// FullPathname gives the path as it is (sqlite3vfs.VFS).
func (h *Host) FullPathname(path string) string { return filepath.Clean(path) }

// linked says whether a file's name survives although nothing of the file was
// synced: whoever opens a database makes its file and syncs the folder first,
// while SQLite syncs the folder of a log with the log's first sync.
func linked(name string) bool {
	return !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-journal")
}
