package health

import (
	"fmt"
	"strings"
	"time"

	"dmalloc/message"
)

// mostWays is how many ways a warning names.
const mostWays = 4

// distances warns of owners that are too far apart to elect a leader: nothing shows it while they have one.
func (j *judge) distances() {
	bears := j.d.Settings.LongestRoundTrip()
	if bears == 0 { // an unknown cluster
		return
	}
	var far []string
	var longest time.Duration
	for a := range j.d.Nodes {
		for b := range a {
			one, two := j.d.Nodes[b].ID, j.d.Nodes[a].ID
			if trip := j.delay(one, two) + j.delay(two, one); trip > bears && j.share(one, two) {
				far = append(far, fmt.Sprintf("%s-%s", one, two))
				longest = max(longest, trip)
			}
		}
	}
	if len(far) == 0 {
		return
	}
	names := strings.Join(far[:min(len(far), mostWays)], ", ")
	if len(far) > mostWays {
		names += fmt.Sprintf(" and %d more", len(far)-mostWays)
	}
	j.warn("between nodes %s a frame and its answer take up to %v, and a leader is only elected within %v: companies there keep the leader they have, and those that lose it may get none; heal the links that are slow",
		names, longest.Round(time.Millisecond), bears)
}

// delay is how late frames leave from one node to another, as the first says.
func (j *judge) delay(from, to message.NodeID) time.Duration {
	s, ok := j.answers(from)
	if !ok {
		return 0
	}
	for _, d := range s.Delays {
		if d.Node == to {
			return time.Duration(d.US) * time.Microsecond
		}
	}
	return 0
}

// share says whether two nodes own a company together.
func (j *judge) share(a, b message.NodeID) bool {
	for i := range j.d.Companies {
		var one, two bool
		for _, o := range j.d.Companies[i].Owners {
			one, two = one || o.Node == a, two || o.Node == b
		}
		if one && two {
			return true
		}
	}
	return false
}
