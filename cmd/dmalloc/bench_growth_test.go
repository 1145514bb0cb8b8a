package main

import (
	"encoding/json"
	"testing"
)

// What was sent for replicas that hold nothing can be said in JSON, too.
func TestTimesNothing(t *testing.T) {
	b, err := json.Marshal([]any{times(3, 2), times(3, 0), times(0, 0)})
	if err != nil || string(b) != "[1.5,null,null]" {
		t.Errorf("%s, %v", b, err)
	}
}
