package repl

import (
	"slices"
	"testing"
)

func TestDrillWords(t *testing.T) {
	for _, c := range []struct {
		before, prefix, has, lacks string
	}{
		{"drill ", "", "--pace ", ""},
		{"drill --seed 7 ", "--", "--faults ", "--seed "},
		{"drill --faults ", "", "kill", "--pace "},
		{"drill --faults ", "kill:3,pa", "kill:3,pause", "pause"},
		{"drill --seed ", "", "", "--pace "},
	} {
		got := (&completer{}).candidates(c.before, c.prefix)
		if c.has != "" && !slices.Contains(got, c.has) || slices.Contains(got, c.lacks) {
			t.Errorf("%q %q: %q", c.before, c.prefix, got)
		}
	}
}
