package quorum

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"dmalloc/message"
	"dmalloc/register"
	"dmalloc/ring"
)

const copiers = 16 // registers on their way at once, of up to 1 MiB each

// Move does what a change of members needs between REGCHANGE and REGDONE: it fences the old epoch and
// copies what moves. It may be done again, by any node, any number of times. When it returns nil, the
// directory may be told that the change is done.
func (k *Keeper) Move(ctx context.Context, config message.Registers) error {
	place := ring.Place(config)
	moving := newShards()
	for s := range ring.Shards {
		if place.Moving(s) {
			moving.add(s)
		}
	}
	taken, err := k.fence(ctx, config)
	if err != nil {
		return err
	}
	for s := range ring.Shards {
		if !moving.has(s) {
			continue
		}
		old, next := place.Groups(s)[0], place.Groups(s)[1]
		if !register.Fenced(old, taken) {
			return message.Errorf(message.Unavailable, "registers cannot move yet: of the nodes that keep shard %d, %s, too few answer; revive one", s, names([][]message.Member{old}))
		}
		if count(next, taken) < register.Quorum(len(next)) {
			return message.Errorf(message.Unavailable, "registers cannot move yet: of the nodes that shall keep shard %d, %s, too few answer; revive one", s, names([][]message.Member{next}))
		}
	}
	return k.copy(ctx, config, place, moving, taken)
}

func count(group, among []message.Member) int {
	n := 0
	for _, m := range group {
		if slices.Contains(among, m) {
			n++
		}
	}
	return n
}

// fence tells all members of a configuration of it and returns those that have it on their disk.
func (k *Keeper) fence(ctx context.Context, config message.Registers) ([]message.Member, error) {
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		taken []message.Member
		newer uint64
	)
	for _, member := range (register.Groups{config.Members, config.Next}).Members() {
		wg.Go(func() {
			m := message.New(message.REGCONF)
			m.Data = message.JSON(config)
			a, err := k.ask(ctx, member.Node, m)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			newer = max(newer, a.Term)
			if a.Term == config.Epoch && a.Index == member.Incarnation {
				taken = append(taken, member)
			}
		})
	}
	wg.Wait()
	if newer > config.Epoch {
		return nil, message.Errorf(message.Stale, "the registers are at epoch %d already, not at %d", newer, config.Epoch)
	}
	return taken, nil
}

