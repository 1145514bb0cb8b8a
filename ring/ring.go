package ring

import (
	"cmp"
	"slices"

	"dmalloc/message"
)

// mix spreads a number over 64 bits so that each bit of the input turns about half of the output's:
// the finaliser of SplitMix64 (Steele, Lea and Flood, 2014). It must never change: kept data lies where
// it said.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// weight is what a node draws for a key. The node is mixed on its own first, for ids are small and
// neighbouring keys must not see them in the same order.
func weight(key uint64, n message.NodeID) uint64 {
	return mix(key ^ mix(uint64(n)))
}

// Owners are the r nodes with the greatest weights for the key, heaviest first (G1). Fewer nodes than
// r: all of them. A node named twice counts once.
func Owners(key uint64, nodes []message.NodeID, r int) []message.NodeID {
	if r <= 0 || len(nodes) == 0 {
		return nil
	}
	owners := slices.Clone(nodes)
	slices.SortFunc(owners, func(a, b message.NodeID) int {
		return cmp.Or(cmp.Compare(weight(key, b), weight(key, a)), cmp.Compare(a, b))
	})
	owners = slices.Compact(owners) // equal nodes have equal weights and so stand together
	return owners[:min(r, len(owners))]
}
