package client

import (
	"testing"

	"dmalloc/message"
)

func TestFirstDifference(t *testing.T) {
	list := func(sums ...any) (out []message.Sum) {
		for i := 0; i < len(sums); i += 2 {
			out = append(out, message.Sum{Number: uint64(sums[i].(int)), Sum: sums[i+1].(string)})
		}
		return out
	}
	for _, c := range []struct {
		x, y  []message.Sum
		at    uint64
		found bool
	}{
		{nil, nil, 0, false},
		{list(1, "a", 4, "b"), list(1, "a", 4, "b"), 0, false},
		{list(1, "a", 4, "b"), list(1, "a", 4, "c"), 4, true},
		{list(1, "a", 4, "b"), list(1, "a"), 4, true},
		{list(4, "b"), list(1, "a", 4, "b"), 1, true},
		{list(1, "a", 9, "b"), list(1, "a", 4, "c", 9, "b"), 4, true},
	} {
		if at, found := firstDifference(c.x, c.y); at != c.at || found != c.found {
			t.Errorf("%v and %v: %d %v", c.x, c.y, at, found)
		}
		if at, found := firstDifference(c.y, c.x); at != c.at || found != c.found {
			t.Errorf("%v and %v: %d %v", c.y, c.x, at, found)
		}
	}
}
