// Package message says what the nodes of a dmalloc cluster say to each other. It holds the nouns
// (Addr, NodeID, CompanyID, Block, Directory, …), the operations, the codes of errors and the one codec,
// and imports nothing of the project. This comment is the protocol's specification.
//
// # 1. One typed message
//
// A request, its answer and each operation of a Raft entry are a Message. Fields that an operation does
// not use are zero and cost nothing on the wire.
//
//	client ── request ──▶ node ── batch of messages ──▶ Raft ──▶ company (on each owner)
//	client ◀── ALIVE ──── node       (only if the request had NeedCallback; before the work starts)
//	client ◀── OK ─────── node ◀────────── result ─────────────┘
//
// # 2. Wire format of a message
//
//	byte   version, 1
//	byte   op
//	4      bitmap of the fields present, little endian, one bit a field in the order of the table below
//	…      the fields present, in that order
//
// Integers are unsigned varints (encoding/binary), byte strings a varint length and the bytes, a client
// id its 16 bytes, a Block four varints. A field is present if and only if it is not zero, varints are
// of minimal length and nothing follows the last field, so each message has exactly one encoding
// (M1: encode(decode(b)) == b, M2: decode(encode(m)) == m). Every length is compared with its bound
// before anything is allocated. What is not understood is refused with a *FormatError.
//
//	bit  field     meaning
//	0    flags     NeedCallback, Traced, Part, Exclusive, WriteBack, Confirm
//	1    client    who asked: 128 random bits, new for each client instance
//	2    seq       the client's how-manieth request: what makes a retry harmless
//	3    low       the client has the answers of all its requests below low
//	4    source    node of this hop that sends, +1 (0 means a client)
//	5    target    node of this hop that receives, +1
//	6    final     node that the message is for in the end, +1; or what the op says
//	7    address   heap address
//	8    size      bytes
//	9    value     operand of ADD and CAS, results of both, or what the op says
//	10   data      up to MaxData bytes
//	11   company   where the sender believes the address belongs
//	12   epoch     by which directory it believes so
//	13   term      Raft term of the sender, in TERM and in answers
//	14   index     log index, in answers
//	15   txn       client (16 bytes) and seq of the MALLOC that spans companies
//	16   blocks    count, then address, size, company, behind of each
//	17   status    code of an answer
//	18   text      words for a person, in answers
//	19   path      nodes that a traced message passed
//	20   token     of the lease under which it is asked
//	21   length    of a lease, milliseconds
//
// # 3. Wire format of a batch, which is what one Raft entry carries
//
//	byte version, 1; varints origin, number, term, node+1, elapsed (ms), count; then each message as a byte string
//
// Origin and number let the proposer recognise its own batch; node and term say who proposed it and as
// leader of which term; elapsed is the time since the same leader's previous batch and drives the
// company's clock, which only moves by the log.
//
// # 4. Exactly once
//
// (client, seq) names a request for ever. A company keeps the answer of each request that it applied
// until the client's low has passed it, and answers a repetition from there. A seq below low is refused
// with TooOld. A client that the company's clock has not seen for ClientExpiry is forgotten.
//
// # 5. Allocation over several companies
//
//	RESERVE  to each other company: takes an extent in the name of a transaction, naming its home
//	COMMIT   to the home with the block list: from here on the allocation exists
//	CONFIRM  to the others: the reservation is now a part of the allocation
//	OUTCOME  to the home, from an owner that holds an unconfirmed reservation: committed, or from now on
//	         aborted, so that a late COMMIT is refused
//	ABORT    to the others: gives a reservation back
//	FREE     to the home: the allocation stops to exist; the answer names its parts
//	DROP     to the others: gives a part back
//	FINISH   to the home: every part is released, the addresses may be used again
//
// # 6. Registers
//
// A register is named by its space (company) and its number (address). Its tag travels in value (ts) and
// txn (writer, op). Term is the epoch of the configuration by which the sender chose its replicas, final
// the node that answers, index that node's incarnation as the sender believes it.
//
//	REGTAG     the replica's tag
//	REGGET     tag and, in data, the value, if it has at most Size bytes; the answer's size is the value's
//	REGPUT     data under a tag: stored where the tag is larger than the replica's, acknowledged either way
//	REGCONF    data is a configuration (Registers, JSON): the replica takes it if it is newer than its own;
//	           the answer carries the one that it has
//	REGLIST    the replica's registers from (company, address) on, at most Value, as JSON
//	REGDIGEST  one sum of tags a shard, 8 bytes little endian each
//
// A replica answers REGTAG, REGGET and REGPUT only if term is its own epoch and index its own incarnation.
// Otherwise it answers Stale, with its own configuration in data where that is newer: the asker starts
// anew with it, under the same tag if it had chosen one; a replica that is behind is told by REGCONF.
// In REGGET and STATS seq and low carry how many reads the client ended in one round and in two since it
// last said so; the node counts them. With term 0 REGGET shows what is there, which no quorum may use.
// It acknowledges, and shows, only what is on its disk.
//
// MEMBER asks the leader of company whether replica value belongs to it as Raft has it now; data says true or
// false (JSON). A node deletes a replica only if the directory does not list it and its company says false.
//
// JOB and JOBRUN carry a JobRequest in data and, in value, how many milliseconds the asker waits.
//
// FAULT, HEAL, FAULTS and CORRUPT go to the launcher, as DIE, REVIVE, PAUSE and RESUME do, and carry JSON in data;
// package client (fault.go) has its forms.
//
// # 7. Sums
//
// VERIFY asks an owner of company for the Merkle sums (Sums, JSON) of its state after the first entry whose
// index is at least index; all owners that had not applied that entry when they were asked answer for the same
// state. Where no such entry comes within value milliseconds, the sums are of the state as it is. Size 1 asks
// for the sum of each part too, size 2+k for the pages of part k; then index is that of an answer before,
// whose sums the owner keeps until the next.
//
// # 8. Codes
//
// A Code is a number that never changes its meaning. One table gives its word and its HTTP status, another
// one what it means to a person, whether anything was done, and what to do (docs/errors.md).
//
// # 9. What a node says of itself
//
// STATUS, STATS, ELECTIONS, DIRECTORY, SQL and LOG answer with JSON in data; GOROUTINES, METRICS and JOURNAL
// with text, cut at MaxData. Each node answers them for itself, whatever became of the others; GOROUTINES and
// JOURNAL also while it still opens its files. DIRECTORY with value 1 is answered by the leader of company 0 only,
// as a majority has it.
//
// # 10. Leases
//
// LEASE asks for the pages of size bytes at address (0 means the rest of its block) for node final, in its
// session value, for length milliseconds; flags say Exclusive and WriteBack. Its answer's token names the
// lease, and address and size are its whole pages. A WRITE, CAS, ADD or FREE with a token is done only while
// that lease is exclusive, covers all its pages and stands; otherwise Fenced. One without a token that meets a
// lease is answered Leased, with the leases in data (JSON), and nothing is done: the leader sends REVOKE to
// their holders, and asks again. RELEASE and EXPIRE end the lease with token, a RELEASE without one all leases
// of node final in its sessions up to value; what has ended already is not an error. LEASE and EXPIRE carry the
// term of the leader that decided, and an older one is refused. A READ with the token of a write-back lease is
// its holder's. A client's RELEASE, and SYNC, are answered Fenced with, as blocks, what was absorbed and is lost;
// the token of such an answer to RELEASE is that of the lease that was given back. A WRITE that may be absorbed has the flag WriteBack and, as value, the session of its holder;
// another session refuses it as Fenced, and what the same session refuses names it in value: it has noted the
// write's number and absorbs no copy. A READ with the flag Confirm is answered after a majority has confirmed the leader, which then
// uses no lease of its own. A READ with the flag WriteBack was sent to the holder as that: one without it,
// which comes there because the holder leads, does not see what is not yet in the log. Address and size of an answer Leased are those of the pages that are asked for. LEASES lists by
// address and token; where more follow, value and token of its answer are the address and token to go on from.
// docs/design/leases.md has the rules of time.
//
// # 11. Runs
//
// RUN sets length blocks of size bytes aside for node final in its session value; its answer's blocks are where they
// lie, in pieces of whole blocks, in the order in which they are handed out, token names the run, size says how many
// there are and length below which index the node may hand out. CLAIM of run token says that the blocks below index
// size are handed out, and asks to hand out those below index length; index is how-manieth CLAIM of the run it is, and one
// that is overtaken does nothing. SETTLE ends run token, of which size blocks are
// handed out; without a token it ends all runs of node final in its sessions up to value. Where length is 1, blocks
// has a row for each of session value of which anything is handed out: number in address, handed out in size. Of all
// others what may have been handed out stays. After it nothing is set aside for those sessions.
// A FREE with a value is of node final in that session, which has handed out size blocks of run length by now.
// TAKE is for the user's node: size bytes, answered like MALLOC, or Busy where it has nothing aside; TELL has it claim
// what it has handed out. docs/design/runs.md has the rules.
package message
