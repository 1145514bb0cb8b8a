package register

import (
	"fmt"
	"slices"

	"dmalloc/message"
)

// running is an operation under way, and its line in the history.
type running struct {
	o     *Operation
	event event
	until int64 // when its client gives it up; never once the world is calm
}

// client drives operations as the client room does: it sends, hears, sends again, learns configurations and
// gives up.
type client struct {
	w       *world
	name    string
	id      message.ClientID
	lives   int
	number  uint64
	config  message.Registers
	left    int // operations to start
	running []*running
}

func (w *world) hire(i, ops int) *client {
	c := &client{w: w, name: fmt.Sprintf("client %d", i), left: ops, config: w.config.Clone(), lives: i * 100}
	c.id = clientID(c.lives)
	w.clients = append(w.clients, c)
	return c
}

// restart is the death of a client and the birth of another: what it did is never heard of again.
func (c *client) restart() {
	c.w.say("%s restarts", c.name)
	for _, r := range slices.Clone(c.running) {
		c.leave(r)
	}
	c.lives++
	c.id, c.number = clientID(c.lives), 0
}

func (c *client) call(id message.RegisterID) Call {
	c.number++
	s := c.w.swarm
	call := Call{ID: OpID{Client: c.id, Seq: c.number}, Register: id, Epoch: c.config.Epoch, Groups: groupsOf(c.config), WriteAll: s.writeAll}
	if s.large {
		call.Values, call.Inline = call.Groups[0][:1], 16
	}
	return call
}

// work starts operations until none is left.
func (c *client) work() {
	width := 1
	if c.w.swarm.pipeline {
		width = 2
	}
	if c.left > 0 && len(c.running) < width {
		c.left--
		c.start(message.RegisterID{Address: uint64(c.w.dice.IntN(c.w.swarm.registers))}, c.w.dice.IntN(5) < 2)
	}
	if c.left > 0 {
		c.w.in(1+c.w.dice.Int64N(60), c.work)
	}
}

func (c *client) start(id message.RegisterID, write bool) {
	w := c.w
	call := c.call(id)
	r := &running{event: event{client: c.name, register: id, write: write, call: w.moment()}, until: w.now + 200 + w.dice.Int64N(1500)}
	if write {
		w.values++
		r.event.value = w.values
		padding := 0
		if w.swarm.large {
			padding = w.dice.IntN(40)
		}
		r.o = NewWrite(call, call.ID.Client, call.ID.Seq, encodeValue(w.values, padding))
		w.say("%s starts to write %d to %s", c.name, r.event.value, id)
	} else {
		r.o = NewRead(call)
		w.say("%s starts to read %s", c.name, id)
	}
	r.o.planted = w.planted
	c.running = append(c.running, r)
	c.send(r, r.o.Start())
	w.in(30+w.dice.Int64N(100), func() { c.again(r) })
}

// send sends, or holds some back until again.
func (c *client) send(r *running, out []Request) {
	for _, q := range out {
		if c.w.swarm.hedge && c.w.dice.IntN(4) == 0 {
			continue
		}
		c.w.reach(q.To.Node, func(n *node) { n.ask(q) })
	}
	if r.o.Done() {
		c.finish(r)
	}
}

func (c *client) again(r *running) {
	if !slices.Contains(c.running, r) {
		return
	}
	if c.w.now > r.until && !c.w.calm {
		c.leave(r)
		return
	}
	// Those that it waits for may be gone with a change of which those that answered did not know yet. No
	// replica would tell it then, so it asks the directory once in a while.
	if c.w.dice.IntN(4) == 0 {
		conf := c.w.config.Clone()
		c.w.carry(func() { c.follow(conf) })
	}
	c.send(r, r.o.Resend())
	c.w.in(30+c.w.dice.Int64N(100), func() { c.again(r) })
}

func (c *client) hear(r Reply) {
	if r.ID.Client != c.id {
		return
	}
	if r.Behind {
		c.learn(r)
		return
	}
	for _, run := range slices.Clone(c.running) {
		if !run.o.Done() {
			c.send(run, run.o.Step(r))
		}
	}
}

func (c *client) learn(r Reply) {
	switch {
	case r.Config != nil:
		c.follow(*r.Config)
	case r.Epoch < c.config.Epoch:
		conf := c.config
		c.w.reach(r.From.Node, func(n *node) { n.mem.Adopt(conf) })
	}
}

// follow takes a configuration and starts what runs in an older one anew.
func (c *client) follow(conf message.Registers) {
	if conf.Epoch <= c.config.Epoch {
		return
	}
	c.config = conf
	for _, run := range slices.Clone(c.running) {
		c.send(run, run.o.Restart(conf.Epoch, groupsOf(conf)))
	}
}

func (c *client) finish(r *running) {
	i := slices.Index(c.running, r)
	if i < 0 {
		return
	}
	c.running = slices.Delete(c.running, i, i+1)
	r.event.ret = c.w.moment()
	if !r.event.write {
		r.event.value = decodeValue(r.o.Result().Value)
	}
	c.w.history = append(c.w.history, r.event)
	c.w.mix(r.event.value, r.o.Result().Tag.TS)
	c.w.say("%s ends %s with %d under %s", c.name, r.event.register, r.event.value, r.o.Result().Tag)
}

