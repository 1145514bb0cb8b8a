package register

import (
	"slices"
	"testing"

	"dmalloc/message"
)

// A tag that no replica of the register has is not looked at.
func TestStrangersTagIsNotTaken(t *testing.T) {
	o := NewWrite(wcall, clientID(7), 5, nil)
	get := o.Start()
	alien := tagged(get[0], 50, "")
	alien.From = cast("Z")[0]
	for _, r := range []Reply{alien, tagged(get[0], 1, ""), tagged(get[1], 1, "")} {
		o.Step(r)
	}
	if got := o.Result().Tag.TS; got != 2 {
		t.Errorf("the write's timestamp is %d; want 2", got)
	}
}

// A replica that has a tag and sends no value, though it was asked for it, is as good as silent: the read
// neither ends nor begins another phase for it.
func TestValueIsInsistedOn(t *testing.T) {
	c := wcall
	c.Values = []message.Member{}
	o := NewRead(c)
	get := o.Start()
	o.Step(tagged(get[0], 4, "x"))
	get = o.Step(tagged(get[1], 4, "x"))
	kinds(t, get, Get, "ABC")
	r := tagged(get[0], 4, "x")
	r.HasValue, r.Value = false, nil
	if out := o.Step(r); len(out) != 0 || len(o.Waiting()) != 3 {
		t.Errorf("an answer without a value counts: %v", out)
	}
	o.Step(tagged(get[1], 4, "x"))
	o.Step(tagged(get[2], 4, "x"))
	if r := o.Result(); !o.Done() || string(r.Value) != "x" || r.Rounds != 2 {
		t.Errorf("read %+v", r)
	}
}

// Whoever has the value, it is found.
func TestValueOfTheSecond(t *testing.T) {
	c := wcall
	c.Values = abc[1:2]
	o := NewRead(c)
	get := o.Start()
	o.Step(tagged(get[0], 4, "x"))
	o.Step(tagged(get[1], 4, "x"))
	if r := o.Result(); !o.Done() || string(r.Value) != "x" {
		t.Errorf("done %v, read %+v; want the value that the second replica sent", o.Done(), r)
	}
}

// With WriteAll a write learns its tag from a quorum and ends when all have it.
func TestWriteAll(t *testing.T) {
	c := wcall
	c.WriteAll = true
	o := NewWrite(c, clientID(7), 5, []byte("v"))
	get := o.Start()
	o.Step(tagged(get[0], 1, ""))
	put := o.Step(tagged(get[1], 1, ""))
	kinds(t, put, Put, "ABC")
	for i, q := range put {
		if o.Done() {
			t.Errorf("done after %d of 3", i)
		}
		o.Step(tagged(q, 1, ""))
	}
	if !o.Done() {
		t.Error("not done when all have it")
	}
}

// A member that is named twice is one replica, and the caller's slices stay the caller's.
func TestGroupsAreOwned(t *testing.T) {
	groups := Groups{cast("AAAB")}
	begin := func() *Operation { return NewRead(Call{ID: wcall.ID, Epoch: 1, Groups: groups}) }
	again := func() *Operation {
		o := NewRead(Call{ID: wcall.ID, Groups: Groups{cast("C")}})
		o.Restart(1, groups)
		return o
	}
	for name, make := range map[string]func() *Operation{"start": begin, "restart": again} {
		groups = Groups{cast("AAAB")}
		o := make()
		groups[0][0] = cast("Z")[0]
		get := o.Start()
		kinds(t, get, Get, "AB")
		for _, q := range get {
			o.Step(tagged(q, 1, "x"))
		}
		if !o.Done() {
			t.Errorf("%s: both replicas are no quorum", name)
		}
	}
	r := &Replica{Self: abc[0]}
	c := message.Registers{Epoch: 1, Members: cast("AB")}
	r.Adopt(c)
	c.Members[0] = cast("Z")[0]
	if r.Judge(Request{Kind: Get, To: abc[0], Epoch: 1}) != Show {
		t.Error("a replica's configuration changes with the caller's")
	}
}

// Everything prints as a person would say it.
func TestPrints(t *testing.T) {
	q := Request{Kind: Put, To: abc[1], Epoch: 3, ID: wcall.ID, Tag: message.Tag{TS: 4, Writer: clientID(1), Op: 2}}
	for _, c := range []struct{ got, want string }{
		{q.String(), "PUT of register 0 to 1 in epoch 3 under 4.00010000.2"},
		{Kind(9).String(), "kind 9"},
		{GetTag.String(), "GET TAG"},
		{q.ID.String(), "00070000/1.0"},
		{tagged(q, 0, "").String(), "1 answers 0.00000000.0 in epoch 3"},
		{Reply{From: abc[2], Epoch: 4, Behind: true}.String(), "2 refuses, being in epoch 4"},
		{Store.String() + Show.String() + Refuse.String() + Verdict(200).String(), "storeshowrefuseverdict 200"},
	} {
		if c.got != c.want {
			t.Errorf("got %q; want %q", c.got, c.want)
		}
	}
}

// A member that is named twice in a group is one.
func TestMembersAreNamedOnce(t *testing.T) {
	m := cast("AB")
	if got := (Groups{{m[0], m[0], m[1]}}).Members(); !slices.Equal(got, m) {
		t.Errorf("%v", got)
	}
}
