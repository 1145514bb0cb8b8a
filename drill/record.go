package drill

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// Recorder takes down what clients call. Each client has a Log of its own, which only it touches.
type Recorder struct {
	now     func() time.Duration
	last    atomic.Int64
	clients atomic.Int64
	kept    atomic.Int64
	healed  atomic.Int64 // stamp; 0 before
	seen    sync.Map     // groups in which a call succeeded since then
	most    int64

	mu   sync.Mutex
	logs []*Log
}

// NewRecorder makes a recorder that keeps at most so many calls: beyond it Log.Begin refuses, and its
// client must stop. Now is the time since the start, never going back.
func NewRecorder(now func() time.Duration, most int) *Recorder {
	return &Recorder{now: now, most: int64(most)}
}

// stamp is the time, made strictly monotonic over all clients (R1).
func (r *Recorder) stamp() int64 {
	for {
		last := r.last.Load()
		t := max(last+1, r.now().Nanoseconds())
		if r.last.CompareAndSwap(last, t) {
			return t
		}
	}
}

// Log makes the log of one more client.
func (r *Recorder) Log() *Log {
	l := &Log{r: r, client: int(r.clients.Add(1)) - 1}
	r.mu.Lock()
	r.logs = append(r.logs, l)
	r.mu.Unlock()
	return l
}

// lastLog makes the log of a client of the end, which always has room: it makes few calls, and without them
// nothing is freed.
func (r *Recorder) lastLog() *Log {
	l := r.Log()
	l.room = true
	return l
}

// mallocs are the allocations that calls were answered with, and the sizes of those that had no answer.
func (r *Recorder) mallocs() (acked map[extent]bool, lost []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	acked = map[extent]bool{}
	for _, l := range r.logs {
		for _, o := range l.ops {
			if o.Do == Malloc {
				acked[extent{o.Addr, o.Size}] = true
			}
		}
		lost = append(lost, l.lost...)
	}
	return acked, lost
}

// Log is what one client called, in order.
type Log struct {
	r       *Recorder
	client  int
	numbers uint32
	ops     []Op
	tries   []try
	defects []string
	lost    []uint64 // sizes of mallocs with unknown outcome
	refused int
	unread  int
	room    bool // always

	grants   []Grant
	released int
	synced   int
}

// try is a call as far as availability goes.
type try struct {
	group     string
	call, end int64
	ok        bool
}

// Value is one that was never written before (R4).
func (l *Log) Value() uint64 {
	l.numbers++
	return makeValue(l.client, l.numbers)
}

// Begin stamps a call. It is false when the recorder is full: then the call must not be made.
func (l *Log) Begin(o Op) (Op, bool) {
	if !l.room && l.r.kept.Add(1) > l.r.most {
		return o, false
	}
	o.Client, o.Call = l.client, l.r.stamp()
	return o, true
}

// Outcome is the class of what the heap answered.
type Outcome uint8

const (
	Answered Outcome = iota // it happened, or the answer tells what is
	Refused                 // it certainly did not happen
	Unknown                 // it may have happened, or may yet
)

const mostDefects = 8 // texts that a log keeps of its client's

// End takes down how a call ended. The outcome's fields of o are set by then, where there was one.
func (l *Log) End(o Op, err error) Outcome {
	end := l.r.stamp()
	out := Classify(err)
	l.tries = append(l.tries, try{o.group(), o.Call, end, out == Answered})
	if out == Answered && l.r.healed.Load() > 0 {
		l.r.seen.LoadOrStore(o.group(), true)
	}
	switch out {
	case Answered:
		o.Return, o.Code = end, answer(o.Do, err)
		l.ops = append(l.ops, o)
	case Refused:
		l.refused++
	case Unknown:
		l.unknown(o)
	}
	var e *message.Error
	if errors.As(err, &e) && e.Code == message.Internal && len(l.defects) < mostDefects {
		l.defects = append(l.defects, o.String()+": "+err.Error())
	}
	return out
}

