package repl

import (
	"testing"

	"dmalloc/client"
)

func TestLacking(t *testing.T) {
	for want, x := range map[string]client.Company{
		"": {ID: 1, Alive: 3},
		"company 2 is under-replicated: 2 of 3 owners are alive; ":     {ID: 2, Alive: 2, Missing: 1},
		"the directory is under-replicated: 4 of 5 owners are alive; ": {Alive: 4, Missing: 1},
	} {
		if got := lacking(x); got != want {
			t.Errorf("%+v: %q", x, got)
		}
	}
}
