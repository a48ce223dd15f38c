package disk

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Sector is what a disk writes as a whole.
const Sector = 512

// Image is what is on a disk.
type Image map[string][]byte

// Save writes the image as files into a folder.
func (i Image) Save(folder string) error {
	for name, data := range i {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// History plays events again, one by one.
type History struct {
	names map[string][]*inode
}

// Step plays one more event.
func (h *History) Step(e Event) {
	if h.names == nil {
		h.names = make(map[string][]*inode)
	}
	apply(h.names, &e)
}

// Cut gives what a power cut leaves that comes now; the history may go on
// afterwards as if there had been none. Of what was not synced each sector is
// kept with the chance keep: with 0 none is, with 1 all are, as after a crash
// of the program alone. It also says how many unsynced sectors were lost.
func (h *History) Cut(keep float64, random *rand.Rand) (Image, int) {
	out, lost := make(Image), 0
	for _, name := range slices.Sorted(maps.Keys(h.names)) { // the same seed, the same image
		data, there, n := settle(h.names[name], keep, random)
		lost += n
		if there {
			out[name] = data
		}
	}
	return out, lost
}

// inode is one file over its life; a name that is deleted and made again has
// several.
type inode struct {
	durable []byte
	named   bool    // its name is durable
	pending []Event // since the last sync
	deleted bool    // and that is not synced
}

func apply(names map[string][]*inode, e *Event) {
	if e.Op == Mark {
		return
	}
	all := names[e.File]
	if len(all) == 0 || all[len(all)-1].deleted {
		if e.Op == Delete {
			return
		}
		all = append(all, &inode{named: len(all) == 0 && linked(e.File)})
		names[e.File] = all
	}
	f := all[len(all)-1]
	switch e.Op {
	case Write, Truncate:
		f.pending = append(f.pending, *e)
	case Sync:
		for i := range f.pending {
			f.durable = write(f.durable, &f.pending[i])
		}
		f.pending = nil
		if !f.named {
			syncFolder(names)
		}
	case Delete:
		f.deleted = true
		if e.Hard {
			delete(names, e.File)
		}
	}
}

// syncFolder makes every name durable, and that others are gone: SQLite syncs
// the folder with the first sync of a log.
func syncFolder(names map[string][]*inode) {
	for name, all := range names {
		f := all[len(all)-1]
		if f.deleted {
			delete(names, name)
			continue
		}
		f.named = true
		names[name] = []*inode{f}
	}
}

func write(data []byte, e *Event) []byte {
	if e.Op == Truncate {
		return resize(data, e.At)
	}
	return put(data, e.Data, e.At)
}

// settle decides what a name stands for after the cut.
func settle(all []*inode, keep float64, random *rand.Rand) (data []byte, there bool, lost int) {
	kept := func() bool { return keep >= 1 || keep > 0 && random.Float64() < keep }
	for i := len(all) - 1; i >= 0; i-- {
		f := all[i]
		if f.deleted && kept() {
			return nil, false, lost
		}
		if !f.named && !kept() {
			lost += len(f.pending)
			continue
		}
		data = slices.Clone(f.durable)
		for j := range f.pending {
			e := &f.pending[j]
			if e.Op == Truncate {
				if kept() {
					data = resize(data, e.At)
				}
				continue
			}
			for from := 0; from < len(e.Data); {
				// Sectors as the disk has them, not as the write begins.
				to := min(len(e.Data), from+Sector-int((e.At+int64(from))%Sector))
				if kept() {
					data = put(data, e.Data[from:to], e.At+int64(from))
				} else {
					lost++
				}
				from = to
			}
		}
		return data, true, lost
	}
	return nil, false, lost
}
