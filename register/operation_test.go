package register

import (
	"bytes"
	"math"
	"testing"

	"dmalloc/message"

	"pgregory.net/rapid"
)

var (
	abc   = cast("ABC")
	wcall = Call{ID: OpID{Client: clientID(7), Seq: 1}, Epoch: 1, Groups: Groups{abc}}
)

// tagged is an answer to a request.
func tagged(q Request, ts uint64, value string) Reply {
	r := Reply{From: q.To, ID: q.ID, Epoch: q.Epoch, Register: q.Register, Size: uint64(len(value))}
	if ts > 0 {
		r.Tag = message.Tag{TS: ts, Writer: clientID(1), Op: 1}
	}
	if q.Wants(r.Size) {
		r.Value, r.HasValue = []byte(value), true
	}
	return r
}

func kinds(t *testing.T, out []Request, kind Kind, to string) {
	t.Helper()
	got := ""
	for _, q := range out {
		if q.Kind != kind {
			t.Errorf("sends %s; want %s", q, kind)
		}
		got += string(letter(q.To))
	}
	if got != to {
		t.Errorf("sends %s to %q; want %q", kind, got, to)
	}
}

// A write takes two rounds, and its tag is one above the largest.
func TestWrite(t *testing.T) {
	o := NewWrite(wcall, clientID(7), 5, []byte("v"))
	get := o.Start()
	kinds(t, get, GetTag, "ABC")
	kinds(t, o.Step(tagged(get[0], 3, "")), 0, "")
	if o.Chosen() {
		t.Error("chose its tag by one answer")
	}
	put := o.Step(tagged(get[2], 2, ""))
	kinds(t, put, Put, "ABC")
	want := message.Tag{TS: 4, Writer: clientID(7), Op: 5}
	if !o.Chosen() || o.Done() || put[0].Tag != want || string(put[0].Value) != "v" || put[0].ID == get[0].ID {
		t.Errorf("puts %+v; want %s under an id of its own", put[0], want)
	}
	o.Step(tagged(get[1], 9, "")) // late
	o.Step(tagged(put[1], 0, ""))
	o.Step(tagged(put[1], 0, "")) // again
	kinds(t, o.Resend(), Put, "AC")
	if o.Done() {
		t.Error("done after one acknowledgement")
	}
	o.Step(tagged(put[0], 0, ""))
	if r := o.Result(); !o.Done() || r.Tag != want || r.Rounds != 2 || r.Err != nil {
		t.Errorf("result %+v", r)
	}
	if len(o.Resend())+len(o.Waiting())+len(o.Restart(2, Groups{abc})) != 0 {
		t.Error("does something after its end")
	}
}

// What a read does by what it hears, in the order A B C: tag and value of each, - is silent.
func TestReads(t *testing.T) {
	large := string(make([]byte, 100))
	for _, c := range []struct {
		name   string
		call   Call
		heard  []uint64
		value  string
		done   bool
		kind   Kind   // of what is sent then
		to     string // whom
		rounds int
	}{
		{"never written", Call{}, []uint64{0, 0}, "", true, 0, "", 1},
		{"unanimous", Call{}, []uint64{4, 4}, "x", true, 0, "", 1},
		{"behind", Call{}, []uint64{4, 3}, "x", false, Put, "BC", 2},
		{"behind, newest last", Call{}, []uint64{0, 3}, "x", false, Put, "AC", 2},
		{"all of two hear", Call{WriteAll: true}, []uint64{4, 4}, "x", false, 0, "", 1},
		{"all agree", Call{WriteAll: true}, []uint64{4, 4, 4}, "x", true, 0, "", 1},
		{"all but one agree", Call{WriteAll: true}, []uint64{4, 3, 4}, "x", false, Put, "B", 2},
		{"small values come from all", Call{Values: abc[:1], Inline: 1}, []uint64{3, 4}, "x", false, Put, "AC", 2},
		{"a large value of whom was asked", Call{Values: abc[:1], Inline: 1}, []uint64{4, 4}, large, true, 0, "", 1},
		{"a large value of another", Call{Values: abc[:1], Inline: 1}, []uint64{3, 4}, large, false, Get, "ABC", 2},
		{"old replicas are not enough", Call{Groups: Groups{abc, cast("BCD")}}, []uint64{4, 4}, "x", false, 0, "", 1},
		{"old and new", Call{Groups: Groups{abc, cast("BCD")}}, []uint64{4, 4, 4}, "x", true, 0, "", 1},
		{"a quorum of each, and one behind", Call{Groups: Groups{cast("AB"), cast("ABC")}}, []uint64{4, 4}, "x", true, 0, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.call.ID, c.call.Epoch = wcall.ID, 1
			if c.call.Groups == nil {
				c.call.Groups = Groups{abc}
			}
			o := NewRead(c.call)
			get := o.Start()
			var out []Request
			for i, ts := range c.heard {
				out = o.Step(tagged(get[i], ts, c.value))
			}
			kinds(t, out, c.kind, c.to)
			r := o.Result()
			if o.Done() != c.done || r.Rounds != c.rounds || o.Chosen() {
				t.Errorf("done %v in %d rounds, chosen %v; want %v in %d", o.Done(), r.Rounds, o.Chosen(), c.done, c.rounds)
			}
			if c.done && string(r.Value) != c.value {
				t.Errorf("read %q; want %q", r.Value, c.value)
			}
			for _, q := range out {
				if q.Kind == Put && (string(q.Value) != c.value || q.Tag.TS != 4 && q.Tag.TS != 3 || q.Tag.Writer != clientID(1)) {
					t.Errorf("puts %+v; want what was read, under its own tag", q)
				}
				if q.Kind == Get && q.Most != math.MaxUint64 {
					t.Errorf("asks for %d bytes; want all", q.Most)
				}
			}
		})
	}
}

