package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dmalloc/message"
)

// Level is how bad a finding is.
type Level string

const (
	Pass Level = "PASS"
	Warn Level = "WARN"
	Fail Level = "FAIL"
)

// Finding is one line of the report.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"`
}

// Facts are what was measured. A nil pointer or an empty list was not asked for (E3).
type Facts struct {
	Nodes   int // that are to run on this machine
	Memory  uint64
	Ports   []Port
	Disk    *Disk
	Clock   *Clock
	Limits  *Limits
	Tools   []Tool
	Hosts   []Host
	HostErr string // why the hostfile cannot be used
	Cluster *Cluster
}

// Port is an address that is to be listened at.
type Port struct {
	Address string
	Err     string // why it cannot be
}

// Disk is the directory that keeps the data.
type Disk struct {
	Dir         string
	Err         string // why nothing can be written there
	Free, Total uint64
	Temporary   bool // nobody named it: it is where data goes that is not kept
	Syncs       []time.Duration
}

// Clock is how this machine's clock goes.
type Clock struct {
	Backwards int           // how often it went back while it was watched
	Drift     time.Duration // of the wall clock against the monotonic one, while the disk was measured
}

// Limits are what the system allows this process.
type Limits struct {
	Files  uint64 // open files
	Memory uint64 // bytes that are available; 0 if it is not known
	Cores  int
}

// Tool is a program beside dmalloc.
type Tool struct {
	Name, For string
	Found     bool
}

// Host is a line of the hostfile.
type Host struct {
	Name string
	Err  string // why it cannot be reached
}

// Cluster is what a running cluster said.
type Cluster struct {
	Err      string // why it did not
	Verdict  string
	State    string // of package health
	Own      string // version of this program
	Versions map[message.NodeID]string
	Clocks   map[message.NodeID]Offset
	Warnings []string
}

// Offset is how far a node's clock is ahead of this machine's.
type Offset struct{ Ahead, Within time.Duration }

// LittleDisk is how many free bytes are too few to go on for long.
const LittleDisk = 1 << 30

const (
	slowSync    = 20 * time.Millisecond
	noDisk      = 64 << 20  // bytes
	nodeMemory  = 128 << 20 // bytes that a node takes with little in it
	filesBase   = 256
	filesANode  = 8 // connections, logs and pipes that grow with the number of nodes
	clockApart  = 500 * time.Millisecond
	crowded     = 8 // nodes a core
	jumpedClock = 100 * time.Millisecond
)

// Judge makes findings of facts.
func Judge(f Facts) []Finding {
	var out []Finding
	for _, part := range []func(Facts) []Finding{ports, disk, clock, limits, tools, hosts, cluster} {
		out = append(out, part(f)...)
	}
	return out
}

// Worst is the worst level of findings.
func Worst(all []Finding) Level {
	worst := Pass
	for _, x := range all {
		if x.Level == Fail || x.Level == Warn && worst == Pass {
			worst = x.Level
		}
	}
	return worst
}

func finding(check string, level Level, do, format string, args ...any) Finding {
	return Finding{Check: check, Level: level, Says: fmt.Sprintf(format, args...), Do: do}
}

