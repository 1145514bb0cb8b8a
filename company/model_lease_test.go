package company

import (
	"slices"

	"pgregory.net/rapid"

	"dmalloc/block"
	"dmalloc/message"
)

// held is the model's side of leases: a list, looked through page by page.
type held struct {
	leases []message.Lease
	last   uint64
	term   uint64
	index  uint64 // of the entry that is being done
}

func pageOf(a message.Addr) message.Addr { return a &^ (message.PageSize - 1) }

// on lists the leases that have one of the pages of n bytes at a.
func (h *held) on(a message.Addr, n uint64) (out []message.Lease) {
	for _, l := range h.leases {
		for p := pageOf(a); p < a+message.Addr(n); p += message.PageSize {
			if p >= l.Address && p < l.Address+message.Addr(l.Size) {
				out = append(out, l)
				break
			}
		}
	}
	return out
}

// change is the code for changing n bytes at a under a token.
func (h *held) change(token uint64, a message.Addr, n uint64) message.Code {
	if token == 0 {
		if len(h.on(a, n)) > 0 {
			return message.Leased
		}
		return message.Done
	}
	for _, l := range h.leases {
		if l.Token == token && l.Mode == "w" && l.Address <= a && a+message.Addr(n) <= l.Address+message.Addr(l.Size) {
			return message.Done
		}
	}
	return message.Fenced
}

// reading is the code for a READ of n bytes at a.
func (h *held) reading(token uint64, a message.Addr, n uint64) message.Code {
	if slices.ContainsFunc(h.on(a, n), func(l message.Lease) bool { return l.WriteBack && l.Token != token }) {
		return message.Leased
	}
	return message.Done
}

func (h *held) drop(gone func(message.Lease) bool) int {
	n := len(h.leases)
	h.leases = slices.DeleteFunc(h.leases, gone)
	return n - len(h.leases)
}

// lease is what becomes of a LEASE of n bytes that are allocated.
func (h *held) lease(t *rapid.T, q *message.Message, n uint64, got *Result) message.Code {
	want := message.Lease{Company: 1, Address: pageOf(q.Address), Mode: "r", Holder: q.Final, Session: q.Value, LengthMS: q.Length, WriteBack: q.Flags&message.WriteBack != 0}
	want.Size = uint64(pageOf(q.Address+message.Addr(n)+message.PageSize-1) - want.Address)
	if q.Flags&message.Exclusive != 0 {
		want.Mode = "w"
	}
	if want.LengthMS == 0 {
		want.LengthMS = message.DefaultLease
	}
	for _, l := range h.leases {
		if l.Holder == want.Holder && l.Session > want.Session {
			return message.Fenced
		}
	}
	h.drop(func(l message.Lease) bool { return l.Holder == want.Holder && l.Session < want.Session })
	over := h.on(want.Address, want.Size)
	mine := func(l message.Lease) bool { return l.Holder == want.Holder }
	for _, l := range over {
		if mine(l) && (l.Address < want.Address || l.Address+message.Addr(l.Size) > want.Address+message.Addr(want.Size) || l.Mode > want.Mode || l.WriteBack && !want.WriteBack) {
			return message.InvalidArgument
		}
	}
	for _, l := range over {
		if !mine(l) && (l.Mode == "w" || want.Mode == "w") {
			return message.Leased
		}
	}
	for _, l := range over {
		if mine(l) {
			want.LengthMS = max(want.LengthMS, l.LengthMS)
			h.drop(func(x message.Lease) bool { return x.Token == l.Token })
		}
	}
	h.last = max(h.index, h.last+1)
	want.Token = h.last
	h.leases = append(h.leases, want)
	if got.Token != want.Token || got.Length != want.LengthMS || got.Address != want.Address || got.Size != want.Size {
		t.Fatalf("%s: %+v; want %+v", q, got, want)
	}
	return message.Done
}

