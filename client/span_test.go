package client

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"dmalloc/company"
	"dmalloc/message"
	"dmalloc/transport"
)

// companies is a Carrier over real companies, without Raft: each request is an entry of its own. It can
// die: from the message of that number on, nothing is answered any more, as if the client's process had
// been killed; before or after the message was done.
type companies struct {
	mu    sync.Mutex
	all   map[message.CompanyID]*company.Company
	index uint64
	sent  int
	dies  int  // 0: never
	after bool // the message at which it dies is still done
}

func newCompanies(dies int, after bool) *companies {
	c := &companies{all: map[message.CompanyID]*company.Company{}, dies: dies, after: after}
	for id := message.CompanyID(1); id <= 3; id++ {
		c.all[id] = company.New(company.Config{ID: id, Capacity: 8 * message.PageSize})
	}
	return c
}

func (c *companies) Ask(_ message.NodeID, m *message.Message, s transport.Sink, tag uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := *m
	own.Data = bytes.Clone(m.Data)
	if own.Op.Logged() {
		c.sent++
	}
	dead := c.dies > 0 && c.sent >= c.dies
	if dead && !(c.after && c.sent == c.dies && own.Op.Logged()) {
		return 0
	}
	a := c.answer(&own)
	if !dead {
		go s.Done(tag, a, nil)
	}
	return 0
}

func (c *companies) Forget(uint64) {}

func (c *companies) answer(m *message.Message) *message.Message {
	switch {
	case m.Op == message.STATUS:
		s := message.NodeStatus{}
		node := message.NodeID(0)
		for id := message.CompanyID(1); id <= 3; id++ {
			st := c.all[id].Status()
			s.Replicas = append(s.Replicas, message.ReplicaStatus{Company: id, Replica: 1, Leader: &node, Term: 1, Room: st.Room, Used: st.Used, Capacity: st.Capacity})
		}
		a := m.Answer(message.Done, "")
		a.Data = message.JSON(s)
		return a
	case m.Op.Logged():
		c.index++
		r := c.all[m.Company].Apply(c.index, &message.Batch{Messages: []*message.Message{m}}).Results[0]
		return r.Answer(m)
	case m.Op == message.DIRECTORY:
		return m.Answer(message.Done, "")
	}
	return c.all[m.Company].Read(m)
}

func (c *companies) Heard(message.NodeID) time.Time  { return time.Now() }
func (c *companies) SetDirectory(*message.Directory) {}

func (c *companies) heap(t *testing.T) *Heap {
	d := &message.Directory{Epoch: 1, Nodes: []message.Node{{ID: 0}}}
	for id := range message.CompanyID(4) {
		d.Companies = append(d.Companies, message.Company{ID: id, Base: id.Base(), Limit: id.Limit(), Capacity: 8 * message.PageSize,
			Owners: []message.Owner{{Node: 0, Replica: 1}}})
	}
	h, err := New(Config{Carrier: c, Directory: d, Attempt: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// settle does what the owners do for transactions that stand unfinished.
func (c *companies) settle(ctx context.Context, t *testing.T, h *Heap) {
	for range 5 {
		for id := message.CompanyID(1); id <= 3; id++ {
			for _, p := range c.all[id].Pending() {
				var err error
				if p.State == message.Reserved {
					err = h.Settle(ctx, id, p.HomeCompany, p.Txn)
				} else {
					err = h.ReleaseParts(ctx, id, p.Address, p.Txn, p.Blocks[1:])
				}
				if err != nil {
					t.Fatalf("settle %+v: %v", p, err)
				}
			}
		}
	}
}

const spanSize = 20*message.PageSize + 100 // over three companies of 8 pages

// The coordinator of an allocation that spans companies may die at any of its messages, before or after
// that was done: the owners end what it began, and either the whole allocation exists or nothing of it.
func TestCoordinatorDies(t *testing.T) {
	for dies := 1; dies <= 9; dies++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at %d after=%v", dies, after), func(t *testing.T) {
				t.Parallel()
				c := newCompanies(dies, after)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				h := c.heap(t)
				if a, err := h.Malloc(ctx, spanSize); err == nil {
					_ = h.Free(ctx, a.Address) // it dies here instead
				}
				cancel()
				c.mu.Lock()
				c.dies = 0
				c.mu.Unlock()
				other := c.heap(t)
				c.settle(t.Context(), t, other)
				var live []message.Allocation
				for _, x := range c.all {
					if err := x.Verify(); err != nil {
						t.Fatal(err)
					}
					if len(x.Pending()) != 0 {
						t.Fatalf("%+v is left", x.Pending())
					}
				}
				live, err := other.Table(t.Context(), 0, 10)
				if err != nil || len(live) > 1 {
					t.Fatalf("%v %+v", err, live)
				}
				for _, a := range live {
					want := bytes.Repeat([]byte{7}, spanSize)
					if _, err := other.WriteAt(t.Context(), want, a.Address); err != nil {
						t.Fatal(err)
					}
					got := make([]byte, spanSize)
					if err := other.ReadAt(t.Context(), got, a.Address); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("what was written to all of it is not what is read: %v", err)
					}
					if err := other.Free(t.Context(), a.Address); err != nil {
						t.Fatal(err)
					}
				}
				for id, x := range c.all {
					if s := x.Status(); s.Used != 0 || s.Room != 8*message.PageSize {
						t.Errorf("company %s leaks: %+v", id, s)
					}
				}
			})
		}
	}
}

// A transfer that leaves a spanning allocation is refused as a whole, also when its parts are known.
func TestSpanEnds(t *testing.T) {
	c := newCompanies(0, false)
	h := c.heap(t)
	a, err := h.Malloc(t.Context(), spanSize)
	if err != nil || len(a.Blocks) != 3 {
		t.Fatalf("%+v %v", a, err)
	}
	end := a.Address + message.Addr(spanSize)
	for range 2 {
		if _, err := h.WriteAt(t.Context(), make([]byte, 200), end-100); message.CodeOf(err) != message.OutOfBounds {
			t.Errorf("a write over the end: %v", err)
		}
		if err := h.ReadAt(t.Context(), make([]byte, spanSize+1), a.Address); message.CodeOf(err) != message.OutOfBounds {
			t.Errorf("a read over the end: %v", err)
		}
	}
	data := bytes.Repeat([]byte("dmalloc "), 100)
	for _, b := range a.Blocks { // across each seam
		at := b.Address + message.Addr(b.Size) - 400
		if b.Address+message.Addr(b.Size) == end {
			at = end - 800
		}
		if _, err := h.WriteAt(t.Context(), data, at); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(data))
		if err := h.ReadAt(t.Context(), got, at); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("across the seam at %s: %v", at, err)
		}
	}
	if x, err := h.Lookup(t.Context(), end-1); err != nil || x.Address != a.Address || x.Size != spanSize {
		t.Errorf("%+v %v", x, err)
	}
	// Another client frees it; this one's block list is old then.
	if err := c.heap(t).Free(t.Context(), a.Address); err != nil {
		t.Fatal(err)
	}
	if err := h.ReadAt(t.Context(), make([]byte, 8), end-8); message.CodeOf(err) != message.NotAllocated {
		t.Errorf("a read of what was freed: %v", err)
	}
}
