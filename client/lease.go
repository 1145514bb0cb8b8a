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

// Lease has the node that the user is on lease the pages of the block that holds a, to read them ("r") or
// alone to write them ("w"), for a length of up to message.MaxLease milliseconds; 0 is message.DefaultLease.
// While it lasts, what this client does inside those pages goes to that node first. A lease is not renewed by
// itself; asked for again, a new one takes its place.
func (h *Heap) Lease(ctx context.Context, a message.Addr, mode string, length time.Duration) (message.Lease, error) {
	if err := checkLease(mode, length); err != nil {
		return message.Lease{}, err
	}
	if length == 0 {
		length = message.DefaultLease * time.Millisecond
	}
	holder := h.holder()
	var begin time.Time
	m := message.New(message.LEASE)
	m.Length = uint64(length.Milliseconds())
	if mode == "w" {
		m.Flags |= message.Exclusive
	}
	answer, err := h.accessBy(ctx, a, 0, m, func(ctx context.Context, c message.CompanyID, m *message.Message) (*message.Message, error) {
		begin = time.Now()
		return h.askHolder(ctx, holder, c, m)
	})
	if err != nil {
		return message.Lease{}, err
	}
	l, err := decodeLease(answer.Data)
	if err != nil {
		return l, err
	}
	h.leases.took(held{Lease: l, node: holder, until: begin.Add(time.Duration(l.LengthMS) * time.Millisecond)}, time.Now())
	return l, nil
}

// checkLease refuses what no node would grant.
func checkLease(mode string, length time.Duration) error {
	if mode != "r" && mode != "w" {
		return message.Errorf(message.InvalidArgument, "%s is no mode of a lease; use r, to read, or w, to write alone", message.Quote(mode))
	}
	if length < 0 || length > 0 && length < time.Millisecond || length > message.MaxLease*time.Millisecond {
		return message.Errorf(message.InvalidArgument, "a lease of %v; it lasts 1ms to %v, and can be asked for again", length, message.MaxLease*time.Millisecond)
	}
	return nil
}

// Release has the node that the user is on give back its lease on the page at a, and write back first what is
// dirty. Fenced means that the node has no lease there, or that it was over; where a lease is returned, it was given
// back, but some of what was written under it is lost.
func (h *Heap) Release(ctx context.Context, a message.Addr) (message.Lease, error) {
	holder := h.holder()
	p, err := h.find(ctx, a)
	if err != nil {
		return message.Lease{}, err
	}
	answer, err := h.release(ctx, holder, p)
	if err == nil && answer.Status == message.Fenced && len(answer.Blocks) == 0 && p.left == 0 {
		// Where the address is of a part in another company, the lease is there.
		if q, ok := h.resolve(ctx, a); ok && q.behind != p.behind {
			answer, err = h.release(ctx, holder, q)
		}
	}
	switch {
	case err != nil:
		return message.Lease{}, err
	case answer.Status == message.Fenced && answer.Token == 0:
		return message.Lease{}, noLease(holder, a, answer)
	case answer.Status != message.Done && answer.Status != message.Fenced:
		return message.Lease{}, answer.Err()
	}
	l, err := decodeLease(answer.Data)
	if err != nil {
		return l, err
	}
	h.leases.forget(held{Lease: l})
	if answer.Status == message.Fenced {
		return l, message.Errorf(message.Fenced, "the lease is given back, but lost are %s: it was over before they were written back", lost(answer))
	}
	return l, nil
}

func (h *Heap) release(ctx context.Context, holder message.NodeID, p place) (*message.Message, error) {
	m := message.New(message.RELEASE)
	m.Address = p.behind
	return h.askHolder(ctx, holder, p.company, m)
}

// noLease says which leases the node has instead.
func noLease(holder message.NodeID, a message.Addr, answer *message.Message) error {
	text := fmt.Sprintf("node %s has no lease on the page at %s", holder, a)
	if has := decodeLeases(answer.Data); len(has) > 0 {
		text += "; it has " + leaseList(has)
	} else if answer.Text != "" {
		text += ": " + answer.Text
	}
	if len(answer.Blocks) > 0 {
		text += "; lost with an earlier one are " + lost(answer)
	}
	return message.Errorf(message.Fenced, "%s; `leases` shows those of all nodes", text)
}

