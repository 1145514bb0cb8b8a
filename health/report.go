package health

import (
	"fmt"
	"strings"

	"dmalloc/message"
)

// State is how well something can be used.
type State string

const (
	Healthy     State = "healthy"
	Degraded    State = "degraded"    // it works, and survives less than it was made for
	Unavailable State = "unavailable" // it cannot be used now
)

func worse(a, b State) State {
	if a == Unavailable || b == Healthy {
		return a
	}
	return b
}

// View is what is known when the judgement is made.
type View struct {
	Directory *message.Directory
	Said      map[message.NodeID]message.NodeStatus // of those nodes that answered
	Processes map[message.NodeID]string             // what the launcher says: alive, dead, paused, starting; empty if there is none
	Clocks    map[message.NodeID]Clock              // of those that answered
	Faults    []Fault                               // what the launcher says is broken on purpose
}

// Fault is something that the launcher breaks on purpose until it is healed.
type Fault struct {
	ID     uint64 `json:"id"`                // 0: it has no number, and ends with revive or resume
	Kind   string `json:"kind"`              // partition, one-way, slow, drop, disk full, disk slow, clock, kill, pause
	Fault  string `json:"fault"`             // as it was asked for: slow 0 1 50ms
	LeftMS int64  `json:"left_ms,omitempty"` // until it ends by itself; 0: it lasts until it is healed
}

// Clock is how far a node's clock is ahead of the asker's, as far as that can be known.
type Clock struct {
	AheadMS    int64 `json:"ahead_ms"`
	WithinMS   int64 `json:"within_ms"` // half of the time that the answer took
	Unmeasured bool  `json:"-"`         // the node's version does not say its time
}

// Report is the judgement.
type Report struct {
	Verdict   string             `json:"verdict"` // one line
	State     State              `json:"state"`
	Revive    [][]message.NodeID `json:"revive"` // the smallest sets of nodes whose return restores what is unavailable
	Exact     bool               `json:"exact"`  // no smaller set than those does, and none of that size is left out
	Cluster   Cluster            `json:"cluster"`
	Nodes     []Node             `json:"nodes"`
	Companies []Company          `json:"companies"` // the directory, company 0, first
	Registers Registers          `json:"registers"`
	Warnings  []string           `json:"warnings"`
	Faults    []Fault            `json:"faults"` // that last, which were injected on purpose
}

// Cluster is what the cluster was made with.
type Cluster struct {
	ID               string   `json:"id"`
	Nodes            int      `json:"nodes"`
	Answering        int      `json:"answering"`
	Versions         []string `json:"versions"` // of the programs of nodes that answer
	Epoch            uint64   `json:"epoch"`    // of the directory
	Replicas         int      `json:"replicas"`
	RegisterReplicas int      `json:"register_replicas"`
	ReplaceAfterMS   int64    `json:"replace_after_ms"` // that a node may be dead before others take its place; -1: for ever
	Cache            uint64   `json:"cache"`            // bytes of leased pages that a node keeps
	WriteBack        bool     `json:"write_back"`       // holders of exclusive leases may keep writes to themselves
	Runs             int      `json:"runs,omitempty"`   // small blocks that a node has set aside at once
	Acks             string   `json:"acks"`
	Memory           uint64   `json:"memory"`
}

// Node is how a node is.
type Node struct {
	ID         message.NodeID `json:"id"`
	State      string         `json:"state"` // alive, paused, dead, starting, silent (its process runs, and does not answer), unknown
	Answers    bool           `json:"answers"`
	Detector   string         `json:"detector"` // what most of the others' failure detectors say; empty if none says anything
	CatchingUp bool           `json:"catching_up"`
	DiskFree   uint64         `json:"disk_free"` // bytes; 0 where it is not known
	// Memory is resident bytes, and MemoryLimit what it is to stay within; 0 where it is not known.
	Memory      uint64 `json:"memory"`
	MemoryLimit uint64 `json:"memory_limit"`
	Version     string `json:"version"`
	Clock       *Clock `json:"clock,omitempty"`
}

// Company is how a company is.
type Company struct {
	ID         message.CompanyID  `json:"id"`
	State      State              `json:"state"`
	Owners     []message.NodeID   `json:"owners"`
	Missing    []message.NodeID   `json:"missing"`     // owners that do not answer
	Broken     []message.NodeID   `json:"broken"`      // owners that answer and do not serve
	CatchingUp []message.NodeID   `json:"catching_up"` // owners that serve and are behind, and those that join
	Leader     *message.NodeID    `json:"leader"`
	Revive     [][]message.NodeID `json:"revive"` // the smallest sets for this one alone
	Why        string             `json:"why"`
}

// Registers is how the registers are, counted in shards.
type Registers struct {
	State       State              `json:"state"`
	Epoch       uint64             `json:"epoch"`
	Moving      bool               `json:"moving"` // members change
	Shards      int                `json:"shards"`
	Degraded    int                `json:"degraded"`
	Unavailable int                `json:"unavailable"`
	Down        []message.NodeID   `json:"down"`   // members that do not answer, or answer after their disk was lost
	Revive      [][]message.NodeID `json:"revive"` // the smallest sets for the registers alone
}

// list shows numbers as 0,1,2.
func list[T fmt.Stringer](xs []T) string {
	words := make([]string, len(xs))
	for i, x := range xs {
		words[i] = x.String()
	}
	return strings.Join(words, ",")
}

// offered is how many sets the verdict names; JSON has the others.
const offered = 4

// alternatives says "revive 0 or 2", "revive 0 and 1, or 0 and 2"; frozen nodes are resumed.
func alternatives(sets [][]message.NodeID, states map[message.NodeID]string) string {
	shown := sets[:min(len(sets), offered)]
	verbs := map[string]bool{}
	for _, set := range shown {
		for _, n := range set {
			verbs[verbFor(states[n])] = true
		}
	}
	only := ""
	if len(verbs) == 1 {
		for v := range verbs { // the only one
			only = v
		}
	}
	words := make([]string, len(shown))
	for i, set := range shown {
		parts := make([]string, len(set))
		for j, n := range set {
			parts[j] = n.String()
			if only == "" {
				parts[j] = verbFor(states[n]) + " " + parts[j]
			}
		}
		words[i] = strings.Join(parts, " and ")
	}
	sep := " or "
	if len(shown) > 0 && len(shown[0]) > 1 {
		sep = ", or "
	}
	text := strings.Join(words, sep)
	if only != "" {
		text = only + " " + text
	}
	if more := len(sets) - len(shown); more > 0 {
		text += ", or others"
	}
	return text
}

func verbFor(state string) string {
	switch state {
	case "paused":
		return "resume"
	case "starting":
		return "wait for"
	case silent: // its process need not be started, but something stands between
		return "reach"
	}
	return "revive"
}

func count(n int, thing string) string {
	if n != 1 {
		if base, ok := strings.CutSuffix(thing, "y"); ok {
			thing = base + "ie"
		}
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
