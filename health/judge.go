package health

import (
	"fmt"
	"slices"
	"strings"

	"dmalloc/message"
)

const (
	farBehind  = 1024      // log entries: an owner further behind than that is catching up
	littleDisk = 256 << 20 // bytes
	clockApart = 500       // milliseconds
	unknown    = "unknown" // of a node that says nothing and of which nobody knows more
	silent     = "silent"  // of a node whose process runs and does not answer
)

// judge gathers what the parts of the judgement share.
type judge struct {
	v      View
	d      *message.Directory
	states map[message.NodeID]string
	report Report
}

// Judge makes the report of a view.
func Judge(v View) Report {
	d := v.Directory
	if d == nil {
		d = &message.Directory{}
	}
	j := &judge{v: v, d: d, states: map[message.NodeID]string{}, report: Report{Revive: [][]message.NodeID{}, Nodes: []Node{}, Companies: []Company{}, Warnings: []string{}, Faults: append([]Fault{}, v.Faults...)}}
	j.nodes()
	j.cluster()
	var needs []need
	for i := range d.Companies {
		c, wants := j.company(&d.Companies[i])
		j.report.Companies = append(j.report.Companies, c)
		needs = append(needs, wants...)
	}
	j.distances()
	wants := j.registers()
	j.verdict(append(needs, wants...))
	return j.report
}

func (j *judge) nodes() {
	for _, n := range j.d.Present() {
		s, answers := j.v.Said[n.ID]
		state := j.v.Processes[n.ID]
		switch {
		case answers && state != "paused" && state != "dead":
			state = "alive"
		case state == "":
			state = unknown
		case state == "alive":
			state = silent
		}
		answers = answers && state == "alive" // an answer may have been under way when the process stopped
		j.states[n.ID] = state
		x := Node{ID: n.ID, State: state, Answers: answers, Detector: j.believed(n.ID)}
		if answers {
			x.CatchingUp, x.DiskFree, x.Version, x.Memory = !s.CaughtUp, s.DiskFree, s.Version, s.Memory
			if u := s.MemoryUse; u != nil {
				x.MemoryLimit = u.Limit
				if u.Full() {
					j.warn("node %s takes %s of memory and is to stay within %s; `memory` says by what", n.ID, mebibytes(u.Resident), mebibytes(u.Limit))
				}
			}
			if c, ok := j.v.Clocks[n.ID]; ok && !c.Unmeasured {
				x.Clock = &c
			}
			if s.DiskTotal > 0 && s.DiskFree < littleDisk {
				j.warn("node %s has %s left on its disk; make room before it is full", n.ID, message.FormatSize(s.DiskFree>>20<<20))
			}
		}
		j.report.Nodes = append(j.report.Nodes, x)
	}
	for _, x := range j.report.Nodes {
		if x.Answers && (x.Detector == "suspect" || x.Detector == "dead") {
			j.warn("node %s answers here, but the other nodes hold it for %s: its links may be slow or cut", x.ID, x.Detector)
		}
		if c := x.Clock; c != nil && max(c.AheadMS, -c.AheadMS)-c.WithinMS > clockApart {
			j.warn("the clock of node %s is %d ms off; times in logs and certificates go by it", x.ID, c.AheadMS)
		}
	}
}

// answers says whether a node said something that counts.
func (j *judge) answers(n message.NodeID) (message.NodeStatus, bool) {
	s, ok := j.v.Said[n]
	return s, ok && j.states[n] == "alive"
}

// believed is what most of the other nodes' failure detectors say of a node.
func (j *judge) believed(id message.NodeID) string {
	votes := map[string]int{}
	for _, n := range j.d.Nodes {
		for _, b := range j.v.Said[n.ID].Detector {
			if b.Node == id && n.ID != id {
				votes[b.State]++
			}
		}
	}
	best := ""
	for state, n := range votes {
		if n > votes[best] || n == votes[best] && state > best {
			best = state
		}
	}
	return best
}

func (j *judge) cluster() {
	s := j.d.Settings
	c := Cluster{ID: s.Cluster, Nodes: len(j.d.Present()), Versions: []string{}, Epoch: j.d.Epoch, Replicas: s.Replicas,
		RegisterReplicas: j.d.Registers.Replicas, Acks: s.Acks, Memory: s.Memory}
	c.ReplaceAfterMS, c.Cache, c.WriteBack, c.Runs = -1, s.Cache, s.WriteBack, s.Runs
	if ms, ever := s.Patience(); ever {
		c.ReplaceAfterMS = ms
	}
	if c.Cache == 0 {
		c.Cache = message.DefaultCache
	}
	if c.Acks == "" {
		c.Acks = "majority"
	}
	for _, n := range j.report.Nodes {
		if n.Answers {
			c.Answering++
			if !slices.Contains(c.Versions, n.Version) {
				c.Versions = append(c.Versions, n.Version)
			}
		}
	}
	slices.Sort(c.Versions)
	if len(c.Versions) > 1 {
		j.warn("the nodes are of %d versions: %s; restart those that are behind", len(c.Versions), strings.Join(c.Versions, ", "))
	}
	j.report.Cluster = c
}

