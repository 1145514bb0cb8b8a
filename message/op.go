package message

import "fmt"

// Op is what a message asks. Numbers are part of the wire format: append only.
type Op uint8

const (
	NONE  Op = iota // nothing
	OK              // the answer
	ALIVE           // proof of life; also the answer to NeedCallback
	TEST            // echo

	MALLOC // allocate Size bytes
	FREE   // free the allocation that starts at Address
	WRITE  // write Data at Address
	READ   // read Size bytes at Address
	DUMP   // describe the allocation that holds Address
	TABLE  // list allocations from Address on, at most Value of them

	LEASE   // grant node Final, in its session Value, the pages of Size bytes at Address: section 10
	RELEASE // the lease with Token is given back; without one all of node Final in its sessions up to Value
	REVOKE  // holder: give the lease with Token back
	SNAP    // a consistent snapshot: reserved

	LEADER      // have node Value lead Company
	WHOISLEADER // who leads Company?
	LEADEROK    // the election of Company is over: Final leads in Term
	LEADERAGAIN // the leader you named is dead: ask again

	DIE    // end Final's process with SIGKILL
	REVIVE // start Final's process again
	PAUSE  // stop Final's process with SIGSTOP
	RESUME // continue Final's process with SIGCONT

	RESERVE // section 5
	COMMIT
	CONFIRM
	ABORT
	OUTCOME
	DROP
	FINISH

	TERM // the first entry of a new leader
	CAS  // compare the 8 bytes at Address with Size and replace them with Value
	ADD  // add Value to the 8 bytes at Address

	DIRECTORY // the directory, as JSON in the answer's Data; Value 1: as a majority of its owners has it
	STATUS    // what this node knows of itself and its companies, as JSON
	STATS     // counters and latencies of this node, as JSON
	SQL       // run the read-only query in Data on this node's page table
	LOG       // the last Value operations of Company as this node knows them
	ELECTIONS // what this node saw of elections
	BOOT      // directory: a node starts; Data describes it
	REPLACE   // directory: a joining replica, a Move in Data, votes now
	RETIRE    // directory: the node in Data lost its disk and comes back under the incarnation there

	REGTAG // section 6
	REGGET
	REGPUT
	REGCONF
	REGLIST
	REGDIGEST
	REGCHANGE // directory: the registers' members shall be those in Data; Value 1: as planned, by nobody's choice, for the directory of epoch Size; Value 0: as a user chose who saw the registers at epoch Size, 0 for any
	REGDONE   // directory: the change to epoch Value is done
	GOSSIP    // one packet of the failure detector; its answer says nothing
	JOB       // do a job, described in Data, where most of its bytes are
	JOBRUN    // do it here
	JOBADD    // directory: a module of jobs, described in Data
	JOBDROP   // directory: the module named in Data is no more
	FAULT     // launcher: begin the fault described in Data; the answer's Data has its id
	HEAL      // launcher: end the faults that Data chooses, or all; the answer's Data lists them
	FAULTS    // launcher: list the faults that last
	CORRUPT   // launcher: flip bits in the kept files of node Value, which is down

	GOROUTINES // the stacks of this node's goroutines, as text of at most MaxData bytes
	METRICS    // what /metrics shows, as text of at most MaxData bytes
	JOURNAL    // the last lines that this node wrote to its log
	VERIFY     // sums of what this owner of Company holds: section 7

	EXPIRE // the lease with Token is over, as the leader of Term has decided: section 10
	SYNC   // holder: write back what is dirty of the Size bytes at Address; size 0 means all
	LEASES // list the leases of Company from Address on, at most Value of them

	CAPACITY   // Company may back Value bytes from now on
	ADMIT      // directory: the node described in Data comes in; the answer's Value is its id
	DISMISS    // directory: node Value is to leave
	GONE       // directory: node Value has left, it holds nothing any more
	MOVE       // directory: the change of a company's owners in Data (Move) begins
	FOUND      // directory: the company described in Data begins to exist
	NODEADD    // launcher: start another node, as Data says
	NODEREMOVE // launcher: drain node Value and let it go
	RECOVER    // directory: a company begins anew from what a survivor, both in Data (Move), holds
	MEMBER     // owners: does Raft count replica Value of Company? Only who leads it answers, with JSON: true or false

	RUN    // set Length blocks of Size bytes aside for node Final in its session Value: section 11
	CLAIM  // of run Token the blocks below Size are handed out, and those below Length may be
	SETTLE // what node Final did not hand out in its sessions up to Value, or of run Token, comes back
	TAKE   // node: hand out Size bytes of what is set aside for you
	TELL   // node: have the companies know what you handed out

	opEnd
)