func ports(f Facts) (out []Finding) {
	free := 0
	for _, p := range f.Ports {
		if p.Err == "" {
			free++
			continue
		}
		out = append(out, finding("ports", Fail, "end what listens there, or choose others with --port and --http; if the cluster that you ask about is up, it is what listens there", "%s cannot be listened at: %s", p.Address, p.Err))
	}
	if len(out) == 0 && free > 0 {
		out = append(out, finding("ports", Pass, "", "%d of %d can be listened at: %s", free, len(f.Ports), f.Ports[0].Address+more(len(f.Ports)-1)))
	}
	return out
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

func disk(f Facts) (out []Finding) {
	d := f.Disk
	if d == nil {
		return nil
	}
	if d.Err != "" {
		return []Finding{finding("data", Fail, "give a directory that you may write, with --data", "%s cannot be used: %s", d.Dir, d.Err)}
	}
	where := d.Dir
	if d.Temporary {
		where += " (temporary; --data DIR asks about another one)"
	}
	out = append(out, finding("data", Pass, "", "%s can be written", where))
	free := message.FormatSize(d.Free >> 20 << 20)
	switch {
	case d.Total == 0:
	case d.Free < noDisk:
		out = append(out, finding("space", Fail, "make room, or choose another file system", "%s are free", free))
	case d.Free < LittleDisk || d.Free < f.Memory:
		out = append(out, finding("space", Warn, "make room: the logs alone may take several times what is written", "%s are free", free))
	default:
		out = append(out, finding("space", Pass, "", "%s are free", free))
	}
	if len(d.Syncs) == 0 {
		return out
	}
	p50, p99 := Quantile(d.Syncs, 0.50), Quantile(d.Syncs, 0.99)
	says := fmt.Sprintf("%d syncs of 4 KiB: p50 %s, p99 %s", len(d.Syncs), round(p50), round(p99))
	if p99 > slowSync {
		out = append(out, finding("fsync", Warn, "every acknowledged change waits for a sync: use a faster disk, or end what else writes to it", "%s; over %v is slow", says, slowSync))
	} else {
		out = append(out, finding("fsync", Pass, "", "%s", says))
	}
	return out
}

// Quantile of durations, by rank.
func Quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Clone(all)
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func clock(f Facts) []Finding {
	c := f.Clock
	switch {
	case c == nil:
		return nil
	case c.Backwards > 0:
		return []Finding{finding("clock", Fail, "the system's monotonic clock is broken; timeouts and elections rely on it", "it went backwards %d times", c.Backwards)}
	case max(c.Drift, -c.Drift) > jumpedClock:
		return []Finding{finding("clock", Warn, "somebody sets the clock, or time synchronisation jumps; let it slew", "the wall clock moved by %v against the monotonic one", c.Drift.Round(time.Millisecond))}
	}
	return []Finding{finding("clock", Pass, "", "monotonic, and the wall clock goes with it")}
}

func limits(f Facts) (out []Finding) {
	l := f.Limits
	if l == nil {
		return nil
	}
	nodes := uint64(max(f.Nodes, 1))
	want := filesBase + filesANode*nodes
	switch {
	case l.Files < want/2:
		out = append(out, finding("files", Fail, fmt.Sprintf("raise it: ulimit -n %d", want), "%d files may be open, %s want %d", l.Files, plural(f.Nodes), want))
	case l.Files < want:
		out = append(out, finding("files", Warn, fmt.Sprintf("raise it: ulimit -n %d", want), "%d files may be open, %s want up to %d", l.Files, plural(f.Nodes), want))
	default:
		out = append(out, finding("files", Pass, "", "%d files may be open, %s want up to %d", l.Files, plural(f.Nodes), want))
	}
	if l.Memory > 0 {
		level, do := Pass, ""
		if l.Memory < nodes*nodeMemory {
			level, do = Warn, "start fewer nodes here with -n, or spread them with --hostfile"
		}
		out = append(out, finding("memory", level, do, "%s available, %s take about %s with little in them",
			message.FormatSize(l.Memory>>20<<20), plural(f.Nodes), message.FormatSize(nodes*nodeMemory)))
	}
	level, do := Pass, ""
	if f.Nodes > crowded*l.Cores {
		level, do = Warn, "elections may come from mere slowness; start fewer nodes here, or spread them with --hostfile"
	}
	return append(out, finding("cores", level, do, "%d for %s", l.Cores, plural(f.Nodes)))
}

func plural(nodes int) string {
	if nodes == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", nodes)
}

func tools(f Facts) (out []Finding) {
	for _, t := range f.Tools {
		if t.Found {
			out = append(out, finding(t.Name, Pass, "", "found"))
		} else {
			out = append(out, finding(t.Name, Warn, "install it if you want to "+t.For+"; dmalloc itself does not need it", "not found"))
		}
	}
	return out
}

func hosts(f Facts) (out []Finding) {
	if f.HostErr != "" {
		out = append(out, finding("hostfile", Fail, "correct the hostfile: one `host slots=K` a line", "%s", f.HostErr))
	}
	for _, h := range f.Hosts {
		if h.Err == "" {
			out = append(out, finding("host "+h.Name, Pass, "", "can be reached"))
			continue
		}
		out = append(out, finding("host "+h.Name, Fail, "the agent must reach it without asking for anything: try it by hand, or choose another with --agent", "cannot be reached: %s", h.Err))
	}
	return out
}

func cluster(f Facts) (out []Finding) {
	c := f.Cluster
	if c == nil {
		return nil
	}
	if c.Err != "" {
		return []Finding{finding("cluster", Fail, "give the address of a node that lives; `nodes` shows them", "%s", c.Err)}
	}
	switch c.State {
	case "healthy":
		out = append(out, finding("cluster", Pass, "", "%s", c.Verdict))
	case "degraded":
		out = append(out, finding("cluster", Warn, "`status` says more", "%s", c.Verdict))
	default:
		out = append(out, finding("cluster", Fail, "`status` says more", "%s", c.Verdict))
	}
	out = append(out, versions(c), clocks(c))
	for _, w := range c.Warnings {
		out = append(out, finding("cluster", Warn, "`status` shows it, too", "%s", w))
	}
	return out
}

// versions compares the nodes' programs with each other and with this one.
func versions(c *Cluster) Finding {
	by := map[string][]string{}
	for _, n := range order(c.Versions) {
		by[c.Versions[n]] = append(by[c.Versions[n]], n.String())
	}
	var words []string
	for v := range by {
		words = append(words, fmt.Sprintf("%s on %s", v, strings.Join(by[v], ",")))
	}
	slices.Sort(words)
	says := strings.Join(words, "; ")
	switch {
	case len(by) == 0:
		return finding("versions", Warn, "revive a node and ask again", "no node said its version")
	case len(by) > 1:
		return finding("versions", Warn, "restart the nodes that are behind", "the nodes are of different versions: %s", says)
	case by[c.Own] == nil:
		return finding("versions", Warn, "use the program that the nodes were started with", "this program is %s, the nodes are %s", c.Own, says)
	}
	return finding("versions", Pass, "", "%s, as this program", says)
}

// clocks compares the nodes' clocks with this machine's.
func clocks(c *Cluster) Finding {
	var off []string
	most := time.Duration(0)
	for _, n := range order(c.Clocks) {
		o := c.Clocks[n]
		apart := max(o.Ahead, -o.Ahead)
		most = max(most, apart)
		if apart-o.Within > clockApart {
			off = append(off, fmt.Sprintf("node %s is %v ahead", n, o.Ahead))
		}
	}
	if len(off) > 0 {
		return finding("clocks", Warn, "set the clocks by NTP: times in logs and certificates go by them", "%s", strings.Join(off, ", "))
	}
	return finding("clocks", Pass, "", "of %s at most %v apart from this one", plural(len(c.Clocks)), most)
}

func order[T any](m map[message.NodeID]T) []message.NodeID {
	var ids []message.NodeID
	for n := range m {
		ids = append(ids, n)
	}
	slices.Sort(ids)
	return ids
}