// expectLease does a LEASE, RELEASE, EXPIRE or TERM.
func (m *model) expectLease(t *rapid.T, q *message.Message, got *Result) message.Code {
	h := &m.held
	switch q.Op {
	case message.TERM:
		h.term = max(h.term, q.Term)
	case message.RELEASE:
		if slices.ContainsFunc(h.leases, func(l message.Lease) bool {
			return l.Token == q.Token && q.Final != message.NoNode && l.Holder != q.Final
		}) {
			return message.InvalidArgument
		}
		n := h.drop(func(l message.Lease) bool {
			return l.Token == q.Token || q.Token == 0 && l.Holder == q.Final && l.Session <= q.Value
		})
		if uint64(n) != got.Value {
			t.Fatalf("%s: %d ended; want %d", q, got.Value, n)
		}
	case message.EXPIRE:
		if q.Term < h.term {
			return message.Fenced
		}
		h.drop(func(l message.Lease) bool { return l.Token == q.Token })
	case message.LEASE:
		switch code := m.access(q.Address, max(q.Size, 1)); {
		case q.Address < message.HeapBase+message.PageSize:
			return message.NotAllocated
		case q.Term < h.term:
			return message.Fenced
		case code != message.Done:
			return code
		}
		n := q.Size
		if n == 0 {
			start, p, _ := m.find(q.Address)
			n = uint64(len(p)) - uint64(q.Address-start)
		}
		return h.lease(t, q, n, got)
	}
	return message.Done
}

// freeing is the code for giving back the allocation p at start.
func (m *model) freeing(q *message.Message, start message.Addr, p []byte) message.Code {
	return m.held.change(q.Token, start, block.Footprint(uint64(len(p))))
}

// drawToken is the token of a request: mostly one that stands, or none.
func (m *model) drawToken(t *rapid.T) uint64 {
	h := &m.held
	switch n := rapid.IntRange(0, 5).Draw(t, "whose token"); {
	case n < 3 && len(h.leases) > 0:
		return rapid.SampledFrom(h.leases).Draw(t, "lease").Token
	case n == 3:
		return rapid.Uint64Range(0, h.last+1).Draw(t, "token")
	}
	return 0
}

// drawLease fills in a LEASE, RELEASE, EXPIRE or TERM.
func (m *model) drawLease(t *rapid.T, q *message.Message) {
	q.Final, q.Value = message.NodeID(rapid.IntRange(0, 2).Draw(t, "node")), rapid.SampledFrom([]uint64{1, 1, 1, 1, 2}).Draw(t, "session")
	q.Term = m.held.term + rapid.SampledFrom([]uint64{0, 0, 0, 0, 1}).Draw(t, "term")
	if q.Op != message.TERM && q.Term > 0 && rapid.IntRange(0, 9).Draw(t, "deposed") == 0 {
		q.Term--
	}
	switch q.Op {
	case message.LEASE:
		q.Flags = rapid.SampledFrom([]message.Flags{0, 0, message.Exclusive, message.Exclusive | message.WriteBack}).Draw(t, "mode")
		q.Length = rapid.Uint64Range(0, 3).Draw(t, "length") * 1000
		q.Size = rapid.SampledFrom([]uint64{0, 0, 1, 100, 5000}).Draw(t, "bytes")
	case message.RELEASE:
		q.Token = m.drawToken(t)
		if q.Token != 0 && rapid.Bool().Draw(t, "nobody says so") {
			q.Final = message.NoNode
		}
	case message.EXPIRE:
		q.Token = max(1, m.drawToken(t))
	}
}

// compareLeases compares the lists, and what a READ may show.
func (m *model) compareLeases(t *rapid.T, c *Company) {
	want := slices.Clone(m.held.leases)
	slices.SortFunc(want, func(a, b message.Lease) int {
		if a.Address != b.Address {
			return int(a.Address) - int(b.Address)
		}
		return int(a.Token) - int(b.Token)
	})
	if got := c.Leases(0, 0, 1000); !slices.Equal(got, want) {
		t.Fatalf("the leases are %+v; want %+v", got, want)
	}
	token := m.drawToken(t)
	for a, p := range m.live {
		q := read(a, uint64(len(p)))
		q.Token = token
		want := m.held.reading(token, a, q.Size)
		if fills(q) { // for the holder of just these pages
			want = message.Fenced
			for _, l := range m.held.leases {
				if l.Token == token && l.Address <= a && a+message.Addr(q.Size) <= l.Address+message.Addr(l.Size) {
					want = message.Done
				}
			}
		}
		if got := c.Read(q); got.Status != want {
			t.Fatalf("READ of %d bytes at %s with token %d: %s; want %s", q.Size, a, token, got.Status, want)
		}
	}
}
