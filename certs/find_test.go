package certs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dmalloc/message"
)

func TestNodesIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if got := NodesIn(dir); len(got) != 0 {
		t.Fatalf("%v in a directory that is not there", got)
	}
	if err := Make(dir, []string{"localhost"}, 12); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node-3.key", "node-0.crt"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := NodesIn(dir), []message.NodeID{1, 2, 4, 5, 6, 7, 8, 9, 10, 11}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}
