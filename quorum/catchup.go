package quorum

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"dmalloc/message"
	"dmalloc/ring"
)

const (
	exchangeEvery = 4 * time.Second        // with one peer, chosen at random; a quarter more or less
	exchangeFirst = 300 * time.Millisecond // after a start, with each peer in turn
	settleWait    = time.Second            // a shard that stays as it is for so long, here and there, is not being written
	askTime       = 2 * time.Second        // for one question to a peer
)

// catchUp brings in what this replica missed, from one peer at a time: first from all, for it may have been
// away, then now and again. What it stores has the tag that its writer gave it, so this is never wrong and
// only sometimes useless.
func (k *Keeper) catchUp() {
	var first []message.Member
	for _, m := range k.Registers().Members {
		if m.Node != k.cfg.Self.Node {
			first = append(first, m)
		}
	}
	rand.Shuffle(len(first), func(i, j int) { first[i], first[j] = first[j], first[i] })
	wait := exchangeFirst
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-time.After(wait):
		}
		var peer message.Member
		if len(first) > 0 {
			peer, first = first[0], first[1:]
		} else {
			wait = exchangeEvery*3/4 + rand.N(exchangeEvery/2)
			peers := k.Registers().Members
			if len(peers) == 0 {
				continue
			}
			if peer = peers[rand.IntN(len(peers))]; peer.Node == k.cfg.Self.Node {
				continue
			}
		}
		if n, err := k.exchange(k.ctx, peer); err != nil && k.ctx.Err() == nil {
			k.cfg.Log.Debug("catch up on registers", "peer", peer, "error", err)
		} else if n > 0 {
			k.cfg.Log.Info("caught up on registers", "peer", peer, "registers", n)
		}
	}
}

// exchange compares with a peer and stores what is newer there. It returns how many registers that were.
func (k *Keeper) exchange(ctx context.Context, peer message.Member) (int, error) {
	k.counts.exchanges.Add(1)
	differ, err := k.different(ctx, peer, nil)
	if err != nil || differ.empty() {
		return 0, err
	}
	// Replicas of a shard that is being written differ all the time, and by nothing that is missing.
	if differ, err = k.different(ctx, peer, differ); err != nil || differ.empty() {
		return 0, err
	}
	caught := 0
	for from := (message.RegisterID{}); ; {
		rows, err := k.rows(ctx, peer, 0, from, differ)
		if err != nil {
			return caught, err
		}
		for _, row := range rows {
			if tag, _, _ := k.store.Tag(row.ID()); row.Tag.Compare(tag) > 0 {
				switch err := k.fetch(ctx, peer, row.ID()); {
				case err == nil:
					caught++
				case message.CodeOf(err) == message.Corrupt, message.CodeOf(err) == message.NotWritten:
					k.cfg.Log.Debug("catch up on a register", "register", row.ID(), "peer", peer, "error", err) // the others can still be had
				default:
					return caught, err
				}
			}
		}
		if len(rows) < MaxRows {
			return caught, nil
		}
		if from = after(rows[len(rows)-1].ID()); from == (message.RegisterID{}) {
			return caught, nil
		}
	}
}

// after is the next register in the order of listings; the zero one after the last.
func after(id message.RegisterID) message.RegisterID {
	if id.Address++; id.Address == 0 {
		id.Space++
	}
	return id
}

// sums are digests of shards, here and at a peer.
type sums struct{ own, theirs []uint64 }

// different lists the shards that both keep and of which the sums differ. With among given it looks at
// those only, and leaves out the ones that changed meanwhile, here or there.
func (k *Keeper) different(ctx context.Context, peer message.Member, among shards) (shards, error) {
	var before sums
	var err error
	if among != nil {
		if before, err = k.sums(ctx, peer); err != nil {
			return nil, err
		}
		select {
		case <-time.After(settleWait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	now, err := k.sums(ctx, peer)
	if err != nil {
		return nil, err
	}
	place := k.placement()
	found := newShards()
	for s := range ring.Shards {
		if now.own[s] == now.theirs[s] || !place.Holds(s, k.cfg.Self) || !place.Holds(s, peer) {
			continue
		}
		if among != nil && (!among.has(s) || now.own[s] != before.own[s] || now.theirs[s] != before.theirs[s]) {
			continue
		}
		found.add(s)
	}
	return found, nil
}

func (k *Keeper) sums(ctx context.Context, peer message.Member) (sums, error) {
	a, err := k.ask(ctx, peer.Node, message.New(message.REGDIGEST))
	if err != nil {
		return sums{}, err
	}
	if len(a.Data) != 8*ring.Shards {
		return sums{}, message.Errorf(message.Internal, "node %s answers REGDIGEST with %d bytes", peer.Node, len(a.Data))
	}
	s := sums{own: k.store.Digests(), theirs: make([]uint64, ring.Shards)}
	for i := range s.theirs {
		s.theirs[i] = binary.LittleEndian.Uint64(a.Data[8*i:])
	}
	return s, nil
}

// rows is a page of what a member stores of some shards. With an epoch given the member must be in it, and
// be the incarnation that it was: what another one lists says nothing of what this one acknowledged.
func (k *Keeper) rows(ctx context.Context, member message.Member, epoch uint64, from message.RegisterID, of shards) ([]Row, error) {
	node := member.Node
	m := message.New(message.REGLIST)
	m.SetRegister(from)
	m.Value, m.Data = MaxRows, of
	a, err := k.ask(ctx, node, m)
	if err != nil {
		return nil, err
	}
	if epoch != 0 && (a.Index != member.Incarnation || a.Term != epoch) {
		return nil, message.Errorf(message.Stale, "node %s lists registers as incarnation %d in epoch %d, not as member %s in epoch %d", node, a.Index, a.Term, member, epoch)
	}
	var rows []Row
	if err := json.Unmarshal(a.Data, &rows); err != nil {
		return nil, fmt.Errorf("node %s lists registers: %w", node, err)
	}
	return rows, nil
}

// fetch stores what a peer has of a register.
func (k *Keeper) fetch(ctx context.Context, peer message.Member, id message.RegisterID) error {
	a, err := k.value(ctx, peer, id, k.Registers().Epoch)
	if err != nil {
		return err
	}
	stored := make(chan error, 1)
	k.store.Put(id, a.Tag(), a.Data, func(err error) { stored <- err })
	select {
	case err = <-stored:
		if err == nil {
			k.counts.caughtUp.Add(1)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	return err
}

// value asks a member for the whole of a register.
func (k *Keeper) value(ctx context.Context, peer message.Member, id message.RegisterID, epoch uint64) (*message.Message, error) {
	m := message.New(message.REGGET)
	m.SetRegister(id)
	m.Size, m.Term, m.Index = message.MaxData, epoch, peer.Incarnation
	a, err := k.ask(ctx, peer.Node, m)
	if err != nil {
		return nil, err
	}
	if a.Tag().IsZero() || a.Size != uint64(len(a.Data)) {
		return nil, message.Errorf(message.NotWritten, "node %s has no value of %s", peer.Node, id)
	}
	return a, nil
}

// ask gives a peer its time, and makes an error of what is no success.
func (k *Keeper) ask(ctx context.Context, node message.NodeID, m *message.Message) (*message.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	a, err := k.cfg.Ask.Ask(ctx, node, m)
	if err == nil {
		err = a.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s of node %s: %w", m.Op, node, err)
	}
	return a, nil
}
