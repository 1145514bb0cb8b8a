package node

import (
	"testing"
	"time"

	"dmalloc/message"
)

func TestDones(t *testing.T) {
	d := dones{of: map[asked]done{}}
	write := func(seq uint64) *message.Message {
		m := message.New(message.WRITE)
		m.Seq = seq
		return m
	}
	is := func(seq uint64, at time.Duration, want known) {
		t.Helper()
		if got := d.begin(write(seq), at); got != want {
			t.Errorf("write %d at %v: %d, want %d", seq, at, got, want)
		}
	}
	is(1, 0, doneFresh)
	is(1, 0, doneLogged) // it was not absorbed, so it went to the log
	is(2, 0, doneFresh)
	d.kept(write(2))
	is(2, keepDones, doneAbsorbed)
	is(0, 0, doneLogged) // without a number nobody could tell it from another
	is(2, keepDones+1, doneFresh)
	for seq := uint64(10); len(d.of) < maxDones; seq++ {
		d.begin(write(seq), keepDones+1)
	}
	is(1, keepDones+1, doneFull)
	is(2, keepDones+1, doneLogged)
}
