//go:build planted

package register

import (
	"slices"

	"dmalloc/message"
)

// Plant makes every Operation and Memory that is made from now on wrong in the named ways, to show that a
// drill or a simulation finds it. No names take everything back. It is to be called before anything runs.
func Plant(names ...string) error {
	planted = 0
	for _, n := range names {
		i := slices.Index(variantNames[:], n)
		if i < 0 {
			return message.Errorf(message.InvalidArgument, "%s is no planted bug of registers; they are %v", message.Quote(n), variantNames)
		}
		planted |= 1 << i
	}
	return nil
}

// Plants are the names that Plant knows.
func Plants() []string { return slices.Clone(variantNames[:]) }
