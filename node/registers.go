package node

import (
	"context"
	"path/filepath"
	"time"

	"dmalloc/message"
	"dmalloc/quorum"
)

// asker is how the keeper of registers asks other nodes, and this one too.
type asker struct{ carrier }

func (a asker) Ask(ctx context.Context, to message.NodeID, m *message.Message) (*message.Message, error) {
	type outcome struct {
		m   *message.Message
		err error
	}
	m.Target, m.Final = to, to
	done := make(chan outcome, 1)
	cancel := a.start(to, m, func(m *message.Message, err error) { done <- outcome{m, err} })
	defer cancel()
	select {
	case o := <-done:
		return o.m, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// openRegisters opens this node's registers, whose files must be there if they ever were.
func (n *Node) openRegisters() (err error) {
	n.keeper, err = quorum.Open(quorum.Config{
		Self:    message.Member{Node: n.cfg.ID, Incarnation: n.cfg.Incarnation},
		Cluster: n.cfg.Settings.Cluster, Dir: filepath.Join(n.cfg.Dir, "registers"), Known: n.identity.Registers,
		Registers: n.directory.Load().Registers, Ask: asker{carrier{n}}, Refresh: n.askDirectoryNow, Log: n.cfg.Log, Disk: &n.disk, Synced: n.stats.registerSync.add,
		Together: n.transport.Together,
	})
	if err != nil {
		return err
	}
	if !n.identity.Registers {
		n.identity.Registers = true
		if err := n.identity.save(n.cfg.Dir); err != nil {
			return err
		}
	}
	n.tasks.Go(func() {
		select {
		case err := <-n.keeper.Failed():
			n.fail(err)
		case <-n.ctx.Done():
		}
	})
	return nil
}

func registers(n *Node, m *message.Message, reply func(*message.Message)) { n.keeper.Handle(m, reply) }

// moveAgain is how long after a failure registers are moved again.
const moveAgain = 300 * time.Millisecond

// moveRegisters does what a change of the registers' members needs, if this node leads the directory and
// nobody is at it here.
func (n *Node) moveRegisters() {
	r := n.host.Replica(0)
	config := n.directory.Load().Registers
	if r == nil || !r.Leads() || len(config.Next) == 0 || !n.moving.CompareAndSwap(false, true) {
		return
	}
	started := n.spawn(func() {
		defer n.moving.Store(false)
		ctx, cancel := context.WithTimeout(n.ctx, 10*time.Minute)
		defer cancel()
		err := n.keeper.Move(ctx, config)
		if err == nil {
			err = n.heap.RegistersMoved(ctx, config.Epoch)
		}
		if err != nil && n.ctx.Err() == nil {
			n.cfg.Log.Warn("move registers", "epoch", config.Epoch, "error", err)
			select {
			case <-time.After(moveAgain):
			case <-n.ctx.Done():
			}
		}
	})
	if !started {
		n.moving.Store(false)
	}
}
