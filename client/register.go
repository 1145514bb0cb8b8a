package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
	"dmalloc/register"
	"dmalloc/ring"
)

const (
	hedgeLeast  = 30 * time.Millisecond  // without an answer for four times a usual round, but at least this and
	hedgeMost   = 200 * time.Millisecond // at most that, the replicas that were spared are asked too
	resendAfter = 250 * time.Millisecond // without an end, those that are silent are asked again; grows
	resendMost  = time.Second
	doubtFor    = time.Second // how long a replica that did not answer in time is asked last
	inlineBytes = 16 << 10    // a value up to this size comes from every replica that is asked, a larger one from the first
)

// quorums is what a Heap knows for its registers.
type quorums struct {
	writer message.ClientID // of this instance's tags, whatever its requests to companies are known by
	mu     sync.Mutex       // guards config, place and nodes
	config message.Registers
	place  *ring.Placement
	nodes  map[message.NodeID]seen
	ops    atomic.Uint64 // numbers operations, and turns the order of replicas
	one    atomic.Uint64 // reads that ended in one round, not yet reported
	two    atomic.Uint64
	pace   atomic.Int64 // nanoseconds of a usual round
}

// paced takes the length of a round into the mean by which hedges are timed.
func (q *quorums) paced(d time.Duration) {
	old := q.pace.Load()
	q.pace.Store(old + (int64(d)-old)/8) // a lost update of several at once does no harm
}

// hedge is how long a round may take before others are asked too. Under load all rounds are slow, and to
// ask more would make them slower.
func (q *quorums) hedge(least time.Duration) time.Duration {
	return max(least, min(4*time.Duration(q.pace.Load()), hedgeMost))
}

// learnRegisters takes in a configuration that is newer than the one known.
func (h *Heap) learnRegisters(c message.Registers) {
	h.regs.mu.Lock()
	defer h.regs.mu.Unlock()
	if h.regs.place == nil || c.Epoch > h.regs.config.Epoch {
		h.regs.config, h.regs.place = c.Clone(), ring.Place(c)
	}
}

func (h *Heap) placement() *ring.Placement {
	h.regs.mu.Lock()
	defer h.regs.mu.Unlock()
	return h.regs.place
}

// ReadRegister reads a register of users: what it returns was written by the last write that completed
// before, or by one under way. NotWritten if nothing ever was.
func (h *Heap) ReadRegister(ctx context.Context, address uint64) (Register, error) {
	return h.readRegister(ctx, message.RegisterID{Address: address})
}

func (h *Heap) readRegister(ctx context.Context, id message.RegisterID) (Register, error) {
	run := h.newRun(id)
	defer run.end()
	c := run.call()
	run.values = run.order.nearest(run.values[:0])
	c.Values, c.Inline = run.values, inlineBytes
	if err := run.do(ctx, register.NewRead(c)); err != nil {
		return Register{}, err
	}
	got := run.op.Result()
	if got.Rounds > 1 {
		h.regs.two.Add(1)
	} else {
		h.regs.one.Add(1)
	}
	if got.Tag.IsZero() {
		return Register{}, message.Errorf(message.NotWritten, "%s was never written", id)
	}
	return Register{Address: id.Address, Value: got.Value, Tag: got.Tag, Rounds: got.Rounds}, nil
}

// WriteRegister writes a register of users, and returns the tag that the value got. It keeps value until
// it returns. An error with code Timeout or Unavailable says whether the value may yet appear.
func (h *Heap) WriteRegister(ctx context.Context, address uint64, value []byte) (message.Tag, error) {
	return h.writeRegister(ctx, message.RegisterID{Address: address}, value)
}

func (h *Heap) writeRegister(ctx context.Context, id message.RegisterID, value []byte) (message.Tag, error) {
	if len(value) > message.MaxData {
		return message.Tag{}, message.Errorf(message.InvalidArgument, "%s cannot hold %d bytes; at most %d fit", id, len(value), message.MaxData)
	}
	run := h.newRun(id)
	defer run.end()
	err := run.do(ctx, register.NewWrite(run.call(), h.regs.writer, run.number, value))
	return run.op.Result().Tag, err
}

// RegisterAt is what one node stores of a register, which may be behind. NotWritten where it stores nothing.
func (h *Heap) RegisterAt(ctx context.Context, node message.NodeID, address uint64) (Register, error) {
	m := message.New(message.REGGET)
	m.SetRegister(message.RegisterID{Address: address})
	a, err := h.say1(ctx, node, m)
	if err != nil {
		return Register{}, err
	}
	return Register{Address: address, Value: a.Data, Tag: a.Tag()}, nil
}

// ListRegisters lists what one node stores, from an address on; fewer than most mean the end.
func (h *Heap) ListRegisters(ctx context.Context, node message.NodeID, from uint64, most int) ([]RegisterEntry, error) {
	all := []RegisterEntry{}
	for len(all) < most {
		m := message.New(message.REGLIST)
		m.SetRegister(message.RegisterID{Address: from})
		m.Value = uint64(min(most-len(all), 1000))
		a, err := h.say1(ctx, node, m)
		if err != nil {
			return nil, err
		}
		var rows []struct {
			Space message.Space `json:"space"`
			RegisterEntry
		}
		if err := json.Unmarshal(a.Data, &rows); err != nil {
			return nil, fmt.Errorf("node %s lists registers: %w", node, err)
		}
		for _, r := range rows {
			if r.Space == message.UserSpace {
				all = append(all, r.RegisterEntry)
			}
		}
		if len(rows) < int(m.Value) || rows[len(rows)-1].Space != message.UserSpace || rows[len(rows)-1].Address == 1<<64-1 {
			break
		}
		from = rows[len(rows)-1].Address + 1
	}
	return all, nil
}

