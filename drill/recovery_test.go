package drill

import (
	"slices"
	"testing"
	"time"
)

func TestBackAfterHeal(t *testing.T) {
	tries := []try{
		{"a", 10, 90, true}, // before
		{"b", 95, 130, false}, {"b", 135, 190, true},
		{"c", 150, 160, true}, // nobody tried before
		{"d", 90, 300, false}, {"d", 310, 400, false},
		{"e", 95, 105, true}, {"e", 110, 900, false},
	}
	took, never := back(tries, 100)
	for name, want := range map[string]time.Duration{"b": 90, "c": 10, "d": 300, "e": 5} {
		if took[name] != want {
			t.Errorf("%s: %d, want %d", name, took[name], want)
		}
	}
	if len(took) != 4 || !slices.Equal(never, []string{"d"}) {
		t.Errorf("%v %v", took, never)
	}
	h := History{Back: map[string]time.Duration{"a": 4 * time.Second, "d": time.Second, "b": 3 * time.Second, "c": 2 * time.Second}, Never: []string{"a", "d"}}
	if f := h.slowToReturn(2 * time.Second); len(f) != 2 || f[0].Check != Stuck {
		t.Error(f)
	}
	if n, d := h.slowest(); n != "b" || d != 3*time.Second {
		t.Error(n, d)
	}
}

// A heap that is whole again says how long it took, and fails where that is too long.
func TestSlowReturnFails(t *testing.T) {
	cfg := testConfig()
	res := drillWorld(t, newWorld(5, correct), cfg)
	if !res.OK() || len(res.BackMS) < 3 {
		t.Errorf("%v\n%s", res.BackMS, res.Story())
	}
	cfg.Stuck = time.Millisecond
	if res := drillWorld(t, newWorld(5, correct), cfg); res.OK() || res.Findings[0].Check != Stuck {
		t.Error(res.Story())
	}
}
