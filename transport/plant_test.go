//go:build planted

package transport

import (
	"testing"

	"dmalloc/internal/planted"
)

func init() { planted.Init(Plant) }

func TestPlantedBugsFail(t *testing.T) {
	planted.Fail(t, Plants(), []planted.Bug{
		{Name: "mixed-answers", Test: "TestPipelining"},
		{Name: "any-answerer", Test: "TestPendingKnowsWhoWasAsked"},
		{Name: "frame-twice", Test: "TestPipelining"},
		{Name: "torn-frame", Test: "TestFrameRefusals"},
		{Name: "relay-loop", Test: "TestLoopsEnd"},
		{Name: "any-name", Test: "TestSecureRefusals"}, // by who listens
		{Name: "any-name", Test: "TestSecureImpostor"}, // by who dials
		{Name: "any-incarnation", Test: "TestOtherIncarnationIsDropped"},
	})
}
