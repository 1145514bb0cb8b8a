package sim

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What comes out of the queue comes in the order of time and number, whatever came in between.
func TestQueueOrders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []happening
		for seq := range uint64(rapid.IntRange(1, 60).Draw(t, "steps")) {
			if len(model) > 0 && rapid.Bool().Draw(t, "pop") {
				slices.SortFunc(model, func(a, b happening) int {
					if a.before(&b) {
						return -1
					}
					return 1
				})
				if got := q.pop(); got.at != model[0].at || got.seq != model[0].seq {
					t.Fatalf("got %d/%d, want %d/%d", got.at, got.seq, model[0].at, model[0].seq)
				}
				model = model[1:]
				continue
			}
			h := happening{at: rapid.Int64Range(0, 9).Draw(t, "at"), seq: seq}
			q.push(h)
			model = append(model, h)
		}
		if len(q) != len(model) {
			t.Fatalf("%d are queued, want %d", len(q), len(model))
		}
	})
}