func (l *Log) unknown(o Op) {
	switch {
	case !o.changes():
		l.unread++
	case o.Do == Malloc:
		// Nobody knows where it is, so it forbids nothing; the table at the end tells whether it happened.
		l.lost = append(l.lost, o.Size)
	default:
		o.Unknown, o.Return, o.Code = true, Forever, message.Done
		o.Got, o.Swapped, o.Torn, o.Absorbed = 0, false, "", false
		o.Client = int(l.r.clients.Add(1)) - 1 // whose call never returns calls nothing else (R2)
		l.ops = append(l.ops, o)
	}
}

// answer is the code that an answered call is recorded with: a register that was never written reads as 0.
func answer(do Action, err error) message.Code {
	c := message.CodeOf(err)
	if c == message.NotWritten && do == Read {
		return message.Done
	}
	return c
}

// Classify says what an error tells about whether the call happened. Unavailable and Timeout tell nothing:
// a client that gave up cannot always know.
func Classify(err error) Outcome {
	switch {
	case err == nil:
		return Answered
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unknown
	}
	switch message.CodeOf(err) {
	case message.AlreadyFree, message.NotAllocated, message.OutOfBounds, message.NotWritten:
		return Answered
	case message.Busy, message.InvalidArgument, message.OutOfMemory, message.Forbidden, message.Leased,
		message.Unsupported, message.NoSuchNode:
		return Refused
	}
	return Unknown
}

// History is what all clients called.
type History struct {
	Ops     []Op // by call
	Tries   int  // every call, whatever became of it
	Refused int
	Unread  int      // reads without an answer
	Lost    []uint64 // sizes asked for by mallocs with unknown outcome
	Defects []string // answers with code internal
	Grants  []Grant  // leases that were given
	Given   int      // leases that were given back
	Synced  int      // calls of sync that succeeded
	Full    bool     // the recorder had no room for all
	Longest time.Duration
	Where   string                   // the group that was longest without a success
	Back    map[string]time.Duration // how long each group took until it worked after the heal
	Never   []string                 // groups that did not
}

// History puts the logs together. No client may be calling any more.
func (r *Recorder) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := History{Full: r.kept.Load() > r.most}
	var tries []try
	for _, l := range r.logs {
		h.Ops = append(h.Ops, l.ops...)
		tries = append(tries, l.tries...)
		h.Refused += l.refused
		h.Unread += l.unread
		h.Lost = append(h.Lost, l.lost...)
		h.Defects = append(h.Defects, l.defects...)
		h.Grants = append(h.Grants, l.grants...)
		h.Given += l.released
		h.Synced += l.synced
	}
	sortByCall(h.Ops)
	h.Tries = len(tries)
	h.Longest, h.Where = longestGap(tries)
	if at := r.healed.Load(); at > 0 {
		h.Back, h.Never = back(tries, at)
	}
	return h
}

// unknown counts the writes of which nobody knows whether they happened.
func (h *History) unknown() int {
	n := len(h.Lost)
	for _, o := range h.Ops {
		if o.Unknown {
			n++
		}
	}
	return n
}

// longestGap is the longest time in which somebody tried something of a group and nobody succeeded.
func longestGap(tries []try) (longest time.Duration, where string) {
	groups := map[string][]try{}
	for _, t := range tries {
		groups[t.group] = append(groups[t.group], t)
	}
	for name, all := range groups {
		d := groupGap(all)
		if d > longest || d == longest && name < where {
			longest, where = d, name
		}
	}
	return longest, where
}

// groupGap walks a group's calls in the order of their ends. A time without success begins at the last
// success, or at the earliest call after it that was still open then or came later, and ends with the next
// success, or with the last call.
func groupGap(all []try) (longest time.Duration) {
	slices.SortFunc(all, func(a, b try) int { return cmp.Compare(a.end, b.end) })
	earliest := make([]int64, len(all)) // call of all[i:]
	for i := len(all) - 1; i >= 0; i-- {
		earliest[i] = all[i].call
		if i+1 < len(all) {
			earliest[i] = min(all[i].call, earliest[i+1])
		}
	}
	last, from := int64(-1), 0
	for i, t := range all {
		if t.ok || i == len(all)-1 {
			longest = max(longest, time.Duration(t.end-max(last, earliest[from])))
		}
		if t.ok {
			last, from = t.end, i+1
		}
	}
	return longest
}

func sortByCall(ops []Op) {
	slices.SortFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
}
