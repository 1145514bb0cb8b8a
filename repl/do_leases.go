package repl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"dmalloc/message"
)

// leaseVerbs are the commands about leases. The holder is always the node that the shell is on.
func leaseVerbs() []verb {
	return []verb{
		{name: "lease", forms: []string{"ADDRESS r|w [LENGTH]"}, run: (*Shell).lease,
			does: "leases the pages of the block that holds ADDRESS to this node: r to read, shared; w to write, alone",
			more: "While it lasts, what this shell reads there comes from the node's memory, and what others ask for waits until the lease is given back or over. " +
				"It covers whole pages, with whatever else lies in them. It is not renewed by itself; asked for again, a new lease takes its place. LENGTH is 10s if nothing is said.",
			examples: []string{"lease 0x500000001000 w", "lease _ r 30s", "lease _ w 500ms"}},
		{name: "release", forms: []string{"ADDRESS"}, run: (*Shell).release,
			does:     "gives back this node's lease on the page at ADDRESS",
			more:     "What was only absorbed is written back first.",
			examples: []string{"release 0x500000001000", "release _"}},
		{name: "leases", forms: []string{""}, run: (*Shell).leases,
			does:     "the leases that stand: pages, mode, token, holder, and for how long at most",
			more:     "It asks the leader of every company. A part of an allocation in another company has its lease there, at the address that the part has in that company.",
			examples: []string{"leases"}},
		{name: "sync", forms: []string{"[ADDRESS]"}, run: (*Shell).syncBack,
			does:     "writes back what this node has absorbed under its leases: all of it, or of the block that holds ADDRESS",
			more:     "Only a cluster with --write-back absorbs writes; `w` says so where it does. What it absorbs dies with the node.",
			examples: []string{"sync", "sync 0x500000001000"}},
	}
}

var (
	leaseColumns = []string{"address", "size", "mode", "token", "holder", "ms_left"}
	leaseRight   = []bool{false, true, false, true, true, true}
)

func leaseRow(l message.Lease) []string {
	return []string{l.Address.String(), plain(l.Size), l.Mode, plain(l.Token), l.Holder.String(), plain(l.LeftMS)}
}

func (s *Shell) lease(c *call) (result, error) {
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	mode := c.args[1].text
	if mode != "r" && mode != "w" {
		return result{}, c.usage("%s is no mode of a lease", message.Quote(mode))
	}
	var length time.Duration
	if len(c.args) > 2 {
		if length, err = parseLength(c.args[2].text); err != nil {
			return result{}, err
		}
	}
	l, err := s.heap.Lease(c.ctx, a, mode, length)
	if err != nil {
		return result{}, err
	}
	r := leaseResult(l)
	r.columns, r.right, r.rows = leaseColumns, leaseRight, [][]string{leaseRow(l)}
	if l.WriteBack {
		r.note = "writes under this lease are absorbed by node " + l.Holder.String() + " and die with it; `sync` writes them back"
	}
	return r, nil
}

// leaseResult is a lease as JSON has it.
func leaseResult(l message.Lease) result {
	r := result{fields: []field{{"address", l.Address}, {"size", l.Size}, {"mode", l.Mode}, {"token", l.Token}, {"holder", l.Holder},
		{"ms_left", l.LeftMS}, {"company", l.Company}}}
	if l.WriteBack {
		r.fields = append(r.fields, field{"write_back", true})
	}
	return r
}

// parseLength reads how long a lease shall last.
func parseLength(w string) (time.Duration, error) {
	const most = message.MaxLease * time.Millisecond
	d, err := time.ParseDuration(w)
	switch {
	case err != nil || d < time.Millisecond:
		return 0, message.Errorf(message.InvalidArgument, "%s is not how long a lease can last: use a number with its unit such as 500ms or 10s, from 1ms to %v", message.Quote(w), most)
	case d > most:
		return 0, message.Errorf(message.InvalidArgument, "a lease of %s is too long: it lasts at most %v; ask for it again before it ends", message.Quote(w), most)
	}
	return d, nil
}

