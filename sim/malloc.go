package sim

import (
	"slices"

	"dmalloc/block"
	"dmalloc/message"
)

// mallocing is an allocation on its way: package client's Malloc. Only a definite refusal moves it to another
// company.
type mallocing struct {
	c       *client
	s       *session
	size    uint64
	tried   []message.CompanyID
	try     int
	until   int64
	unknown bool // something was asked whose outcome nobody knows
	again   bool // the picture of the room was wrong, so a new try makes sense
	end     func(a *holding)

	// Of one that spans companies.
	txn    message.Txn
	blocks []message.Block
}

// holding is an allocation as its user knows it.
type holding struct {
	name   string // in the story
	size   uint64
	at     message.Addr
	blocks []message.Block
	txn    message.Txn
	shared bool // its bytes are cells
	gone   bool // its user asked that it be freed
	freed  bool // and was told that it is
	ends   [2]ends
}

// ends is what its user wrote to the first and the last 8 bytes.
type ends struct {
	value   uint64
	maybe   []uint64 // written, outcome unknown
	written bool
}

// malloc allocates; end gets nil where there is nothing, or nobody knows.
func (c *client) malloc(size uint64, patience int64, end func(*holding)) *mallocing {
	m := &mallocing{c: c, s: c.s, size: size, until: c.w.now + patience, end: end}
	m.next()
	return m
}

func (m *mallocing) patience() int64 { return m.until - m.c.w.now }

func (m *mallocing) finish(h *holding) {
	if h == nil && m.unknown {
		m.c.w.lostMallocs = append(m.c.w.lostMallocs, &holding{size: m.size})
	}
	m.end(h)
}

// next asks the company with the most room that was not asked yet.
func (m *mallocing) next() {
	if m.s.closed {
		return
	}
	to, ok := m.c.roomiest(m.size, m.tried)
	if !ok {
		m.survey()
		return
	}
	m.tried = append(m.tried, to)
	q := message.New(message.MALLOC)
	q.Size = m.size
	m.s.do(to, q, m.patience(), func(a *message.Message, sent bool) {
		switch {
		case a == nil && !sent && m.patience() > 0:
			m.next()
		case a == nil:
			m.unknown = m.unknown || sent
			m.finish(nil)
		case a.Status == message.OutOfMemory:
			m.c.rooms[to] = a.Value
			m.next()
		case a.Status == message.Done:
			m.c.took(to, m.size)
			m.finish(&holding{size: m.size, at: a.Address, blocks: a.Blocks})
		default:
			m.c.w.fail("S9", m.c.w.companyName(to), "a MALLOC of %d bytes in company %s is answered %s: %s", m.size, to, a.Status, a.Text)
		}
	})
}

// survey asks how much room there is, before the bytes are spread over several companies.
func (m *mallocing) survey() {
	m.c.w.in(m.c.w.delay(), func() {
		if m.s.closed {
			return
		}
		for id := 1; id < len(m.c.w.groups); id++ {
			owners := m.c.w.groups[id].owners
			for len(m.c.rooms) <= id {
				m.c.rooms = append(m.c.rooms, 0)
			}
			if o := owners[m.c.w.dice.IntN(len(owners))]; o.up() && !o.n.frozen && o.heap != nil {
				m.c.rooms[id] = o.heap.Status().Room
			}
		}
		m.tried = nil
		m.try++
		if _, ok := m.c.roomiest(m.size, nil); ok && m.try < 3 {
			m.next()
			return
		}
		m.span()
	})
}

// span runs RESERVE, COMMIT and CONFIRM.
func (m *mallocing) span() {
	m.blocks = m.c.spread(m.size)
	if len(m.blocks) < 2 {
		m.finish(nil) // there is not so much, or the picture of the room was wrong
		return
	}
	seq, _ := m.s.begin()
	m.txn = message.Txn{Client: m.s.id, Seq: seq}
	m.reserve(1)
}

func (m *mallocing) reserve(i int) {
	if i == len(m.blocks) {
		m.commit()
		return
	}
	b := &m.blocks[i]
	q := message.New(message.RESERVE)
	q.Txn, q.Size, q.Value = m.txn, b.Size, uint64(m.blocks[0].Company)
	m.s.do(b.Company, q, m.patience(), func(a *message.Message, _ bool) {
		if a == nil || a.Status != message.Done {
			if a != nil && a.Status == message.OutOfMemory {
				m.c.rooms[b.Company] = a.Value
				m.again = true
			}
			m.abort()
			return
		}
		b.Behind = a.Address
		m.reserve(i + 1)
	})
}

