package drill

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"dmalloc/message"
)

// cellModel is one place that is read and written as a whole: a register, or some bytes of an allocation.
// New memory and registers that were never written read as 0.
func cellModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return uint64(0) },
		Step: func(state, input, _ any) (bool, any) {
			next, ok := cellStep(state.(uint64), input.(Op))
			return ok, next
		},
		DescribeOperation: describe,
		DescribeState:     func(state any) string { return value(state.(uint64)) },
	}
}

func cellStep(s uint64, o Op) (next uint64, ok bool) {
	if o.Code != message.Done {
		return s, false // what the run has allocated and not freed refuses nothing
	}
	switch o.Do {
	case Sync, Hold:
		return s, true
	case Read:
		return s, o.Torn == "" && o.Got == s
	case Write:
		return o.Arg, true
	case Add:
		return s + o.Arg, o.Unknown || o.Got == s
	case Swap:
		switch {
		case o.Unknown && s == o.Old:
			return o.Arg, true
		case o.Unknown:
			return s, true
		case s == o.Old:
			return o.Arg, o.Swapped
		}
		return s, !o.Swapped && o.Got == s
	}
	return s, false
}

// extent is a live allocation of the table's model.
type extent struct {
	addr message.Addr
	size uint64
}

func (e extent) end() message.Addr { return e.addr + message.Addr(e.size) }

// tableModel is a set of allocations that never overlap. States are never altered in place.
func tableModel() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return []extent(nil) },
		Step: func(state, input, _ any) (bool, any) {
			next, ok := tableStep(state.([]extent), input.(Op))
			return ok, next
		},
		Equal: func(a, b any) bool { return slices.Equal(a.([]extent), b.([]extent)) },
		Hash: func(state any) uint64 {
			h := fnv.New64a()
			for _, e := range state.([]extent) {
				fmt.Fprintf(h, "%x+%x ", uint64(e.addr), e.size)
			}
			return h.Sum64()
		},
		DescribeOperation: describe,
		DescribeState: func(state any) string {
			var words []string
			for _, e := range state.([]extent) {
				words = append(words, fmt.Sprintf("%s+%d", e.addr, e.size))
			}
			return "{" + strings.Join(words, " ") + "}"
		},
	}
}

func describe(input, _ any) string { return input.(Op).String() }

func tableStep(live []extent, o Op) (next []extent, ok bool) {
	i, found := slices.BinarySearchFunc(live, o.Addr, func(e extent, a message.Addr) int { return cmp.Compare(e.addr, a) })
	switch o.Do {
	case Malloc:
		e := extent{o.Addr, o.Size}
		if o.Code != message.Done || o.Torn != "" || found || i > 0 && live[i-1].end() > e.addr || i < len(live) && live[i].addr < e.end() {
			return live, false
		}
		return slices.Insert(slices.Clone(live), i, e), true
	case Free:
		switch {
		case found && (o.Unknown || o.Code == message.Done):
			return slices.Delete(slices.Clone(live), i, i+1), true
		case !found:
			return live, o.Unknown || o.Code != message.Done
		}
	}
	return live, false
}

// modelOf is the model for some calls to a key of a space. One without losses allows none.
func modelOf(s Space, ops []Op) porcupine.Model {
	switch {
	case s == Table:
		return tableModel()
	case lossy(ops):
		return backModel()
	}
	return cellModel()
}

func lossy(ops []Op) bool { return slices.ContainsFunc(ops, func(o Op) bool { return o.Do == Loss }) }

// operations is a history as porcupine takes it.
func operations(ops []Op) []porcupine.Operation {
	out := make([]porcupine.Operation, len(ops))
	for i, o := range ops {
		out[i] = porcupine.Operation{ClientId: o.Client, Input: o, Output: nil, Call: o.Call, Return: o.Return}
	}
	return out
}

// split cuts a history into what can be judged on its own: cells and registers by key, mallocs and frees by
// groups of addresses that were ever allocated together. Keys come in order.
func split(ops []Op) (keys []Key, parts map[Key][]Op) {
	parts = map[Key][]Op{}
	group := tableGroups(ops)
	for _, o := range ops {
		if o.Do == Peek {
			continue // judged by reused
		}
		if o.Key.Space == Table {
			o.Key.ID = group(o.Addr)
		}
		parts[o.Key] = append(parts[o.Key], o)
	}
	for k := range parts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.ID, b.ID))
	})
	return keys, parts
}

// tableGroups numbers the ranges of addresses that no allocation of the run reaches across.
func tableGroups(ops []Op) func(message.Addr) uint64 {
	var all []extent
	for _, o := range ops {
		if o.Key.Space == Table && (o.Do == Malloc || o.Do == Free) {
			all = append(all, extent{o.Addr, max(o.Size, 1)})
		}
	}
	slices.SortFunc(all, func(a, b extent) int { return cmp.Compare(a.addr, b.addr) })
	var begins []message.Addr
	end := message.Addr(0)
	for _, e := range all {
		if len(begins) == 0 || e.addr >= end {
			begins = append(begins, e.addr)
		}
		end = max(end, e.end())
	}
	return func(a message.Addr) uint64 {
		i, found := slices.BinarySearch(begins, a)
		if !found {
			i--
		}
		return uint64(max(i, 0))
	}
}
