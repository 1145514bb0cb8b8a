//go:build planted

package main

// buildTags are those of the program under test: without a bug named to it, it has none.
const buildTags = "planted"
