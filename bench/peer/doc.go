// Package peer starts other systems on this machine and drives them with the measurements of package bench, so
// that a heap can be compared with them: the same work, from as many client connections, of a process of its own.
//
//	dmalloc bench compare ──Start──▶ Server: etcd, Redis, raw Dragonboat, as processes on free ports of loopback
//	        │                                   ▲
//	        └─Order─▶ dmalloc bench client ──Conn──┘   one process a measurement: Do dials, bench.Run measures
//	        ◀─Result─┘
//
//	one file a peer    etcd.go redis.go raw.go heap.go, plain.go for disk and network alone
//
// A Conn is a heap as far as the peer can be one: an allocation is a key that exists, a free deletes it. What
// a peer cannot do answers Unsupported.
//
//	E1  A Server's processes end with Close, and with this process however that ends: the kernel kills them.
//	E2  Everything that they write is in the directory that Start was given.
//	E3  A peer that is not installed is a *Missing, which says what to install; nothing was started.
//
// Durability is what the peer's name says: etcd and raw Dragonboat sync a majority before they answer, as a heap
// does. Redis syncs too ("redis"), but WAIT counts replicas that have received a write, not those that have synced it.
//
// Goroutines: one a process that was started, which waits for its end; Close waits for them.
//
// Next: package bench/compare, which says what is compared and judges it.
package peer
