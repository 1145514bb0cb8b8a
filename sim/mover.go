package sim

import (
	"slices"

	"dmalloc/message"
	"dmalloc/register"
)

// mover changes the registers' members: fence, list, copy, done. It runs on a node whose directory leads;
// two at once do no harm.
type mover struct {
	n      *node
	config message.Registers
	taken  []message.Member
	lists  [][]register.Entry
	listed []message.Member
	copies []*register.Operation // nil until the lists are there
	done   bool
}

// moveRegisters takes the next step of a change, if there is one.
func (n *node) moveRegisters() {
	c := n.dir.Registers
	if len(c.Next) == 0 {
		n.mover = nil
		return
	}
	if n.mover == nil || n.mover.config.Epoch != c.Epoch {
		n.mover = &mover{n: n, config: c}
	}
	n.mover.step()
}

func (m *mover) step() {
	w := m.n.w
	for _, x := range (register.Groups{m.config.Members, m.config.Next}).Members() {
		w.reach(x.Node, func(n *node) {
			n.keeper.adopt(m.config)
			self, epoch := n.keeper.judge.Self, n.keeper.judge.Config.Epoch
			m.n.hears(func() { m.took(self, epoch) })
		})
	}
	for _, o := range m.copies {
		m.send(o.Resend())
	}
	m.settle()
}

// hears brings an answer to a node.
func (n *node) hears(do func()) { n.w.reach(n.id, func(*node) { do() }) }

func (m *mover) current() bool { return m.n.mover == m && !m.done }

func (m *mover) took(x message.Member, epoch uint64) {
	if !m.current() || epoch != m.config.Epoch || m.copies != nil {
		return
	}
	if !slices.Contains(m.taken, x) {
		m.taken = append(m.taken, x)
	}
	if !m.fenced(m.taken) {
		return
	}
	for _, x := range m.taken {
		if slices.Contains(m.listed, x) {
			continue
		}
		m.n.w.reach(x.Node, func(n *node) {
			if n.keeper.judge.Self == x {
				rows := n.keeper.list()
				m.n.hears(func() { m.list(x, rows) })
			}
		})
	}
}

// fenced says whether these are enough of the old replicas of each register that moves.
func (m *mover) fenced(some []message.Member) bool {
	if m.n.w.cfg.planted == skipFence {
		return true
	}
	for i := range registers {
		if g := m.n.w.where(m.config, registerAt(i)); len(g) == 2 && !register.Fenced(g[0], some) {
			return false
		}
	}
	return true
}

func (m *mover) list(x message.Member, rows []register.Entry) {
	if !m.current() || m.copies != nil || slices.Contains(m.listed, x) {
		return
	}
	m.listed = append(m.listed, x)
	m.lists = append(m.lists, rows)
	if !m.fenced(m.listed) {
		return
	}
	w := m.n.w
	m.copies = []*register.Operation{}
	for i, e := range register.Merge(m.lists...) {
		if g := w.where(m.config, e.Register); len(g) == 2 {
			id := register.OpID{Client: m.n.self.id, Seq: 1<<32 + m.config.Epoch<<8 + uint64(i)}
			m.copies = append(m.copies, register.NewCopy(register.Call{ID: id, Register: e.Register, Epoch: m.config.Epoch, Groups: g}))
		}
	}
	if w.cfg.Tell {
		w.say(aboutRegisters, "node %s has fenced epoch %d with %v and copies %d registers", m.n.id, m.config.Epoch, m.listed, len(m.copies))
	}
	for _, o := range m.copies {
		m.send(o.Start())
	}
	m.settle()
}

func (m *mover) send(out []register.Request) {
	for _, q := range out {
		m.n.w.askKeeper(q, func(a register.Reply) {
			for _, o := range m.copies {
				if m.current() && !a.Behind {
					m.send(o.Step(a))
				}
			}
			m.settle()
		})
	}
}

// settle ends a change whose copies are made.
func (m *mover) settle() {
	if !m.current() || m.copies == nil || slices.ContainsFunc(m.copies, func(o *register.Operation) bool { return !o.Done() }) {
		return
	}
	m.done = true
	if w := m.n.w; w.cfg.Tell {
		w.say(aboutRegisters, "node %s has copied what moves in epoch %d", m.n.id, m.config.Epoch)
	}
	done := message.New(message.REGDONE)
	done.Value = m.config.Epoch
	m.n.self.do(0, done, attemptLong, func(a *message.Message, _ bool) {
		if a != nil && a.Status == message.Done {
			m.n.w.did(moved)
		}
		if m.n.mover == m {
			m.n.mover = nil
		}
	})
}
