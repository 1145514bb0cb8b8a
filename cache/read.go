package cache

import (
	"sync/atomic"
	"unsafe"

	"dmalloc/message"
)

// maxPages is how many pages one read or write touches at most.
const maxPages = message.MaxData/message.PageSize + 1

// window finds the company of an address and the number of its page there.
func window(a message.Addr) (company message.CompanyID, number uint64, ok bool) {
	company, ok = a.Company()
	if !ok {
		return 0, 0, false
	}
	return company, uint64(a-company.Base()) / message.PageSize, true
}

// bounds is window for size bytes, of which there must be one, within one window.
func bounds(a message.Addr, size uint64) (company message.CompanyID, first, last uint64, ok bool) {
	company, first, ok = window(a)
	if !ok || size == 0 || size > uint64(company.Limit()-a) {
		return 0, 0, 0, false
	}
	return company, first, (uint64(a-company.Base()) + size - 1) / message.PageSize, true
}

// Read fills p with the bytes at address a and says whether it could. They are of the allocation that a lies in;
// txn names the transaction where a is an address behind a part of it, and is zero otherwise. Without success p
// may have been written to, and its bytes are worth nothing. It does not allocate and takes no lock.
func (c *Cache) Read(a message.Addr, txn message.Txn, p []byte, now Clock) bool {
	size := uint64(len(p))
	company, first, last, ok := bounds(a, size)
	if !ok || last-first >= maxPages {
		return false
	}
	if first == last {
		ok = c.readOne(company, first, a, txn, p, now)
	} else {
		ok = c.readMany(company, first, last, a, txn, p, now)
	}
	count := &c.counts[stripe(p)]
	if ok {
		count.hits.Add(1)
	} else {
		count.misses.Add(1)
	}
	return ok
}

func (c *Cache) readOne(company message.CompanyID, number uint64, a message.Addr, txn message.Txn, p []byte, now Clock) bool {
	im := c.tables[company].get(number)
	if im == nil {
		return false
	}
	from := uint64(a)
	part := im.find(from, from+uint64(len(p)))
	if part == nil || part.txn != txn {
		return false
	}
	copy(p, im.data[from%message.PageSize:])
	c.touch(im.page)
	return now() < im.lease.until // K4
}

func (c *Cache) readMany(company message.CompanyID, first, last uint64, a message.Addr, txn message.Txn, p []byte, now Clock) bool {
	t := &c.tables[company]
	var array [maxPages]*image
	seen := array[:last-first+1]
	if !t.collect(seen, first, a, txn, p) || !t.stillHas(seen, first) {
		return false
	}
	end := now() // K4
	for _, im := range seen {
		if end >= im.lease.until {
			return false
		}
		c.touch(im.page)
	}
	return true
}

// collect copies the bytes at an address from the images of the pages from first on, and notes which images it saw.
func (t *table) collect(seen []*image, first uint64, a message.Addr, txn message.Txn, p []byte) bool {
	var block message.Addr
	from := uint64(a)
	for i := range seen {
		im := t.get(first + uint64(i))
		if im == nil {
			return false
		}
		at := from % message.PageSize
		size := min(uint64(len(p)), message.PageSize-at)
		part := im.find(from, from+size)
		if part == nil || part.txn != txn || i > 0 && part.block != block {
			return false
		}
		copy(p[:size], im.data[at:])
		seen[i], block = im, part.block
		from, p = from+size, p[size:]
	}
	return true
}

// stillHas says whether images that were seen are all there now. One that was hidden comes back only if its page did
// not change. So there was a moment, between the last that was seen and now, at which all were current.
func (t *table) stillHas(seen []*image, first uint64) bool {
	for i, im := range seen {
		if t.get(first+uint64(i)) != im {
			return false
		}
	}
	return true
}

// touch notes that a page was used. The stamp moves with fills, not with reads, so that mostly there is nothing to
// write, and readers do not take the line from each other's caches.
func (c *Cache) touch(p *page) {
	if now := c.stamp.Load(); p.used.Load() != now {
		p.used.Store(now)
	}
}

const stripes = 64

// count is what readers count, alone on its cache lines.
type count struct {
	hits, misses atomic.Uint64
	_            [128 - 16]byte
}

// stripe chooses a counter by where the buffer lies: readers beside each other have different buffers.
func stripe(p []byte) uintptr {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return (at>>6 ^ at>>12) % stripes
}
