package allowlist

import (
	"sync"

	"golang.org/x/sys/unix"
)

// cachedPages bounds the memory of a table: 36 MiB of proven node, index and
// set pages, all that a list of a hundred million has. Entry pages are not kept:
// look-ups hit them at random and the kernel has them anyway.
const cachedPages = 9 << 10

// pageCache keeps proven pages, throwing out those not asked for lately (second
// chance). The pages lie outside of Go's heap: on it, garbage twice their size
// would be left lying before the next collection. So nothing of them is handed
// out but copies, made under the lock.
type pageCache struct {
	mu    sync.Mutex
	slots map[uint64]int // by page number
	nos   []uint64       // by slot
	used  []bool         // by slot
	hand  int
	limit int
	slab  []byte
	gone  bool // closed, or there is no memory: every page is read each time
}

func newPageCache(limit int) *pageCache {
	return &pageCache{slots: map[uint64]int{}, limit: limit}
}

// get copies a part of a page, from off on, if the page is there.
func (c *pageCache) get(no, off uint64, part []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot, ok := c.slots[no]
	if !ok {
		return false
	}
	c.used[slot] = true
	copy(part, c.page(slot)[off:])
	return true
}

// has says whether a page is there.
func (c *pageCache) has(no uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.slots[no]
	return ok
}

// put keeps a proven page.
func (c *pageCache) put(no uint64, p *page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.slots[no]; ok || !c.ready() {
		return
	}
	slot := len(c.nos)
	if slot < c.limit {
		c.nos, c.used = append(c.nos, 0), append(c.used, false)
	} else {
		for c.used[c.hand] {
			c.used[c.hand] = false
			c.hand = (c.hand + 1) % c.limit
		}
		slot = c.hand
		c.hand = (c.hand + 1) % c.limit
		delete(c.slots, c.nos[slot])
	}
	c.slots[no], c.nos[slot], c.used[slot] = slot, no, true
	copy(c.page(slot), p[:])
}

func (c *pageCache) page(slot int) []byte { return c.slab[slot*pageSize : (slot+1)*pageSize] }

// ready gets the memory, once. The kernel gives it page by page, as it is used.
func (c *pageCache) ready() bool {
	if c.slab == nil && !c.gone {
		var err error
		c.slab, err = unix.Mmap(-1, 0, c.limit*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		c.gone = err != nil
	}
	return !c.gone
}

// close gives the memory back.
func (c *pageCache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	slab := c.slab
	c.slab, c.gone = nil, true
	clear(c.slots)
	if slab == nil {
		return nil
	}
	return unix.Munmap(slab)
}
