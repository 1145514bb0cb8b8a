package repl

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"dmalloc/health"
	"dmalloc/message"
)

// clusterStatus is `status`: what can be used, and who would restore the rest. The command succeeds however the cluster is.
func (s *Shell) clusterStatus(c *call) (result, error) {
	r, err := s.heap.Status(c.ctx)
	if err != nil {
		return result{}, err
	}
	return result{text: statusText(r), columns: []string{"what", "id", "state", "missing", "revive", "why"}, rows: statusRows(r),
		fields: []field{{"verdict", r.Verdict}, {"state", r.State}, {"revive", some(r.Revive)}, {"exact", r.Exact}, {"cluster", r.Cluster}, {"nodes", some(r.Nodes)},
			{"companies", some(r.Companies)}, {"registers", r.Registers}, {"warnings", some(r.Warnings)}, {"faults", some(r.Faults)}}}, nil
}

// statusText is the report as a person reads it: the verdict, then what is not as it should be.
func statusText(r health.Report) string {
	var b strings.Builder
	c := r.Cluster
	fmt.Fprintf(&b, "%s\n\n", escape(r.Verdict, false))
	fmt.Fprintf(&b, "cluster %s, %s, %d answer, program %s; %d owners a company, %d replicas a register, acks %s, %s a node\ndead nodes are replaced %s; a node caches up to %s%s\n",
		escape(c.ID, false), count(c.Nodes, "node"), c.Answering, escape(strings.Join(c.Versions, ", "), false), c.Replicas, c.RegisterReplicas, escape(c.Acks, false), message.FormatSize(c.Memory),
		replacedText(c.ReplaceAfterMS), message.FormatSize(c.Cache), backText(c.WriteBack)+runsText(c.Runs))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	well := 0
	for _, n := range r.Nodes {
		said := nodeSays(n)
		if said == "" {
			well++
			continue
		}
		fmt.Fprintf(w, "node %s\t%s\t%s\n", n.ID, n.State, said)
	}
	fine := 0
	for _, x := range r.Companies {
		if x.State == health.Healthy {
			fine++
			continue
		}
		fmt.Fprintf(w, "company %s\t%s\towners %s: %s\n", x.ID, x.State, list(x.Owners), escape(x.Why, false))
	}
	if g := r.Registers; g.State != health.Healthy {
		fmt.Fprintf(w, "registers\t%s\tof %s %d have no quorum and %d not all replicas; missing: %s\n", g.State, count(g.Shards, "shard"), g.Unavailable, g.Degraded, list(g.Down))
	}
	if r.Registers.Moving {
		fmt.Fprintf(w, "registers\tmoving\ttheir members change (epoch %d)\n", r.Registers.Epoch)
	}
	_ = w.Flush() // into memory
	fmt.Fprintf(&b, "%d of %s well, %d of %d companies healthy, the directory counted\n", well, count(len(r.Nodes), "node"), fine, len(r.Companies))
	for _, text := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", escape(text, false))
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "fault on purpose: %s%s\n", escape(f.Fault, false), until(f))
	}
	return b.String()
}

// nodeSays is what is to be said of a node, "" if it is well.
func nodeSays(n health.Node) string {
	var said []string
	switch {
	case n.Answers:
	case n.State == "silent":
		said = append(said, "its process runs, but does not answer here: it is cut off, or busy")
	default:
		said = append(said, "does not answer")
	}
	if n.Detector == "suspect" || n.Detector == "dead" {
		said = append(said, "the other nodes hold it for "+n.Detector)
	}
	if n.CatchingUp {
		said = append(said, "catching up")
	}
	return strings.Join(said, "; ")
}

func statusRows(r health.Report) (rows [][]string) {
	rows = append(rows, []string{"cluster", r.Cluster.ID, string(r.State), "", sets(r.Revive), r.Verdict})
	for _, n := range r.Nodes {
		rows = append(rows, []string{"node", n.ID.String(), n.State, "", "", nodeSays(n)})
	}
	for _, x := range r.Companies {
		rows = append(rows, []string{"company", x.ID.String(), string(x.State), list(x.Missing), sets(x.Revive), x.Why})
	}
	rows = append(rows, []string{"registers", "", string(r.Registers.State), list(r.Registers.Down), sets(r.Registers.Revive), ""})
	for _, text := range r.Warnings {
		rows = append(rows, []string{"warning", "", "", "", "", text})
	}
	for _, f := range r.Faults {
		id := ""
		if f.ID != 0 {
			id = plain(f.ID)
		}
		rows = append(rows, []string{"fault", id, "", "", "", f.Fault + until(f)})
	}
	return rows
}

// sets shows alternatives: 0,1|0,2 is 0 and 1, or 0 and 2.
func sets(all [][]message.NodeID) string {
	words := make([]string, len(all))
	for i, set := range all {
		words[i] = list(set)
	}
	return strings.Join(words, "|")
}

// replacedText says when others take the place of a dead node.
func replacedText(ms int64) string {
	if ms < 0 {
		return "never"
	}
	return "after " + (time.Duration(ms) * time.Millisecond).String()
}

// backText says what may be lost with a holder of a lease.
func runsText(blocks int) string {
	if blocks == 0 {
		return ""
	}
	return fmt.Sprintf("; it sets %s aside at once", count(blocks, "small block"))
}

func backText(writeBack bool) string {
	if writeBack {
		return ", and may keep writes to itself"
	}
	return ""
}
