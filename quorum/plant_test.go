//go:build planted

package quorum

import (
	"testing"

	"dmalloc/internal/planted"
	"dmalloc/register"
)

func init() { planted.Init(func(name string) bool { return register.Plant(name) == nil }) }

// A keeper judges by package register, whose bugs are found there. What a keeper itself must have right around
// the fence is that it asks for the judgement.
func TestPlantedBugsFail(t *testing.T) {
	planted.Fail(t, []string{"no-fence"}, []planted.Bug{{Name: "no-fence", Test: "TestMove"}})
}
