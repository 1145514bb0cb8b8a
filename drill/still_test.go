package drill

import (
	"testing"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// Only looks in a row at a whole cluster in which nothing moves count, and only with enough time between them.
func TestStillness(t *testing.T) {
	leader, other := message.NodeID(1), message.NodeID(2)
	company := func(used, term uint64, leader *message.NodeID, alive int) []client.Company {
		return []client.Company{{ID: 1, Used: used, Term: term, Leader: leader, Alive: alive, Owners: []message.NodeID{0, 1, 2}}}
	}
	whole := company(8, 3, &leader, 3)
	rows := []message.Allocation{{Address: 4096, Size: 8, State: message.Allocated}}
	step := stillFor / stillLooks * 2
	for name, at := range map[string]func(s *stillness, now time.Time) bool{
		"nothing else":       func(s *stillness, now time.Time) bool { return s.since(now, true, whole, rows) },
		"a failed look":      func(s *stillness, now time.Time) bool { return s.since(now, false, nil, nil) },
		"an owner is away":   func(s *stillness, now time.Time) bool { return s.since(now, true, company(8, 3, &leader, 2), rows) },
		"no leader":          func(s *stillness, now time.Time) bool { return s.since(now, true, company(8, 3, nil, 3), rows) },
		"another leader":     func(s *stillness, now time.Time) bool { return s.since(now, true, company(8, 3, &other, 3), rows) },
		"another term":       func(s *stillness, now time.Time) bool { return s.since(now, true, company(8, 4, &leader, 3), rows) },
		"bytes given back":   func(s *stillness, now time.Time) bool { return s.since(now, true, company(0, 3, &leader, 3), rows) },
		"a row that is gone": func(s *stillness, now time.Time) bool { return s.since(now, true, whole, nil) },
		"another state": func(s *stillness, now time.Time) bool {
			return s.since(now, true, whole, []message.Allocation{{Address: 4096, Size: 8, State: message.Freeing}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s stillness
			now := time.Now()
			looks := 0
			for range stillLooks - 1 { // of which the last but one is the disturbance
				looks++
				now = now.Add(step)
				if looks == stillLooks-2 {
					if at(&s, now) {
						t.Fatal("over too early")
					}
				} else if s.since(now, true, whole, rows) {
					t.Fatal("over too early")
				}
			}
			over := s.since(now.Add(step), true, whole, rows)
			if undisturbed := name == "nothing else"; over != undisturbed {
				t.Errorf("over after %d looks: %v", looks+1, over)
			}
		})
	}
	var s stillness
	now := time.Now()
	for range 10 * stillLooks { // many looks at once are no time
		if s.since(now, true, whole, rows) {
			t.Fatal("no time has passed")
		}
	}
	if !s.since(now.Add(stillFor), true, whole, rows) {
		t.Error("all has stood still long enough")
	}
}
