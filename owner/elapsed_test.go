package owner

import (
	"testing"
	"time"
)

// A leader moves its company's clock by the time that passes on its own: at most a minute at once, and by nothing
// when its clock is set back, after which it counts from there.
func TestElapsed(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	var r Replica
	for i, step := range []struct {
		at   time.Duration
		want uint64
	}{
		{0, 0}, {5 * time.Millisecond, 5}, {5*time.Millisecond + 900*time.Microsecond, 0}, {6 * time.Millisecond, 1},
		{2 * time.Second, 1994}, {time.Hour, 60_000}, {time.Hour + time.Second, 1000},
		{-time.Hour, 0}, {-time.Hour + 7*time.Millisecond, 7}, {0, 60_000},
	} {
		if got := r.elapsed(begin.Add(step.at)); got != step.want {
			t.Errorf("step %d, at %v: %d ms, want %d", i, step.at, got, step.want)
		}
	}
}
