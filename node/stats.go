package node

import (
	"fmt"
	"io"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// histogram counts durations in buckets that grow by an eighth of a power of two, so a quantile is
// within 12 % of the truth. Its zero value is ready; all methods may run at once.
type histogram struct {
	buckets [64 * 8]atomic.Uint64
	count   atomic.Uint64
	sum     atomic.Uint64 // nanoseconds
	max     atomic.Uint64
}

func bucketOf(ns uint64) int {
	if ns < 8 {
		return int(ns)
	}
	exp := bits.Len64(ns) - 1
	return exp*8 + int(ns>>(exp-3)&7)
}

// bucketTop is the greatest duration that the bucket counts.
func bucketTop(b int) float64 {
	exp, eighth := b/8, b%8
	if exp < 3 {
		return float64(b)
	}
	return float64(uint64(1)<<exp) * (1 + float64(eighth+1)/8)
}

func (h *histogram) add(d time.Duration) {
	ns := uint64(max(d, 0))
	h.buckets[bucketOf(ns)].Add(1)
	h.count.Add(1)
	h.sum.Add(ns)
	for {
		old := h.max.Load()
		if ns <= old || h.max.CompareAndSwap(old, ns) {
			return
		}
	}
}

func (h *histogram) summary() message.Latency {
	l := message.Latency{Count: h.count.Load(), Max: float64(h.max.Load()) / 1e3}
	l.P50, l.P99 = h.quantile(0.5, l.Count)/1e3, h.quantile(0.99, l.Count)/1e3
	return l
}

func (h *histogram) quantile(q float64, count uint64) float64 {
	want := uint64(q * float64(count))
	for b := range h.buckets {
		n := h.buckets[b].Load()
		if n > want {
			return min(bucketTop(b), float64(h.max.Load()))
		}
		want -= n
	}
	return 0
}

// stats is what a node counts. The table is filled when it is made and only read afterwards.
type stats struct {
	ops       [math.MaxUint8 + 1]*histogram // by op; nil where there is none
	queue     histogram                     // waiting for the entry before
	commit    histogram                     // proposing, replicating, applying
	readIndex histogram
	// registerSync is the fsync that puts of registers share.
	registerSync histogram
	codes        [256]atomic.Uint64
	refused      atomic.Uint64
	settled      atomic.Uint64
	moves        atomic.Uint64
	begun        atomic.Uint64 // moves that this node planned as the directory's leader
}

func newStats() *stats {
	s := new(stats)
	for op := message.NONE; op.Valid(); op++ {
		s.ops[op] = new(histogram)
	}
	return s
}

func (s *stats) answered(op message.Op, code message.Code, took time.Duration) {
	if h := s.ops[op]; h != nil {
		h.add(took)
	}
	s.codes[code].Add(1)
}

func (s *stats) report(id message.NodeID, more []message.Counter) message.NodeStats {
	out := message.NodeStats{Node: id, Operations: map[string]message.Latency{}, Stages: map[string]message.Latency{}}
	for op := message.NONE; op.Valid(); op++ {
		if l := s.ops[op].summary(); l.Count > 0 {
			out.Operations[op.String()] = l
		}
	}
	for name, h := range map[string]*histogram{"queue": &s.queue, "commit": &s.commit, "read_index": &s.readIndex, "register_sync": &s.registerSync} {
		out.Stages[name] = h.summary()
	}
	for _, c := range message.Codes() {
		if v := s.codes[c].Load(); v > 0 {
			out.Counters = append(out.Counters, message.Counter{Name: "answers_" + c.String(), Value: v})
		}
	}
	out.Counters = append(out.Counters, message.Counter{Name: "transactions_settled", Value: s.settled.Load()},
		message.Counter{Name: "replicas_moved", Value: s.moves.Load()})
	out.Counters = append(out.Counters, more...)
	return out
}

// write puts the same numbers out in the Prometheus text format.
func (s *stats) write(w io.Writer) {
	for op := message.NONE; op.Valid(); op++ {
		if h := s.ops[op]; h.count.Load() > 0 {
			writeSummary(w, "dmalloc_operation_seconds", fmt.Sprintf("op=%q", op.String()), h)
		}
	}
	for _, st := range []struct {
		name string
		h    *histogram
	}{{"queue", &s.queue}, {"commit", &s.commit}, {"read_index", &s.readIndex}, {"register_sync", &s.registerSync}} {
		writeSummary(w, "dmalloc_stage_seconds", fmt.Sprintf("stage=%q", st.name), st.h)
	}
	for _, c := range message.Codes() {
		fmt.Fprintf(w, "dmalloc_answers_total{code=%q} %d\n", c.String(), s.codes[c].Load())
	}
	fmt.Fprintf(w, "dmalloc_transactions_settled_total %d\ndmalloc_replicas_moved_total %d\n", s.settled.Load(), s.moves.Load())
}

func writeSummary(w io.Writer, name, label string, h *histogram) {
	count := h.count.Load()
	for _, q := range []float64{0.5, 0.9, 0.99} {
		fmt.Fprintf(w, "%s{%s,quantile=\"%g\"} %g\n", name, label, q, h.quantile(q, count)/1e9)
	}
	fmt.Fprintf(w, "%s_sum{%s} %g\n%s_count{%s} %d\n", name, label, float64(h.sum.Load())/1e9, name, label, count)
}