// copy walks through the moving registers of all that have taken the epoch, in order, and copies each that
// one of its new replicas lacks.
func (k *Keeper) copy(ctx context.Context, config message.Registers, place *ring.Placement, moving shards, taken []message.Member) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, copiers)
	walk := newWalk(k, config.Epoch, moving, taken)
	for {
		id, tags, err := walk.next(ctx)
		if err != nil {
			return err
		}
		if tags == nil {
			break
		}
		groups := place.Groups(ring.Shard(id))
		if len(groups) < 2 {
			continue
		}
		holder, lack := lacking(groups, tags, taken)
		if len(lack) == 0 {
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wg.Go(func() {
			defer func() { <-slots }()
			var err error
			if len(groups[1])-count(groups[1], lack) >= register.Quorum(len(groups[1])) && count(groups[1], taken) == len(groups[1]) {
				// It is where it must be, and should be everywhere; where that fails, catching up will do it.
				if bad := k.fill(ctx, id, config.Epoch, holder, lack); bad != nil {
					k.cfg.Log.Debug("fill a new replica", "register", id, "error", bad)
				}
			} else {
				err = k.copyOne(ctx, id, config.Epoch, groups, taken)
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// lacking lists the new replicas that answer and have less than the largest tag that is known, and names a
// member that has it.
func lacking(groups [][]message.Member, tags map[message.Member]message.Tag, taken []message.Member) (holder message.Member, lack []message.Member) {
	var newest message.Tag
	for _, g := range groups {
		for _, m := range g {
			if tags[m].Compare(newest) > 0 {
				newest, holder = tags[m], m
			}
		}
	}
	for _, m := range groups[1] {
		if slices.Contains(taken, m) && tags[m] != newest {
			lack = append(lack, m)
		}
	}
	return holder, lack
}

// fill puts what one member has on others, under its own tag, which is never wrong.
func (k *Keeper) fill(ctx context.Context, id message.RegisterID, epoch uint64, holder message.Member, lack []message.Member) error {
	have, err := k.value(ctx, holder, id, epoch)
	if err != nil {
		return err
	}
	for _, to := range lack {
		q := register.Request{Kind: register.Put, To: to, Register: id, Epoch: epoch, Tag: have.Tag(), Value: have.Data}
		if _, err := k.askReplica(ctx, q); err != nil {
			return err
		}
	}
	k.counts.copied.Add(1)
	return nil
}

// copyOne drives the protocol's copy of one register, among those that have taken the epoch. It waits for
// every new replica that it puts to, though a quorum would do: what is there need not be caught up later.
func (k *Keeper) copyOne(ctx context.Context, id message.RegisterID, epoch uint64, groups [][]message.Member, taken []message.Member) error {
	op := register.NewCopy(register.Call{ID: register.OpID{Seq: 1}, Register: id, Epoch: epoch, Groups: groups})
	send := op.Start()
	for len(send) > 0 {
		replies := make(chan register.Reply, len(send))
		var wg sync.WaitGroup
		for _, q := range send {
			if !slices.Contains(taken, q.To) {
				continue
			}
			wg.Go(func() {
				if r, err := k.askReplica(ctx, q); err == nil {
					replies <- r
				}
			})
		}
		wg.Wait()
		close(replies)
		send = nil
		for r := range replies {
			send = append(send, op.Step(r)...)
		}
	}
	if err := op.Result().Err; err != nil {
		return err
	}
	if !op.Done() {
		return message.Errorf(message.Unavailable, "%s could not be copied: too few of its replicas answer", id)
	}
	k.counts.copied.Add(1)
	return nil
}

// askReplica sends a request of the protocol and makes a reply of the answer.
func (k *Keeper) askReplica(ctx context.Context, q register.Request) (register.Reply, error) {
	m := message.New(message.REGGET)
	m.SetRegister(q.Register)
	m.Term, m.Index = q.Epoch, q.To.Incarnation
	if q.Kind == register.Put {
		m.Op, m.Data = message.REGPUT, q.Value
		m.SetTag(q.Tag)
	} else {
		m.Size = min(q.Most, message.MaxData)
	}
	a, err := k.ask(ctx, q.To.Node, m)
	if err != nil {
		return register.Reply{}, err
	}
	return register.Reply{From: q.To, ID: q.ID, Epoch: q.Epoch, Register: q.Register, Tag: a.Tag(), Size: a.Size, Value: a.Data,
		HasValue: q.Kind == register.Get && a.Size == uint64(len(a.Data))}, nil
}

// walk merges the lists of several members, page by page, in the order of registers.
type walk struct {
	k       *Keeper
	epoch   uint64
	of      shards
	cursors []*cursor
}

type cursor struct {
	member message.Member
	from   message.RegisterID
	rows   []Row
	over   bool
}

func newWalk(k *Keeper, epoch uint64, of shards, members []message.Member) *walk {
	w := &walk{k: k, epoch: epoch, of: of}
	for _, m := range members {
		w.cursors = append(w.cursors, &cursor{member: m})
	}
	return w
}

// next is the first register that was not yet returned, with the tags that members have of it; nil tags
// after the last.
func (w *walk) next(ctx context.Context) (message.RegisterID, map[message.Member]message.Tag, error) {
	if err := w.fill(ctx); err != nil {
		return message.RegisterID{}, nil, err
	}
	var first *message.RegisterID
	for _, c := range w.cursors {
		if len(c.rows) > 0 {
			if id := c.rows[0].ID(); first == nil || id.Less(*first) {
				first = &id
			}
		}
	}
	if first == nil {
		return message.RegisterID{}, nil, nil
	}
	tags := map[message.Member]message.Tag{}
	for _, c := range w.cursors {
		if len(c.rows) > 0 && c.rows[0].ID() == *first {
			tags[c.member] = c.rows[0].Tag
			c.rows = c.rows[1:]
		}
	}
	return *first, tags, nil
}

// fill fetches a page for each cursor that has none, all at once.
func (w *walk) fill(ctx context.Context) error {
	var wg sync.WaitGroup
	failures := make([]error, len(w.cursors))
	for i, c := range w.cursors {
		if len(c.rows) > 0 || c.over {
			continue
		}
		wg.Go(func() {
			rows, err := w.k.rows(ctx, c.member, w.epoch, c.from, w.of)
			if err != nil {
				failures[i] = err
				return
			}
			c.rows = rows
			if len(rows) > 0 {
				c.from = after(rows[len(rows)-1].ID())
			}
			c.over = len(rows) < MaxRows || c.from == message.RegisterID{}
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return fmt.Errorf("list what moves: %w", err)
		}
	}
	return nil
}
