package owner

import (
	"bytes"
	"io"
	"testing"

	"dmalloc/company"
)

// Who asks for what a replica knows is answered while it loads a snapshot.
func TestLoadLocksNobodyOut(t *testing.T) {
	var image bytes.Buffer
	if _, err := (&numbers{index: 7, seqs: []uint64{1, 2}}).Snapshot().WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	state := &numbers{index: 3}
	c := &machine{id: 1, state: state, waiting: map[uint64]chan []company.Result{}}
	r := &Replica{ID: 1, machine: c}
	in, out := io.Pipe()
	loaded := make(chan error, 1)
	go func() { loaded <- c.RecoverFromSnapshot(in, nil, nil) }()
	if _, err := out.Write(image.Next(8)); err != nil { // returns when it is being read
		t.Fatal(err)
	}
	seen := make(chan uint64, 1)
	go r.View(func(m Machine) { seen <- m.Index() })
	select {
	case index := <-seen:
		if index != 3 {
			t.Errorf("half of a snapshot is shown: index %d", index)
		}
	case <-soon(t).Done():
		t.Fatal("it waits for the snapshot")
	}
	if _, err := out.Write(image.Bytes()); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	if r.View(func(m Machine) { seen <- m.Index() }); <-seen != 7 || len(state.seqs) != 2 || c.applied.Load() != 7 {
		t.Errorf("after it is loaded: %d numbers, applied %d", len(state.seqs), c.applied.Load())
	}
}
