//go:build !planted

package node

// A bug that a drill must find stands behind the build tag planted (plant.go). Here it is a constant, and what asks for
// it is not even compiled.
const plantedDrops = false
