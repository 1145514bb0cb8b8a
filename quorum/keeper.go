package quorum

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
	"dmalloc/quorum/disk"
	"dmalloc/register"
	"dmalloc/ring"
)

// Asker sends a request to a node and waits for the answer. The node's transport has it.
type Asker interface {
	Ask(ctx context.Context, to message.NodeID, m *message.Message) (*message.Message, error)
}

// Config is what a Keeper needs.
type Config struct {
	Self      message.Member
	Cluster   string
	Dir       string
	Known     bool              // the node has kept registers before: their files must be there
	Registers message.Registers // the configuration known without the files
	Ask       Asker
	Refresh   func(ctx context.Context) // asks the directory, and then calls Learn; may be nil
	Log       *slog.Logger
	Synced    func(took time.Duration) // of each fsync; may be nil
	Disk      disk.Disk                // asked before the files are changed; nil: always well
	Together  func(func())             // runs a function that answers many puts; nil: just run it
}

// Keeper is a node's part of the registers. All its methods may be called at once.
type Keeper struct {
	cfg   Config
	store *disk.Store

	// mu orders what is judged against what is adopted (K2): a put is judged and queued under its read
	// side, a configuration adopted and queued under its write side.
	mu      sync.RWMutex
	replica register.Replica
	place   *ring.Placement

	durable atomic.Uint64 // the newest epoch that is on the disk
	decided atomic.Uint64 // the newest epoch that the directory itself has told this node
	asking  atomic.Bool   // the directory is being asked for a client's sake
	counts  counts
	sweep   chan struct{} // one slot: registers of other members' shards are to be forgotten
	rewrite chan struct{} // one slot: the configuration could not be kept

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

type counts struct {
	oneRound, twoRounds     atomic.Uint64 // reads, as clients report them
	stale, caughtUp, copied atomic.Uint64
	forgotten, exchanges    atomic.Uint64
}

const keptName = "registers" // of the configuration in the store

// Open reads the files and serves from then on.
func Open(cfg Config) (*Keeper, error) {
	k := &Keeper{cfg: cfg, sweep: make(chan struct{}, 1), rewrite: make(chan struct{}, 1)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	var err error
	k.store, err = disk.Open(cfg.Dir, disk.Identity{Cluster: cfg.Cluster, Node: cfg.Self.Node, Incarnation: cfg.Self.Incarnation}, disk.Options{
		Shards: ring.Shards, Shard: ring.Shard, Known: cfg.Known, Log: cfg.Log, Disk: cfg.Disk, Together: cfg.Together,
		Synced: func(d time.Duration, _ int) {
			if cfg.Synced != nil {
				cfg.Synced(d)
			}
		},
	})
	if err != nil {
		k.cancel()
		return nil, err
	}
	config := cfg.Registers
	if b := k.store.Kept(keptName); b != nil {
		var kept message.Registers
		if err := json.Unmarshal(b, &kept); err != nil {
			k.cancel()
			_ = k.store.Close()
			return nil, message.Errorf(message.Corrupt, "the configuration of registers in %s is not JSON (%v); start the node with revive %s --wipe", cfg.Dir, err, cfg.Self.Node)
		}
		k.durable.Store(kept.Epoch)
		if kept.Epoch >= config.Epoch {
			config = kept
		}
	}
	k.replica = register.Replica{Self: cfg.Self}
	k.adopt(config, func(error) {})
	k.tasks.Go(k.catchUp)
	k.tasks.Go(k.sweeper)
	return k, nil
}

// Close ends all tasks and closes the files.
func (k *Keeper) Close() error {
	k.cancel()
	k.tasks.Wait()
	return k.store.Close()
}

// Failed gives the reason for which nothing more can be kept, when there is one.
func (k *Keeper) Failed() <-chan error { return k.store.Failed() }

// Registers is the configuration by which the Keeper answers.
func (k *Keeper) Registers() message.Registers {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.replica.Config
}

func (k *Keeper) placement() *ring.Placement {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.place
}

// Learn takes in a configuration of the directory, if it is newer than the one known.
func (k *Keeper) Learn(c message.Registers) {
	for old := k.decided.Load(); old < c.Epoch && !k.decided.CompareAndSwap(old, c.Epoch); old = k.decided.Load() {
	}
	k.adopt(c, func(error) {})
	k.poke()
}

// poke has the sweeper look whether there is something to forget.
func (k *Keeper) poke() {
	select {
	case k.sweep <- struct{}{}:
	default:
	}
}

// adopt takes a newer configuration in and calls done when the one that is then known is on the disk.
func (k *Keeper) adopt(c message.Registers, done func(error)) {
	k.mu.Lock()
	if k.replica.Adopt(c) {
		k.place = ring.Place(k.replica.Config)
	}
	epoch := k.replica.Config.Epoch
	if k.durable.Load() >= epoch {
		k.mu.Unlock()
		done(nil)
		return
	}
	defer k.mu.Unlock()
	// Queued even if the same epoch is on its way: its place in the queue is what K2 needs. Keep calls
	// back under this lock only to refuse.
	k.store.Keep(keptName, message.JSON(k.replica.Config), func(err error) {
		if err == nil {
			for old := k.durable.Load(); old < epoch && !k.durable.CompareAndSwap(old, epoch); old = k.durable.Load() {
			}
			k.poke()
		} else if k.ctx.Err() == nil {
			k.cfg.Log.Warn("keep the configuration of registers", "epoch", epoch, "error", err)
			select {
			case k.rewrite <- struct{}{}:
			default:
			}
		}
		done(err)
	})
}

// Handle answers an op of registers.
func (k *Keeper) Handle(m *message.Message, reply func(*message.Message)) {
	if !message.Space(m.Company).Valid() || m.Company > 255 {
		reply(m.Answer(message.InvalidArgument, fmt.Sprintf("registers have no space %d", m.Company)))
		return
	}
	switch m.Op {
	case message.REGTAG, message.REGGET:
		k.counts.oneRound.Add(m.Seq)
		k.counts.twoRounds.Add(m.Low)
		k.get(m, reply)
	case message.REGPUT:
		k.put(m, reply)
	case message.REGCONF:
		k.configure(m, reply)
	case message.REGLIST:
		k.list(m, reply)
	case message.REGDIGEST:
		a := m.Answer(message.Done, "")
		for _, sum := range k.store.Digests() {
			a.Data = binary.LittleEndian.AppendUint64(a.Data, sum)
		}
		reply(a)
	default:
		reply(m.Answer(message.Unsupported, fmt.Sprintf("%s is not about registers", m.Op)))
	}
}

// Count takes in how many reads a client did in one round and in two.
func (k *Keeper) Count(one, two uint64) {
	k.counts.oneRound.Add(one)
	k.counts.twoRounds.Add(two)
}

// Reads are how many reads took one round and two, as far as clients have said.
func (k *Keeper) Reads() (one, two uint64) {
	return k.counts.oneRound.Load(), k.counts.twoRounds.Load()
}

// request is a message as the protocol sees it.
func (k *Keeper) request(m *message.Message) register.Request {
	q := register.Request{To: message.Member{Node: k.cfg.Self.Node, Incarnation: m.Index}, Register: m.Register(), Epoch: m.Term, Tag: m.Tag(), Value: m.Data, Most: m.Size}
	switch m.Op {
	case message.REGTAG:
		q.Kind = register.GetTag
	case message.REGPUT:
		q.Kind = register.Put
	default:
		q.Kind = register.Get
	}
	return q
}

// answer is a reply of the protocol as a message.
func (k *Keeper) answer(m *message.Message, r register.Reply) *message.Message {
	if r.Behind {
		k.counts.stale.Add(1)
		a := m.Answer(message.Stale, fmt.Sprintf("node %s keeps registers by epoch %d as member %s", k.cfg.Self.Node, r.Epoch, k.cfg.Self))
		a.Term = r.Epoch
		if r.Config != nil {
			a.Data = message.JSON(r.Config)
		}
		return a
	}
	a := m.Answer(message.Done, "")
	a.Term, a.Index, a.Size, a.Data = r.Epoch, k.cfg.Self.Incarnation, r.Size, r.Value
	a.SetTag(r.Tag)
	return a
}

// get answers what is on the disk. The replica judges twice: what it shows must be of an epoch that it
// still serves after it was read.
func (k *Keeper) get(m *message.Message, reply func(*message.Message)) {
	if m.Term == 0 {
		k.look(m, reply)
		return
	}
	q := k.request(m)
	k.mu.RLock()
	verdict, epoch := k.replica.Judge(q), k.replica.Config.Epoch
	k.mu.RUnlock()
	if verdict == register.Show && k.durable.Load() < epoch {
		reply(m.Answer(message.Unavailable, "a new configuration of registers is being written to the disk"))
		return
	}
	var have disk.Record
	if verdict == register.Show {
		var err error
		if q.Kind == register.GetTag {
			have.Tag, have.Size, _ = k.store.Tag(q.Register)
		} else if have, _, err = k.store.Get(q.Register, int(min(m.Size, message.MaxData))); err != nil {
			reply(m.Fail(err))
			return
		}
	}
	k.mu.RLock()
	r := k.replica.Shown(q, have.Tag, uint64(have.Size), have.Value)
	k.mu.RUnlock()
	reply(k.answer(m, r))
}

// look answers what is here, for a person: it is no part of a quorum.
func (k *Keeper) look(m *message.Message, reply func(*message.Message)) {
	id, place := m.Register(), k.placement()
	if !place.Holds(ring.Shard(id), k.cfg.Self) {
		reply(m.Answer(message.NotWritten, fmt.Sprintf("node %s is no replica of %s; its replicas are %s", k.cfg.Self.Node, id, names(place.Groups(ring.Shard(id))))))
		return
	}
	have, found, err := k.store.Get(id, message.MaxData)
	switch {
	case err != nil:
		reply(m.Fail(err))
	case !found:
		reply(m.Answer(message.NotWritten, fmt.Sprintf("node %s is a replica of %s and has nothing of it", k.cfg.Self.Node, id)))
	default:
		a := m.Answer(message.Done, "")
		a.Size, a.Data = uint64(have.Size), have.Value
		a.SetTag(have.Tag)
		reply(a)
	}
}

func (k *Keeper) put(m *message.Message, reply func(*message.Message)) {
	q := k.request(m)
	if q.Tag.TS == 0 {
		reply(m.Answer(message.InvalidArgument, "a put needs a tag whose ts is at least 1"))
		return
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.replica.Judge(q) != register.Store {
		reply(k.answer(m, k.replica.Refused(q)))
		return
	}
	k.store.Put(q.Register, q.Tag, q.Value, func(err error) {
		if err != nil { // it may come at once, under the lock
			reply(m.Fail(err))
			return
		}
		k.mu.RLock()
		r := k.replica.Acknowledged(q)
		k.mu.RUnlock()
		r.Size = 0
		reply(k.answer(m, r))
	})
}

func (k *Keeper) configure(m *message.Message, reply func(*message.Message)) {
	var c message.Registers
	if len(m.Data) > 0 {
		if err := json.Unmarshal(m.Data, &c); err != nil {
			reply(m.Answer(message.InvalidArgument, "the configuration of registers is not JSON"))
			return
		}
		if err := c.Check(); err != nil {
			reply(m.Fail(err))
			return
		}
		if c.Cluster != k.cfg.Cluster {
			reply(m.Answer(message.Forbidden, fmt.Sprintf("node %s is of another cluster than this configuration of registers; connect to it anew", k.cfg.Self.Node)))
			return
		}
	}
	if m.Source == message.NoNode && c.Epoch > k.Registers().Epoch {
		k.consult(m, reply)
		return
	}
	k.adopt(c, func(err error) {
		if err != nil {
			reply(m.Fail(err))
			return
		}
		config := k.Registers()
		if k.durable.Load() < config.Epoch { // a newer one came meanwhile
			reply(m.Answer(message.Busy, "a newer configuration of registers is being written to the disk"))
			return
		}
		a := m.Answer(message.Done, "")
		a.Term, a.Index, a.Data = config.Epoch, k.cfg.Self.Incarnation, message.JSON(config)
		reply(a)
	})
}

// consult has the directory asked, for a client says that there is a newer configuration. Clients are not
// believed: what registers are kept, and which are forgotten, hangs on it.
func (k *Keeper) consult(m *message.Message, reply func(*message.Message)) {
	answer := func() {
		config := k.Registers()
		a := m.Answer(message.Done, "")
		a.Term, a.Index, a.Data = config.Epoch, k.cfg.Self.Incarnation, message.JSON(config)
		reply(a)
	}
	if k.cfg.Refresh == nil || k.ctx.Err() != nil || !k.asking.CompareAndSwap(false, true) {
		answer()
		return
	}
	k.tasks.Go(func() {
		defer k.asking.Store(false)
		ctx, cancel := context.WithTimeout(k.ctx, askTime)
		defer cancel()
		k.cfg.Refresh(ctx)
		answer()
	})
}

// Row is a register in the answer to REGLIST.
type Row struct {
	Space   message.Space `json:"space,omitempty"`
	Address uint64        `json:"addr"`
	Size    uint64        `json:"size"`
	Tag     message.Tag   `json:"tag"`
}

// ID names the row's register.
func (r Row) ID() message.RegisterID { return message.RegisterID{Space: r.Space, Address: r.Address} }

// MaxRows is how many registers one REGLIST answers with at most; a row is under 192 bytes of JSON.
const MaxRows = 4096

// list answers with the registers from (company, address) on; data, if there is some, is a bitmap of the
// shards that are asked for.
func (k *Keeper) list(m *message.Message, reply func(*message.Message)) {
	if len(m.Data) != 0 && len(m.Data) != ring.Shards/8 {
		reply(m.Answer(message.InvalidArgument, fmt.Sprintf("a bitmap of shards has %d bytes, not %d", ring.Shards/8, len(m.Data))))
		return
	}
	want := func(shard int) bool { return true }
	if len(m.Data) > 0 {
		want = shards(m.Data).has
	}
	entries := k.store.List(m.Register(), int(min(max(m.Value, 1), MaxRows)), want)
	rows := make([]Row, len(entries))
	for i, e := range entries {
		rows[i] = Row{Space: e.ID.Space, Address: e.ID.Address, Size: uint64(e.Size), Tag: e.Tag}
	}
	a := m.Answer(message.Done, "")
	a.Term, a.Index, a.Data = k.Registers().Epoch, k.cfg.Self.Incarnation, message.JSON(rows)
	reply(a)
}

// shards is a set of them as a bitmap.
type shards []byte

func newShards() shards           { return make(shards, ring.Shards/8) }
func (s shards) add(i int)        { s[i/8] |= 1 << (i % 8) }
func (s shards) has(i int) bool   { return s[i/8]&(1<<(i%8)) != 0 }
func (s shards) empty() (is bool) { return string(s) == string(newShards()) }

func names(groups [][]message.Member) string {
	text := ""
	for i, g := range groups {
		if i > 0 {
			text += " and, from now on, "
		}
		for j, m := range g {
			switch {
			case j > 0 && j == len(g)-1:
				text += " and "
			case j > 0:
				text += ", "
			default:
				text += "nodes "
			}
			text += m.Node.String()
		}
	}
	return text
}

// registerBytes is about what the index takes for a register.
const registerBytes = 160

// Memory is about how many bytes the registers take in memory: the index, what waits for the disk, and small values that
// were read lately.
func (k *Keeper) Memory() uint64 {
	s := k.store.Stats()
	return registerBytes*uint64(s.Registers) + uint64(s.QueuedBytes) + uint64(s.RecentBytes)
}

// Counters are the Keeper's numbers, for STATS and metrics.
func (k *Keeper) Counters() []message.Counter {
	s := k.store.Stats()
	return []message.Counter{
		{Name: "register_reads", Value: k.counts.oneRound.Load() + k.counts.twoRounds.Load()},
		{Name: "register_reads_one_round", Value: k.counts.oneRound.Load()},
		{Name: "register_reads_two_rounds", Value: k.counts.twoRounds.Load()},
		{Name: "register_requests_stale", Value: k.counts.stale.Load()},
		{Name: "registers_caught_up", Value: k.counts.caughtUp.Load()},
		{Name: "registers_copied", Value: k.counts.copied.Load()},
		{Name: "registers_forgotten", Value: k.counts.forgotten.Load()},
		{Name: "register_exchanges", Value: k.counts.exchanges.Load()},
		{Name: "register_syncs", Value: uint64(s.Syncs)},
		{Name: "register_compactions", Value: uint64(s.Compactions)},
	}
}

// Gauges are numbers that also go down.
func (k *Keeper) Gauges() []message.Counter {
	s := k.store.Stats()
	return []message.Counter{
		{Name: "registers", Value: uint64(s.Registers)},
		{Name: "register_live_bytes", Value: uint64(s.LiveBytes)},
		{Name: "register_disk_bytes", Value: uint64(s.DiskBytes)},
		{Name: "register_epoch", Value: k.Registers().Epoch},
	}
}

// rewriteAfter is how long after a failure the configuration is written again.
const rewriteAfter = time.Second

// settled says whether what this node keeps is final: the directory itself has said it, it is on the disk,
// and no change is under way that may be taken back.
func (k *Keeper) settled() bool {
	config := k.Registers()
	return len(config.Next) == 0 && k.durable.Load() >= config.Epoch && k.decided.Load() == config.Epoch
}

// sweeper forgets the registers whose shards are kept by others now (K3).
func (k *Keeper) sweeper() {
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-k.rewrite:
			select {
			case <-time.After(rewriteAfter):
				k.adopt(message.Registers{}, func(error) {})
			case <-k.ctx.Done():
			}
			continue
		case <-k.sweep:
		}
		if !k.settled() {
			continue
		}
		// Which shards are kept is judged where the writer stands: a put of a later epoch comes behind.
		n, err := k.store.Forget(func() func(shard int) bool {
			if !k.settled() {
				return func(int) bool { return true }
			}
			place := k.placement()
			return func(shard int) bool { return place.Holds(shard, k.cfg.Self) }
		})
		if err != nil {
			k.cfg.Log.Warn("forget registers that others keep", "error", err)
		}
		k.counts.forgotten.Add(uint64(n))
	}
}