// Replies that must not count.
func TestStepDrops(t *testing.T) {
	for name, spoil := range map[string]func(r *Reply){
		"another phase":     func(r *Reply) { r.ID.Phase++ },
		"another operation": func(r *Reply) { r.ID.Seq++ },
		"another client":    func(r *Reply) { r.ID.Client = clientID(1) },
		"another epoch":     func(r *Reply) { r.Epoch++ },
		"another register":  func(r *Reply) { r.Register.Address++ },
		"another space":     func(r *Reply) { r.Register.Space++ },
		"a stranger":        func(r *Reply) { r.From.Node = 9 },
		"an incarnation":    func(r *Reply) { r.From.Incarnation = 1 },
		"a refusal":         func(r *Reply) { r.Behind = true },
		"itself again":      func(r *Reply) { r.From = abc[0] },
	} {
		o := NewRead(wcall)
		get := o.Start()
		o.Step(tagged(get[0], 1, "x"))
		r := tagged(get[1], 1, "x")
		spoil(&r)
		if o.Step(r); o.Done() {
			t.Errorf("%s counts", name)
		}
	}
	if o := NewRead(wcall); o.Step(Reply{}) != nil || o.Resend() != nil || o.Waiting() != nil {
		t.Error("does something before Start")
	}
}

// A newer configuration: a write keeps its tag, a read starts over, a copy is over.
func TestRestart(t *testing.T) {
	next := Groups{cast("BCD")}
	w := NewWrite(wcall, clientID(7), 5, []byte("v"))
	get := w.Start()
	kinds(t, w.Restart(1, next), 0, "")
	kinds(t, w.Restart(2, next), GetTag, "BCD")
	if w.Step(tagged(get[1], 1, "")); w.Result().Rounds != 2 {
		t.Error("an answer of the old epoch counts")
	}
	for _, q := range w.Resend()[:2] {
		w.Step(tagged(q, 1, ""))
	}
	tag := w.Result().Tag
	put := w.Restart(4, Groups{abc})
	kinds(t, put, Put, "ABC")
	if put[0].Tag != tag || put[0].Epoch != 4 || w.Epoch() != 4 {
		t.Errorf("puts %+v after a restart; want %s in epoch 4", put[0], tag)
	}

	r := NewRead(wcall)
	get = r.Start()
	r.Step(tagged(get[0], 2, "x"))
	kinds(t, r.Step(tagged(get[1], 1, "y")), Put, "BC")
	kinds(t, r.Restart(2, next), Get, "BCD")

	c := NewCopy(Call{ID: wcall.ID, Epoch: 2, Groups: Groups{abc, cast("BCD")}})
	c.Start()
	c.Restart(3, next)
	if !c.Done() || message.CodeOf(c.Result().Err) != message.Stale {
		t.Errorf("a copy goes on: %+v", c.Result())
	}

	if o := NewRead(wcall); o.Restart(2, next) != nil {
		t.Error("a restart before the start sends something")
	} else {
		kinds(t, o.Start(), Get, "BCD")
	}
}

