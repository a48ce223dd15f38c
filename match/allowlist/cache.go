package allowlist

import "sync"

// cachedPages bounds the memory of a table: 16 MiB of proven node, index and
// set pages. Entry pages are not kept: look-ups hit them at random and the
// kernel has them anyway.
const cachedPages = 4096

// pageCache keeps proven pages, throwing out those not asked for lately (second
// chance). What is in it is never written to again.
type pageCache struct {
	mu    sync.Mutex
	byNo  map[uint64]*cached
	ring  []*cached
	hand  int
	limit int
}

type cached struct {
	no   uint64
	used bool
	page *page
}

func newPageCache(limit int) *pageCache {
	return &pageCache{byNo: map[uint64]*cached{}, limit: limit}
}

func (c *pageCache) get(no uint64) *page {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byNo[no]
	if e == nil {
		return nil
	}
	e.used = true
	return e.page
}

func (c *pageCache) put(no uint64, p *page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byNo[no]; e != nil {
		return
	}
	e := &cached{no: no, used: true, page: p}
	c.byNo[no] = e
	if len(c.ring) < c.limit {
		c.ring = append(c.ring, e)
		return
	}
	for c.ring[c.hand].used {
		c.ring[c.hand].used = false
		c.hand = (c.hand + 1) % len(c.ring)
	}
	delete(c.byNo, c.ring[c.hand].no)
	c.ring[c.hand] = e
	c.hand = (c.hand + 1) % len(c.ring)
}
