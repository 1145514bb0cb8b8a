package sim

import (
	"encoding/binary"
	"slices"

	"dmalloc/message"
	"dmalloc/register"
)

func number(value []byte) uint64 {
	if len(value) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(value)
}

// quorumRun drives one operation on a register, as package client does.
type quorumRun struct {
	s     *session
	op    *register.Operation
	write bool
	until int64
	over  bool
	end   func(value uint64, ok bool) // ok is false when the client gave up
}

// runRegister reads a register, or writes it if there is a value.
func (s *session) runRegister(id message.RegisterID, value uint64, patience int64, end func(uint64, bool)) *quorumRun {
	s.writes++
	call := register.Call{ID: register.OpID{Client: s.id, Seq: s.writes}, Register: id, Epoch: s.config.Epoch, Groups: s.w.where(s.config, id)}
	r := &quorumRun{s: s, until: s.w.now + patience, end: end, write: value != 0}
	if r.write {
		r.op = register.NewWrite(call, s.id, s.writes, binary.LittleEndian.AppendUint64(nil, value))
	} else {
		r.op = register.NewRead(call)
	}
	s.runs = append(s.runs, r)
	r.send(r.op.Start())
	r.resendLater()
	return r
}

// send sends, or holds some requests back until they are sent again.
func (r *quorumRun) send(out []register.Request) {
	w := r.s.w
	for _, q := range out {
		if len(out) > 2 && !w.calm && w.odds(6) {
			continue
		}
		w.askKeeper(q, r.hear)
	}
	if _, kind := r.op.Phase(); w.cfg.planted == noWriteBack && !r.write && kind == register.Put && len(out) > 0 && !r.op.Done() {
		r.finish(number(out[0].Value), true)
		return
	}
	if r.op.Done() {
		x := r.op.Result()
		if x.Err != nil {
			w.fail("S9", r.op.Register().String(), "an operation on %s failed: %v", r.op.Register(), x.Err)
		}
		r.finish(number(x.Value), true)
	}
}

// askKeeper sends a request and brings back what is answered.
func (w *world) askKeeper(q register.Request, hear func(register.Reply)) {
	w.reach(q.To.Node, func(n *node) {
		n.keeper.ask(q, func(a register.Reply) { w.carry(func() { hear(a) }) })
	})
}

func (r *quorumRun) finish(value uint64, ok bool) {
	if r.over {
		return
	}
	r.over = true
	r.s.runs = slices.DeleteFunc(r.s.runs, func(x *quorumRun) bool { return x == r })
	r.s.w.mix(6, uint64(r.s.w.now), value)
	r.end(value, ok)
}

func (r *quorumRun) hear(a register.Reply) {
	w := r.s.w
	switch {
	case r.over || r.s.closed:
	case !a.Behind:
		_, before := r.op.Phase()
		out := r.op.Step(a)
		if _, now := r.op.Phase(); !r.write && before == register.Get && now == register.Put {
			w.did(wrote)
		}
		r.send(out)
	case a.Config != nil:
		r.s.follow(*a.Config)
	case a.Epoch < r.s.config.Epoch:
		c := r.s.config
		w.reach(a.From.Node, func(n *node) { n.keeper.adopt(c) })
	}
}

// follow takes a configuration, and starts anew what runs in an older one.
func (s *session) follow(c message.Registers) {
	if c.Epoch <= s.config.Epoch {
		return
	}
	s.config = c
	for _, r := range slices.Clone(s.runs) {
		if !r.over {
			r.send(r.op.Restart(c.Epoch, s.w.where(c, r.op.Register())))
		}
	}
}

// resendLater asks again those that have not answered, and the directory now and then: nobody else would
// tell a client that those it waits for are members no more.
func (r *quorumRun) resendLater() {
	w := r.s.w
	w.in(30+w.dice.Int64N(60), func() {
		if r.over || r.s.closed {
			return
		}
		if w.now > r.until {
			r.finish(0, false)
			return
		}
		if w.odds(3) {
			n := w.nodes[w.dice.IntN(len(w.nodes))]
			w.reach(n.id, func(n *node) {
				c := n.dir.Registers
				w.carry(func() { r.s.follow(c) })
			})
		}
		r.send(r.op.Resend())
		r.resendLater()
	})
}

const registers = 2 // that clients use

func registerAt(i int) message.RegisterID {
	return message.RegisterID{Space: message.UserSpace, Address: uint64(i)}
}
