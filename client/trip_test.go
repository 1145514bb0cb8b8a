package client

import (
	"testing"
	"time"

	"dmalloc/message"
)

func TestTrip(t *testing.T) {
	const ms = time.Millisecond
	many := func(n int, d time.Duration) []time.Duration {
		out := make([]time.Duration, n)
		for i := range out {
			out[i] = d
		}
		return out
	}
	for name, c := range map[string]struct {
		took        []time.Duration
		least, most time.Duration // that patience comes to
	}{
		"nothing is known":              {nil, 120 * ms, 120 * ms},
		"fast links are at the floor":   {many(20, ms), 120 * ms, 120 * ms},
		"the first time counts thrice":  {many(1, 100*ms), 300 * ms, 300 * ms},
		"a steady way is known exactly": {many(40, 300*ms), 300 * ms, 301 * ms},
		"it has become slow":            {append(many(20, ms), 200*ms), 200 * ms, 250 * ms},
		"it has stayed slow":            {append(many(20, ms), many(40, 200*ms)...), 200 * ms, 210 * ms},
		"it has become fast":            {append(many(20, 300*ms), ms), 120 * ms, 120 * ms},
		"it was late once":              {append(many(20, ms), 1900*ms, ms), 120 * ms, 120 * ms},
		"it varies":                     {[]time.Duration{200 * ms, 300 * ms, 200 * ms, 300 * ms, 200 * ms, 300 * ms}, 400 * ms, 600 * ms},
		"there is a ceiling":            {many(3, 1500*ms), 2 * time.Second, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var x trip
			for _, d := range c.took {
				x = x.after(d)
			}
			if got := x.patience(120*ms, longestTrip); got < c.least || got > c.most {
				t.Errorf("%+v: patience %v, want %v to %v", x, got, c.least, c.most)
			}
		})
	}
	if got := (trip{}).patience(3*time.Second, longestTrip); got != 3*time.Second {
		t.Errorf("a floor above the ceiling came to %v", got)
	}
}

func TestTripsForgetWhatIsNoTrip(t *testing.T) {
	var all trips
	all.took(1, 40*time.Millisecond)
	all.took(1, 5*time.Second)
	if got := all.get(1); got.mean != 40*time.Millisecond {
		t.Errorf("%+v after a freeze", got)
	}
	if all.get(2).known {
		t.Error("a node never asked is known")
	}
	all.took(message.NoNode, time.Millisecond)
	if all.get(message.NoNode).known {
		t.Error("what is no node is known")
	}
}

// What is kept of a trip in one word is all of it, at its least and at its most.
func TestTripIsOneWord(t *testing.T) {
	for _, x := range []trip{{}, {known: true}, {1, 0, true}, {0, 1, true}, {longestTrip, longestTrip, true}, {longestTrip, 0, true}} {
		if got := tripOf(x.word()); got != x {
			t.Errorf("%+v became %+v", x, got)
		}
	}
}
