package repl

import (
	"errors"
	"fmt"
	"sync"
	"testing"
)

// Every byte is moved once, parts beside each other, and an error is the first by place of those that happened.
func TestSpread(t *testing.T) {
	for _, size := range []uint64{0, 1, relayed - 1, relayed, relayed + 1, 5*relayed + 7} {
		var mu sync.Mutex
		moved, sum := map[uint64]bool{}, uint64(0)
		err := spread(size, func(at uint64, p []byte) error {
			mu.Lock()
			defer mu.Unlock()
			if moved[at] || at%relayed != 0 {
				t.Errorf("of %d bytes %d at %d are moved, again or in the middle", size, len(p), at)
			}
			moved[at] = true
			sum += uint64(len(p))
			return nil
		})
		if err != nil || sum != size {
			t.Errorf("of %d bytes %d were moved: %v", size, sum, err)
		}
	}

	// Both parts are under way before one ends.
	var both sync.WaitGroup
	both.Add(spreadOver)
	if err := spread(spreadOver*relayed, func(uint64, []byte) error { both.Done(); both.Wait(); return nil }); err != nil {
		t.Error(err)
	}

	for bad := range uint64(5) {
		var mu sync.Mutex
		done := map[uint64]bool{}
		err := spread(5*relayed, func(at uint64, _ []byte) error {
			if at >= bad*relayed {
				return fmt.Errorf("%w at %d", errBroken, at/relayed)
			}
			mu.Lock()
			defer mu.Unlock()
			done[at] = true
			return nil
		})
		if !errors.Is(err, errBroken) || err.Error() != fmt.Sprintf("broken at %d", bad) {
			t.Errorf("part %d and those behind it fail: %v", bad, err)
		}
		if len(done) != int(bad) {
			t.Errorf("%d parts were moved before part %d failed", len(done), bad)
		}
	}
}

var errBroken = errors.New("broken")
