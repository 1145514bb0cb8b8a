package node

import (
	"os"
	"path/filepath"
	"testing"

	"dmalloc/message"
)

// Whichever bit of an identity is altered, the node does not start on it: it might believe to be another version,
// or not to have had a log.
func TestAlteredIdentity(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{ID: 1, Settings: message.Settings{Version: 2, Cluster: "00000000000000aa"}}
	if _, err := openIdentity(dir, cfg, []kept{{Company: 1, Replica: 2, Started: true}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, identityFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for bit := range 8 {
			b := append([]byte(nil), whole...)
			b[i] ^= 1 << bit
			if _, err := decodeIdentity(b); err == nil {
				t.Fatalf("bit %d of byte %d was turned over, which nobody saw: %s", bit, i, b)
			}
		}
	}
	if _, err := openIdentity(dir, cfg, nil); err != nil {
		t.Fatal("and whole it is taken:", err)
	}
}
