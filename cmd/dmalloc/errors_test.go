package main

import (
	"os"
	"regexp"
	"testing"

	"dmalloc/message"
)

// docs/errors.md is what the table of codes says, with a section for each code and none besides.
func TestErrorsDocument(t *testing.T) {
	const file = "../../docs/errors.md"
	if os.Getenv("DMALLOC_REWRITE") != "" {
		if err := os.WriteFile(file, []byte(message.ErrorsMarkdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != message.ErrorsMarkdown() {
		t.Errorf("%s is not what the table says (%v); run DMALLOC_REWRITE=1 go test ./cmd/dmalloc -run %s", file, err, t.Name())
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(got), -1) {
		if sections[m[1]] {
			t.Errorf("%s has two sections", m[1])
		}
		sections[m[1]] = true
		if _, ok := message.FindExplanation(m[1]); !ok {
			t.Errorf("the section %s is of no code", m[1])
		}
	}
	for _, c := range message.Codes() {
		if !sections[c.String()] {
			t.Errorf("%s has no section", c)
		}
	}
}
