//go:build !planted

package company

// plantedTwice stands behind the build tag planted (plant.go). Here it is a constant, and what asks for it is not
// even compiled.
const plantedTwice = false
