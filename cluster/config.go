package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmalloc/message"
	"dmalloc/ring"
	"dmalloc/transport"
)

// What a new cluster gets where its Config says nothing.
const (
	DefaultNodes     = 20
	DefaultReplicas  = 3
	DefaultMemory    = 1 << 30 // bytes a node; only pages that are written to take any
	DefaultAcks      = "majority"
	DefaultTick      = 30 // ms
	DefaultElection  = 10 // ticks
	DefaultHeartbeat = 2  // ticks
	DefaultLogShards = 1
	DefaultRegisters = ring.RegisterReplicas
	DefaultExecutors = 2
	DefaultAgent     = "ssh"
)

// DataVersion is the version of the files that a cluster keeps, and of the rules by which a log is applied: owners that
// replay it by different ones would differ.
const DataVersion = 4

// beforeRuns is the version of clusters that have no runs. They are opened as they are.
const beforeRuns = 3

// Config is how a cluster is to be started. What is zero is as the kept directory has it, and as the
// Default constants say for a new cluster.
type Config struct {
	Nodes                     int
	Replicas                  int // owners of a company
	Companies                 int // besides the directory; 0 for a new cluster: as many as ring.Companies says
	RegisterReplicas          int // replicas of a register
	Memory                    uint64
	Acks                      string // "majority" or "all"
	Tick, Election, Heartbeat int    // Raft's times: ms, ticks, ticks
	LogShards, Executors      int    // engine settings that can never change
	Topology                  []message.Edge

	Hosts []Host                   // nil: this machine
	Bind  func(host string) string // address on which a host's nodes listen; nil: loopback if all run here, else the host's name
	Port  int                      // node i listens on Port+i; 0: free ports
	HTTP  string                   // HOST:PORT of node 0's HTTP, node i is on PORT+i; empty: free ports on loopback
	Data  string                   // directory that is kept; empty: a temporary one

	Agent        string   // reaches other hosts, as AGENT HOST RemoteBinary warden; split at spaces
	RemoteBinary string   // empty: Binary's path
	Binary       string   // empty: this program
	NodeArgs     []string // that make the program a node; nil: "node"
	WardenArgs   []string // that make it a warden; nil: "warden"

	Control string // address of the launcher's control port, told to the nodes
	Debug   bool
	Drills  bool // faults that can hurt data are allowed on kept data, too

	Certs    string   // directory with the nodes' certificates, at the same path on every host; empty: no TLS
	Insecure bool     // listen where others can connect, without certificates
	Tokens   [][]byte // SHA-256 of what HTTP requests must show one of; empty: they need none

	Progress func(Progress) // of Start, called by its goroutine
	Notice   func(string)   // something happened that nobody asked for; must not wait
	// Retire tells the directory that a node lost its disk and comes back under a new incarnation.
	Retire func(ctx context.Context, id message.NodeID, incarnation uint64) error
	// Registry is the directory's side of nodes that come and go; nil as long as it cannot be asked. Without it
	// none can.
	Registry func() Registry

	// What may change from one start of a kept cluster to the next; zero leaves it as it was.
	ReplaceAfter int    // ms that a node may be dead before others take its place; negative: for ever
	Cache        uint64 // bytes of leased pages that a node keeps
	WriteBack    *bool  // holders of exclusive leases may keep writes to themselves
	Runs         *int   // small blocks that a node has set aside at once; 0: none
}

// Registry is what the launcher asks of the directory. client.Heap has it.
type Registry interface {
	Directory(ctx context.Context) (*message.Directory, error)
	Admit(ctx context.Context, n message.Node) (message.NodeID, error) // repeated with the same key it is the same node
	Dismiss(ctx context.Context, id message.NodeID) error
	Gone(ctx context.Context, id message.NodeID) error
}

// Progress says how far a start is.
type Progress struct {
	Stage string         // "hosts", "started", "listening", "ready"
	Node  message.NodeID // the latest; message.NoNode where a stage has none
	Done  int
	Total int
}

func (p Progress) String() string {
	return fmt.Sprintf("%s %d/%d", p.Stage, p.Done, p.Total)
}

