package company

import (
	"fmt"
	"testing"

	"dmalloc/message"
)

// The allocation of 8192 bytes over company 1, its home, and company 2, and its end, by a coordinator
// that may go silent or give up at any point, over a network that may hold each message back for as long
// as it likes and bring it twice. Meanwhile a node takes a lease on what there is, once in each company, and its
// leader ends it. Every order of events is tried.

var spanTxn = message.Txn{Client: message.ClientID{7}, Seq: 1}

const (
	flights = 8
	events  = 7 + flights
)

// world is companies 1 and 2 and what is under way.
type world struct {
	d      [3]*driver
	step   int                       // of the coordinator
	giveUp bool                      // the coordinator aborts
	flying [flights]*message.Message // what was sent: a second copy may come once, at any time
	to     [flights]int
	copies [flights]int // 0 no message, 1 a copy is under way, 2 it came
	home   message.Addr
	behind message.Addr
	leased [3]bool // a node had a lease on what is in the company
}

func newWorld() *world {
	w := &world{}
	for i := 1; i <= 2; i++ {
		w.d[i] = &driver{Company: newTest(message.CompanyID(i))}
	}
	return w
}

func (w *world) fly(to int, m *message.Message) {
	for i := range w.flying {
		if w.copies[i] == 0 {
			w.flying[i], w.to[i], w.copies[i] = m, to, 1
			return
		}
	}
}

func txnMsg(op message.Op, set func(*message.Message)) *message.Message {
	m := msg(op, set)
	m.Txn = spanTxn
	return m
}

func (w *world) request(op message.Op) *message.Message {
	switch op {
	case message.RESERVE:
		return txnMsg(op, func(m *message.Message) { m.Size, m.Value = 4096, 1 })
	case message.COMMIT:
		return txnMsg(op, func(m *message.Message) {
			m.Size, m.Value, m.Blocks = 8192, 4096, []message.Block{{Size: 4096, Company: 2, Behind: w.behind}}
		})
	case message.CONFIRM, message.FINISH:
		return txnMsg(op, func(m *message.Message) { m.Address = w.home })
	case message.FREE:
		return free(w.home)
	}
	return txnMsg(op, nil)
}

// line is a message of the coordinator's and the company it goes to.
type line struct {
	to int
	op message.Op
}

var (
	allocateAndFree = []line{{2, message.RESERVE}, {1, message.COMMIT}, {2, message.CONFIRM}, {1, message.FREE}, {2, message.DROP}, {1, message.FINISH}}
	abandon         = []line{{1, message.OUTCOME}, {2, message.ABORT}}
)

// coordinate takes the coordinator's next step; false means that it has none.
func (w *world) coordinate() bool {
	script := allocateAndFree
	if w.giveUp {
		script = abandon
	}
	if w.step >= len(script) {
		return false
	}
	s := script[w.step]
	m := w.request(s.op)
	w.fly(s.to, m)
	r := w.d[s.to].do(m)
	w.step++
	switch {
	case r.Code != message.Done || s.op == message.OUTCOME && r.Value == 1:
		w.step = 99 // it knows no more than that it failed
	case s.op == message.RESERVE:
		w.behind = r.Address
	case s.op == message.COMMIT:
		w.home = r.Address
	}
	return true
}

// lose has the coordinator send its next message, which no one gets now, and give up.
func (w *world) lose() bool {
	if w.giveUp || w.step > 1 {
		return false
	}
	s := allocateAndFree[w.step]
	w.fly(s.to, w.request(s.op))
	w.giveUp, w.step = true, 0
	return true
}

// settle has the owners end one pending transaction.
func (w *world) settle(t *testing.T) bool {
	id := 1
	all := w.d[1].Pending()
	if len(all) == 0 {
		id, all = 2, w.d[2].Pending()
	}
	if len(all) == 0 {
		return false
	}
	must := func(to int, m *message.Message) Result {
		t.Helper()
		r := w.d[to].do(m)
		if r.Code == message.Leased && w.unlease(to) {
			r = w.d[to].do(m)
		}
		if r.Code != message.Done {
			t.Fatalf("%s: %v", m, r)
		}
		return r
	}
	p := all[0]
	if p.State == message.Freeing {
		for _, b := range p.Blocks[1:] {
			must(int(b.Company), w.request(message.DROP))
		}
		must(id, txnMsg(message.FINISH, func(m *message.Message) { m.Address = p.Home }))
		return true
	}
	end := w.request(message.ABORT)
	if r := must(int(p.HomeCompany), w.request(message.OUTCOME)); r.Value == 1 {
		end = txnMsg(message.CONFIRM, func(m *message.Message) { m.Address = r.Address })
	}
	must(id, end)
	return true
}

