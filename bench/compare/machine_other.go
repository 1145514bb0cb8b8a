//go:build !linux

package compare

// fileSystem is not known here.
func fileSystem(string) string { return "an unknown file system" }
