// Package member says who is alive: who answers, who is suspected and since when. It is SWIM (Das, Gupta
// and Motivala, 2002) as hashicorp/memberlist has it, over a Carrier of ours instead of sockets, so that
// links that are cut, slowed or lossy are so for the failure detector too.
//
//	SetNodes ──▶ known ─────────────────┐            State, View ◀── table (a copy, swapped when it changes)
//	(directory)    │ not alive          │ whom to believe               ▲                │
//	               ▼                    ▼                               │                ▼
//	            returner ── Join ─▶ memberlist ── its own table ──▶ watcher (looks)    Changed
//	                                 │  ▲  ▲
//	                        packets  │  │  │ streams: one question, one answer
//	                                 ▼  │  │
//	                 Carrier.Send ◀─ network ◀─ guard ◀─ Receive
//
// A node's probe goes to one other each interval, in a shuffled order. If no answer comes in time, others are
// asked to probe it (an indirect probe), so a slow or cut link between two accuses nobody. If that fails too it
// is suspect, which is gossiped, and it may refute with a larger incarnation; if it does not, it is dead.
//
//	        no answer, directly or through others         not refuted in time
//	alive ───────────────────────────────────▶ suspect ─────────────────────▶ dead
//	  ▲◀──────────── refuted ──────────────────────┘                             │
//	  └────────────── joined again, by whoever reaches it first ◀────────────────┘
//
// # What always holds
//
//	M1  Belief chooses only whom to ask first. Nothing is correct or incorrect because of it: a dead verdict
//	    removes nobody from a quorum, and who is called alive may be gone.
//	M2  Names and addresses are functions of the node id ("n7", 10.0.0.7), and only nodes that the directory
//	    has named (SetNodes) are sent to, listened to or believed in.
//	M3  Nothing that a peer sends reaches memberlist before the guard has read all of it: no length is
//	    believed, no message is taken that memberlist does not send, and what would make it panic is refused.
//	M4  Receive and Carrier.Send never wait. Every queue and table has its bound (bounds.go); what does not fit is dropped
//	    and counted, as a network would.
//	M5  A node that comes back is found without anybody's help: every node keeps trying to join those it does
//	    not believe alive, one at a time, and a node that notices that it slept asks others what it missed.
//	M6  A state's Since is when this node saw it begin, by its own clock; clocks of nodes are never compared.
//
// # Wire
//
//	byte  version, 1
//	byte  kind: packet, question, answer
//	u32   checksum of the cluster's name, little endian like what follows
//	…     packet: the packet
//	      question, answer: u64 stream, u16 part, u16 parts, then this part of the message
//
// memberlist exchanges its whole table by a stream on which each side writes once. A stream here is exactly
// that: a question and its answer, cut into parts. Parts may arrive in any order; a lost one is not repeated,
// so the exchange fails at its deadline, and the next one is due soon anyhow. Compression, encryption and pings
// by stream are off: TLS is the carrier's affair, and a second ping along the same link says nothing new.
//
// # Goroutines
//
//	watcher   looks at memberlist's table, calls Changed, spreads the load. Stopped and waited for by Close
//	returner  joins who is not alive; waits in an exchange, which Close breaks off. Waited for by Close
//	memberlist's own: three that end at once, and its prober, whose last probe may outlive Close by one scaled
//	probe interval; it sends nothing by then.
//
// memberlist is odd in ways that shaped this: Node.State in what Members returns is never set, so the watcher asks for
// the table by a stream to itself, where suspects show; a failed send of any but a socket's error ends a probe without a
// verdict, so the network reports none; a dead node is forgotten after a while, so the table remembers in its place.
//
// # Cost
//
// An idle node of twenty sends 4 packets a second of 60 bytes, takes a thousandth of a core and 0.2 MiB
// (BenchmarkIdle, default intervals). A frozen node of 3 or of 20 is suspect after 1 to 2 s and dead to all
// after 3 to 5; when it goes on, it is alive to all in less than a second.
//
// It decides nothing about companies or registers, and never votes. Next: package node, which asks it.
package member
