package company

import (
	"fmt"
	"math"
	"slices"

	"dmalloc/message"
)

// Result is the answer to one message of an entry. Its Blocks are shared with the state.
type Result struct {
	Code    message.Code
	Text    string
	Address message.Addr
	Size    uint64
	Value   uint64
	Index   uint64 // of the entry in which it was done first
	Txn     message.Txn
	Blocks  []message.Block
	Token   uint64          // of a lease
	Length  uint64          // of a lease, milliseconds
	Leases  []message.Lease // that stand in the way; never kept
}

// Answer makes the message that carries the result back.
func (r *Result) Answer(m *message.Message) *message.Message {
	a := new(message.Message)
	r.AnswerTo(a, m)
	return a
}

// AnswerTo is Answer for who has the memory.
func (r *Result) AnswerTo(a, m *message.Message) {
	m.AnswerTo(a, r.Code, r.Text)
	a.Address, a.Size, a.Value, a.Index, a.Txn = r.Address, r.Size, r.Value, r.Index, r.Txn
	a.Blocks = append([]message.Block(nil), r.Blocks...)
	a.Token, a.Length = r.Token, r.Length
	if len(r.Leases) > 0 {
		a.Data = leasesJSON(r.Leases)
	}
}

func refuse(code message.Code, format string, args ...any) Result {
	return Result{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Applied is what an entry did.
type Applied struct {
	Results []Result          // Results[i] answers message i of the batch
	Changed []message.Addr    // where records begin that came, went or changed; one may be there twice
	Log     []message.LogLine // operations that took effect, for people
	Leases  []LeaseEvent      // in the order of what happened
	Term    uint64            // where a new leader began: its term
	Leader  message.NodeID    // and its node
}

// entry is the Raft entry that is being applied.
type entry struct {
	index   uint64
	node    message.NodeID
	message int // of the batch, that is being done
	*Applied
}

// operation is one row of the table below.
type operation struct {
	word string // in log lines
	do   func(*Company, *entry, *message.Message) Result
}

// operations is filled by init, because the operations log by its rows. One without a row cannot be done.
var operations [math.MaxUint8 + 1]operation

func init() {
	for op, row := range map[message.Op]operation{
		message.MALLOC:   {"allocate", (*Company).malloc},
		message.FREE:     {"free", (*Company).free},
		message.WRITE:    {"write", (*Company).write},
		message.CAS:      {"cas", (*Company).cas},
		message.ADD:      {"add", (*Company).add},
		message.RESERVE:  {"reserve", (*Company).reserve},
		message.COMMIT:   {"commit", (*Company).commit},
		message.CONFIRM:  {"confirm", (*Company).confirm},
		message.ABORT:    {"abort", (*Company).abort},
		message.OUTCOME:  {"abort", (*Company).outcome}, // what it may change is that
		message.DROP:     {"drop", (*Company).drop},
		message.FINISH:   {"finish", (*Company).finish},
		message.TERM:     {"lead", (*Company).term},
		message.LEASE:    {"lease", (*Company).grant},
		message.RELEASE:  {"release", (*Company).release},
		message.EXPIRE:   {"expire", (*Company).expire},
		message.RUN:      {"set aside", (*Company).setAside},
		message.CLAIM:    {"claim", (*Company).claim},
		message.SETTLE:   {"settle", (*Company).settle},
		message.CAPACITY: {"set the capacity", (*Company).capacity},
	} {
		operations[op] = row
	}
}

// log notes that m took effect.
func (c *Company) log(e *entry, m *message.Message, a message.Addr, size uint64) {
	e.Log = append(e.Log, message.LogLine{Company: c.cfg.ID, Index: e.index, Actor: e.node, Operation: operations[m.Op].word, Address: a, Size: size})
}

// did notes that m changed the record that begins or began at a.
func (c *Company) did(e *entry, m *message.Message, a message.Addr, size uint64) {
	e.Changed = append(e.Changed, a)
	c.log(e, m, a, size)
}

// mostKept is how many of each the slices of an Applied that is used again have room for.
const mostKept = 1024

// reset makes room for the results of n messages, in the memory of the entry before.
func (a *Applied) reset(n int) {
	if max(cap(a.Results), cap(a.Changed), cap(a.Log)) > mostKept {
		*a = Applied{}
	}
	*a = Applied{Results: slices.Grow(a.Results[:0], n)[:n], Changed: a.Changed[:0], Log: a.Log[:0], Leases: a.Leases[:0]}
	if cap(a.Log) == 0 {
		a.Log = make([]message.LogLine, 0, n) // most messages have a line
	}
}

// Apply does one Raft entry.
func (c *Company) Apply(index uint64, b *message.Batch) Applied {
	var a Applied
	c.ApplyTo(&a, index, b)
	return a
}

// ApplyTo is Apply for who does entry after entry: it says what it did in a, and uses the memory of what is there. It
// keeps nothing of a, nor of the messages.
func (c *Company) ApplyTo(a *Applied, index uint64, b *message.Batch) {
	if plantedShort {
		c.keepBefore()
	}
	c.index = index
	c.clock += min(b.Elapsed, maxElapsed)
	c.clients.expire(c.clock)
	c.ended.expire(c.clock)
	a.reset(len(b.Messages))
	e := &entry{index: index, node: b.Node, Applied: a}
	for i, m := range b.Messages {
		e.message = i
		c.once(e, m, &a.Results[i])
	}
}

// once does m unless it is done already (C6), and says in r what came of it. Messages of nobody are done as often as they
// come. r is where the result stays: it is too large to be handed on from one to the next.
func (c *Company) once(e *entry, m *message.Message, r *Result) {
	if m.Client == (message.ClientID{}) {
		c.execute(e, m, r)
		return
	}
	w := c.clients.open(m.Client, c.clock)
	c.clients.raise(w, m.Low)
	if m.Seq < w.low {
		*r = Result{Code: message.TooOld, Index: e.index, Text: fmt.Sprintf("request %d of client %s is below %d, up to where the client said it has its answers; nothing was done, use a new number",
			m.Seq, m.Client, w.low)}
		return
	}
	if i, ok := w.answers.find(m.Seq); ok && !plantedTwice {
		*r = w.answers.kept()[i].result(c.cfg.ID)
		return
	}
	if m.Seq-w.low >= MaxWindow {
		*r = Result{Code: message.Busy, Index: e.index, Text: fmt.Sprintf("request %d of client %s is %d or more ahead of its oldest unanswered one, %d; nothing was done, wait for answers first",
			m.Seq, m.Client, MaxWindow, w.low)}
		return
	}
	c.execute(e, m, r)
	if !passes(r.Code) {
		c.clients.keep(w, answerOf(c.cfg.ID, m.Seq, r))
	}
}

// passes says whether nothing was done yet, and the same request asked again may find a better moment (L5).
func passes(code message.Code) bool {
	return code == message.Retry || code == message.Leased || code == message.Fenced || code == message.Busy
}

func (c *Company) execute(e *entry, m *message.Message, r *Result) {
	if do := operations[m.Op].do; do == nil {
		*r = refuse(message.Unsupported, "company %s cannot do %s through its log; it allocates, frees and writes", c.cfg.ID, m.Op)
	} else if wrong := c.arguments(m); wrong != nil {
		*r = *wrong
	} else {
		*r = do(c, e, m)
	}
	r.Index = e.index
}

// Precheck refuses what every state of the company would refuse: wrong arguments. nil means that the
// message may go on. It looks at no state, because an earlier attempt of the same request may be on its
// way through the log, and a refusal here would be taken for the outcome of both.
func (c *Company) Precheck(m *message.Message) *message.Message {
	if wrong := c.arguments(m); wrong != nil {
		return wrong.Answer(m)
	}
	return nil
}

// term keeps the greatest term and who leads in it.
func (c *Company) term(e *entry, m *message.Message) Result {
	if m.Term > c.lead.term {
		c.lead = lead{m.Term, m.Final, e.index}
		e.Term, e.Leader = m.Term, m.Final
		c.log(e, m, 0, 0)
	}
	return Result{Value: c.lead.term}
}
