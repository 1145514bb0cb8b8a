package certs

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dmalloc/message"
)

// NodesIn lists the nodes whose certificate and key are in a directory, by id. It does not look into them.
func NodesIn(dir string) []message.NodeID {
	var nodes []message.NodeID
	entries, _ := os.ReadDir(dir) // what cannot be read holds none, and Load says why
	for _, e := range entries {
		name, _ := strings.CutSuffix(e.Name(), ".crt")
		id, ok := Role(name).node()
		if !ok || e.Name() != Node(id).certificate() {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, Node(id).key())); err == nil {
			nodes = append(nodes, id)
		}
	}
	slices.SortFunc(nodes, cmp.Compare[message.NodeID])
	return nodes
}
