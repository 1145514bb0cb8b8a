package directory

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"dmalloc/message"
)

// The names of nodes are names, not loads.
func TestNamesAreShort(t *testing.T) {
	s := planned(3)
	long, fits := strings.Repeat("x", 256), strings.Repeat("x", 255)
	for i, n := range []message.Node{{Host: long}, {Address: long}, {HTTP: long}} {
		n.Key = 7
		want(t, apply(t, s, describing(message.ADMIT, n)), message.InvalidArgument)
		n.ID, n.Boot = 1, uint64(i)+1
		want(t, apply(t, s, describing(message.BOOT, n)), message.InvalidArgument)
	}
	want(t, apply(t, s, describing(message.ADMIT, message.Node{Key: 7, Host: fits, Address: fits, HTTP: fits})), message.Done)
	want(t, apply(t, s, describing(message.BOOT, message.Node{ID: 1, Boot: 1, Host: fits, Address: fits, HTTP: fits})), message.Done)
}

// A node that gives next to nothing would take the room of every company that it owns.
func TestLeastMemory(t *testing.T) {
	s := planned(3)
	want(t, apply(t, s, describing(message.ADMIT, message.Node{Key: 7, Memory: 1})), message.InvalidArgument)
	want(t, apply(t, s, describing(message.ADMIT, message.Node{Key: 7, Memory: leastMemory - 1})), message.InvalidArgument)
	want(t, apply(t, s, describing(message.ADMIT, message.Node{Key: 7, Memory: leastMemory})), message.Done)
	want(t, apply(t, s, describing(message.ADMIT, message.Node{Key: 8})), message.Done)
}

// D10: whatever is asked for, DIRECTORY can be answered, the snapshot read, and the cluster can go on with its work.
func TestDirectoryFits(t *testing.T) {
	s := planned(5)
	fits := func() {
		t.Helper()
		if _, err := s.Read(message.New(message.DIRECTORY)).Append(nil); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := s.Snapshot().WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(&b); err != nil {
			t.Fatal(err)
		}
	}
	job := message.Job{Name: "a", SHA256: strings.Repeat("x", message.MaxData-200)}
	want(t, apply(t, s, describing(message.JOBADD, job)), message.OutOfMemory)
	name := strings.Repeat("\x01", 255) // six bytes each, as JSON
	refused := false
	for key := uint64(1); key < 300 && !refused; key++ {
		r := s.Apply(s.index+1, &message.Batch{Messages: []*message.Message{
			describing(message.ADMIT, message.Node{Key: key, Host: name, Address: name, HTTP: name})}}).Results[0]
		refused = r.Code == message.OutOfMemory
	}
	if !refused {
		t.Fatalf("%d nodes with long names, and no end", len(s.d.Nodes))
	}
	fits()
	// Work goes on: nodes start, lose their disks and replicas move.
	for id := message.NodeID(5); int(id) < len(s.d.Nodes); id++ {
		want(t, apply(t, s, boots(id, 1, 0, fmt.Sprintf("10.0.0.1:%d", id))), message.Done)
	}
	want(t, apply(t, s, retires(1, 1)), message.Done)
	want(t, apply(t, s, moving(s, message.Move{Company: 3, Node: 10, From: 1})), message.Done)
	fits()
}
