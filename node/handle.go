package node

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"time"

	"dmalloc/message"
)

// handler does one op. It must not wait: what takes long goes to another goroutine, which replies.
type handler func(n *Node, m *message.Message, reply func(*message.Message))

// handlers is the table of what a node answers. An op without a row is refused. It is filled by init,
// because some handlers send requests, which may be to this very node.
var handlers map[message.Op]handler

// handlerOf is the same by number, for there is a look for each request.
var handlerOf [math.MaxUint8 + 1]handler

func init() {
	handlers = map[message.Op]handler{
		message.MALLOC: logged, message.FREE: logged, message.WRITE: write, message.CAS: write, message.ADD: write,
		message.RESERVE: logged, message.COMMIT: logged, message.CONFIRM: logged, message.ABORT: logged,
		message.OUTCOME: logged, message.DROP: logged, message.FINISH: logged,
		message.REGCHANGE: directoryLogged, message.REGDONE: directoryLogged, message.JOBADD: addJob, message.JOBDROP: directoryLogged,
		message.BOOT: directoryLogged, message.RETIRE: directoryLogged, message.REPLACE: directoryLogged,
		message.ADMIT: directoryLogged, message.DISMISS: directoryLogged, message.GONE: directoryLogged,
		message.MOVE: directoryLogged, message.FOUND: directoryLogged, message.RECOVER: directoryLogged, message.CAPACITY: logged,
		message.READ: readBytes, message.DUMP: read, message.TABLE: read, message.LEASES: read,
		message.LEASE: takeLease, message.RELEASE: giveLease, message.REVOKE: revokeLease, message.SYNC: syncLeases,
		message.RUN: logged, message.CLAIM: logged, message.SETTLE: logged, message.TAKE: takeAside, message.TELL: tellRuns,
		message.TEST: test, message.NONE: test,
		message.DIRECTORY: answerDirectory, message.STATUS: answerStatus, message.STATS: answerStats,
		message.ELECTIONS: answerElections, message.WHOISLEADER: whoIsLeader, message.LEADER: moveLeader, message.MEMBER: answerMember,
		message.SQL: answerSQL, message.LOG: answerLog, message.VERIFY: answerVerify,
		message.GOROUTINES: answerGoroutines, message.METRICS: answerMetrics, message.JOURNAL: answerJournal,
		message.REGTAG: registers, message.REGGET: registers, message.REGPUT: registers, message.REGCONF: registers,
		message.REGLIST: registers, message.REGDIGEST: registers,
		message.JOB: runJob, message.JOBRUN: jobHere, message.GOSSIP: gossip,
		message.DIE: toLauncher, message.REVIVE: toLauncher, message.PAUSE: toLauncher, message.RESUME: toLauncher,
		message.NODEADD: toLauncher, message.NODEREMOVE: toLauncher,
		message.FAULT: toLauncher, message.HEAL: toLauncher, message.FAULTS: toLauncher, message.CORRUPT: toLauncher,
	}
	for op, h := range handlers {
		handlerOf[op] = h
	}
}

// Handle does a request of this node's own client, or one from the transport that take has let in.
func (n *Node) Handle(m *message.Message, reply func(*message.Message)) {
	begin := time.Since(n.started) // reads one clock; Now would read two
	answer := func(a *message.Message) {
		a.Source, a.Target = n.cfg.ID, m.Source
		if m.Flags&message.Traced != 0 {
			a.Path = m.Path
		}
		n.stats.answered(m.Op, a.Status, time.Since(n.started)-begin)
		reply(a)
	}
	defer func() {
		if r := recover(); r != nil { // a defect of ours must cost one request, not the node
			n.cfg.Log.Error("request failed", "message", m.String(), "panic", r, "stack", string(debug.Stack()))
			answer(m.Answer(message.Internal, fmt.Sprintf("node %s failed on %s; its log says why", n.cfg.ID, m.Op)))
		}
	}()
	if m.Flags&message.NeedCallback != 0 {
		alive := m.Answer(message.Done, "")
		alive.Op = message.ALIVE
		alive.Source = n.cfg.ID
		reply(alive)
	}
	if !n.open.Load() && m.Op != message.GOROUTINES && m.Op != message.JOURNAL { // those say why it takes so long
		answer(m.Answer(message.Unavailable, fmt.Sprintf("node %s is still opening its files; nothing was done", n.cfg.ID)))
		return
	}
	h := handlerOf[m.Op]
	if h == nil {
		answer(m.Answer(message.Unsupported, fmt.Sprintf("node %s does not answer %s", n.cfg.ID, m.Op)))
		return
	}
	h(n, m, answer)
}

