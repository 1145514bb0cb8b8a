package register

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"dmalloc/message"
)

// Every interleaving of two writers and two readers over three replicas, one operation each, with the real
// Operation and the real Memory.
//
// A step delivers one pending request to a replica, which stores it on its disk and answers; the operation
// hears the answer at once. From each state all steps are tried, so a request may be arbitrarily late, or be
// lost: then the states without it are a dead end, and were checked like all others. Cut, since nothing new
// can come of it:
//
//   - Replies that are late. A late answer to a GET is a GET that came late, as the replica does not change.
//     A late acknowledgement only lets its operation end later, which allows more histories, not fewer; whoever
//     is alone in its client delays nobody by that.
//   - A GET that comes when its phase is over, and repeated requests: the first has no effect, the second is
//     stored where the tag is larger, which it is not the second time.
//   - Operations that begin before their first request arrives: the later one begins, the more it has to respect.
//   - Names of replicas: states that differ only in them are one.
//
// Not covered, but by the simulation: crashes, more than one operation a client, changes of members.
//
// An interleaving is right if the tags are an order that explains it: what begins after something ended has
// no smaller tag, a write a larger one, and no two writes share one.
type walk struct {
	planted variants
	seen    map[string]struct{}
	path    []string
}

const (
	actors  = 4 // 0 and 1 write, 2 and 3 read
	walkers = 3 // replicas
)

// spot is a state. Its parts are shared between spots and replaced, never changed.
type spot struct {
	replicas [walkers]*Memory
	ops      [actors]*Operation
	pending  [actors][]Request
	begun    [actors]bool
	floor    [actors]message.Tag // largest that had ended when it began
	ended    message.Tag         // largest that has
}

func (w *walk) begin() spot {
	var s spot
	config := message.Registers{Epoch: 1, Members: cast("ABC")}
	for i := range s.replicas {
		s.replicas[i] = NewMemory(config.Members[i], config)
		s.replicas[i].planted = w.planted
	}
	for i := range s.ops {
		c := Call{ID: OpID{Client: clientID(i + 1), Seq: 1}, Epoch: 1, Groups: groupsOf(config)}
		if s.ops[i] = NewRead(c); i < 2 {
			s.ops[i] = NewWrite(c, c.ID.Client, 1, encodeValue(uint64(i+1), 0))
		}
		s.ops[i].planted = w.planted
		s.pending[i] = s.ops[i].Start()
	}
	return s
}

// step delivers the k-th pending request of an operation.
func (s spot) step(i, k int) spot {
	q := s.pending[i][k]
	if !s.begun[i] {
		s.begun[i], s.floor[i] = true, s.ended
	}
	at := int(q.To.Node)
	m := *s.replicas[at]
	m.disk = maps.Clone(m.disk)
	s.replicas[at] = &m
	replies := append(m.Step(q), m.Sync()...)

	o := *s.ops[i]
	o.got = slices.Clone(o.got)
	s.ops[i] = &o
	s.pending[i] = slices.Delete(slices.Clone(s.pending[i]), k, k+1)
	was := o.done
	for _, r := range replies {
		before := o.call.ID
		out := o.Step(r)
		if o.call.ID != before || o.done && o.kind != Put {
			s.pending[i] = out // what is left of a GET has no effect
		}
	}
	if o.done && !was {
		if o.tag.Compare(s.ended) > 0 {
			s.ended = o.tag
		}
	}
	return s
}

// wrong says what is wrong with a spot.
func (s *spot) wrong(i int) error {
	o := s.ops[i]
	if c := o.tag.Compare(s.floor[i]); o.done && (c < 0 || i < 2 && c == 0) {
		return fmt.Errorf("operation %d ended with %s, after another had ended with %s", i, o.tag, s.floor[i])
	}
	if s.ops[0].chosen && s.ops[1].chosen && s.ops[0].tag == s.ops[1].tag {
		return fmt.Errorf("two writes have the tag %s", o.tag)
	}
	if v := decodeValue(o.value); o.done && i >= 2 && !o.tag.IsZero() && s.ops[v-1].tag != o.tag {
		return fmt.Errorf("read %d returns %d under %s, which is the tag of another write", i, v, o.tag)
	}
	return nil
}

func mark(t message.Tag) byte { return byte(t.TS)<<3 | t.Writer[1] }

// key is the same for spots from which the same can happen.
func (s *spot) key() string {
	var b [64]byte
	n := 0
	add := func(x byte) { b[n] = x; n++ }
	for i, o := range s.ops {
		state := byte(o.kind) << 2
		if o.done {
			state |= 1
		}
		if s.begun[i] {
			state |= 2
		}
		add(state)
		add(mark(o.tag))
		add(mark(s.floor[i]))
	}
	add(mark(s.ended))
	var columns [walkers][1 + 2*actors]byte
	for r, m := range s.replicas {
		columns[r][0] = mark(m.disk[message.RegisterID{}].Tag)
	}
	for i, o := range s.ops {
		for _, q := range s.pending[i] {
			columns[q.To.Node][1+2*i] |= 1
		}
		for _, g := range o.got {
			if !o.done {
				columns[g.From.Node][1+2*i] |= 2
				columns[g.From.Node][2+2*i] = mark(g.Tag)
			}
		}
	}
	slices.SortFunc(columns[:], func(x, y [1 + 2*actors]byte) int { return slices.Compare(x[:], y[:]) })
	for _, c := range columns {
		n += copy(b[n:], c[:])
	}
	return string(b[:n])
}

func (w *walk) from(s spot) error {
	k := s.key()
	if _, have := w.seen[k]; have {
		return nil
	}
	w.seen[k] = struct{}{}
	for i := range s.ops {
		for j, q := range s.pending[i] {
			w.path = append(w.path, fmt.Sprintf("operation %d: %v", i, q))
			next := s.step(i, j)
			if err := next.wrong(i); err != nil {
				return err
			}
			if err := w.from(next); err != nil {
				return err
			}
			w.path = w.path[:len(w.path)-1]
		}
	}
	return nil
}

func TestEveryInterleaving(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	w := &walk{seen: map[string]struct{}{}}
	if err := w.from(w.begin()); err != nil {
		t.Errorf("%v\n%q", err, w.path)
	}
	t.Logf("%d states", len(w.seen))
}

// The walk finds what is wrong.
func TestEveryInterleavingFindsShortcuts(t *testing.T) {
	for _, v := range []variant{noWriteBack, writeBackToOne, writeToOne, noWriter, newTagOnRead, overwrite} {
		w := &walk{planted: 1 << v, seen: map[string]struct{}{}}
		if err := w.from(w.begin()); err == nil {
			t.Errorf("%s got through %d states", v, len(w.seen))
		} else {
			t.Logf("%s, after %d states: %v", v, len(w.seen), err)
		}
	}
}
