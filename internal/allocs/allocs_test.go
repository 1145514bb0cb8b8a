package allocs

import "testing"

var sink []byte

// What a test would say is right: a call that allocates is counted, and one that does not is not.
func TestCounts(t *testing.T) {
	Test(t, Operation{"nothing", 0, func() {}}, Operation{"a slice", 1, func() { sink = make([]byte, 64) }})
	if n := testing.AllocsPerRun(calls, func() { sink = make([]byte, 64) }); n != 1 && !race {
		t.Errorf("a slice is %v allocations", n)
	}
}