// say1 asks one node for what only that node knows.
func (h *Heap) say1(ctx context.Context, node message.NodeID, m *message.Message) (*message.Message, error) {
	d := h.directory()
	if d.Node(node) == nil {
		return nil, message.Errorf(message.NoSuchNode, "node %s does not exist; there are 0 to %d", node, len(d.Nodes)-1)
	}
	a, err := h.call(ctx, node, m, 5*time.Second)
	switch {
	case ctx.Err() != nil || errors.Is(err, errSilent):
		return nil, message.Errorf(message.Timeout, "node %s does not answer; it may be paused: resume it, or ask another", node)
	case err != nil:
		return nil, message.Errorf(message.Unavailable, "node %s cannot be reached: %v; revive it, or ask another", node, err)
	}
	return a, a.Err()
}

// RegisterPlace says who keeps a register.
func (h *Heap) RegisterPlace(ctx context.Context, address uint64) (RegisterPlace, error) {
	h.refresh(ctx)
	place := h.placement()
	shard := ring.Shard(message.RegisterID{Address: address})
	out := RegisterPlace{Address: address, Shard: shard, Epoch: place.Epoch}
	for i, g := range place.Groups(shard) {
		nodes := make([]message.NodeID, len(g))
		for j, m := range g {
			nodes[j] = m.Node
		}
		sort.Slice(nodes, func(a, b int) bool { return nodes[a] < nodes[b] })
		if i == 0 {
			out.Nodes = nodes
		} else {
			out.Next = nodes
		}
	}
	return out, ctx.Err()
}

// RegisterMembers says over which nodes the registers are spread.
func (h *Heap) RegisterMembers(ctx context.Context) (message.Registers, error) {
	d, err := h.Directory(ctx)
	return d.Registers, err
}

// SpreadRegisters has the registers kept on exactly these nodes, and returns when they are. It is refused where too few
// of them answer, and as Fenced where another change came first.
func (h *Heap) SpreadRegisters(ctx context.Context, nodes []message.NodeID, progress func(string)) error {
	d, err := h.decided(ctx)
	if err != nil {
		return err
	}
	wanted := slices.Clone(nodes)
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	are := func(members []message.Member) bool {
		return slices.EqualFunc(members, wanted, func(m message.Member, n message.NodeID) bool { return m.Node == n })
	}
	if !are(d.Registers.Members) { // where they are they can stay
		if err := h.takers(ctx, d, wanted); err != nil {
			return err
		}
	}
	m := message.New(message.REGCHANGE)
	m.Data, m.Size = message.JSON(nodes), d.Registers.Epoch
	if err := h.directly(ctx, m); err != nil {
		return err
	}
	told := ""
	for {
		d, err := h.Directory(ctx)
		if err != nil {
			return message.Errorf(message.Timeout, "the registers are still moving, which goes on without this command; look with reg members")
		}
		r := d.Registers
		if len(r.Next) == 0 && are(r.Members) {
			return nil // a directory that has not yet heard of the change has other members
		}
		if text := fmt.Sprintf("registers move from nodes %s to %s", memberList(r.Members), list(wanted)); progress != nil && text != told {
			progress(text)
			told = text
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// takers refuses to have registers kept where, of some shard, no quorum answers: from the moment at which the change
// begins every operation needs the new replicas, too, and without them it never ends.
func (h *Heap) takers(ctx context.Context, d *message.Directory, nodes []message.NodeID) error {
	next := d.Registers
	next.Members, next.Next = nil, nil
	for _, id := range nodes {
		if n := d.Node(id); n != nil { // the directory refuses others
			next.Members = append(next.Members, message.Member{Node: id, Incarnation: n.Incarnation})
		}
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards there
		there = map[message.Member]bool{}
	)
	for _, to := range next.Members {
		wg.Go(func() {
			a, err := h.call(ctx, to.Node, message.New(message.REGCONF), takersWait)
			if err == nil && a.Status == message.Done && a.Index == to.Incarnation {
				mu.Lock()
				there[to] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	short, few := ring.Short(next, func(m message.Member) bool { return there[m] })
	if err := ctx.Err(); err != nil || !few {
		return err
	}
	var silent []message.Member
	for _, m := range short {
		if !there[m] {
			silent = append(silent, m)
		}
	}
	return message.Errorf(message.Unavailable, "registers cannot be kept on nodes %s: of nodes %s, which would keep some of them, %s do not answer, or have lost their disk; nothing was changed; revive those, or name others",
		list(nodes), memberList(short), memberList(silent))
}

// takersWait is for what a node says of its disk, which may be slow.
const takersWait = 2 * time.Second

func memberList(members []message.Member) string {
	nodes := make([]message.NodeID, len(members))
	for i, m := range members {
		nodes[i] = m.Node
	}
	return list(nodes)
}

// RegistersMoved tells the directory that the change of members of an epoch is done.
func (h *Heap) RegistersMoved(ctx context.Context, epoch uint64) error {
	m := message.New(message.REGDONE)
	m.Value = epoch
	a, err := h.do(ctx, 0, m)
	if err == nil {
		err = a.Err()
	}
	return err
}
