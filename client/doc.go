// Package client is the Go API of a dmalloc heap: it finds the node that can answer, retries without
// harm, cuts large transfers into pieces and pipelines them.
//
//	h, err := client.Dial(ctx, "127.0.0.1:7000") // DialWith, where nodes have certificates
//	a, err := h.Malloc(ctx, 100)
//	_, err = h.WriteAt(ctx, []byte("hello"), a.Address)
//	err = h.ReadAt(ctx, buf, a.Address)
//	err = h.Free(ctx, a.Address)
//
// A Heap holds one random client id and numbers its requests, so that a request that is sent twice is
// done once. A request goes to the owner that is believed to lead; an owner that gives no sign of life
// for an attempt's length is passed over for the next; a refusal that names the right node is followed.
// All of this happens until the caller's context ends, and costs the caller nothing but time.
//
// All of a request belongs to the goroutine that makes it, but for one channel: what comes of its copies comes there,
// under their tags. So nothing of it needs a lock, and it is used again when all that was sent has ended (request.go):
// a read or write that the leader answers at once makes no garbage but the answer.
//
// Reads and writes of up to 1 MiB within one company's part of an allocation are linearizable; larger
// ones are so piece by piece.
//
// A lease is taken by the user's node, the holder, which keeps copies of its pages. While it may last, by the
// client's clock, what lies inside it goes to the holder first, and to the leader, under the same number, where the
// holder cannot do it:
//
//	LEASE RELEASE SYNC ──▶ holder only ──Forward──▶ leader     without a token and with nobody in final
//	READ WRITE CAS ADD FREE inside a lease ──▶ holder ─ ─▶ leader
//
// A WRITE with the flag WriteBack may be absorbed by the holder, whose answer then has the flag too; a keyed one
// never has it. Once a holder may have absorbed a copy, only its answer counts: without one the outcome is not known.
// A READ has the flag under such a lease, too: the holder shows what it has absorbed to nobody else.
// What a lease of somebody else forbids is asked again until the caller's context ends.
//
// Where a cluster has runs (docs/design/runs.md), a small Malloc asks the user's node first, which may have a block at
// hand; it is asked once, and an answer that comes late is the next one's.
//
// Next: package owner, which is at the other end.
package client
