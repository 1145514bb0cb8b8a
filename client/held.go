package client

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// held is a lease that this client took. What lies inside it goes to its holder first. This is a guess that
// costs a redirect where it is wrong: who may answer is the holder's and the leader's to know.
type held struct {
	message.Lease
	node  message.NodeID // that holds it
	until time.Time      // by this client's clock, from before it was asked for
	quiet time.Time      // until then the holder is passed over: it gave no sign of life
}

func (l held) end() message.Addr { return l.Address + message.Addr(l.Size) }

// maxHeld bounds the leases that a client remembers; beyond it the one that ends first is forgotten.
const maxHeld = 1024

// leases are what a client took, by address. No two overlap. Readers take the list as it is, without a lock:
// each read of the heap looks here.
type leases struct {
	mu  sync.Mutex // of who changes the list
	all atomic.Pointer[[]held]
}

func (l *leases) list() []held {
	if all := l.all.Load(); all != nil {
		return *all
	}
	return nil
}

// over finds the lease that covers n bytes at a, and allows to change them if write is set.
func (l *leases) over(a message.Addr, n uint64, write bool, now time.Time) (held, bool) {
	all := l.list()
	i := sort.Search(len(all), func(i int) bool { return all[i].Address > a }) - 1
	if i < 0 {
		return held{}, false
	}
	x := all[i]
	into := uint64(a - x.Address)
	if into >= x.Size || n > x.Size-into || write && x.Mode != "w" || !now.Before(x.until) || now.Before(x.quiet) {
		return held{}, false
	}
	return x, true
}

// change replaces the list by what f makes of a copy of it.
func (l *leases) change(f func([]held) []held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := f(slices.Clone(l.list()))
	l.all.Store(&all)
}

// took remembers a lease, in place of those that it overlaps.
func (l *leases) took(x held, now time.Time) {
	l.change(func(all []held) []held {
		all = slices.DeleteFunc(all, func(y held) bool {
			return !now.Before(y.until) || y.Address < x.end() && x.Address < y.end()
		})
		if len(all) >= maxHeld {
			first := 0
			for i := range all {
				if all[i].until.Before(all[first].until) {
					first = i
				}
			}
			all = slices.Delete(all, first, first+1)
		}
		i := sort.Search(len(all), func(i int) bool { return all[i].Address > x.Address })
		return slices.Insert(all, i, x)
	})
}

// forget drops the lease with a token on a page.
func (l *leases) forget(x held) {
	l.change(func(all []held) []held {
		return slices.DeleteFunc(all, func(y held) bool { return y.Address == x.Address && y.Token == x.Token })
	})
}

// hush passes a lease's holder over for a time.
func (l *leases) hush(x held, until time.Time) {
	l.change(func(all []held) []held {
		for i := range all {
			if all[i].Address == x.Address && all[i].Token == x.Token {
				all[i].quiet = until
			}
		}
		return all
	})
}

// touched is how many bytes at its address an operation needs, and whether it changes them. False are those
// that no holder does.
func touched(m *message.Message) (n uint64, write, ok bool) {
	switch m.Op {
	case message.READ:
		return m.Size, false, true
	case message.WRITE:
		return uint64(len(m.Data)), true, true
	case message.CAS, message.ADD:
		return 8, true, true
	case message.FREE:
		return 1, true, true // its size is not known here
	}
	return 0, false, false
}