var opNames = [...]string{
	NONE: "NONE", OK: "OK", ALIVE: "ALIVE", TEST: "TEST",
	MALLOC: "MALLOC", FREE: "FREE", WRITE: "WRITE", READ: "READ", DUMP: "DUMP", TABLE: "TABLE",
	LEASE: "LEASE", RELEASE: "RELEASE", REVOKE: "REVOKE", SNAP: "SNAP",
	LEADER: "LEADER", WHOISLEADER: "WHOISLEADER", LEADEROK: "LEADER_OK", LEADERAGAIN: "LEADER_AGAIN",
	DIE: "DIE", REVIVE: "REVIVE", PAUSE: "PAUSE", RESUME: "RESUME",
	RESERVE: "RESERVE", COMMIT: "COMMIT", CONFIRM: "CONFIRM", ABORT: "ABORT", OUTCOME: "OUTCOME",
	DROP: "DROP", FINISH: "FINISH", TERM: "TERM", CAS: "CAS", ADD: "ADD",
	DIRECTORY: "DIRECTORY", STATUS: "STATUS", STATS: "STATS", SQL: "SQL", LOG: "LOG",
	ELECTIONS: "ELECTIONS", BOOT: "BOOT", REPLACE: "REPLACE", RETIRE: "RETIRE",
	REGTAG: "REGTAG", REGGET: "REGGET", REGPUT: "REGPUT", REGCONF: "REGCONF", REGLIST: "REGLIST", REGDIGEST: "REGDIGEST",
	REGCHANGE: "REGCHANGE", REGDONE: "REGDONE", GOSSIP: "GOSSIP",
	JOB: "JOB", JOBRUN: "JOBRUN", JOBADD: "JOBADD", JOBDROP: "JOBDROP",
	GOROUTINES: "GOROUTINES", METRICS: "METRICS", JOURNAL: "JOURNAL",
	FAULT: "FAULT", HEAL: "HEAL", FAULTS: "FAULTS", CORRUPT: "CORRUPT",
	VERIFY: "VERIFY",
	EXPIRE: "EXPIRE", SYNC: "SYNC", LEASES: "LEASES",
	CAPACITY: "CAPACITY", ADMIT: "ADMIT", DISMISS: "DISMISS", GONE: "GONE", MOVE: "MOVE", FOUND: "FOUND",
	NODEADD: "NODEADD", NODEREMOVE: "NODEREMOVE", RECOVER: "RECOVER",
	MEMBER: "MEMBER",
	RUN:    "RUN", CLAIM: "CLAIM", SETTLE: "SETTLE", TAKE: "TAKE", TELL: "TELL",
}

func (o Op) String() string {
	if o < opEnd {
		return opNames[o]
	}
	return fmt.Sprintf("OP(%d)", uint8(o))
}

// Valid says whether the op has a meaning in this version.
func (o Op) Valid() bool { return o < opEnd }

// Logged says whether the op changes a company and therefore goes through its log.
func (o Op) Logged() bool {
	switch o {
	case MALLOC, FREE, WRITE, RESERVE, COMMIT, CONFIRM, ABORT, OUTCOME, DROP, FINISH, TERM, CAS, ADD,
		BOOT, REPLACE, RETIRE, REGCHANGE, REGDONE, JOBADD, JOBDROP,
		LEASE, RELEASE, EXPIRE, CAPACITY, ADMIT, DISMISS, GONE, MOVE, FOUND, RECOVER,
		RUN, CLAIM, SETTLE:
		return true
	}
	return false
}
