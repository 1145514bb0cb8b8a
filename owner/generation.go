package owner

import "dmalloc/message"

// A company's generation is a Raft group of its own, so nothing that the replicas of an earlier one say to each other
// reaches those of a later one, even when all of them come back. Its number holds both:
//
//	63        32 31         0
//	 generation   company
//
// A term is said with its generation in the same place. So terms grow also where Raft's begin anew, and whoever
// compares them, in a company's state or in a client, needs to know nothing of generations.
//
// So is an index of the log, further up, for there are more of those: tokens of leases, the places of answers that were
// kept and of what a holder has heard of are compared, also with those of an earlier generation. What that one had and
// lost has numbers that no later one uses.
const (
	generationBits = 32
	indexBits      = 40
)

func shardOf(id message.CompanyID, generation uint64) uint64 {
	return uint64(id) | generation<<generationBits
}

// splitShard is what shardOf put together.
func splitShard(shard uint64) (id message.CompanyID, generation uint64) {
	return message.CompanyID(shard & (1<<generationBits - 1)), shard >> generationBits
}

// termIn is a term of Raft as everybody else is told of it; 0, none, stays 0.
func termIn(generation, term uint64) uint64 {
	if term == 0 {
		return 0
	}
	return term | generation<<generationBits
}

// raftTerm is what termIn was given.
func raftTerm(term uint64) uint64 { return term & (1<<generationBits - 1) }

// indexIn is an index of Raft's log as everybody else is told of it; 0, none, stays 0.
func indexIn(generation, index uint64) uint64 {
	if index == 0 {
		return 0
	}
	return index + generation<<indexBits
}

// FirstIndex is greater than every index and every token of earlier generations, and than none of this one.
func FirstIndex(generation uint64) uint64 { return generation << indexBits }

// rawIndex is what indexIn was made of; of an earlier generation it is 0, for no entry of this one is meant.
func rawIndex(generation, told uint64) uint64 {
	return told - min(told, generation<<indexBits)
}
