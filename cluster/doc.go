// Package cluster is the launcher: it turns a hostfile, a network and a few numbers into running
// processes, kills and revives them, and leaves nothing behind.
//
//	launcher ──orders──▶ warden of host a ──config, peers──▶ node 0, node 1, …   one warden a host, this
//	(dmalloc up)        ◀─reports──────────  ◀──events──────                    one too; it is the parent
//	      └── AGENT b dmalloc warden ──────▶ warden of host b ─▶ node 4, …       of the host's nodes
//
// All lines are JSON over pipes: order.go has those between launcher and warden, proto.go those that a
// node sees. A node is given its configuration and, again with each change, the addresses of all and its
// faults; it says listening, ready, faulted, or failed.
//
//	dead ──Revive──▶ starting ──ready──▶ alive ──Pause──▶ paused ──Resume──▶ alive
//	  ▲                 │                  │                 │
//	  └─────────────────┴───Kill, exit─────┴─────────────────┘
//
//	L1  No process, port or temporary file survives the launcher, however it dies: a warden whose input
//	    ends kills its nodes, frozen ones too, and removes the temporary directory. Should the warden be
//	    killed, the kernel kills the nodes, and the launcher removes the directory.
//	L2  One launcher at a time uses a directory, and one warden a host in it: a new one waits for the
//	    nodes of one that was just killed.
//	L3  A kept cluster starts as it was made or not at all. cluster.json is replaced whole and synced.
//	L4  A node never starts without the files that its incarnation had. That an incarnation has ended is
//	    kept before its files are moved aside, and the directory is told before the next one starts.
//	L5  Signals reach only processes that this warden started and has not yet reaped.
//	L6  The last living node is not killed by a command.
//	L7  No node listens where other machines can connect, unless there are certificates or Insecure accepts it.
//	L8  A fault is begun or healed (a paused process has stopped, every thread) when the command returns: the nodes that run have said so, or had two seconds
//	    for it. A node that starts, or wakes, later is told before it does anything else.
//	L9  Files of a cluster that is kept are not hurt on purpose, unless it was started so.
//	L10 A node is admitted once, whatever is lost on the way: its key is kept before the directory is asked.
//	L11 A node that leaves goes on leaving, whoever waits and whoever dies; that it has left is kept before its
//	    process ends and its files are deleted, and no later start brings it back.
//
// Faults (fault.go) last in the launcher, not in the nodes: each gets, with the addresses of its peers, the view of
// package fault that holds for it, after each change and when it starts. They end with heal, with their time, and with
// the launcher, for none is kept; nodes that were killed or frozen for a time are brought back by it, too. What the launcher and shells say to nodes is no link between nodes and is never troubled. Where there
// is a topology, a fault is of its links; what two nodes without one say to each other suffers on its way, as it would
// on a real network. Bits are flipped in files (corrupt.go) by the warden of the host.
//
// Not covered: a launcher and its warden that are both killed with SIGKILL leave the temporary directory,
// though no process.
//
// Goroutines, with what ends them; each is waited for by the one that started it, except where it says so:
//
//	who             of        waits for                 ends with
//	writer, reader  agent     the warden's pipes        the warden; fire waits
//	killLater       Launcher  a queue of orders         the warden; Close waits
//	expire          Launcher  the end of a fault        Close, which waits
//	drain           Launcher  a node that leaves        its going, or Close, which waits
//	spawner         warden    orders to start           the warden, which waits
//	await           warden    a node's process          the process; the warden waits
//	feeder          warden    a node's input            the process; await waits
//	reader, writer  warden    the launcher's pipes      the process of the warden
//
// Queues: orders to a warden (1024, then the caller waits), its reports (1024, then the nodes' output
// waits), lines to a node (the configuration and the latest peers; older peers are dropped).
//
// Nodes come and go (grow.go): the directory gives a new node its id, the launcher its place and its process; a
// node that leaves is watched until the directory says that it holds nothing. Nodes that joined by themselves are
// not in the launcher's books: it can have them leave, but neither kill nor revive them.
//
// Next: package node, which is what runs in the processes.
package cluster