func mebibytes(n uint64) string { return message.FormatSize(n >> 20 << 20) }

func (j *judge) warn(format string, args ...any) {
	j.report.Warnings = append(j.report.Warnings, fmt.Sprintf(format, args...))
}

// verdict sums up in one line and finds who would restore what is unavailable.
func (j *judge) verdict(needs []need) {
	r := &j.report
	r.State = r.Registers.State
	var lost, leaderless, weak, behind []message.CompanyID
	for _, c := range r.Companies {
		r.State = worse(r.State, c.State)
		switch {
		case c.State == Unavailable && 2*(len(c.Missing)+len(c.Broken)) >= len(c.Owners):
			lost = append(lost, c.ID)
		case c.State == Unavailable:
			leaderless = append(leaderless, c.ID)
		case len(c.Missing)+len(c.Broken) > 0:
			weak = append(weak, c.ID)
		case len(c.CatchingUp) > 0:
			behind = append(behind, c.ID)
		}
	}
	sets, exact := j.restore(needs)
	r.Exact = exact
	if len(sets) > 0 {
		r.Revive = sets
	}
	if len(r.Companies) == 0 {
		r.State, r.Verdict = Unavailable, "unavailable: nothing is known of the cluster"
		return
	}
	var parts []string
	if len(lost) > 0 {
		parts = append(parts, companies(lost)+" no majority")
	}
	if len(leaderless) > 0 {
		parts = append(parts, companies(leaderless)+" no leader yet, though a majority is there: an election is under way")
	}
	if n := r.Registers.Unavailable; n > 0 {
		lack := "have no quorum"
		if j.d.Settings.Acks == "all" {
			lack = "lack replicas that must acknowledge (acks all)"
		}
		parts = append(parts, fmt.Sprintf("registers of %d of %s %s", n, count(r.Registers.Shards, "shard"), lack))
	}
	if r.State == Degraded {
		parts = j.weaknesses(weak, behind)
	}
	switch {
	case r.State == Healthy:
		r.Verdict = fmt.Sprintf("healthy: %s, %s, all there", count(len(j.d.Present()), "node"), count(len(r.Companies)-1, "company"))
		if n, all := r.Cluster.Answering, len(j.d.Present()); n < all { // others have taken the places of the rest
			r.Verdict = fmt.Sprintf("healthy: %s, none lacks an owner; %d of %s answer", count(len(r.Companies)-1, "company"), n, count(all, "node"))
		}
		if len(r.Warnings) > 0 {
			r.Verdict += fmt.Sprintf("; %s", count(len(r.Warnings), "warning"))
		}
	default:
		r.Verdict = string(r.State) + ": " + strings.Join(parts, ", ")
	}
	if len(sets) > 0 {
		r.Verdict += "; " + alternatives(sets, j.states)
		if !exact && len(sets) == 1 {
			r.Verdict += ", which is enough, if perhaps not the fewest"
		}
	} else if r.State == Unavailable && (len(lost) > 0 || r.Registers.Unavailable > 0) {
		r.Verdict += "; no node's return would restore it: see the companies' reasons"
	}
}

// weaknesses say why a cluster that works is not healthy.
func (j *judge) weaknesses(weak, behind []message.CompanyID) (parts []string) {
	var quiet []message.NodeID
	for _, n := range j.report.Nodes {
		if !n.Answers {
			quiet = append(quiet, n.ID)
		}
	}
	if len(quiet) > 0 {
		verb := "do"
		if len(quiet) == 1 {
			verb = "does"
		}
		parts = append(parts, fmt.Sprintf("%s %s not answer", nodes(quiet), verb))
	}
	if len(weak) > 0 {
		parts = append(parts, companies(weak)+" a majority, but not all owners")
	}
	if n := j.report.Registers.Degraded; n > 0 {
		parts = append(parts, fmt.Sprintf("registers of %s have a quorum, but not all replicas", count(n, "shard")))
	}
	if len(behind) > 0 {
		parts = append(parts, companies(behind)+" owners that are catching up")
	}
	return parts
}

// companies begins a sentence: "company 1 has", "companies 1,3 have"; the directory by its name.
func companies(ids []message.CompanyID) string {
	if len(ids) == 1 {
		if ids[0] == 0 {
			return "the directory (company 0) has"
		}
		return "company " + ids[0].String() + " has"
	}
	return "companies " + list(ids) + " have"
}

func nodes(ids []message.NodeID) string {
	if len(ids) == 1 {
		return "node " + ids[0].String()
	}
	return "nodes " + list(ids)
}
