// Package transport carries messages and Raft's traffic between nodes, and clients' requests to nodes,
// over kept TCP connections: one port a node. It is the one place where links are delayed, cut and lossy.
//
//	Call, Ask  ─▶ route ─▶ link ─▶ outlet ─▶ queue ─▶ writer ═══TCP═══▶ reader ─▶ dispatch ─▶ Handle
//	SendRaft      which     fault?  dials     bounded                                 │   └──▶ Raft, Chunk
//	SendChunk     neighbour delay?  lazily    in bytes                                └ not for us: relay
//	      ▲                                                                                      │
//	      └──────────── pending (by id) ◀── reader ◀═══ the same connection ◀═══ queue ◀── reply ┘
//
// Between two nodes there is one connection a class and direction of dialling: messages, Raft, and bulk
// (snapshots), so that a snapshot never stands before a heartbeat. Answers return on the connection on
// which their request came. To this package Raft's batches and chunks are opaque bytes.
//
// # Frames
//
//	u32  length of the rest, little endian like all that follows; bounded before anything is allocated
//	u8   kind: hello, refuse, request, alive, answer, failed, raft, chunk, taken, guest
//	u8   hops: how many nodes relayed it
//	u32  source node, u32 destination node; 0xffffffff is a client
//	u64  id, by which an answer finds its request
//	…    payload: an encoded message, a Raft batch, …
//	u32  for each hop, the node that relayed it, in order
//
// With Config.TLS all of this is inside TLS 1.3, in which both sides show a certificate; without, there is none
// and it costs nothing. Either side tells the other in words if only one of them has it.
//
// The first frame in each direction is a hello of one fixed length: "DMAL", version, class, cluster,
// incarnation. Who does not fit gets one refuse frame with the reason. Payloads of raft and chunk begin
// with the incarnation that they are for and that of their sender.
//
// # What always holds
//
//	T1  No length is believed: every frame is compared with the bound of its class first, and memory for
//	    large ones grows with the bytes that arrive.
//	T2  Every queue is bounded in bytes. Full: a request is refused with Busy, a Raft frame is dropped (Raft
//	    repeats), a long answer becomes a Busy, a short one costs its slow
//	    reader the connection.
//	T3  The accept loop only accepts: hellos are read in the connection's goroutine under a deadline, and
//	    of too many strangers the oldest is dropped. No accept error ends it before Close.
//	T4  Frames over one link and class stay in order, whatever its delay.
//	T5  A Sink is told of the end of each request exactly once, unless that is forgotten; a LinkError that says "not
//	    sent" means that no byte of the request left this process.
//	T6  The source of a frame is the node that the connection belongs to, or its last relay is. Raft's frames
//	    for or from another incarnation are dropped and counted. A client's request stays one when a node passes
//	    it on: it arrives as guest, with the client's role (role.go), and never as a request of that node.
//	T7  Close waits for every goroutine: one that accepts, and two a connection.
//	T8  With TLS no frame is read before both certificates are verified, and a hello claims no more than its
//	    certificate: a node's is for that node and for clients, a client's for clients. Handshakes are under way
//	    as part of T3: each in its connection's goroutine, under the deadline, as many as there may be strangers.
//
// Relaying: with a topology, frames go along a shortest path (route.go, pure), ties to the lower node. A node passes on
// what is for another and puts its own id behind it. Relays keep nothing of what nodes send; a client's
// request they send under an id of their own, so that its answer comes back to them.
//
// What a relay passes on is as true as the relay: T8 binds the sender of a frame to its connection, T6 goes no further.
//
// Faults hold for frames that this node sends to a neighbour; the other direction is the neighbour's.
//
// It knows no Dragonboat, no directory's rules and no retry: package client asks again, package owner
// hands Raft's traffic over. Next: package owner.
package transport
