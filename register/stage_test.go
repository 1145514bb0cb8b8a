package register

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dmalloc/message"
)

// stage plays a schedule by hand: replicas A, B, C, …, operations, and who hears what when.
type stage struct {
	t        testing.TB
	planted  variants
	config   message.Registers
	replicas map[byte]*Memory
	disks    bool // that work: otherwise nothing reaches them before sync
	ops      []*act
	clock    int64
	seq      uint64
	story    []string
}

// act is an operation on the stage.
type act struct {
	s       *stage
	name    string
	o       *Operation
	event   event
	pending []Request // not delivered yet
}

func newStage(t testing.TB, planted variants, members string) *stage {
	s := &stage{t: t, planted: planted, disks: true, replicas: map[byte]*Memory{}}
	s.config = message.Registers{Epoch: 1, Members: cast(members)}
	for i := range len(members) {
		s.join(members[i])
	}
	return s
}

// cast makes members of letters.
func cast(letters string) []message.Member {
	var out []message.Member
	for i := range len(letters) {
		out = append(out, message.Member{Node: message.NodeID(letters[i] - 'A')})
	}
	return out
}

func letter(m message.Member) byte { return 'A' + byte(m.Node) }

func (s *stage) join(c byte) {
	m := NewMemory(cast(string(c))[0], s.config)
	m.planted = s.planted
	s.replicas[c] = m
}

func (s *stage) say(format string, args ...any) {
	s.story = append(s.story, fmt.Sprintf(format, args...))
}

// client makes an id whose order is that of the numbers.
func clientID(n int) message.ClientID { return message.ClientID{byte(n >> 8), byte(n)} }

func (s *stage) call(client int) Call {
	s.seq++
	return Call{ID: OpID{Client: clientID(client), Seq: s.seq}, Epoch: s.config.Epoch, Groups: groupsOf(s.config)}
}

func (s *stage) start(name string, o *Operation, e event) *act {
	o.planted = s.planted
	s.clock++
	e.client, e.call = name, s.clock
	a := &act{s: s, name: name, o: o, event: e}
	s.ops = append(s.ops, a)
	a.pending = o.Start()
	s.say("%s starts", a.name)
	return a
}

// write starts a write of a value, read a read. Ids of clients order their tags.
func (s *stage) write(client int, value uint64) *act {
	c := s.call(client)
	return s.start(fmt.Sprintf("client %d, writing %d", client, value), NewWrite(c, c.ID.Client, c.ID.Seq, encodeValue(value, 0)), event{write: true, value: value})
}

func (s *stage) read(client int) *act {
	return s.start(fmt.Sprintf("client %d, reading", client), NewRead(s.call(client)), event{})
}

// ask delivers what is pending for these replicas and keeps back what they answer.
func (a *act) ask(letters string) []Reply {
	var out []Reply
	for i := range len(letters) {
		c := letters[i]
		mine := func(q Request) bool { return letter(q.To) == c }
		for _, q := range a.pending {
			if mine(q) {
				a.s.say("%s: %s", a.name, q)
				out = append(out, a.s.replicas[c].Step(q)...)
			}
		}
		a.pending = slices.DeleteFunc(a.pending, mine)
		if a.s.disks {
			out = append(out, a.s.replicas[c].Sync()...)
		}
	}
	return out
}

// give delivers answers to the operation, as a driver does.
func (a *act) give(answers []Reply) {
	for _, r := range answers {
		a.s.say("%s: %s", a.name, r)
		if r.Behind && r.Config != nil {
			a.pending = append(a.pending, a.o.Restart(r.Config.Epoch, groupsOf(*r.Config))...)
		} else {
			a.pending = append(a.pending, a.o.Step(r)...)
		}
		a.end()
	}
}

// round is one round trip to these replicas, of what is pending for them when it begins.
func (a *act) round(letters string) { a.give(a.ask(letters)) }

// rounds is as many as they take.
func (a *act) rounds(letters string) {
	for range 4 {
		a.round(letters)
	}
}

// resend is the driver's timer.
func (a *act) resend() {
	a.pending = a.o.Resend()
	a.s.say("%s tries again", a.name)
	a.end()
}

func (a *act) end() {
	if !a.o.Done() || a.event.ret != 0 {
		return
	}
	a.s.clock++
	a.event.ret = a.s.clock
	if !a.event.write {
		a.event.value = decodeValue(a.o.Result().Value)
	}
	a.s.say("%s ends with %d under %s", a.name, a.event.value, a.o.Result().Tag)
}

// sync gives the replicas' disks time; the answers go to the operation that they name.
func (s *stage) sync(letters string) {
	for i := range len(letters) {
		for _, r := range s.replicas[letters[i]].Sync() {
			for _, a := range s.ops {
				if a.o.call.ID.Client == r.ID.Client && a.o.call.ID.Seq == r.ID.Seq {
					a.give([]Reply{r})
				}
			}
		}
	}
}

// lose takes a replica's disk. A variant reads everything from the others.
func (s *stage) lose(c byte) {
	m := s.replicas[c]
	m.Lose()
	s.say("%c loses its disk", c)
	if s.planted.has(recoverAndServe) {
		for other, from := range s.replicas {
			if rows, _ := from.List(message.RegisterID{}, 100); other != c {
				for _, row := range rows {
					m.keep(row.Register, from.Cell(row.Register))
				}
			}
		}
	}
}

// change begins a change of members, which all replicas learn; a copy of register 0 reads from these; then the
// change is done, and these learn it.
func (s *stage) change(next string) {
	s.config.Epoch++
	s.config.Next = cast(next)
	for i := range len(next) {
		if s.replicas[next[i]] == nil {
			s.join(next[i])
		}
	}
	s.adopt()
	s.say("members change to %s in epoch %d", next, s.config.Epoch)
}

func (s *stage) finish(from, to string) {
	s.seq++
	a := &act{s: s, name: "the copy", o: NewCopy(s.call(99))}
	a.o.planted = s.planted
	a.pending = a.o.Start()
	a.round(from)
	a.round(to)
	if !a.o.Done() {
		s.t.Fatalf("the copy is not done\n%s", strings.Join(s.story, "\n"))
	}
	s.config = message.Registers{Epoch: s.config.Epoch + 1, Members: s.config.Next}
	s.adopt()
	s.say("epoch %d has begun", s.config.Epoch)
}

func (s *stage) adopt() {
	for _, m := range s.replicas {
		m.Adopt(s.config)
	}
}

// history is what happened. A read that did not end is no part of it.
func (s *stage) history() []event {
	var h []event
	for _, a := range s.ops {
		if a.event.write || a.event.ret != 0 {
			h = append(h, a.event)
		}
	}
	return h
}
