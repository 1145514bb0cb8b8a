// Package directory is company 0's state, pure: who the nodes are, which companies there are and who
// owns them. Every node and client caches it and compares epochs; only its own log changes it.
//
//	BOOT    a node starts: its address, and how many times it has started
//	RETIRE  a node lost its disk: it gets a new incarnation, and a joining replica beside each lost one
//	REPLACE a joining replica has caught up and votes: the lost one leaves the list
//	ADMIT, DISMISS, GONE  a node comes in; it is to leave; it has left
//	MOVE    a change of a company's owners begins; REPLACE ends it
//	FOUND   another company begins
//	RECOVER a company that has lost its majority for good begins anew from what one owner holds
//	REGCHANGE, REGDONE  the registers' members change; RETIRE begins such a change too
//	JOBADD, JOBDROP     the names of modules of jobs
//
//	D1  The epoch grows with every change and with nothing else.
//	D2  A replica id is given once in a company.
//	D3  A boot number that does not grow is refused: its files are an older copy.
//	D4  A node has at most one voting and one joining replica in a company.
//
//	D5  The registers' epoch grows with every change of their members. Next replaces members only by the
//	    REGDONE of the epoch that began it, so what was copied for another change does not count.
//
//	D6  A company's owners change one at a time, and only as planned for the directory that there is; so do the
//	    registers' members; as a user asks, only if they are still those that the user has seen.
//	D7  A node that is gone owns nothing, keeps no registers and does not come back.
//	D8  No replica that votes in its company leaves the list, and none that does not takes another's place: REPLACE
//	    carries who votes. A node deletes what the list had and does not have any more.
//
//	D9  A replica that Raft may count stays on the list, joining, leaving or not, unless its disk is lost. Nodes
//	    delete what is not on it.
//
//	D10 The directory fits in one message, with room for the addresses at which its nodes really are.
//
//	D11 A company's generation grows with each RECOVER and with nothing else; its owners begin anew then.
//
// It has the shape of package company's state (Apply, Read, Snapshot, Load) but shares none of its rules,
// which is why it is a package of its own. Next: package owner, which replicates both.
package directory
