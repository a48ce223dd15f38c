package allowlist

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes of the layout (package comment).
const (
	pageSize  = 4096
	entrySize = 32
	indexSize = 16
	bodySize  = 16
	perPage   = pageSize / entrySize
	hashSize  = 32
	fan       = pageSize / hashSize
	dirEntry  = 8
	dirFan    = pageSize / dirEntry
	slotSize  = 4
	slotFan   = pageSize / slotSize

	// Layout is the version of the layout that this package writes and reads.
	Layout = 2

	maxEntries    = 1<<32 - 1
	maxSets       = 1 << 22
	maxPerKey     = 64 // entries of one document
	bucketTarget  = 64 // entries a bucket, on average, at most
	maxBucketBits = 28
)

// Names of the files of a list.
const (
	TableFile     = "list.gal"
	StatementFile = "list.sig"
	SecretFile    = "list.key"
)

type page [pageSize]byte

var headerMagic = [8]byte{'G', 'A', 'T', 'E', 'L', 'I', 'S', 'T'}

// header is the first page. Everything else about the shape follows from it.
type header struct {
	generation uint32
	version    uint64
	entries    uint64
	sets       uint64
	setPages   uint64
	kinds      uint32   // of match keys in the table: bit n for kind n
	check      [16]byte // proves that a secret belongs to the table
}

func (h *header) marshal() *page {
	var p page
	be := binary.BigEndian
	copy(p[0:8], headerMagic[:])
	be.PutUint32(p[8:], Layout)
	be.PutUint32(p[12:], pageSize)
	be.PutUint32(p[16:], entrySize)
	be.PutUint32(p[20:], h.generation)
	be.PutUint64(p[24:], h.version)
	be.PutUint64(p[32:], h.entries)
	be.PutUint64(p[40:], h.sets)
	be.PutUint64(p[48:], h.setPages)
	copy(p[56:72], h.check[:])
	be.PutUint32(p[72:], h.kinds)
	return &p
}

// parseHeader accepts exactly what marshal writes.
func parseHeader(p *page) (header, error) {
	be := binary.BigEndian
	if [8]byte(p[0:8]) != headerMagic {
		return header{}, errors.New("the file is no list table")
	}
	if v := be.Uint32(p[8:]); v != Layout {
		return header{}, fmt.Errorf("the table has layout %d, this program reads layout %d", v, Layout)
	}
	h := header{
		generation: be.Uint32(p[20:]),
		version:    be.Uint64(p[24:]),
		entries:    be.Uint64(p[32:]),
		sets:       be.Uint64(p[40:]),
		setPages:   be.Uint64(p[48:]),
		check:      [16]byte(p[56:72]),
		kinds:      be.Uint32(p[72:]),
	}
	if h.entries > maxEntries || h.sets > maxSets || h.setPages > h.sets {
		return header{}, errors.New("the table's header states impossible counts")
	}
	if h.kinds&^uint32(knownKinds) != 0 {
		return header{}, errors.New("the table holds kinds of match keys that this program does not know; update it")
	}
	if h.has(kindPerson) && h.sets > maxPersonSets {
		return header{}, errTooManySets
	}
	if *h.marshal() != *p {
		return header{}, errors.New("the table's header holds bytes that its layout does not know")
	}
	return h, nil
}

// knownKinds are the kinds of match keys of this layout. A kiosk that could not
// ask for one might miss a refusal under it.
const knownKinds = 1<<kindNumber | 1<<kindSignature | 1<<kindPerson

// maxPersonSets is how many sets a table with persons may have: a kiosk looks
// through them for the flights of its gate.
const maxPersonSets = 1 << 16

var errFull = fmt.Errorf("more than %d entries do not fit into one list", uint64(maxEntries))

var errTooManySets = fmt.Errorf("a list with names has more than %d combinations of flights and gates", maxPersonSets)

func (h *header) has(kind uint) bool { return h.kinds&(1<<kind) != 0 }

// region is a run of pages.
type region struct{ first, pages uint64 }

// geometry says where everything lies; it follows from the header.
type geometry struct {
	dir, sets, entries, index region
	data                      uint64   // data pages: all before the tree
	levels                    []region // of the tree, lowest first
	total                     uint64   // all pages
	bucketBits                uint
}

func ceilDiv(a, b uint64) uint64 { return (a + b - 1) / b }

// bucketBits gives the width of the bucket index for a number of entries.
func bucketBits(entries uint64) uint {
	var bits uint
	for bits < maxBucketBits && entries>>bits > bucketTarget {
		bits++
	}
	return bits
}

func (h *header) geometry() geometry {
	g := geometry{bucketBits: bucketBits(h.entries)}
	next := uint64(1)
	place := func(pages uint64) region {
		r := region{next, pages}
		next += pages
		return r
	}
	g.dir = place(ceilDiv(h.sets, dirFan))
	g.sets = place(h.setPages)
	g.entries = place(ceilDiv(h.entries, perPage))
	g.index = place(ceilDiv(1<<g.bucketBits+1, slotFan))
	g.data = next
	g.levels = treeLevels(g.data)
	g.total = g.data
	for _, l := range g.levels {
		g.total += l.pages
	}
	return g
}

// treeLevels places the node pages over a number of data pages.
func treeLevels(data uint64) []region {
	var levels []region
	next := data
	for n := data; ; {
		n = ceilDiv(n, fan)
		levels = append(levels, region{next, n})
		next += n
		if n <= 1 {
			return levels
		}
	}
}

// bucket gives the leading bits of an index.
func bucket(index []byte, bits uint) uint64 {
	return uint64(binary.BigEndian.Uint32(index)) >> (32 - bits)
}
