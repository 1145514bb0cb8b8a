package repl

import (
	"fmt"
	"slices"
	"strconv"

	"dmalloc/client"
	"dmalloc/message"
)

// printed remembers the address that `_` stands for.
func (s *Shell) printed(a message.Addr) { s.last, s.hasLast = a, true }

func (s *Shell) malloc(c *call) (result, error) {
	size, err := parseSize(c.args[0].text, "an allocation")
	if err != nil {
		return result{}, err
	}
	a, err := s.heap.Malloc(c.ctx, size)
	if err != nil {
		return result{}, err
	}
	s.printed(a.Address)
	r := result{text: a.Address.String() + "\n", fields: []field{{"address", a.Address}, {"size", a.Size}, {"blocks", blocks(a)}}}
	if len(a.Blocks) > 1 {
		r.note = fmt.Sprintf("%d bytes in %d blocks: %s", a.Size, len(a.Blocks), blocksText(a.Blocks))
	}
	return r, nil
}

// blocks of an allocation, with lists where nothing is known.
func blocks(a message.Allocation) []message.Block {
	out := slices.Clone(some(a.Blocks))
	for i := range out {
		out[i].Nodes = some(out[i].Nodes)
	}
	return out
}

func (s *Shell) free(c *call) (result, error) {
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	if err := s.heap.Free(c.ctx, a); err != nil {
		return result{}, err
	}
	return result{text: "freed " + a.String() + "\n", fields: []field{{"address", a}}}, nil
}

func (s *Shell) compareAndSwap(c *call) (result, error) {
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	var words [2]uint64
	for i := range words {
		if words[i], err = parseWord64(c.args[i+1].text); err != nil {
			return result{}, err
		}
	}
	current, swapped, err := s.heap.CompareAndSwap(c.ctx, a, words[0], words[1])
	if err != nil {
		return result{}, err
	}
	r := result{fields: []field{{"address", a}, {"swapped", swapped}, {"current", current}}}
	r.text = fmt.Sprintf("not swapped: it holds %d\n", current)
	if swapped {
		r.text = "swapped\n"
	}
	return r, nil
}

func (s *Shell) fetchAdd(c *call) (result, error) {
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	delta, err := parseWord64(c.args[1].text)
	if err != nil {
		return result{}, err
	}
	old, err := s.heap.FetchAdd(c.ctx, a, delta)
	if err != nil {
		return result{}, err
	}
	return result{text: strconv.FormatUint(old, 10) + "\n", fields: []field{{"address", a}, {"old", old}, {"new", old + delta}}}, nil
}

// who says what is behind an address. A free address has no allocation, but still a company.
func (s *Shell) who(c *call) (result, error) {
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	id, inside := a.Company()
	found, err := s.heap.Lookup(c.ctx, a)
	var allocation, size any
	switch code := message.CodeOf(err); {
	case err == nil:
		allocation, size = found.Address, found.Size
		for _, b := range found.Blocks {
			if a >= b.Address && uint64(a-b.Address) < b.Size {
				id, inside = b.Company, true
			}
		}
	case !inside || code != message.NotAllocated && code != message.AlreadyFree:
		return result{}, err
	}
	companies, err := s.heap.Companies(c.ctx)
	if err != nil {
		return result{}, err
	}
	i := slices.IndexFunc(companies, func(x client.Company) bool { return x.ID == id })
	if !inside || i < 0 {
		return result{}, message.Errorf(message.NotAllocated, "%s is not in the heap; `companies` shows its windows", a)
	}
	x := companies[i]
	state := "free"
	if size != nil {
		state = "allocated"
	}
	return result{
		fields: []field{{"address", a}, {"allocation", allocation}, {"size", size}, {"state", state}, {"company", x.ID},
			{"owners", some(x.Owners)}, {"leader", x.Leader}, {"term", x.Term}},
		columns: []string{"address", "allocation", "size", "state", "company", "owners", "leader", "term"},
		rows:    [][]string{{a.String(), plain(allocation), plain(size), state, x.ID.String(), list(x.Owners), leader(x.Leader), plain(x.Term)}},
	}, nil
}