func (s *Shell) release(c *call) (result, error) {
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	l, err := s.heap.Release(c.ctx, a)
	if err != nil {
		return result{}, err
	}
	return result{text: fmt.Sprintf("released %d bytes at %s\n", l.Size, l.Address),
		fields: []field{{"address", l.Address}, {"size", l.Size}, {"mode", l.Mode}, {"token", l.Token}, {"holder", l.Holder}}}, nil
}

func (s *Shell) leases(c *call) (result, error) {
	all, err := s.heap.Leases(c.ctx)
	if err != nil && len(all) == 0 {
		return result{}, err
	}
	r := result{fields: []field{{"leases", some(all)}}, columns: leaseColumns, right: leaseRight, empty: "no leases"}
	for _, l := range all {
		r.rows = append(r.rows, leaseRow(l))
	}
	if err != nil { // those of the companies that answered are shown
		err = s.explain(c.ctx, err)
		r.bad = message.Errorf(message.CodeOf(err), "these are not all: %v", err)
	}
	return r, nil
}

func (s *Shell) syncBack(c *call) (result, error) {
	var a message.Addr
	if len(c.args) > 0 {
		var err error
		if a, err = s.parseAddress(c.args[0]); err != nil {
			return result{}, err
		}
		if a == 0 {
			return result{}, message.Errorf(message.InvalidArgument, "0x0 is in no allocation; `sync` alone writes everything back")
		}
	}
	n, err := s.heap.Sync(c.ctx, a)
	if err != nil {
		return result{}, err
	}
	return result{text: "wrote back " + count(int(n), "byte") + "\n", fields: []field{{"bytes", n}}}, nil
}

// leaseTime is how long `t` waits for leases, which it can do without.
const leaseTime = 500 * time.Millisecond

// leased are leases by address, to be found by what they cover.
type leased struct {
	all  []message.Lease
	most uint64 // size of the largest
}

// leasesNow asks for all leases once. What cannot be had in time is missing, and why says so.
func (s *Shell) leasesNow(c *call) (found leased, why error) {
	ctx, cancel := context.WithTimeout(c.ctx, min(leaseTime, s.timeout))
	defer cancel()
	all, why := s.heap.Leases(ctx)
	return newLeased(all), why
}

func newLeased(all []message.Lease) leased {
	l := leased{all: slices.Clone(all)}
	slices.SortFunc(l.all, func(a, b message.Lease) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Token, b.Token))
	})
	for _, x := range l.all {
		l.most = max(l.most, x.Size)
	}
	return l
}

// of lists the leases that touch an allocation.
func (l leased) of(a message.Allocation) (out []message.Lease) {
	for i, b := range a.Blocks {
		from := b.Behind
		if from == 0 && i == 0 {
			from = b.Address
		}
		if from == 0 {
			continue // it is not known where in its company the part lies
		}
		end := from + message.Addr(b.Size)
		first := sort.Search(len(l.all), func(i int) bool { return l.all[i].Address+message.Addr(l.most) > from })
		for _, x := range l.all[first:] {
			if x.Address >= end {
				break
			}
			if x.Address+message.Addr(x.Size) > from {
				out = append(out, x)
			}
		}
	}
	return out
}

// mark shows leases shortly: who reads, who writes.
func mark(all []message.Lease) string {
	var words []string
	for _, mode := range []string{"r", "w"} {
		var nodes []message.NodeID
		for _, l := range all {
			if l.Mode == mode {
				nodes = append(nodes, l.Holder)
			}
		}
		if slices.Sort(nodes); len(nodes) > 0 {
			words = append(words, mode+" by "+list(slices.Compact(nodes)))
		}
	}
	return strings.Join(words, "; ")
}

// allocationRow is a row of `t`: an allocation, and the leases on it.
type allocationRow struct {
	message.Allocation
	Leases []message.Lease `json:"leases,omitempty"`
}

// noLeases says why `t` shows no leases, or not all; "" where nodes are of a version that knows none.
func noLeases(why error) string {
	switch {
	case why == nil || message.CodeOf(why) == message.Unsupported:
		return ""
	case errors.Is(why, context.DeadlineExceeded):
		return "; leases are not all shown: they could not be had in time"
	}
	return "; leases are not all shown: " + why.Error()
}