// logged is for what changes a heap company.
func logged(n *Node, m *message.Message, reply func(*message.Message)) {
	if why := malformed(m); why != "" {
		n.stats.refused.Add(1)
		reply(m.Answer(message.InvalidArgument, why))
		return
	}
	if r := n.mine(m, reply); r != nil {
		n.lessor.do(r, m, reply)
	}
}

func directoryLogged(n *Node, m *message.Message, reply func(*message.Message)) {
	m.Company = 0
	if r := n.host.Replica(0); r != nil {
		r.Do(m, reply)
		return
	}
	n.elsewhere(m, reply)
}

func read(n *Node, m *message.Message, reply func(*message.Message)) {
	r := n.mine(m, reply)
	switch {
	case r == nil:
	case m.Op == message.LEASES:
		r.Read(m, func(a *message.Message) {
			n.lessor.withLeft(a)
			reply(a)
		})
	default:
		n.lessor.do(r, m, reply)
	}
}

// malformed refuses what no state could make right, before it costs an entry.
func malformed(m *message.Message) string {
	switch m.Op {
	case message.MALLOC, message.RESERVE, message.COMMIT:
		if m.Size == 0 {
			return "0 bytes cannot be allocated; ask for at least 1"
		}
		if m.Size > message.WindowSize {
			return fmt.Sprintf("%d bytes are more than a company's window of %s", m.Size, message.FormatSize(message.WindowSize))
		}
	case message.WRITE:
		if len(m.Data) == 0 || uint64(len(m.Data)) != m.Size {
			return fmt.Sprintf("a write of %d bytes carries %d", m.Size, len(m.Data))
		}
	}
	return ""
}

// elsewhere answers for a company that this node does not own.
func (n *Node) elsewhere(m *message.Message, reply func(*message.Message)) {
	d := n.directory.Load()
	c := d.Company(m.Company)
	if c == nil {
		reply(m.Answer(message.InvalidArgument, fmt.Sprintf("company %s does not exist; there are 0 to %d", m.Company, len(d.Companies)-1)))
		return
	}
	a := m.Answer(message.Stale, fmt.Sprintf("node %s does not own company %s; ask nodes %v", n.cfg.ID, m.Company, c.OwnerNodes()))
	a.Epoch = d.Epoch
	reply(a)
}

func test(n *Node, m *message.Message, reply func(*message.Message)) {
	a := m.Answer(message.Done, "")
	a.Data, a.Value = m.Data, m.Value
	reply(a)
}

// answerDirectory answers with the directory as this node knows it, or, with value 1, as a majority has it.
func answerDirectory(n *Node, m *message.Message, reply func(*message.Message)) {
	if m.Value == 1 {
		m.Company = 0
		if r := n.host.Replica(0); r != nil {
			r.Read(m, func(a *message.Message) {
				if a.Status == message.Done { // the log has neither addresses nor what processes are set to
					n.readDirectory()
					d := n.directory.Load()
					a.Epoch, a.Data = d.Epoch, message.JSON(d)
				}
				reply(a)
			})
			return
		}
		n.elsewhere(m, reply)
		return
	}
	d := n.directory.Load()
	a := m.Answer(message.Done, "")
	a.Epoch = d.Epoch
	if m.Epoch > d.Epoch && n.learning.CompareAndSwap(false, true) { // who asks knows a newer one
		if !n.spawn(func() { defer n.learning.Store(false); n.askDirectory() }) {
			n.learning.Store(false)
		}
	}
	if m.Epoch != d.Epoch || m.Epoch == 0 {
		a.Data = message.JSON(d)
	}
	reply(a)
}

// Status is what this node knows of itself.
func (n *Node) Status() message.NodeStatus {
	s := message.NodeStatus{ID: n.cfg.ID, Pid: os.Getpid(), Address: n.cfg.Listener.Addr().String(), Version: n.cfg.Version,
		Boot: n.identity.Boot, Incarnation: n.cfg.Incarnation, UptimeMS: time.Since(n.started).Milliseconds(), Control: n.cfg.Control}
	use := n.memoryUse()
	s.Memory, s.MemoryUse = use.Resident, &use
	if n.cfg.HTTP != nil {
		s.HTTP = n.cfg.HTTP.Addr().String()
	}
	s.CaughtUp, s.Cache = n.missing() == nil, n.holder.status()
	s.TimeMS = time.Now().UnixMilli()
	s.DiskFree, s.DiskTotal = diskSpace(n.cfg.Dir)
	s.Detector, s.Jobs = n.beliefs(), n.jobs.Running()
	for _, other := range n.directory.Load().Nodes {
		if d := n.transport.Delay(other.ID); d > 0 {
			s.Delays = append(s.Delays, message.Delay{Node: other.ID, US: d.Microseconds()})
		}
	}
	s.Replicas = n.host.Status()
	return s
}

func answerStatus(n *Node, m *message.Message, reply func(*message.Message)) {
	a := m.Answer(message.Done, "")
	a.Data = message.JSON(n.Status())
	reply(a)
}