func (m *mallocing) commit() {
	home := m.blocks[0]
	q := message.New(message.COMMIT)
	q.Txn, q.Size, q.Value, q.Blocks = m.txn, m.size, home.Size, m.blocks[1:]
	m.s.do(home.Company, q, m.patience(), func(a *message.Message, _ bool) {
		switch {
		case a != nil && a.Status == message.Done:
			m.confirm(a)
		case a != nil && a.Status == message.OutOfMemory:
			m.c.rooms[home.Company] = a.Value
			m.again = true
			m.abort()
		case a != nil && a.Status != message.Aborted: // an owner may have ended what took so long
			m.c.w.fail("S9", m.c.w.companyName(home.Company), "the COMMIT of %s is answered %s: %s", m.txn, a.Status, a.Text)
		default:
			m.abort()
		}
	})
}

// abort gives the transaction up, first at its home. It may turn out to be committed.
func (m *mallocing) abort() {
	q := message.New(message.OUTCOME)
	q.Txn = m.txn
	m.s.do(m.blocks[0].Company, q, 400, func(a *message.Message, _ bool) {
		switch {
		case a == nil || a.Status != message.Done:
			m.unknown = true // the owners will ask
		case a.Value == 1 && m.c.w.cfg.planted != abortCommitted:
			m.confirm(a)
			return
		default:
			m.c.w.did(undone)
			for _, b := range m.blocks[1:] {
				q := message.New(message.ABORT)
				q.Txn = m.txn
				m.s.do(b.Company, q, 400, func(*message.Message, bool) {})
			}
		}
		m.s.finished(m.txn.Seq)
		if m.again && !m.unknown && m.try < 5 {
			m.again = false
			m.survey()
			return
		}
		m.finish(nil)
	})
}

// confirm makes the reservations parts. A CONFIRM that is lost is the owners' to repeat.
func (m *mallocing) confirm(a *message.Message) {
	m.c.w.did(spanned)
	h := &holding{size: m.size, at: a.Address, blocks: a.Blocks, txn: m.txn}
	left := len(h.blocks) - 1
	for _, b := range h.blocks {
		m.c.took(b.Company, b.Size)
	}
	for _, b := range h.blocks[1:] {
		q := message.New(message.CONFIRM)
		q.Txn, q.Address = m.txn, h.at
		m.s.do(b.Company, q, max(m.patience(), 100), func(*message.Message, bool) {
			if left--; left == 0 {
				m.s.finished(m.txn.Seq)
				m.finish(h)
			}
		})
	}
}

// roomiest picks the company believed to have most room.
func (c *client) roomiest(size uint64, except []message.CompanyID) (best message.CompanyID, found bool) {
	for id := message.CompanyID(1); int(id) < len(c.rooms); id++ {
		if c.rooms[id] >= size && !slices.Contains(except, id) && (!found || c.rooms[id] > c.rooms[best]) {
			best, found = id, true
		}
	}
	return best, found
}

func (c *client) took(id message.CompanyID, size uint64) {
	c.rooms[id] -= min(c.rooms[id], block.Footprint(size))
}

// spread divides a size over the companies: whole pages, the roomiest first, as few as possible.
func (c *client) spread(size uint64) (blocks []message.Block) {
	order := make([]message.CompanyID, 0, len(c.rooms))
	for id := 1; id < len(c.rooms); id++ {
		order = append(order, message.CompanyID(id))
	}
	slices.SortStableFunc(order, func(a, b message.CompanyID) int {
		return int(c.rooms[b]/message.PageSize) - int(c.rooms[a]/message.PageSize)
	})
	for _, id := range order {
		if n := min(size, c.rooms[id]/message.PageSize*message.PageSize); n > 0 {
			blocks = append(blocks, message.Block{Size: n, Company: id})
			size -= n
		}
	}
	if size > 0 {
		return nil
	}
	return blocks
}

// free gives an allocation back, all of it where nothing goes wrong.
func (c *client) free(h *holding, patience int64, end func()) {
	s := c.s
	h.gone = true
	for i := range h.ends {
		c.w.strays = append(c.w.strays, h.ends[i].maybe...)
	}
	home, _ := h.at.Company()
	q := message.New(message.FREE)
	q.Address = h.at
	s.do(home, q, patience, func(a *message.Message, _ bool) {
		if a != nil && a.Status != message.Done {
			c.w.fail("S9", h.name, "%s frees %s at %s and is answered %s: %s", c.name, h.name, h.at, a.Status, a.Text)
		}
		h.freed = a != nil
		if a == nil || len(a.Blocks) < 2 {
			if a == nil {
				c.w.unknown++
			}
			end()
			return
		}
		s.release(home, h.at, a.Txn, a.Blocks[1:], patience, func(bool) { end() })
	})
}