// withDefaults is a copy in which what does not depend on kept files is filled in and judged.
func (c Config) withDefaults() (Config, error) {
	bad := func(format string, args ...any) (Config, error) {
		return c, message.Errorf(message.InvalidArgument, format, args...)
	}
	if len(c.Hosts) == 0 {
		c.Hosts = LocalHosts()
	}
	if c.Agent == "" {
		c.Agent = DefaultAgent
	}
	if len(strings.Fields(c.Agent)) == 0 {
		return bad("the agent is empty; give a program that runs AGENT HOST COMMAND, such as ssh")
	}
	if c.NodeArgs == nil {
		c.NodeArgs = []string{"node"}
	}
	if c.WardenArgs == nil {
		c.WardenArgs = []string{"warden"}
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Notice == nil {
		c.Notice = func(string) {}
	}
	if c.Nodes < 0 || c.Nodes > message.MaxNodes {
		return bad("%d nodes cannot be started; ask for 1 to %d", c.Nodes, message.MaxNodes)
	}
	if c.Replicas < 0 || c.Replicas > message.MaxReplicas {
		return bad("%d replicas are not possible; ask for 1 to %d", c.Replicas, message.MaxReplicas)
	}
	if c.Companies < 0 || c.Companies > message.MaxCompany {
		return bad("%d companies are not possible; ask for 1 to %d", c.Companies, message.MaxCompany)
	}
	if c.RegisterReplicas < 0 || c.RegisterReplicas > message.MaxReplicas {
		return bad("%d replicas of a register are not possible; ask for 1 to %d", c.RegisterReplicas, message.MaxReplicas)
	}
	if c.Runs != nil && (*c.Runs < 0 || *c.Runs > message.MaxRun) {
		return bad("runs of %d blocks are not possible; ask for 1 to %d, or 0 for none", *c.Runs, message.MaxRun)
	}
	if c.Acks != "" && c.Acks != "majority" && c.Acks != "all" {
		return bad("acks %s is unknown; it is majority or all", message.Quote(c.Acks))
	}
	for _, n := range []int{c.Tick, c.Election, c.Heartbeat, c.LogShards, c.Executors} {
		if n < 0 {
			return bad("a setting of Raft is %d; they are positive", n)
		}
	}
	if c.Certs != "" {
		var err error
		if c.Certs, err = filepath.Abs(c.Certs); err != nil { // nodes have working directories of their own
			return bad("the certificates in %s cannot be found: %v", message.Quote(c.Certs), err)
		}
	}
	if c.RemoteBinary != "" && !plainPath(c.RemoteBinary) {
		return bad("%s cannot be run on another host: give --remote-binary a path without spaces and signs that a shell would read", message.Quote(c.RemoteBinary))
	}
	return c, nil
}

// plainPath says whether a remote shell takes a path as it is.
func plainPath(s string) bool {
	return s != "" && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@,~", r))
	})
}

// settle makes the settings of a cluster: those of found where a directory has some, else new ones. It
// refuses what was asked for where that contradicts how the cluster was made.
func (c *Config) settle(found *kept) (message.Settings, error) {
	if found != nil {
		s := found.Settings
		c.change(&s)
		if s.Version < DataVersion && s.Runs != 0 {
			return s, message.Errorf(message.InvalidArgument, "%s holds a cluster of version %d, which has no runs; leave --runs out, or make a new one in another directory", c.Data, s.Version)
		}
		return s, c.agrees(found)
	}
	s := message.Settings{Version: DataVersion, Nodes: or(c.Nodes, DefaultNodes), Replicas: or(c.Replicas, DefaultReplicas),
		Memory: or(c.Memory, DefaultMemory), Acks: or(c.Acks, DefaultAcks), Tick: or(c.Tick, DefaultTick),
		Election: c.Election, Heartbeat: or(c.Heartbeat, DefaultHeartbeat), Topology: c.Topology,
		RegisterReplicas: or(c.RegisterReplicas, DefaultRegisters),
		LogShards:        or(c.LogShards, DefaultLogShards), Executors: or(c.Executors, DefaultExecutors)}
	c.change(&s)
	s.Companies = or(c.Companies, ring.Companies(s.Nodes, s.Memory))
	if s.Election == 0 {
		s.Election = electionFor(transport.LongestRoundTrip(s.Nodes, s.Topology), s.Tick)
	}
	if s.Election < 5*s.Heartbeat {
		return s, message.Errorf(message.InvalidArgument, "an election timeout of %d ticks is too short for a heartbeat each %d; give at least %d",
			s.Election, s.Heartbeat, 5*s.Heartbeat)
	}
	for _, company := range ring.Plan(s, nil).Companies[1:] {
		if company.Capacity == 0 {
			return s, message.Errorf(message.InvalidArgument, "%d bytes a node are too little for %d companies; give --memory at least %s",
				s.Memory, s.Companies, message.FormatSize(ring.PieceSize))
		}
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return s, fmt.Errorf("draw the cluster's id: %w", err)
	}
	s.Cluster = hex.EncodeToString(id[:])
	return s, nil
}

// electionFor is the election timeout, in ticks, for nodes that are far apart: three round trips, so that votes,
// and the first answers to a new leader, arrive well within one. Near nodes keep the default, which ends a
// dead leader's reign sooner.
func electionFor(roundTrip time.Duration, tick int) int {
	length := time.Duration(tick) * time.Millisecond
	return max(DefaultElection, int((3*roundTrip+length-1)/length))
}

