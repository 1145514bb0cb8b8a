package repl

import (
	"regexp"
	"strings"
	"testing"
)

// A missing cell of the table is a failing test.
func TestVerbsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	all := verbs()
	for i := range all {
		v := &all[i]
		if v.run == nil || v.does == "" || len(v.forms) == 0 || len(v.examples) == 0 {
			t.Errorf("%s lacks something: %+v", v.name, v)
		}
		for _, n := range append([]string{v.name}, v.aliases...) {
			if seen[n] {
				t.Errorf("%s is there twice", n)
			}
			seen[n] = true
			if found, err := find(n); err != nil || found.name != v.name {
				t.Errorf("find(%s): %v, %v", n, found, err)
			}
		}
		for _, form := range v.forms {
			for _, tok := range tokens(form) {
				if values[tok.text] == "" && (v.each == nil || tok.text != ownWord(form)) {
					t.Errorf("%s: nothing is said about %s", v.name, tok.text)
				}
			}
		}
		if v.each != nil && len(v.each) != len(v.forms) {
			t.Errorf("%s has %d forms, and says of %d what they do", v.name, len(v.forms), len(v.each))
		}
		page := v.page()
		for _, e := range v.examples {
			c, err := parse(e)
			if err == nil {
				_, err = c.check()
			}
			if err != nil || c.verb.name != v.name {
				t.Errorf("example %q of %s: %v", e, v.name, err)
			}
			if !strings.Contains(page, e) {
				t.Errorf("the help of %s lacks %q", v.name, e)
			}
		}
		for _, u := range v.usages(v.forms) {
			if !strings.Contains(page, u) {
				t.Errorf("the help of %s lacks %q", v.name, u)
			}
		}
	}
}

func TestMarkdown(t *testing.T) {
	md := Markdown()
	cells := regexp.MustCompile(`[^\\]\|`)
	for line := range strings.Lines(md) {
		if n := len(cells.FindAllString(line, -1)); n != 3 {
			t.Errorf("%d cells in %s", n, line)
		}
	}
	for _, e := range Examples() {
		if !strings.Contains(md, "`"+strings.ReplaceAll(e, "|", `\|`)+"`") {
			t.Errorf("the manual lacks %q", e)
		}
	}
}
