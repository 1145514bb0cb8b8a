package web

import (
	"net/http"
	"slices"

	"dmalloc/message"
)

const (
	defaultPage = 100
	maxPage     = 1000
	// maxScan bounds the allocations that one filtered page looks at; the next page goes on behind them.
	maxScan = 10 * maxPage
)

// allocated is the answer to malloc.
type allocated struct {
	Address message.Addr    `json:"address"`
	Size    uint64          `json:"size"`
	Blocks  []message.Block `json:"blocks"`
}

// page is a part of the list of allocations. Next is where to go on, and absent at the end.
type page struct {
	Allocations []message.Allocation `json:"allocations"`
	Next        *message.Addr        `json:"next,omitempty"`
}

// described is an allocation and the companies behind it.
type described struct {
	message.Allocation
	Companies []behind `json:"companies"`
}

// behind is a company that holds a block. Leader is null while nobody leads.
type behind struct {
	ID     message.CompanyID `json:"id"`
	Owners []message.NodeID  `json:"owners"`
	Leader *message.NodeID   `json:"leader"`
	Term   uint64            `json:"term"`
}

// filled makes absent lists empty ones, for JSON has a word for each.
func filled(blocks []message.Block) []message.Block {
	out := list(blocks)
	for i := range out {
		out[i].Nodes = list(out[i].Nodes)
	}
	return out
}

func (c *call) malloc() error {
	got, err := c.object()
	if err != nil {
		return err
	}
	size := got["size"]
	if size == 0 {
		return message.Errorf(message.InvalidArgument, "0 bytes cannot be allocated; ask for at least 1")
	}
	heap, err := c.heap(size)
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	x, err := heap.Malloc(ctx, size)
	if err != nil {
		return err
	}
	c.answer.Header().Set("Location", "/v1/allocations/"+x.Address.String())
	return c.json(http.StatusCreated, allocated{x.Address, x.Size, filled(x.Blocks)})
}

func (c *call) free() error {
	a, err := c.address()
	if err != nil {
		return err
	}
	if _, err := c.object(); err != nil {
		return err
	}
	heap, err := c.heap()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	if err := heap.Free(ctx, a); err != nil {
		return err
	}
	c.answer.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) describe() error {
	a, err := c.address()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	x, err := c.s.cfg.Heap.Lookup(ctx, a)
	if err != nil {
		return err
	}
	companies, err := c.s.cfg.Heap.Companies(ctx)
	if err != nil {
		return err
	}
	x.Blocks = filled(x.Blocks)
	out := described{Allocation: x, Companies: []behind{}}
	for _, company := range companies {
		if slices.ContainsFunc(x.Blocks, func(b message.Block) bool { return b.Company == company.ID }) {
			out.Companies = append(out.Companies, behind{company.ID, list(company.Owners), company.Leader, company.Term})
		}
	}
	return c.json(http.StatusOK, out)
}

// filter is what a list of allocations is narrowed to.
type filter struct {
	company message.CompanyID
	node    message.NodeID
	state   message.State
	by      struct{ company, node, state bool }
}

func (c *call) filter() (f filter, err error) {
	company, err := c.number("company", 0, 1, message.MaxCompany)
	if err != nil {
		return f, err
	}
	node, err := c.number("node", 0, 0, message.MaxNodes-1)
	if err != nil {
		return f, err
	}
	f.company, f.node = message.CompanyID(company), message.NodeID(node)
	f.by.company, f.by.node = c.query.Get("company") != "", c.query.Get("node") != ""
	if v := c.query.Get("state"); v != "" {
		f.by.state = true
		err = f.state.UnmarshalText([]byte(v))
	}
	return f, err
}

func (f *filter) passes(x *message.Allocation) bool {
	if f.by.state && x.State != f.state {
		return false
	}
	if !f.by.company && !f.by.node {
		return true
	}
	return slices.ContainsFunc(x.Blocks, func(b message.Block) bool {
		return (!f.by.company || b.Company == f.company) && (!f.by.node || slices.Contains(b.Nodes, f.node))
	})
}

func (c *call) list() error {
	f, err := c.filter()
	if err != nil {
		return err
	}
	limit, err := c.number("limit", defaultPage, 1, maxPage)
	if err != nil {
		return err
	}
	var from message.Addr
	if v := c.query.Get("from"); v != "" {
		if from, err = message.ParseAddr(v); err != nil {
			return err
		}
	}
	out, err := c.collect(f, from, int(limit))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

// collect gathers a page. It asks for one allocation more than fits, to know whether there is a next page.
func (c *call) collect(f filter, from message.Addr, limit int) (page, error) {
	ctx, cancel := c.context()
	defer cancel()
	out := page{Allocations: []message.Allocation{}}
	for scanned := 0; ; {
		ask := min(limit+1, maxPage)
		if f.by.company || f.by.node || f.by.state {
			ask = maxPage
		}
		rows, err := c.s.cfg.Heap.Table(ctx, from, ask)
		if err != nil {
			return out, err
		}
		for i := range rows {
			x := rows[i]
			if len(out.Allocations) == limit || scanned == maxScan {
				out.Next = &x.Address
				return out, nil
			}
			scanned++
			from = x.Address + 1
			if f.passes(&x) {
				x.Blocks = filled(x.Blocks)
				out.Allocations = append(out.Allocations, x)
			}
		}
		if len(rows) < ask {
			return out, nil
		}
	}
}
