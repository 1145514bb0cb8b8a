package node

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"dmalloc/client"
	"dmalloc/message"
	"dmalloc/web"
)

// openWeb serves HTTP, if the node has a listener for it.
func (n *Node) openWeb() (err error) {
	if n.cfg.HTTP == nil {
		return nil
	}
	names, secure := n.cfg.Hosts, (*tls.Config)(nil)
	if n.cfg.Certs != nil {
		// The names in the certificate are those under which this node goes.
		secure = n.cfg.Certs.Server()
		names = append(slices.Clone(names), secure.Certificates[0].Leaf.DNSNames...)
	}
	n.web, err = web.New(web.Config{
		Heap: webHeap{n.heap}, Control: n.control, Graph: n.heap.Graph, Ready: n.missing, Thin: n.thin, Metrics: n.writeMetrics,
		Listener: n.cfg.HTTP, Debug: n.cfg.Debug, Node: n.cfg.ID, Names: names, TLS: secure, Tokens: n.cfg.Tokens,
		Report: func(err error, stack []byte) {
			n.cfg.Log.Error("an HTTP request failed", "error", err, "stack", string(stack))
		},
	})
	if err != nil {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	n.tasks.Go(func() {
		if err := n.web.Serve(); err != nil && n.ctx.Err() == nil {
			n.fail(fmt.Errorf("serve HTTP: %w", err))
		}
	})
	return nil
}

// webHeap is the node's client as package web sees it.
type webHeap struct{ *client.Heap }

func (w webHeap) Idempotent(id message.ClientID) web.Heap { return webHeap{w.Heap.Idempotent(id)} }

// counters are the numbers that other rooms keep, for STATS.
func (n *Node) counters() []message.Counter {
	out := []message.Counter{{Name: "raft_batches_refused", Value: n.inbox.Refused.Load()}, {Name: "malformed_requests", Value: n.stats.refused.Load()}}
	out = append(out, n.host.Traffic()...)
	out = append(out, n.leaseCounters()...)
	out = append(out, n.runs.counters()...)
	out = append(out, n.keeper.Counters()...)
	return append(out, n.transport.Stats()...)
}

// writeMetrics puts out this node's numbers in the Prometheus text format.
func (n *Node) writeMetrics(w io.Writer) {
	n.stats.write(w)
	for _, c := range n.counters() {
		fmt.Fprintf(w, "dmalloc_%s_total %d\n", c.Name, c.Value)
	}
	for _, g := range n.keeper.Gauges() {
		fmt.Fprintf(w, "dmalloc_%s %d\n", g.Name, g.Value)
	}
	for _, g := range n.runs.gauges() {
		fmt.Fprintf(w, "dmalloc_%s %d\n", g.Name, g.Value)
	}
	for _, g := range n.leaseGauges() {
		fmt.Fprintf(w, "dmalloc_%s %d\n", g.Name, g.Value)
	}
	one, two := n.keeper.Reads()
	if one+two > 0 {
		fmt.Fprintf(w, "dmalloc_register_reads_one_round_ratio %g\n", float64(one)/float64(one+two))
	}
	fmt.Fprintf(w, "dmalloc_jobs_running %d\n", n.jobs.Running())
	s := n.Status()
	for _, b := range s.Detector {
		for _, state := range []string{"alive", "suspect", "dead"} {
			is := 0
			if b.State == state {
				is = 1
			}
			fmt.Fprintf(w, "dmalloc_detector{node=\"%s\",state=%q} %d\n", b.Node, state, is)
		}
	}
	if n.cfg.Certs != nil {
		usable := 1 // 0: expired, or replaced by files that do not fit
		if n.cfg.Certs.Problem() != nil {
			usable = 0
		}
		fmt.Fprintf(w, "dmalloc_certificate_expires_seconds %d\ndmalloc_certificate_usable %d\n", n.cfg.Certs.Expires().Unix(), usable)
	}
	n.writeMoves(w)
	writeMemory(w, *s.MemoryUse)
	fmt.Fprintf(w, "dmalloc_boot %d\n", s.Boot)
	for _, r := range s.Replicas {
		leads := 0
		if r.Leader != nil && *r.Leader == n.cfg.ID {
			leads = 1
		}
		known := 0
		if r.Leader != nil {
			known = 1
		}
		for name, v := range map[string]uint64{"leads": uint64(leads), "leader_known": uint64(known), "term": r.Term, "applied_index": r.Applied,
			"used_bytes": r.Used, "capacity_bytes": r.Capacity, "allocations": r.Count, "resident_bytes": r.Bytes} {
			fmt.Fprintf(w, "dmalloc_company_%s{company=\"%s\"} %d\n", name, r.Company, v)
		}
	}
	metrics.WriteProcessMetrics(w)
}

// residentBytes is the process's resident memory, 0 where the system does not say.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

func clusterNumber(hex string) uint64 {
	n, _ := strconv.ParseUint(hex, 16, 64) // Open has judged it
	return n
}
