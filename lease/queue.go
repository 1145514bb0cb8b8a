package lease

import "slices"

// MaxWaiting is how many requests of a company may wait for leases to end.
const MaxWaiting = 1024

// Queue is the requests that wait for leases to end, in the order in which they came. Its leader has one for each
// company; it begins anew with each tenure.
type Queue struct {
	next    uint64
	waiting []waiter
}

type waiter struct {
	id           uint64
	first, pages uint64
	exclusive    bool
}

// blocks says whether b, who came later, waits for a.
func (a waiter) blocks(b waiter) bool {
	return (a.exclusive || b.exclusive) && a.first < b.first+b.pages && b.first < a.first+a.pages
}

// Enter lines a request up, exclusive if it would write or wants to, and says whether it is its turn. False means
// that the queue is full.
func (q *Queue) Enter(first, pages uint64, exclusive bool) (id uint64, turn, ok bool) {
	if len(q.waiting) >= MaxWaiting {
		return 0, false, false
	}
	q.next++
	q.waiting = append(q.waiting, waiter{q.next, first, pages, exclusive})
	return q.next, q.Turn(q.next), true
}

// Len is how many wait.
func (q *Queue) Len() int { return len(q.waiting) }

// Free says whether a request that did not wait would overtake nobody.
func (q *Queue) Free(first, pages uint64, exclusive bool) bool {
	me := waiter{first: first, pages: pages, exclusive: exclusive}
	return !slices.ContainsFunc(q.waiting, func(a waiter) bool { return a.blocks(me) })
}

// Turn says whether nobody who came before stands in the way of the request.
func (q *Queue) Turn(id uint64) bool {
	i := slices.IndexFunc(q.waiting, func(a waiter) bool { return a.id == id })
	return i >= 0 && !slices.ContainsFunc(q.waiting[:i], func(a waiter) bool { return a.blocks(q.waiting[i]) })
}

// Leave takes a request out, because it was done or given up, and lists those whose turn it is through that.
func (q *Queue) Leave(id uint64) (turn []uint64) {
	i := slices.IndexFunc(q.waiting, func(a waiter) bool { return a.id == id })
	if i < 0 {
		return nil
	}
	gone := q.waiting[i]
	q.waiting = slices.Delete(q.waiting, i, i+1)
	for _, b := range q.waiting[i:] {
		if gone.blocks(b) && q.Turn(b.id) {
			turn = append(turn, b.id)
		}
	}
	return turn
}
