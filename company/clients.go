package company

import (
	"container/list"

	"dmalloc/message"
)

const (
	// MaxWindow is how many requests of a client may be under way. Beyond it they are refused with Busy.
	MaxWindow = 1 << 16
	// MaxClients is how many clients are remembered. Beyond it the longest unused is forgotten.
	MaxClients = 1 << 16
	// MaxAnswers is how many answers are kept for all clients together. Beyond it the longest unused
	// client is forgotten.
	MaxAnswers = 1 << 20
)

// client is one whose requests have been done.
type client struct {
	id   message.ClientID
	last uint64 // the company's clock when it was last heard
	w    *window
}

// window is what a client was answered. Those of an older generation belong to a snapshot, too, and are
// copied before they change.
type window struct {
	gen     uint64
	low     uint64
	answers answers
}

// clients is whom the company remembers.
type clients struct {
	gen     uint64
	byID    map[message.ClientID]*list.Element // of *client
	used    *list.List                         // the longest unused first
	answers int                                // of all
}

func newClients() clients {
	return clients{byID: map[message.ClientID]*list.Element{}, used: list.New()}
}

// open returns the client's window, to be changed, and notes that it was heard.
func (s *clients) open(id message.ClientID, clock uint64) *window {
	e, ok := s.byID[id]
	if !ok {
		if len(s.byID) >= MaxClients {
			s.forget(s.used.Front())
		}
		e = s.used.PushBack(&client{id: id, w: &window{gen: s.gen}})
		s.byID[id] = e
	}
	s.used.MoveToBack(e)
	c := e.Value.(*client)
	c.last = clock
	if c.w.gen != s.gen {
		c.w = &window{gen: s.gen, low: c.w.low, answers: c.w.answers.clone()}
	}
	return c.w
}

// raise drops the answers that the client has.
func (s *clients) raise(w *window, low uint64) {
	if low <= w.low {
		return
	}
	s.answers -= w.answers.drop(low)
	w.low = low
}

// keep remembers an answer of the client that was opened last.
func (s *clients) keep(w *window, a answer) {
	before := w.answers.len()
	w.answers.put(a)
	s.answers += w.answers.len() - before
	for s.answers > MaxAnswers && s.used.Len() > 1 {
		s.forget(s.used.Front())
	}
}

func (s *clients) forget(e *list.Element) {
	c := s.used.Remove(e).(*client)
	s.answers -= c.w.answers.len()
	delete(s.byID, c.id)
}

// expire forgets those not heard for too long.
func (s *clients) expire(clock uint64) {
	for e := s.used.Front(); e != nil && clock-e.Value.(*client).last > expiry; e = s.used.Front() {
		s.forget(e)
	}
}

// snapshot lists the clients, the longest unused first. It costs a few words for each; the windows are
// shared until they change.
func (s *clients) snapshot() []client {
	s.gen++
	return s.list()
}

func (s *clients) list() []client {
	all := make([]client, 0, s.used.Len())
	for e := s.used.Front(); e != nil; e = e.Next() {
		all = append(all, *e.Value.(*client))
	}
	return all
}
