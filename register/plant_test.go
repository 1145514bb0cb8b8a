//go:build planted

package register

import (
	"testing"

	"dmalloc/message"
)

// What is planted is in all that is made afterwards, and is taken back.
func TestPlant(t *testing.T) {
	for _, name := range Plants() {
		if err := Plant(name); err != nil {
			t.Fatal(err)
		}
		if NewRead(wcall).planted == 0 || NewMemory(abc[0], message.Registers{}).planted == 0 {
			t.Errorf("%s is not there", name)
		}
	}
	if err := Plant("nonsense"); message.CodeOf(err) != message.InvalidArgument {
		t.Errorf("got %v", err)
	}
	if err := Plant(); err != nil || NewRead(wcall).planted != 0 {
		t.Errorf("something stays: %v", err)
	}
}
