package sim

import (
	"slices"

	"dmalloc/message"
	"dmalloc/register"
)

// kept is what a keeper has of a register.
type kept struct {
	id    message.RegisterID
	tag   message.Tag
	value []byte
}

// keeper is a node's part of the registers: package quorum around register.Replica.
//
//	on disk      judge's configuration, kept registers
//	in memory    puts that wait for the next sync, and are acknowledged after it
type keeper struct {
	n       *node
	judge   register.Replica
	disk    []kept // by register
	pending []put
	syncing bool
}

// put is a value that is not on disk yet.
type put struct {
	q     register.Request
	reply func(register.Reply)
}

func newKeeper(n *node, self message.Member, c message.Registers) *keeper {
	return &keeper{n: n, judge: register.Replica{Self: self, Config: c.Clone()}}
}

// stop loses what is not on disk.
func (k *keeper) stop() { k.pending, k.syncing = nil, false }

// forget loses the disk and keeps the name, which only a planted bug does.
func (k *keeper) forget() { k.disk = nil }

// adopt takes a newer configuration. Registers that are not the keeper's any more are thrown away after a
// while, once members have changed.
func (k *keeper) adopt(c message.Registers) {
	if !k.judge.Adopt(c) {
		return
	}
	w := k.n.w
	if w.cfg.Tell {
		w.say(aboutRegisters, "the keeper %s takes epoch %d", k.judge.Self, c.Epoch)
	}
	if len(c.Next) == 0 {
		k.n.later(100+w.dice.Int64N(200), k.sweep)
	}
}

func (k *keeper) sweep() {
	c := k.judge.Config
	if len(c.Next) > 0 {
		return
	}
	k.disk = slices.DeleteFunc(k.disk, func(x kept) bool {
		return !slices.Contains(keepers(k.n.w.where(c, x.id)), k.judge.Self)
	})
}

func (k *keeper) find(id message.RegisterID) (int, bool) {
	return slices.BinarySearchFunc(k.disk, id, func(x kept, id message.RegisterID) int {
		switch {
		case x.id.Less(id):
			return -1
		case id.Less(x.id):
			return 1
		}
		return 0
	})
}

func (k *keeper) cell(id message.RegisterID) kept {
	if i, ok := k.find(id); ok {
		return k.disk[i]
	}
	return kept{id: id}
}

// ask is a request that came.
func (k *keeper) ask(q register.Request, reply func(register.Reply)) {
	w := k.n.w
	w.mix(5, uint64(w.now), uint64(q.To.Node), uint64(q.Kind), q.ID.Seq, q.ID.Phase, q.Tag.TS)
	judge := k.judgeOf(q)
	switch judge.Judge(q) {
	case register.Show:
		x := k.cell(q.Register)
		reply(judge.Shown(q, x.tag, uint64(len(x.value)), x.value))
	case register.Store:
		k.pending = append(k.pending, put{q, reply})
		k.syncSoon()
	default:
		reply(judge.Refused(q))
	}
}

// judgeOf is the replica's judge, or that of a planted bug.
func (k *keeper) judgeOf(q register.Request) *register.Replica {
	if k.n.w.cfg.planted == noFence {
		return &register.Replica{Self: k.judge.Self, Config: message.Registers{Epoch: q.Epoch, Members: []message.Member{k.judge.Self}}}
	}
	return &k.judge
}

func (k *keeper) syncSoon() {
	if k.syncing {
		return
	}
	k.syncing = true
	w := k.n.w
	long := int64(6)
	if w.has(SlowSync) {
		long = 150
	}
	k.n.later(1+w.dice.Int64N(long), k.sync)
}

// sync brings what waits to the disk and then says so.
func (k *keeper) sync() {
	pending := k.pending
	k.pending, k.syncing = nil, false
	for _, p := range pending {
		i, ok := k.find(p.q.Register)
		x := kept{p.q.Register, p.q.Tag, p.q.Value}
		switch {
		case !ok:
			k.disk = slices.Insert(k.disk, i, x)
		case x.tag.Compare(k.disk[i].tag) > 0:
			k.disk[i] = x
		}
		if w := k.n.w; w.cfg.Tell {
			x = k.cell(x.id)
			w.say(x.id.String(), "the keeper %s has been brought %s and has %d under %s on disk", k.judge.Self, p.q.Tag, number(x.value), x.tag)
		}
		p.reply(k.judgeOf(p.q).Acknowledged(p.q))
	}
}

// list is what is on disk.
func (k *keeper) list() []register.Entry {
	var rows []register.Entry
	for _, x := range k.disk {
		rows = append(rows, register.Entry{Register: x.id, Tag: x.tag, Size: uint64(len(x.value))})
	}
	return rows
}