func answerStats(n *Node, m *message.Message, reply func(*message.Message)) {
	n.keeper.Count(m.Seq, m.Low)
	a := m.Answer(message.Done, "")
	a.Data = message.JSON(n.stats.report(n.cfg.ID, n.counters()))
	reply(a)
}

func answerElections(n *Node, m *message.Message, reply func(*message.Message)) {
	n.electMu.Lock()
	tenures := n.election.History()
	n.electMu.Unlock()
	a := m.Answer(message.Done, "")
	a.Data = message.JSON(tenures)
	reply(a)
}

func whoIsLeader(n *Node, m *message.Message, reply func(*message.Message)) {
	a := m.Answer(message.Done, "")
	a.Op = message.LEADERAGAIN
	if r := n.host.Replica(m.Company); r != nil {
		if leader, term, known := r.Leader(); known {
			a.Op, a.Final, a.Term = message.LEADEROK, leader, term
		}
	}
	reply(a)
}

// moveLeader hands the company's leadership, which must be here, to another node's replica.
func moveLeader(n *Node, m *message.Message, reply func(*message.Message)) {
	r := n.host.Replica(m.Company)
	if r == nil {
		n.elsewhere(m, reply)
		return
	}
	leader, term, known := r.Leader()
	if !r.Leads() {
		a := m.Answer(message.NotLeader, fmt.Sprintf("node %s does not lead company %s", n.cfg.ID, m.Company))
		a.Term = term
		if known {
			a.Final = leader
		}
		reply(a)
		return
	}
	to := message.NodeID(m.Value)
	if to == n.cfg.ID {
		reply(m.Answer(message.Done, ""))
		return
	}
	c := n.directory.Load().Company(m.Company)
	if c == nil { // founded, and led, before this node's directory has it
		reply(m.Answer(message.Unavailable, fmt.Sprintf("node %s does not know yet who owns company %s; ask again", n.cfg.ID, m.Company)))
		return
	}
	for _, o := range c.Owners {
		if o.Node == to && !o.Joining {
			if err := r.Transfer(o.Replica); err != nil {
				reply(m.Fail(err))
				return
			}
			reply(m.Answer(message.Done, ""))
			return
		}
	}
	reply(m.Answer(message.InvalidArgument, fmt.Sprintf("node %s does not own company %s; its owners are %v", to, m.Company, c.OwnerNodes())))
}

// queryTime ends a query before its asker gives up: SQLite answers one at a time, and others wait.
const queryTime = 4500 * time.Millisecond

// query runs f in a goroutine of its own, if there is a slot: SQLite may take its time.
func (n *Node) query(m *message.Message, reply func(*message.Message), limit time.Duration, f func(ctx context.Context) (any, error)) {
	select {
	case n.queries <- struct{}{}:
	default:
		reply(m.Answer(message.Busy, fmt.Sprintf("node %s has %d queries under way; try again", n.cfg.ID, queries)))
		return
	}
	started := n.spawn(func() {
		defer func() { <-n.queries }()
		ctx, cancel := context.WithTimeout(n.ctx, limit)
		defer cancel()
		v, err := f(ctx)
		if err != nil {
			reply(m.Fail(err))
			return
		}
		a := m.Answer(message.Done, "")
		if a.Data, err = json.Marshal(v); err != nil {
			a = m.Answer(message.Internal, err.Error())
		}
		if len(a.Data) > message.MaxData {
			a = m.Answer(message.InvalidArgument, fmt.Sprintf("the answer has %d bytes, at most %d can be sent; ask for less with LIMIT or a smaller count", len(a.Data), message.MaxData))
		}
		reply(a)
	})
	if !started {
		<-n.queries
		reply(m.Answer(message.Unavailable, "node is stopping"))
	}
}

func answerSQL(n *Node, m *message.Message, reply func(*message.Message)) {
	text := string(m.Data)
	n.query(m, reply, queryTime, func(ctx context.Context) (any, error) { return n.table.Query(ctx, text, 0) })
}

func answerLog(n *Node, m *message.Message, reply func(*message.Message)) {
	n.query(m, reply, queryTime, func(context.Context) (any, error) {
		return n.table.Log(m.Company, m.Size == 1, int(min(m.Value, 10_000))), nil
	})
}

// toLauncher passes on what only the one who started the processes can do.
func toLauncher(n *Node, m *message.Message, reply func(*message.Message)) {
	n.query(m, reply, time.Minute, func(ctx context.Context) (any, error) {
		a, err := n.control.Call(ctx, m)
		if err == nil {
			err = a.Err()
		}
		if err != nil || len(a.Data) == 0 {
			return struct{}{}, err
		}
		return json.RawMessage(a.Data), nil
	})
}
