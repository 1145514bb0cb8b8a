package message

// Bounds of runs: section 11.
const (
	MaxRun     = 1024 // blocks that are set aside at once
	MaxRunSize = 512  // bytes of such a block
	MaxOpen    = 32   // blocks of a run that its node may hand out before it tells of it
	MaxRuns    = 32   // runs that a node has in a company
)
