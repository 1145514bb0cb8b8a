//go:build !planted

package company

// Bugs that a drill or a test must find stand behind the build tag planted (plant.go). Here they are constants, and
// what asks for them is not even compiled.
const (
	plantedTwice   = false
	plantedForget  = false
	plantedDirty   = false
	plantedOverlap = false
	plantedShort   = false
	plantedRevive  = false
)

func (c *Company) keepBefore()      {}
func (c *Company) short() *Snapshot { return nil }
