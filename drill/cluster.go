package drill

import (
	"context"
	"slices"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// Faults does what a line of the script says.
type Faults interface {
	// Do runs one line as the shell would and returns when the fault is there, or ended: it does not wait for
	// --for, which ends the fault in the background. Revive returns when the node has caught up. A node that lives
	// already is revived with AlreadyAlive, and one whose files are refused with Corrupt.
	Do(ctx context.Context, line string) error
}

// View tells how the cluster is. client.Heap has it.
type View interface {
	Companies(ctx context.Context) ([]client.Company, error)
}

// Dial makes a heap of its own for a client, which talks to one node first, or to any if that is NoNode. No
// two heaps share what makes a retry harmless. Close is called once.
type Dial func(ctx context.Context, node message.NodeID) (heap Heap, close func(), err error)

// Cluster is what a drill breaks.
type Cluster struct {
	Faults Faults
	View   View
	Dial   Dial
	// Verify compares what the owners of every company hold when all is healed and nobody works. It returns
	// message.Broken where they differ, and retries what may yet come until ctx ends. nil: nothing is compared.
	Verify func(ctx context.Context) error
	// Holding asks a node what it has lost of what it absorbed. nil where no holder absorbs anything.
	Holding func(ctx context.Context, n message.NodeID) (Holding, error)
}

// Config says how a drill goes. Nodes, IDs, Next, Replicas, Companies, ReplaceAfter and WriteBack describe the cluster.
type Config struct {
	Seed      uint64
	Length    time.Duration // how long faults come; 0 means 30 s, or what the script takes
	Kinds     []Kind        // nil means DefaultKinds, or Majority where one owner is all there is
	Pace      time.Duration // the mean time between the beginnings of faults; 0 means what Plan says
	Script    []Step        // played instead of a plan, where it is not nil
	Nodes     int
	IDs       []message.NodeID // of the nodes, by number; nil means from 0 on
	Next      message.NodeID   // the number of the next node that joins; 0 means one more than the last
	Replicas  int
	Companies int // besides the directory
	// ReplaceAfter is for how long a node may be dead before others take its place; 0 means that nobody does.
	ReplaceAfter time.Duration
	// WriteBack says that the holder of an exclusive lease may keep writes to itself.
	WriteBack bool
	Leases    Leasing

	Clients   int           // 0 means 4
	Rate      int           // calls a second of each client, at most; 0 means 200
	Timeout   time.Duration // of a call; 0 means 4 s
	Heal      time.Duration // how long the cluster may take to be whole again; 0 means 60 s
	Stuck     time.Duration // within which every company, the registers and malloc must work after the heal; 0 means 10 s
	Judge     time.Duration // how long the checker may take; 0 means 60 s, or a quarter of a longer Length. What it has not judged then fails the drill
	MaxCalls  int           // that are recorded, about 250 bytes each; beyond them the drill fails. 0 means what clients can make at their rate, 1,000,000 to 8,000,000
	Registers uint64        // the first register to use; those that hold something are passed over. 0 means one by the seed
}

// WithDefaults fills in and judges a configuration.
func (c Config) WithDefaults() (Config, error) {
	c.Clients, c.Rate = or(c.Clients, 4), or(c.Rate, 200)
	c.Timeout, c.Heal, c.Stuck = or(c.Timeout, 4*time.Second), or(c.Heal, time.Minute), or(c.Stuck, 10*time.Second)
	c.Registers = or(c.Registers, 0xd000_0000_0000_0000|c.Seed<<20&0x0fff_ffff_fff0_0000)
	if c.Script != nil {
		c.Length = or(c.Length, lasts(c.Script))
	}
	c.Length = or(c.Length, 30*time.Second)
	c.Judge = or(c.Judge, max(time.Minute, c.Length/4))
	c.MaxCalls = or(c.MaxCalls, int(min(mostCalls, max(fewCalls, 2*c.Length.Seconds()*float64(c.Rate)*float64(c.Clients)))))
	if c.Kinds == nil {
		c.Kinds = DefaultKinds()
		if c.plan().Minority() < 1 {
			c.Kinds = []Kind{Majority}
		}
	}
	if c.IDs == nil {
		c.IDs = firstNodes(c.Nodes)
	}
	if n := len(c.IDs); n > 0 {
		c.Next = or(c.Next, c.IDs[n-1]+1)
	}
	switch {
	case c.Nodes < 1 || c.Companies < 0 || len(c.IDs) != c.Nodes:
		return c, message.Errorf(message.InvalidArgument, "a drill needs a cluster; this one has %d nodes", c.Nodes)
	case c.Clients < 1 || c.Clients > 256:
		return c, message.Errorf(message.InvalidArgument, "%d clients cannot be had; use 1 to 256", c.Clients)
	case c.Rate < 1 || c.Timeout < 0 || c.Heal < 0 || c.Stuck < 0 || c.Judge < 0 || c.MaxCalls < 1 || c.Length < 0:
		return c, message.Errorf(message.InvalidArgument, "times, rates and limits of a drill are positive")
	}
	return c, nil
}

// Of calls that are recorded, unless another number is asked for.
const (
	fewCalls  = 1_000_000
	mostCalls = 8_000_000
)

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (c Config) plan() Plan {
	return Plan{Seed: c.Seed, Length: c.Length, Nodes: c.Nodes, Replicas: c.Replicas, Companies: c.Companies, Kinds: c.Kinds, Pace: c.Pace, ReplaceAfter: c.ReplaceAfter}
}

// timetable is that of the plan, which begins now.
func (c Config) timetable(now time.Duration) *timetable {
	rows, _ := c.plan().rows() // the plan was made
	return &timetable{begin: now, spare: c.plan().pace(rows).spare, began: map[int]moment{}}
}

// planned counts the faults of a script, by kind.
func planned(steps []Step, replaceAfter time.Duration) map[string]int {
	all := map[string]int{}
	for i, s := range steps {
		k := s.Command.Kind()
		if k == Kill && replaceAfter > 0 && deadFor(steps[i:]) > replaceAfter {
			k = Replace
		}
		if k != "" {
			all[string(k)]++
		}
	}
	return all
}

// moves says whether owners of companies may change while the run plays its steps.
func (c Config) moves(steps []Step) bool {
	return c.plan().replaces() || slices.ContainsFunc(steps, func(s Step) bool { return s.Command.moves() })
}

// steps is the script that the run plays.
func (c Config) steps() ([]Step, error) {
	if c.Script == nil {
		return c.plan().Steps()
	}
	return c.Script, known(c.Script, stateOf(c.IDs, c.Next))
}

// nodes lists every node that a command names.
func (c Command) nodes() []Who {
	all := append([]Who(nil), c.Who...)
	for _, g := range c.Groups {
		all = append(all, g...)
	}
	return all
}

// whole says why the cluster is not whole, "" if it is.
func notWhole(companies []client.Company) string {
	if len(companies) == 0 {
		return "no company is known"
	}
	for _, c := range companies {
		switch {
		case c.Leader == nil:
			return "company " + c.ID.String() + " has no leader"
		case c.Alive < len(c.Owners):
			return "an owner of company " + c.ID.String() + " does not answer"
		case c.Missing > 0:
			return "company " + c.ID.String() + " has fewer owners than it should have"
		case len(c.Moves) > 0:
			return "the owners of company " + c.ID.String() + " are changing"
		}
	}
	return ""
}