// leave gives an operation up. A write that has its tag stays open for ever, anything else did nothing.
func (c *client) leave(r *running) {
	c.running = slices.DeleteFunc(c.running, func(x *running) bool { return x == r })
	if r.event.write && r.o.Chosen() {
		c.w.history = append(c.w.history, r.event)
	}
	c.w.say("%s gives up %s", c.name, r.event)
}

// moment is a time of its own for each call and return.
func (w *world) moment() int64 {
	w.seq++
	return int64(w.seq)
}

// mover changes the members: fence, lists, copies, done.
type mover struct {
	w      *world
	id     message.ClientID
	number uint64
	taken  []message.Member
	lists  map[message.Member][]Entry
	copies []*Operation // nil until the lists are there
}

func (m *mover) hear(r Reply) {
	if r.ID.Client != m.id {
		return
	}
	if r.Behind {
		m.tell(r.From.Node)
		return
	}
	for _, o := range m.copies {
		m.send(o.Step(r))
	}
	m.settle()
}

func (m *mover) send(out []Request) {
	for _, q := range out {
		m.w.reach(q.To.Node, func(n *node) { n.ask(q) })
	}
}

// tick is the mover's loop: it begins what is to be changed and asks again for what did not come.
func (m *mover) tick() {
	w := m.w
	for _, member := range groupsOf(w.config).Members() {
		m.tell(member.Node) // replicas follow the directory
	}
	if w.config.Next == nil {
		m.begin()
	} else {
		for _, o := range m.copies {
			m.send(o.Resend())
		}
		m.settle()
	}
	w.in(20+w.dice.Int64N(60), m.tick)
}

// begin decides on a change of members: what lost its disk first.
func (m *mover) begin() {
	w := m.w
	next := slices.Clone(w.config.Members)
	lost := slices.IndexFunc(next, func(x message.Member) bool { return !w.lives(x) })
	fresh := slices.IndexFunc(w.nodes, func(n *node) bool { return !slices.Contains(next, n.mem.Self) && !n.down })
	switch k := w.dice.IntN(12); {
	case lost >= 0:
		next[lost] = w.nodes[next[lost].Node].mem.Self
	case !w.swarm.move || w.calm:
		return
	case k == 0 && len(next) > 2:
		i := w.dice.IntN(len(next))
		next = slices.Delete(next, i, i+1)
	case k == 1 && fresh >= 0 && len(next) < 5:
		next = append(next, w.nodes[fresh].mem.Self)
	case k == 2 && fresh >= 0:
		next[w.dice.IntN(len(next))] = w.nodes[fresh].mem.Self
	default:
		return
	}
	w.config.Epoch++
	w.config.Next = next
	m.forget()
	w.say("the directory begins a change of %v to %v in epoch %d", w.config.Members, next, w.config.Epoch)
}

func (m *mover) forget() {
	m.taken, m.copies, m.lists = nil, nil, map[message.Member][]Entry{}
}

// tell tells a node the configuration. One that is asked under it says that it has taken it, and then lists.
func (m *mover) tell(id message.NodeID) {
	conf := m.w.config.Clone()
	m.w.reach(id, func(n *node) {
		n.mem.Adopt(conf)
		self, epoch := n.mem.Self, n.mem.Config.Epoch
		m.w.carry(func() { m.took(self, epoch) })
	})
}

func (m *mover) took(x message.Member, epoch uint64) {
	w := m.w
	if w.config.Next == nil || epoch != w.config.Epoch && !w.planted.has(noFence) {
		return
	}
	if !slices.Contains(m.taken, x) {
		m.taken = append(m.taken, x)
	}
	if !Fenced(w.config.Members, m.taken) || m.copies != nil {
		return
	}
	for _, x := range m.taken {
		if _, have := m.lists[x]; have || !slices.Contains(w.config.Members, x) {
			continue
		}
		w.reach(x.Node, func(n *node) {
			rows, _ := n.mem.List(message.RegisterID{}, 100)
			if n.mem.Self == x {
				w.carry(func() { m.listed(x, epoch, rows) })
			}
		})
	}
}

func (m *mover) listed(x message.Member, epoch uint64, rows []Entry) {
	w := m.w
	if w.config.Next == nil || w.config.Epoch != epoch || m.copies != nil {
		return
	}
	m.lists[x] = rows
	var have []message.Member
	var lists [][]Entry
	for _, x := range w.config.Members {
		if rows, ok := m.lists[x]; ok {
			have, lists = append(have, x), append(lists, rows)
		}
	}
	if !Fenced(w.config.Members, have) {
		return
	}
	m.copies = []*Operation{}
	for _, e := range Merge(lists...) {
		m.number++
		o := NewCopy(Call{ID: OpID{Client: m.id, Seq: m.number}, Register: e.Register, Epoch: epoch, Groups: groupsOf(w.config)})
		o.planted = w.planted
		m.copies = append(m.copies, o)
		m.send(o.Start())
	}
	m.settle()
}

// settle ends a change whose copies are made.
func (m *mover) settle() {
	w := m.w
	if w.config.Next == nil || m.copies == nil || slices.ContainsFunc(m.copies, func(o *Operation) bool { return !o.Done() }) {
		return
	}
	w.config = message.Registers{Epoch: w.config.Epoch + 1, Members: w.config.Next}
	m.forget()
	w.say("the directory ends the change: %v in epoch %d", w.config.Members, w.config.Epoch)
	for _, x := range w.config.Members {
		m.tell(x.Node)
	}
}
