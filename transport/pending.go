package transport

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// waiter is who waits for frames: for a chunk, or as a client whose request this node passed on. After answer or fail
// it is told nothing more. Frames come by value: each that is read would else be made on the heap.
type waiter interface {
	alive(f frame)
	answer(f frame)
	fail(e *LinkError)
}

// wait is a request under way.
type wait struct {
	sink   Sink // who made it; nil: waiter did
	tag    uint64
	waiter waiter
	to     message.NodeID
	ours   bool   // its caller will cancel it; others expire
	via    *queue // the queue it went into
	began  int64  // where something may expire
}

func (w *wait) alive(f frame) {
	if w.sink != nil {
		w.sink.Alive(w.tag)
		return
	}
	w.waiter.alive(f)
}

func (w *wait) answer(f frame) {
	if w.sink == nil {
		w.waiter.answer(f)
		return
	}
	m, err := message.Decode(f.payload)
	if err != nil {
		w.fail(&LinkError{To: w.to, Code: message.Internal, Sent: true, Text: "its answer cannot be read", Err: err})
		return
	}
	w.sink.Done(w.tag, m, nil)
}

func (w *wait) fail(e *LinkError) {
	if w.sink != nil {
		w.sink.Done(w.tag, nil, e)
		return
	}
	w.waiter.fail(e)
}

// forgotten is how long a relayed request of a client may stay unanswered.
const forgotten = int64(time.Minute)

// pending finds the request of an answer. It is bounded: beyond that, requests are Busy.
type pending struct {
	most   int
	guests atomic.Int32 // requests that are not ours

	mu    sync.Mutex // guards what follows
	next  uint64
	waits map[uint64]wait
	swept int64 // when the expired were last looked for
}

// The first id is random: an answer to a request of this node's last life must find nothing.
func newPending(most int) *pending {
	return &pending{most: most, next: rand.Uint64(), waits: map[uint64]wait{}}
}

func (p *pending) add(w *wait) (id uint64, ok bool) {
	p.mu.Lock()
	old := p.expired(w.began)
	ok = len(p.waits) < p.most
	if ok {
		if p.next++; p.next == 0 { // which is no request
			p.next++
		}
		id = p.next
		p.waits[id] = *w
		w.via.open.Add(1)
		if !w.ours {
			p.guests.Add(1)
		}
	}
	p.mu.Unlock()
	for i := range old {
		w := &old[i]
		w.fail(&LinkError{To: w.to, Code: message.Timeout, Sent: true, Text: "it did not answer"})
	}
	return id, ok
}

// expired removes, now and then, clients' requests that nothing will answer any more: theirs are the only
// ones that nobody here cancels.
func (p *pending) expired(now int64) (old []wait) {
	if now-p.swept < forgotten/4 {
		return nil
	}
	p.swept = now
	for id, w := range p.waits {
		if !w.ours && now-w.began > forgotten {
			old = append(old, w)
			p.delete(id, w)
		}
	}
	return old
}

// get finds a request that a node may answer.
func (p *pending) get(id uint64, from message.NodeID) (wait, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.waits[id]
	return w, ok && w.to == from
}

// take removes a request that a node answers.
func (p *pending) take(id uint64, from message.NodeID) (wait, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.waits[id]
	if plantedMix {
		for other, o := range p.waits {
			if other != id && o.to == from {
				id, w, ok = other, o, true
				break
			}
		}
	}
	if !ok || w.to != from && !plantedAnyone {
		return wait{}, false
	}
	p.delete(id, w)
	return w, true
}

// delete is called with mu held.
func (p *pending) delete(id uint64, w wait) {
	delete(p.waits, id)
	w.via.open.Add(-1)
	if !w.ours {
		p.guests.Add(-1)
	}
}

// remove forgets a request, and says whether it was still there.
func (p *pending) remove(id uint64) (wait, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.waits[id]
	if ok {
		p.delete(id, w)
	}
	return w, ok
}

// sweep fails what went through a queue that is closed now. Those in unsent were never taken from it.
func (p *pending) sweep(q *queue, unsent map[uint64]bool, why func(to message.NodeID, sent bool) *LinkError) {
	type lost struct {
		w    wait
		sent bool
	}
	var all []lost
	p.mu.Lock()
	for id, w := range p.waits {
		if w.via == q {
			all = append(all, lost{w, !unsent[id]})
			p.delete(id, w)
		}
	}
	p.mu.Unlock()
	for i := range all {
		l := &all[i]
		l.w.fail(why(l.w.to, l.sent))
	}
}
