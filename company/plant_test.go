//go:build planted

package company

import (
	"testing"

	"dmalloc/internal/planted"
)

func init() { planted.Init(Plant) }

func TestPlantedBugsFail(t *testing.T) {
	planted.Fail(t, Plants(), []planted.Bug{
		{Name: "double-apply", Test: "TestStories"},
		{Name: "forget-answers", Test: "TestStories"},
		{Name: "freed-bytes", Test: "TestStories"},
		{Name: "overlap", Test: "TestStories"},
		{Name: "short-snapshot", Test: "TestStories"},
		{Name: "revive-commit", Test: "TestStories"},
		{Name: "revive-commit", Test: "TestEveryInterleaving"},
	})
}