// Sync has the node that the user is on write back what is dirty of the block that holds a, or everything if a
// is 0, and says how many bytes that were. Fenced means that some were lost, for their lease had ended.
func (h *Heap) Sync(ctx context.Context, a message.Addr) (uint64, error) {
	m := message.New(message.SYNC)
	var company message.CompanyID
	if a != 0 {
		p, err := h.find(ctx, a)
		if err != nil {
			return 0, err
		}
		if l, ok := h.leases.over(p.behind, 1, true, time.Now()); ok {
			company, m.Address, m.Size = l.Company, l.Address, l.Size
		} else {
			x, err := h.Lookup(ctx, a)
			if err != nil {
				return 0, err
			}
			company, m.Address, m.Size = blockOf(x, a)
		}
	}
	holder := h.holder()
	answer, err := h.askHolder(ctx, holder, company, m)
	if err != nil {
		return 0, err
	}
	if answer.Status == message.Fenced {
		return answer.Value, message.Errorf(message.Fenced, "%d bytes are written back, but lost are %s: the lease under which they were written is over", answer.Value, lost(answer))
	}
	return answer.Value, answer.Err()
}

// lost lists the ranges that an answer names.
func lost(answer *message.Message) string {
	if len(answer.Blocks) == 0 {
		return answer.Text
	}
	words := make([]string, len(answer.Blocks))
	for i, b := range answer.Blocks {
		words[i] = fmt.Sprintf("%d at %s", b.Size, b.Address)
	}
	return strings.Join(words, ", ")
}

// resolve asks where the bytes at a lie, where that is not known.
func (h *Heap) resolve(ctx context.Context, a message.Addr) (place, bool) {
	x, err := h.Lookup(ctx, a)
	if err != nil {
		return place{}, false
	}
	for _, b := range x.Blocks {
		if a >= b.Address && uint64(a-b.Address) < b.Size && b.Behind != 0 {
			return place{company: b.Company, behind: b.Behind + (a - b.Address)}, true
		}
	}
	return place{}, false
}

// blockOf is the place and the size of the block that holds a.
func blockOf(x message.Allocation, a message.Addr) (message.CompanyID, message.Addr, uint64) {
	for _, b := range x.Blocks {
		if a >= b.Address && uint64(a-b.Address) < b.Size && b.Behind != 0 {
			return b.Company, b.Behind, b.Size
		}
	}
	c, _ := x.Address.Company()
	return c, x.Address, x.Size
}

// leasePage is how many leases are asked for at once.
const leasePage = 1000

// Leases lists the leases of every company, by address, as the companies' leaders know them. Beside an error
// there are those of the companies that answered.
func (h *Heap) Leases(ctx context.Context) ([]message.Lease, error) {
	d := h.current(ctx)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards what follows
		all   []message.Lease
		first error
		slots = make(chan struct{}, h.cfg.Window)
	)
	for _, c := range d.Companies[1:] {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			some, err := h.leasesOf(ctx, c.ID)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, some...)
			if err != nil && first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	slices.SortFunc(all, byAddress)
	return all, first
}

func byAddress(a, b message.Lease) int {
	switch {
	case a.Address < b.Address || a.Address == b.Address && a.Token < b.Token:
		return -1
	case a.Address == b.Address && a.Token == b.Token:
		return 0
	}
	return 1
}

// leasesOf lists one company's leases, page by page. A page ends at an address, at which further shared leases
// may begin: those come twice.
func (h *Heap) leasesOf(ctx context.Context, c message.CompanyID) (all []message.Lease, err error) {
	seen := map[uint64]bool{}
	for from := c.Base(); ; {
		m := message.New(message.LEASES)
		m.Address, m.Value = from, leasePage
		answer, err := h.do(ctx, c, m)
		if err == nil {
			err = answer.Err()
		}
		if err != nil {
			return all, err
		}
		var page []message.Lease
		if len(answer.Data) > 0 {
			if err := json.Unmarshal(answer.Data, &page); err != nil {
				return all, fmt.Errorf("read the leases of company %s: %w", c, err)
			}
		}
		for _, l := range page {
			if !seen[l.Token] {
				seen[l.Token] = true
				all = append(all, l)
			}
		}
		next := message.Addr(answer.Value)
		if next <= from {
			return all, nil
		}
		from = next
	}
}

func decodeLease(data []byte) (l message.Lease, err error) {
	if err = json.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("read a lease: %w", err)
	}
	return l, nil
}

// decodeLeases reads the leases that a refusal names, if it does.
func decodeLeases(data []byte) (all []message.Lease) {
	if len(data) > 0 && json.Unmarshal(data, &all) != nil {
		return nil
	}
	return all
}

// leaseList shows a few leases.
func leaseList(all []message.Lease) string {
	const most = 4
	var words []string
	for i, l := range all {
		if i == most {
			words = append(words, fmt.Sprintf("%d more", len(all)-most))
			break
		}
		words = append(words, fmt.Sprintf("%s on %d bytes at %s (token %d)", l.Mode, l.Size, l.Address, l.Token))
	}
	return strings.Join(words, ", ")
}
