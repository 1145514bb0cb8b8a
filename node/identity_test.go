package node

import (
	"os"
	"path/filepath"
	"testing"

	"dmalloc/message"
)

func config(id message.NodeID, cluster string, incarnation uint64) Config {
	return Config{ID: id, Incarnation: incarnation, Settings: message.Settings{Cluster: cluster, Version: 1}}
}

// N1: a directory is used by the node that made it, and by no other.
func TestIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	for want := uint64(1); want < 4; want++ {
		id, err := openIdentity(dir, config(2, "ab", 0), nil)
		if err != nil || id.Boot != want {
			t.Fatalf("start %d: %+v, %v", want, id, err)
		}
	}
	other := config(2, "ab", 0)
	other.Settings.Version = 2
	for name, c := range map[string]struct {
		cfg  Config
		code message.Code
	}{
		"another node":        {config(3, "ab", 0), message.InvalidArgument},
		"another cluster":     {config(2, "cd", 0), message.InvalidArgument},
		"another incarnation": {config(2, "ab", 1), message.Corrupt},
		"another version":     {other, message.InvalidArgument},
	} {
		if _, err := openIdentity(dir, c.cfg, nil); message.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, identityFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openIdentity(dir, config(2, "ab", 0), nil); message.CodeOf(err) != message.Corrupt {
		t.Errorf("a damaged identity: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "raft", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openIdentity(dir, config(2, "ab", 0), nil); message.CodeOf(err) != message.Corrupt {
		t.Errorf("a log without an identity: %v", err)
	}
}

// What was deleted is remembered, also by the next start, and of each company the greatest.
func TestIdentityRemembersWhatWasDropped(t *testing.T) {
	dir := t.TempDir()
	id, err := openIdentity(dir, config(2, "ab", 0), []kept{{Company: 6, Replica: 1}, {Company: 6, Replica: 4}, {Company: 7, Replica: 2}})
	if err != nil {
		t.Fatal(err)
	}
	id.dropped(6, 4)
	id.dropped(6, 1)
	if err := id.save(dir); err != nil {
		t.Fatal(err)
	}
	again, err := openIdentity(dir, config(2, "ab", 0), nil)
	if err != nil || len(again.Replicas) != 1 || again.Dropped[6] != 4 || again.Dropped[7] != 0 {
		t.Fatalf("%+v, %v", again, err)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(1000 * 1000) // 1 ms
	}
	h.add(50 * 1000 * 1000)
	s := h.summary()
	if s.Count != 1001 || s.P50 < 1000 || s.P50 > 1130 || s.P99 > 1130 || s.Max != 50_000 {
		t.Errorf("%+v", s)
	}
	for ns := uint64(1); ns < 1<<40; ns = ns*9/8 + 1 {
		if top := bucketTop(bucketOf(ns)); top < float64(ns) || (ns > 8 && top > 1.13*float64(ns)+1) {
			t.Fatalf("%d ns is counted as up to %g", ns, top)
		}
	}
}
