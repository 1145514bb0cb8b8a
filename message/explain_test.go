package message

import (
	"strings"
	"testing"
)

// Every code has its explanation, complete, and no explanation has lost its code.
func TestExplanations(t *testing.T) {
	if len(explanations) != len(Codes()) {
		t.Errorf("%d explanations of %d codes", len(explanations), len(Codes()))
	}
	seen := map[string]bool{}
	for _, e := range Explanations() {
		if e.Code == "" || e.Means == "" || e.Done == "" || e.Do == "" || e.HTTP == 0 {
			t.Errorf("the explanation of %q is not complete: %+v", e.Code, e)
		}
		if seen[e.Code] {
			t.Errorf("%s is explained twice", e.Code)
		}
		seen[e.Code] = true
		if c, ok := ParseCode(e.Code); ok && (e.Exit == "" || Explain(c) != e) {
			t.Errorf("%s: %+v is not what Explain says", e.Code, e)
		}
		if got, ok := FindExplanation(e.Code); !ok || got != e {
			t.Errorf("%s is not found by its word", e.Code)
		}
		if !strings.Contains(ErrorsMarkdown(), "\n## "+e.Code+"\n") {
			t.Errorf("%s has no section", e.Code)
		}
	}
	if _, ok := FindExplanation("no such word"); ok {
		t.Error("a word without a meaning is explained")
	}
	if e := Explain(codeEnd); e.Means == "" || e.Do == "" {
		t.Errorf("a code of a later version: %+v", e)
	}
}