// change puts in what may differ from one start to the next.
func (c *Config) change(s *message.Settings) {
	s.ReplaceAfter = or(c.ReplaceAfter, s.ReplaceAfter)
	s.Cache = or(c.Cache, s.Cache)
	if c.WriteBack != nil {
		s.WriteBack = *c.WriteBack
	}
	if c.Runs != nil {
		s.Runs = *c.Runs
	}
}

func or[T comparable](a, b T) T {
	var zero T
	if a == zero {
		return b
	}
	return a
}

// agrees refuses a request that the kept cluster cannot fulfil, for its files are laid out otherwise.
func (c *Config) agrees(found *kept) error {
	s := &found.Settings
	differ := func(what string, made, asked any) error {
		return message.Errorf(message.InvalidArgument, "%s holds a cluster of %s %v, and %v was asked for; leave the option out, or give another directory",
			c.Data, what, made, asked)
	}
	switch {
	case c.Nodes != 0 && c.Nodes != len(found.ids()):
		return message.Errorf(message.InvalidArgument, "%s holds a cluster of %d nodes%s, and %d were asked for; start it with -n %d, or give another directory",
			c.Data, len(found.ids()), found.history(), c.Nodes, len(found.ids()))
	case c.Replicas != 0 && c.Replicas != s.Replicas:
		return message.Errorf(message.InvalidArgument, "%s holds a cluster with %d replicas, and %d were asked for; start it with --replicas %d, or give another directory",
			c.Data, s.Replicas, c.Replicas, s.Replicas)
	case c.RegisterReplicas != 0 && c.RegisterReplicas != s.RegisterReplicas:
		return differ("register replicas", s.RegisterReplicas, c.RegisterReplicas)
	case c.Companies != 0 && c.Companies != s.Companies:
		return differ("companies", s.Companies, c.Companies)
	case c.Memory != 0 && c.Memory != s.Memory:
		return differ("memory", message.FormatSize(s.Memory), message.FormatSize(c.Memory))
	case c.Acks != "" && c.Acks != s.Acks:
		return differ("acks", s.Acks, c.Acks)
	case c.Tick != 0 && c.Tick != s.Tick:
		return differ("tick", s.Tick, c.Tick)
	case c.Election != 0 && c.Election != s.Election:
		return differ("election ticks", s.Election, c.Election)
	case c.Heartbeat != 0 && c.Heartbeat != s.Heartbeat:
		return differ("heartbeat ticks", s.Heartbeat, c.Heartbeat)
	case c.LogShards != 0 && c.LogShards != s.LogShards:
		return differ("log shards", s.LogShards, c.LogShards)
	case c.Executors != 0 && c.Executors != s.Executors:
		return differ("executors", s.Executors, c.Executors)
	case c.Topology != nil && !slices.Equal(c.Topology, s.Topology):
		return message.Errorf(message.InvalidArgument, "%s holds a cluster with another network; leave the DOT file out, or give another directory", c.Data)
	}
	return nil
}

// addresses are where node id on a host is to listen, for messages and for HTTP.
func (c *Config) addresses(id message.NodeID, host string, allHere bool) (listen, http string, err error) {
	port := 0
	if c.Port != 0 {
		port = c.Port + int(id)
	}
	httpHost, httpPort := "127.0.0.1", 0
	if c.HTTP != "" {
		var digits string
		httpHost, digits, err = net.SplitHostPort(c.HTTP)
		first, bad := strconv.ParseUint(digits, 10, 16)
		if err != nil || bad != nil {
			return "", "", message.Errorf(message.InvalidArgument, "%s is not an address for HTTP; give HOST:PORT such as 127.0.0.1:8000", message.Quote(c.HTTP))
		}
		if first != 0 {
			httpPort = int(first) + int(id)
		}
	}
	if port < 0 || port > 65535 || httpPort > 65535 {
		return "", "", message.Errorf(message.InvalidArgument, "node %s would need port %d, and ports end at 65535; give a smaller one", id, max(port, httpPort))
	}
	return net.JoinHostPort(c.bind(host, allHere), strconv.Itoa(port)), net.JoinHostPort(httpHost, strconv.Itoa(httpPort)), nil
}

// bind is the address of a host on which its nodes listen.
func (c *Config) bind(host string, allHere bool) string {
	switch {
	case c.Bind != nil:
		return c.Bind(host)
	case allHere:
		return "127.0.0.1"
	case isLocal(host):
		if own, err := os.Hostname(); err == nil {
			return own
		}
	}
	return bareHost(host)
}

// bareHost drops the user that an agent logs in as, and the brackets of an IPv6 address.
func bareHost(host string) string {
	return strings.Trim(host[strings.LastIndexByte(host, '@')+1:], "[]")
}
