package sim

import (
	"testing"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// Faults read as they are written.
func TestFaultsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Faults(rapid.Uint32().Draw(t, "faults")) & allFaults
		if got, err := ParseFaults(f.String()); err != nil || got != f {
			t.Fatalf("%s is read as %s, %v", f, got, err)
		}
	})
	if _, err := ParseFaults("loss,plague"); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("plague: %v", err)
	}
	if f, err := ParseFaults("loss, slow-sync"); err != nil || f != Loss|SlowSync {
		t.Errorf("got %s, %v", f, err)
	}
	if 1<<len(faultNames) != faultsEnd {
		t.Errorf("%d names", len(faultNames))
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add("loss twice")
	f.Add("no faults")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseFaults(s)
		if err != nil {
			return
		}
		if again, err := ParseFaults(got.String()); err != nil || again != got {
			t.Errorf("%q is %s, and that is %s, %v", s, got, again, err)
		}
	})
}
