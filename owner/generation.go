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
const generationBits = 32

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