// Copies read as many of the old as meet every quorum and leave the rest alone.
func TestCopies(t *testing.T) {
	for _, c := range []struct {
		name, old, next string
		heard           []uint64
		done            bool
		to              string
	}{
		{"nothing there", "ABC", "BCD", []uint64{0, 0}, true, ""},
		{"one is not enough", "ABC", "BCD", []uint64{3}, false, ""},
		{"one of two is", "AB", "ABC", []uint64{3}, false, "BC"},
		{"one of two, alone", "AB", "A", []uint64{3}, true, ""},
		{"two of four", "ABCD", "ABC", []uint64{3, 2}, false, "BC"},
		{"already there", "ABC", "ABD", []uint64{3, 3}, true, ""},
		{"none stays", "ABC", "DEF", []uint64{3, 3}, false, "DEF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := NewCopy(Call{ID: wcall.ID, Epoch: 2, Groups: Groups{cast(c.old), cast(c.next)}})
			get := o.Start()
			kinds(t, get, Get, c.old)
			var out []Request
			for i, ts := range c.heard {
				out = o.Step(tagged(get[i], ts, "x"))
			}
			kinds(t, out, Put, c.to)
			if o.Done() != c.done {
				t.Errorf("done %v; want %v", o.Done(), c.done)
			}
		})
	}
	if o := NewCopy(wcall); len(o.Start()) != 0 || !o.Done() || o.Result().Err == nil {
		t.Error("a copy without new replicas begins")
	}
}

// The last timestamp is not wrapped round, and a register without replicas is said to have none.
func TestRefusals(t *testing.T) {
	o := NewWrite(wcall, clientID(7), 5, []byte("v"))
	get := o.Start()
	o.Step(tagged(get[0], math.MaxUint64, ""))
	o.Step(tagged(get[1], 1, ""))
	if r := o.Result(); !o.Done() || o.Chosen() || message.CodeOf(r.Err) != message.Unsupported {
		t.Errorf("after the last timestamp: %+v", r)
	}
	for _, g := range []Groups{nil, {}, {nil}, {abc, nil}} {
		o := NewRead(Call{Groups: g})
		if out := o.Start(); len(out) != 0 || !o.Done() || message.CodeOf(o.Result().Err) != message.Unavailable {
			t.Errorf("groups %v: %v, %+v", g, out, o.Result())
		}
	}
}

// Whatever arrives, an operation does not panic, sends to its replicas only, and what a finished write has
// was acknowledged by a quorum of each group.
func TestAnyReplies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := Groups{cast(rapid.SampledFrom([]string{"A", "AB", "ABC", "ABCD", "AAB"}).Draw(t, "old"))}
		if rapid.Bool().Draw(t, "joint") {
			groups = append(groups, cast("BCE"))
		}
		c := Call{ID: OpID{Client: clientID(1)}, Epoch: 1, Groups: groups, WriteAll: rapid.Bool().Draw(t, "all"), Values: abc[:1]}
		var o *Operation
		switch rapid.IntRange(0, 2).Draw(t, "purpose") {
		case 0:
			o = NewRead(c)
		case 1:
			o = NewWrite(c, clientID(1), 1, []byte("v"))
		case 2:
			o = NewCopy(c)
		}
		acks := map[OpID]map[message.Member]bool{}
		epoch := uint64(1)
		sent := o.Start()
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch k := rapid.IntRange(0, 9).Draw(t, "what"); {
			case k == 0:
				sent = append(sent, o.Resend()...)
			case k == 1 && o.purpose != copying:
				epoch += rapid.Uint64Range(0, 1).Draw(t, "epochs")
				sent = append(sent, o.Restart(epoch, groups)...)
			case len(sent) > 0:
				q := rapid.SampledFrom(sent).Draw(t, "request")
				r := tagged(q, rapid.Uint64Range(0, 3).Draw(t, "ts"), rapid.SampledFrom([]string{"", "x"}).Draw(t, "value"))
				if k == 2 {
					r.HasValue, r.Value = !r.HasValue, nil
				}
				if q.Kind == Put {
					if acks[q.ID] == nil {
						acks[q.ID] = map[message.Member]bool{}
					}
					acks[q.ID][q.To] = true
				}
				sent = append(sent, o.Step(r)...)
			}
		}
		for _, q := range sent {
			if !bytes.Contains([]byte("ABCDE"), []byte{letter(q.To)}) {
				t.Fatalf("sends to %s", q.To)
			}
		}
		if !o.Done() || o.purpose != writing || o.err != nil {
			return
		}
		id, _ := o.Phase()
		for _, g := range o.call.Groups {
			have := 0
			for _, m := range g {
				if acks[id][m] {
					have++
				}
			}
			if have < Quorum(len(g)) || c.WriteAll && have < len(g) {
				t.Fatalf("done with %d of %d", have, len(g))
			}
		}
	})
}