// act does event number n, and says whether there was such a thing to do.
func (w *world) act(t *testing.T, n int) bool {
	switch n {
	case 0:
		return w.coordinate()
	case 1:
		return w.settle(t)
	case 2:
		return w.lose()
	case 3: // half a settling: the owner asks the home, then dies
		if len(w.d[2].Pending()) == 0 {
			return false
		}
		w.d[1].do(w.request(message.OUTCOME))
		return true
	case 4: // half a release
		for _, p := range w.d[1].Pending() {
			if p.State == message.Freeing {
				w.d[2].do(w.request(message.DROP))
				return true
			}
		}
		return false
	}
	if n < 7 {
		return w.lease(n-4) || w.unlease(n-4)
	}
	i := n - 7
	if i >= len(w.flying) || w.copies[i] != 1 {
		return false
	}
	w.copies[i] = 2 // came and is gone
	w.d[w.to[i]].do(w.flying[i])
	return true
}

// lease gives a node a lease on what there is in a company, if there was none.
func (w *world) lease(id int) bool {
	all := w.d[id].Extents(0, 1)
	if w.leased[id] || len(all) == 0 {
		return false
	}
	m := txnMsg(message.LEASE, func(m *message.Message) { m.Address, m.Final, m.Value = all[0].Address, 3, 1 })
	if id == 2 {
		m.Flags = message.PartOf
	}
	w.leased[id] = w.d[id].do(m).Code == message.Done
	return w.leased[id]
}

// unlease ends it.
func (w *world) unlease(id int) bool {
	all := w.d[id].AllLeases()
	for _, l := range all {
		w.d[id].do(msg(message.EXPIRE, func(m *message.Message) { m.Token = l.Token }))
	}
	return len(all) > 0
}

func (w *world) check(t *testing.T, path []int) {
	for id := 1; id <= 2; id++ {
		if err := w.d[id].Verify(); err != nil {
			t.Fatalf("%v: %v", path, err)
		}
		for _, l := range w.d[id].AllLeases() {
			if r, ok := w.d[id].holder(w.d[id].pageAddr(l.First)); !ok || r.state != message.Allocated && r.state != message.Part {
				t.Fatalf("%v: what is leased in company %d does not live", path, id)
			}
		}
	}
}

// end has the owners finish, and asks for all of the allocation or nothing.
func (w *world) end(t *testing.T, path []int) {
	for i := 0; w.settle(t); i++ {
		if i > 10 {
			t.Fatalf("%v: the owners come to no end:\n%s%s", path, w.d[1], w.d[2])
		}
	}
	w.check(t, path)
	home, part := w.d[1].Extents(0, 9), w.d[2].Extents(0, 9)
	if len(home) == 0 && len(part) == 0 {
		if w.d[1].charged+w.d[2].charged+w.d[1].used+w.d[2].used != 0 {
			t.Fatalf("%v: nothing is there and something is charged", path)
		}
		return
	}
	if len(home) != 1 || len(part) != 1 || home[0].State != message.Allocated || part[0].State != message.Part || part[0].Home != home[0].Address ||
		home[0].Blocks[1].Behind != part[0].Address {
		t.Fatalf("%v: half an allocation is left:\n%s%s", path, w.d[1], w.d[2])
	}
}

func TestEveryInterleaving(t *testing.T) {
	replay := func(path []int) *world {
		w := newWorld()
		for _, n := range path {
			w.act(t, n)
		}
		return w
	}
	seen := map[string]bool{}
	outcomes := 0
	var explore func(path []int)
	explore = func(path []int) {
		for n := range events {
			w := replay(path)
			if !w.act(t, n) {
				continue
			}
			next := append(path[:len(path):len(path)], n)
			w.check(t, next)
			key := fmt.Sprint(w.step, w.giveUp, w.copies, w.flying, w.leased, w.states())
			if seen[key] {
				continue
			}
			seen[key] = true
			outcomes++
			w.end(t, next)
			explore(next)
		}
	}
	explore(nil)
	t.Logf("%d states", outcomes)
	if outcomes < 200 {
		t.Errorf("only %d states were tried", outcomes)
	}
}

// states is what matters of the companies: not when it came to be.
func (w *world) states() string {
	var s string
	for _, d := range w.d[1:] {
		s += fmt.Sprint(d.Extents(0, 9), d.ended.has(spanTxn), d.leases.Len(), ";")
	}
	return s
}
