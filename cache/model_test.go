package cache

import (
	"fmt"
	"testing"
	"time"

	"dmalloc/message"

	"pgregory.net/rapid"
)

// world is a cache, and around it the simplest leader that keeps L1 to L6 and T3: bytes, leases, and whatever is
// on its way. Everything that is on its way arrives in any order, or twice where a retry makes it so.
type world struct {
	*Cache
	now       time.Duration // at the leader
	drift     time.Duration // hundredths that the holder's clock is faster
	next      uint64        // token, and number of everything
	committed [worldPages * cell]uint64
	leases    []standing
	grants    []grant
	revokes   []message.Lease
	consents  []uint64
	reads     []reading
	writes    []*writing
	// absorbed is what a read has to show, owed what must be written or be told as lost.
	absorbed map[int]uint64
	owed     map[int]uint64
}

// The world has few places: worldPages pages of cell places of 8 bytes.
const (
	worldPages = 4
	cell       = 3
)

type standing struct {
	message.Lease
	since time.Duration
}

type grant struct {
	message.Lease
	sent time.Duration
}

type reading struct {
	Fill
	bytes []byte // nil before the leader has served it
}

// writing is a write or a piece, from when it is sent until its answer is there.
type writing struct {
	w       *Write
	piece   Piece
	token   uint64
	place   int
	values  []uint64
	applied bool
	outcome Outcome
}

func place(i int) message.Addr { return addr(i/cell, i%cell*8) }

func (w *world) holder() time.Duration { return w.now + w.now*w.drift/100 }

func (w *world) number() uint64 { w.next++; return w.next }

func encode(values []uint64) (b []byte) {
	for _, v := range values {
		for i := range 8 {
			b = append(b, byte(v>>(8*i)))
		}
	}
	return b
}

