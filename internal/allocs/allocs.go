package allocs

import "testing"

// Operation is something that is done again and again.
type Operation struct {
	Name string
	Most float64 // allocations of a call, on average and rounded down
	Do   func()
}

// calls of which the average is taken: what grows now and then, a map or a tree, is spread over them.
const calls = 1000

// Test fails for each operation that allocates more than it may.
func Test(t *testing.T, all ...Operation) {
	t.Helper()
	if race {
		t.Skip("the race detector allocates, too")
	}
	for _, o := range all {
		if n := testing.AllocsPerRun(calls, o.Do); n > o.Most {
			t.Errorf("%s allocates %v times; at most %v", o.Name, n, o.Most)
		}
	}
}

// Bench measures each operation.
func Bench(b *testing.B, all ...Operation) {
	for _, o := range all {
		b.Run(o.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o.Do()
			}
		})
	}
}
