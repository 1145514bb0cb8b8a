//go:build !planted

package transport

// Bugs that a test must find stand behind the build tag planted (plant.go). Here they are constants, and what asks
// for them is not even compiled.
const (
	plantedMix         = false
	plantedAnyone      = false
	plantedDouble      = false
	plantedTorn        = false
	plantedLoop        = false
	plantedName        = false
	plantedIncarnation = false
)