func decode(b []byte) (v uint64) {
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

// stands returns the lease at the leader that has a place.
func (w *world) stands(i int) *standing {
	for j := range w.leases {
		if l := &w.leases[j]; l.Address <= place(i) && place(i) < l.Address+message.Addr(l.Size) {
			return l
		}
	}
	return nil
}

func (w *world) expire(keep func(l standing) bool) {
	kept := w.leases[:0]
	for _, l := range w.leases {
		if keep(l) {
			kept = append(kept, l)
		}
	}
	w.leases = kept
}

func (w *world) ask(t *rapid.T) {
	first := rapid.IntRange(0, worldPages-1).Draw(t, "page")
	n := rapid.IntRange(1, worldPages-first).Draw(t, "pages")
	l := lease(w.number(), rapid.SampledFrom([]string{"r", "w", "wb", "wb"}).Draw(t, "mode"), first, n)
	sent := w.holder()
	w.now += time.Duration(rapid.IntRange(0, 50).Draw(t, "ms")) * time.Millisecond
	for _, o := range w.leases {
		inside := l.Address <= o.Address && o.Address+message.Addr(o.Size) <= l.Address+message.Addr(l.Size)
		apart := o.Address+message.Addr(o.Size) <= l.Address || l.Address+message.Addr(l.Size) <= o.Address
		if !inside && !apart {
			return
		}
	}
	w.expire(func(o standing) bool { return o.Address < l.Address || o.Address >= l.Address+message.Addr(l.Size) })
	w.leases = append(w.leases, standing{l, w.now})
	w.grants = append(w.grants, grant{l, sent})
}

func pick[E any](t *rapid.T, all []E, name string) int {
	if len(all) == 0 {
		t.Skip("none")
	}
	return rapid.IntRange(0, len(all)-1).Draw(t, name)
}

func cut[E any](all *[]E, i int) (e E) {
	e = (*all)[i]
	*all = append((*all)[:i:i], (*all)[i+1:]...)
	return e
}

func (w *world) granted(t *rapid.T) {
	i := pick(t, w.grants, "grant")
	g := w.grants[i]
	if rapid.IntRange(0, 3).Draw(t, "again later") > 0 {
		cut(&w.grants, i)
	}
	ok, lost := w.accept(g)
	w.forget(lost)
	if !ok {
		w.consents = append(w.consents, g.Token) // RELEASE
	}
}

// accept gives the cache a grant. Of pages that did not come over from an older lease, nothing is absorbed any more.
func (w *world) accept(g grant) (bool, []Range) {
	had := w.withToken(g.Token) != nil
	ok, lost := w.Granted(g.Lease, g.sent, w.holder())
	for p := range worldPages {
		h := w.companies[1].covering(uint64(p+1), uint64(p+1))
		if h != nil && h.lease.Token == g.Token && !had && h.pages[uint64(p+1)] == nil {
			for i := range cell {
				delete(w.absorbed, p*cell+i)
			}
		}
	}
	return ok, lost
}

// bring fills pages at once.
func (w *world) bring(a message.Addr, size uint64) {
	if f, ok := w.Want(a, size); ok {
		x := reading{Fill: f}
		w.serve(&x)
		w.Filled(f, f.Address, x.bytes, []Extent{{Address: base, Size: worldPages * ps}})
	}
}

func (w *world) withToken(token uint64) *held {
	for _, h := range w.companies[1].leases {
		if h.lease.Token == token {
			return h
		}
	}
	return nil
}

func (w *world) forget(lost []Range) {
	for _, x := range lost {
		for i := range w.committed {
			if x.Address <= place(i) && uint64(place(i)-x.Address) < x.Size {
				delete(w.absorbed, i)
				delete(w.owed, i)
			}
		}
	}
}

// flushed tells the cache of a piece. If its lease was gone before, what is lost is what the piece had, and not what
// was absorbed there under a newer lease.
func (w *world) flushed(x *writing, outcome Outcome) {
	gone := x.piece.lease != nil && x.piece.lease.gone
	lost := w.Flushed(x.piece, outcome)
	if !gone {
		w.forget(lost)
		return
	}
	for k, v := range x.values {
		if i := x.place + k; len(lost) > 0 && w.owed[i] == v {
			delete(w.owed, i)
			if w.absorbed[i] == v {
				delete(w.absorbed, i)
			}
		}
	}
}

func (w *world) send(pieces []Piece) {
	for _, x := range pieces {
		for i := range w.committed { // a place is a WRITE of its own here, for the rest of the piece is its old bytes
			if x.Address <= place(i) && uint64(place(i)-x.Address) < uint64(len(x.Data)) {
				w.writes = append(w.writes, &writing{piece: x, token: x.Token, place: i, values: []uint64{decode(x.Data[place(i)-x.Address:])}})
				if len(x.Data) != 8 {
					w.writes[len(w.writes)-1].values = nil
					for k := 0; k < len(x.Data); k += 8 {
						w.writes[len(w.writes)-1].values = append(w.writes[len(w.writes)-1].values, decode(x.Data[k:]))
					}
				}
				break
			}
		}
	}
}

// apply lets the leader decide over what was sent.
func (w *world) apply(x *writing) {
	if x.applied {
		return
	}
	x.applied, x.outcome = true, Written
	for k := range x.values {
		if l := w.stands(x.place + k); l == nil || l.Token != x.token || l.Mode != "w" {
			x.outcome = Fenced
			return
		}
	}
	for k, v := range x.values {
		i := x.place + k
		w.committed[i] = v
		if x.w != nil {
			delete(w.absorbed, i)
		}
		if w.owed[i] == v || x.w != nil {
			delete(w.owed, i)
		}
	}
}

func (w *world) answered(t *rapid.T, i int, x *writing) {
	if !x.applied && rapid.IntRange(0, 3).Draw(t, "refused") == 0 {
		x.applied, x.outcome = true, Refused
	}
	outcome := x.outcome
	if rapid.IntRange(0, 5).Draw(t, "unknown") == 0 {
		outcome = Unknown // what is not applied may be so later
	} else if !x.applied {
		t.Skip("not yet")
	}
	if x.w == nil {
		w.flushed(x, outcome)
	} else {
		w.forget(w.End(x.w, outcome, encode(x.values)))
	}
	if x.applied {
		cut(&w.writes, i)
	} else {
		x.piece, x.w = Piece{}, &Write{} // nobody listens
	}
}

func (w *world) begin(t *rapid.T) {
	i := rapid.IntRange(0, len(w.committed)-1).Draw(t, "place")
	n := min(rapid.IntRange(1, 3).Draw(t, "places"), cell-i%cell)
	x, pieces, wait := w.Begin(place(i), uint64(8*n), w.holder())
	if x == nil || wait {
		return
	}
	w.send(pieces)
	sent := w.writes[len(w.writes)-len(pieces):]
	all := true
	for range pieces {
		p := sent[0]
		w.apply(p)
		w.flushed(p, p.outcome)
		all = all && p.outcome == Written
		cut(&w.writes, len(w.writes)-len(sent))
		sent = w.writes[len(w.writes)-len(sent)+1:]
	}
	if !all {
		w.forget(w.End(x, Refused, nil))
		return
	}
	m := &writing{w: x, token: x.Token, place: i}
	for range n {
		m.values = append(m.values, w.number())
	}
	w.writes = append(w.writes, m)
}

func (w *world) absorb(t *rapid.T) {
	i := rapid.IntRange(0, len(w.committed)-1).Draw(t, "place")
	n := min(rapid.IntRange(1, 3).Draw(t, "places"), cell-i%cell)
	var values []uint64
	for range n {
		values = append(values, w.number())
	}
	if w.Absorb(place(i), none, encode(values), w.holder) == Absorbed {
		for k, v := range values {
			w.absorbed[i+k], w.owed[i+k] = v, v
		}
	}
}

// read is the question: what is answered is what everybody would have to see.
func (w *world) read(t *rapid.T) {
	for i, want := range w.committed {
		if v, ok := w.absorbed[i]; ok {
			want = v
		}
		p := make([]byte, 8)
		if w.Read(place(i), none, p, w.holder) && decode(p) != want {
			t.Fatalf("place %d reads as %d; it is %d, of which %d is committed; at the leader stands %+v", i, decode(p), want, w.committed[i], w.stands(i))
		}
	}
}

func (w *world) serve(x *reading) {
	x.bytes = make([]byte, x.Size)
	for i, v := range w.committed {
		if x.Address <= place(i) && uint64(place(i)-x.Address) < x.Size {
			copy(x.bytes[place(i)-x.Address:], encode([]uint64{v}))
		}
	}
}

func (w *world) actions() map[string]func(*rapid.T) {
	live := []Extent{{Address: base, Size: worldPages * ps}}
	return map[string]func(*rapid.T){
		"":    func(t *rapid.T) { w.settled(t) },
		"ask": w.ask,
		"take": func(t *rapid.T) { // the way it mostly goes, so that there is something to go wrong
			w.ask(t)
			if i := len(w.grants) - 1; i >= 0 {
				g := cut(&w.grants, i)
				_, lost := w.accept(g)
				w.forget(lost)
				w.bring(g.Address, g.Size)
			}
		},
		"bring": func(t *rapid.T) {
			l := w.leases[pick(t, w.leases, "lease")]
			w.bring(l.Address, l.Size)
		},
		"grant":  w.granted,
		"begin":  w.begin,
		"absorb": w.absorb, "absorb more": w.absorb,
		"read": w.read,
		"revoke": func(t *rapid.T) {
			w.revokes = append(w.revokes, w.leases[pick(t, w.leases, "lease")].Lease)
		},
		"revoked": func(t *rapid.T) {
			i := pick(t, w.revokes, "revoke")
			l := w.revokes[i]
			w.send(w.Revoke(l))
			if w.Gone(l) { // otherwise it is asked again
				cut(&w.revokes, i)
				w.consents = append(w.consents, l.Token)
			}
		},
		"release": func(t *rapid.T) {
			held := w.Held(w.holder())
			l := held[pick(t, held, "lease")]
			w.send(w.Release(l))
			w.revokes = append(w.revokes, l)
		},
		"consent": func(t *rapid.T) {
			token := cut(&w.consents, pick(t, w.consents, "consent"))
			w.expire(func(l standing) bool { return l.Token != token })
		},
		"tick": func(t *rapid.T) {
			w.now += time.Duration(rapid.SampledFrom([]int{1, 100, 2000, 9000, 12000}).Draw(t, "ms")) * time.Millisecond
		},
		"expire": func(t *rapid.T) {
			w.expire(func(l standing) bool { return w.now < l.since+l.length()*101/100 })
		},
		"holder expires": func(t *rapid.T) { w.send(w.Expire(w.holder())) },
		"foreign": func(t *rapid.T) {
			if i := rapid.IntRange(0, len(w.committed)-1).Draw(t, "place"); w.stands(i) == nil {
				w.committed[i] = w.number()
				delete(w.absorbed, i)
			}
		},
		"want": func(t *rapid.T) {
			i := rapid.IntRange(0, worldPages-1).Draw(t, "page")
			n := rapid.IntRange(1, worldPages-i).Draw(t, "pages")
			if f, ok := w.Want(addr(i, 0), uint64(n*ps)); ok {
				w.reads = append(w.reads, reading{Fill: f})
			}
		},
		"serve": func(t *rapid.T) { w.serve(&w.reads[pick(t, w.reads, "read")]) },
		"filled": func(t *rapid.T) {
			i := pick(t, w.reads, "read")
			if w.reads[i].bytes == nil {
				w.serve(&w.reads[i])
			}
			x := cut(&w.reads, i)
			w.Filled(x.Fill, x.Address, x.bytes, live)
		},
		"flush":      func(t *rapid.T) { w.send(w.FlushAll()) },
		"next flush": func(t *rapid.T) { w.send(w.NextFlush(w.holder())) },
		"apply":      func(t *rapid.T) { w.apply(w.writes[pick(t, w.writes, "write")]) },
		"answer": func(t *rapid.T) {
			i := pick(t, w.writes, "write")
			w.answered(t, i, w.writes[i])
		},
		"budget": func(t *rapid.T) {
			w.send(w.SetBudget(rapid.SampledFrom([]uint64{0, 10_000, 20_000, 1 << 20, 1 << 20}).Draw(t, "bytes")))
		},
	}
}

func (l standing) length() time.Duration { return time.Duration(l.LengthMS) * time.Millisecond }

// settled is what holds after each step.
func (w *world) settled(t *rapid.T) {
	if err := w.Check(); err != nil {
		t.Fatal(err)
	}
	for i := range w.committed { // what the holder has stopped to use shows nothing
		n := uint64(i/cell + 1)
		if w.companies[1].covering(n, n) == nil {
			delete(w.absorbed, i)
		}
	}
	w.read(t)
}

// Whatever happens, what is read is what is there, and no byte is lost that is not told of.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{Cache: New(1 << 20), absorbed: map[int]uint64{}, owed: map[int]uint64{}, now: time.Hour,
			drift: time.Duration(rapid.IntRange(-1, 1).Draw(t, "drift"))}
		for range 5 { // longer than one: what goes wrong takes some messages that cross
			t.Repeat(w.actions())
		}
		w.forget(w.Drop())
		for _, x := range w.writes {
			w.apply(x)
			if x.w == nil {
				w.flushed(x, x.outcome)
			}
		}
		if len(w.owed) > 0 {
			t.Fatalf("%s was absorbed, and neither written nor told as lost", fmt.Sprint(w.owed))
		}
	})
}
