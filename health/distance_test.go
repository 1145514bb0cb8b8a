package health

import (
	"strings"
	"testing"

	"dmalloc/message"
)

func TestDistances(t *testing.T) {
	to := func(n message.NodeID, us int64) func(*message.NodeStatus) {
		return func(s *message.NodeStatus) { s.Delays = append(s.Delays, message.Delay{Node: n, US: us}) }
	}
	for name, c := range map[string]struct {
		change func(View)
		says   string // "": nothing
	}{
		"near":             {func(View) {}, ""},
		"within bounds":    {func(v View) { change(v, 0, to(1, 100_000)); change(v, 1, to(0, 100_000)) }, ""},
		"too far":          {func(v View) { change(v, 0, to(1, 100_000)); change(v, 1, to(0, 101_000)) }, "between nodes 0-1 a frame and its answer take up to 201ms, and a leader is only elected within 200ms"},
		"in one direction": {func(v View) { change(v, 2, to(0, 300_000)) }, "between nodes 0-2 "},
		"all": {func(v View) {
			for i := range 3 {
				for k := range 3 {
					change(v, i, to(message.NodeID(k), 150_000))
				}
			}
		}, "between nodes 0-1, 0-2, 1-2 "},
		"who is frozen says nothing": {func(v View) { change(v, 2, to(0, 300_000)); v.Processes[2] = "paused" }, ""},
		"no company in common":       {func(v View) { change(v, 0, to(5, 300_000)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := 3
			if strings.HasPrefix(name, "no company") {
				n = 9
			}
			v := world(n)
			v.Directory.Settings.Tick, v.Directory.Settings.Election = 30, 10
			c.change(v)
			got := strings.Join(Judge(v).Warnings, "\n")
			if c.says == "" && strings.Contains(got, "elected") || !strings.Contains(got, c.says) {
				t.Errorf("warnings: %s", got)
			}
		})
	}
}