// leader shows a node that may be nobody.
func leader(n *message.NodeID) string {
	if n == nil {
		return "none"
	}
	return n.String()
}

// tablePage is how many allocations are asked for at once.
const tablePage = 1000

// filter is what `t` was asked for.
type filter struct {
	from    message.Addr
	most    int // 0 means all
	company *message.CompanyID
	node    *message.NodeID
}

func (s *Shell) parseFilter(c *call) (f filter, err error) {
	args := c.args
	if len(args) > 1 && args[0].text == "company" {
		id, err := parseCompany(args[1].text)
		if err != nil {
			return f, err
		}
		f.company, args = &id, args[2:]
	} else if len(args) > 1 && args[0].text == "node" {
		id, err := parseID(args[1].text)
		if err != nil {
			return f, err
		}
		if d, err := s.heap.Directory(c.ctx); err == nil && d.Node(id) == nil {
			return f, message.Errorf(message.NoSuchNode, "there is no node %s; nodes are 0 to %d", id, len(d.Nodes)-1)
		}
		f.node, args = &id, args[2:]
	} else if len(args) > 0 {
		n, err := strconv.ParseUint(args[0].text, 10, 64)
		if len(args) == 2 || err != nil || n >= message.HeapBase {
			if f.from, err = s.parseAddress(args[0]); err != nil {
				return f, err
			}
			args = args[1:]
		}
	}
	if len(args) > 0 {
		f.most, err = parseCount(args[0].text)
	}
	return f, err
}

func (f filter) wants(a message.Allocation) bool {
	if f.company == nil && f.node == nil {
		return true
	}
	return slices.ContainsFunc(a.Blocks, func(b message.Block) bool {
		return f.company != nil && b.Company == *f.company || f.node != nil && slices.Contains(b.Nodes, *f.node)
	})
}

// each gives every allocation that is asked for, page by page, each page with a deadline of its own.
func (s *Shell) each(c *call, f filter, do func(message.Allocation) error) error {
	given := 0
	for from := f.from; ; {
		limit := tablePage
		if f.most > 0 && f.company == nil && f.node == nil {
			limit = min(limit, f.most-given)
		}
		page, err := s.page(c, from, limit)
		if err != nil {
			return err
		}
		for _, a := range page {
			if !f.wants(a) {
				continue
			}
			if err := do(a); err != nil {
				return err
			}
			if given++; given == f.most {
				return nil
			}
		}
		if len(page) < limit {
			return nil
		}
		from = page[len(page)-1].Address + 1
		c.meter.set("%s", count(given, "allocation"))
	}
}

func (s *Shell) page(c *call, from message.Addr, limit int) ([]message.Allocation, error) {
	ctx, cancel := c.once()
	defer cancel()
	return s.heap.Table(ctx, from, limit)
}

var (
	tableColumns = []string{"address", "size", "blocks", "state"}
	tableRight   = []bool{false, true}
)

func tableRow(a message.Allocation) []string {
	return []string{a.Address.String(), strconv.FormatUint(a.Size, 10), blocksText(a.Blocks), a.State.String()}
}

// table prints allocations, with the leases on them where there are any.
func (s *Shell) table(c *call) (result, error) {
	f, err := s.parseFilter(c)
	if err != nil {
		return result{}, err
	}
	var bytes uint64
	found, why := s.leasesNow(c)
	l := listing[allocationRow]{name: "allocation", columns: tableColumns, right: tableRight, row: func(a allocationRow) []string { return tableRow(a.Allocation) }}
	if len(found.all) > 0 {
		l.columns = append(slices.Clone(tableColumns), "leases")
		l.row = func(a allocationRow) []string { return append(tableRow(a.Allocation), mark(a.Leases)) }
	}
	r, n, err := stream(s, l, func(do func(allocationRow) error) error {
		return s.each(c, f, func(a message.Allocation) error {
			s.printed(a.Address)
			bytes += a.Size
			a.Blocks = blocks(a)
			return do(allocationRow{a, found.of(a)})
		})
	})
	if err == nil && s.output == "table" {
		r.note = count(n, "allocation") + fmt.Sprintf(", %d bytes", bytes) + noLeases(why)
	}
	return r, err
}
