package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dmalloc/message"
)

// Verified is what came of comparing the owners of a company.
type Verified struct {
	Company message.CompanyID `json:"company"`
	Index   uint64            `json:"index"`             // of the last entry in the states that were compared
	Root    string            `json:"root"`              // that most of them have
	Owners  []message.NodeID  `json:"owners"`            // who has it
	Differ  []message.NodeID  `json:"differ,omitempty"`  // who has another
	Page    *message.Addr     `json:"page,omitempty"`    // the first that differs
	Missing string            `json:"missing,omitempty"` // who was not compared, and why
	Wrong   string            `json:"wrong,omitempty"`   // what is not as it must be; "" if all that were compared are equal
}

const (
	sumWait     = 20 * time.Second // for one owner's sums
	sumPatience = 300              // milliseconds that an owner waits for an entry before it shows what it has
	sumTries    = 8
)

// Verify compares what the owners of a company hold, or those of every company. Its error is only that
// nothing could be compared; what differs or is missing is in the rows.
func (h *Heap) Verify(ctx context.Context, company message.CompanyID, all bool) ([]Verified, error) {
	d, err := h.Directory(ctx)
	if err != nil {
		return nil, err
	}
	if !all && d.Company(company) == nil {
		return nil, message.Errorf(message.InvalidArgument, "company %s does not exist; there are 0 to %d", company, len(d.Companies)-1)
	}
	var out []Verified
	for i := range d.Companies {
		if all || d.Companies[i].ID == company {
			out = append(out, h.verify(ctx, &d.Companies[i]))
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return out, nil
}

// said are the sums of one company by node, and why those who gave none did not.
type said struct {
	sums    map[message.NodeID]message.Sums
	missing map[message.NodeID]string
}

// verify asks the owners for their state at one place of the log until as many as possible agree on where.
func (h *Heap) verify(ctx context.Context, c *message.Company) Verified {
	var (
		got   said
		from  uint64
		ahead = uint64(8)
	)
	for try := 0; try < sumTries && ctx.Err() == nil; try++ {
		got = h.sums(ctx, c, from)
		first, last := got.span()
		if first == last {
			break
		}
		// Under load owners are at different places: agree on one that none of them has reached.
		from = last + ahead
		ahead *= 4
	}
	return h.judge(ctx, c, got)
}

func (s said) span() (first, last uint64) {
	for _, x := range s.sums {
		if first == 0 || x.Index < first {
			first = x.Index
		}
		last = max(last, x.Index)
	}
	return first, last
}

func (h *Heap) sums(ctx context.Context, c *message.Company, from uint64) said {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	got := said{map[message.NodeID]message.Sums{}, map[message.NodeID]string{}}
	for _, o := range c.Owners {
		if o.Joining {
			continue
		}
		wg.Go(func() {
			x, err := h.sumsOf(ctx, o.Node, c.ID, from, 0)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				got.missing[o.Node] = err.Error()
				return
			}
			got.sums[o.Node] = x
		})
	}
	wg.Wait()
	return got
}

func (h *Heap) sumsOf(ctx context.Context, node message.NodeID, c message.CompanyID, index, level uint64) (x message.Sums, err error) {
	wait := sumWait
	if level == 0 { // do not wait long for who is dead or frozen
		if a, err := h.call(ctx, node, message.New(message.TEST), statusWait); err != nil || a.Status != message.Done {
			return x, message.Errorf(message.Unavailable, "node %s does not answer", node)
		}
	}
	m := message.New(message.VERIFY)
	m.Company, m.Index, m.Size, m.Value = c, index, level, sumPatience
	a, err := h.call(ctx, node, m, wait)
	if err == nil {
		err = a.Err()
	}
	if err == nil {
		err = json.Unmarshal(a.Data, &x)
	}
	if err != nil {
		return x, fmt.Errorf("node %s: %w", node, err)
	}
	return x, nil
}

// judge compares the owners that are at the place where most of them are.
func (h *Heap) judge(ctx context.Context, c *message.Company, got said) Verified {
	v := Verified{Company: c.ID, Owners: []message.NodeID{}}
	at := map[uint64]int{}
	for _, x := range got.sums {
		at[x.Index]++
	}
	for i, n := range at {
		if n > at[v.Index] || n == at[v.Index] && i > v.Index {
			v.Index = i
		}
	}
	roots := map[string][]message.NodeID{}
	var missing []string
	for _, n := range c.OwnerNodes() {
		x, ok := got.sums[n]
		switch {
		case ok && x.Index == v.Index:
			roots[x.Root] = append(roots[x.Root], n)
		case ok:
			missing = append(missing, fmt.Sprintf("node %s is at index %d, not %d", n, x.Index, v.Index))
		case got.missing[n] != "":
			missing = append(missing, got.missing[n])
		}
	}
	v.Missing = strings.Join(missing, "; ")
	for root, nodes := range roots {
		if len(nodes) > len(v.Owners) || len(nodes) == len(v.Owners) && root < v.Root {
			v.Root, v.Owners = root, nodes
		}
	}
	for root, nodes := range roots {
		if root != v.Root {
			v.Differ = append(v.Differ, nodes...)
		}
	}
	slices.Sort(v.Differ)
	if len(v.Differ) > 0 {
		h.blame(ctx, c, got, &v)
	}
	return v
}

// blame says who is wrong and where they first differ from the others.
func (h *Heap) blame(ctx context.Context, c *message.Company, got said, v *Verified) {
	where := "in what can no longer be asked for"
	a, b := v.Owners[0], v.Differ[0]
	if got.sums[a].State != got.sums[b].State {
		where = "in their allocations, transactions or kept answers"
	}
	if page, found := h.firstPage(ctx, c, v.Index, a, b); found {
		v.Page = &page
		where = "first in the page at " + page.String()
	}
	if 2*len(v.Owners) > len(c.OwnerNodes()) {
		v.Wrong = fmt.Sprintf("node %s is wrong about company %s at index %d: it differs from nodes %s %s", list(v.Differ), c.ID, v.Index, list(v.Owners), where)
		return
	}
	v.Wrong = fmt.Sprintf("nodes %s and %s differ about company %s at index %d, and neither are a majority: %s", list(v.Owners), list(v.Differ), c.ID, v.Index, where)
}

// firstPage finds the first page in which two owners differ, from the sums that they keep.
func (h *Heap) firstPage(ctx context.Context, c *message.Company, index uint64, a, b message.NodeID) (message.Addr, bool) {
	part, ok := h.firstSum(ctx, c, index, 1, a, b)
	if !ok {
		return 0, false
	}
	page, ok := h.firstSum(ctx, c, index, 2+part, a, b)
	return c.Base + message.Addr(page*message.PageSize), ok
}

func (h *Heap) firstSum(ctx context.Context, c *message.Company, index, level uint64, a, b message.NodeID) (uint64, bool) {
	x, err := h.sumsOf(ctx, a, c.ID, index, level)
	if err != nil {
		return 0, false
	}
	y, err := h.sumsOf(ctx, b, c.ID, index, level)
	if err != nil {
		return 0, false
	}
	return firstDifference(x.Parts, y.Parts)
}

// firstDifference is the least number that two lists, by number, do not have with the same sum.
func firstDifference(x, y []message.Sum) (uint64, bool) {
	for i := 0; i < len(x) || i < len(y); i++ {
		switch {
		case i >= len(x):
			return y[i].Number, true
		case i >= len(y):
			return x[i].Number, true
		case x[i] != y[i]:
			return min(x[i].Number, y[i].Number), true
		}
	}
	return 0, false
}
