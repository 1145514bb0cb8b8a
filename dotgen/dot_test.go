package dotgen

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// token is a word of DOT: a quoted string, an id or a sign.
var token = regexp.MustCompile(`^(?:"(?:[^"\\\n]|\\[^\n])*"|[A-Za-z_][A-Za-z_0-9]*|-?[0-9.]+|->|[{}\[\];,=])`)

// parse reads what graphviz would, as far as our pictures go: it checks quotes, brackets and statements, and
// that each edge joins nodes that are declared. It returns the labels.
func parse(text string) (labels []string, err error) {
	var words []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "//") {
			continue
		}
		for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
			w := token.FindString(line)
			if w == "" {
				return nil, fmt.Errorf("no word of DOT: %q", line)
			}
			words = append(words, w)
			line = line[len(w):]
		}
	}
	if len(words) < 3 || words[0] != "digraph" {
		return nil, fmt.Errorf("no graph: %q", words)
	}
	var open []string // brackets
	nodes, used := map[string]bool{}, map[string]bool{}
	for i, w := range words {
		next := func(n int) string { return words[min(i+n, len(words)-1)] }
		switch {
		case w == "{" || w == "[":
			open = append(open, w)
		case w == "}" || w == "]":
			if len(open) == 0 || open[len(open)-1]+w != "{}" && open[len(open)-1]+w != "[]" {
				return nil, fmt.Errorf("%s closes nothing", w)
			}
			open = open[:len(open)-1]
		case w == "->":
			used[words[i-1]], used[next(1)] = true, true
		case w == "label" && next(1) == "=":
			labels = append(labels, next(2))
		case regexp.MustCompile(`^n[0-9]+$`).MatchString(w) && next(1) == "[" && words[i-1] != "->":
			if nodes[w] {
				return nil, fmt.Errorf("%s is declared twice", w)
			}
			nodes[w] = true
		}
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("%d brackets are open", len(open))
	}
	for n := range used {
		if !nodes[n] {
			return nil, fmt.Errorf("%s is joined and not declared", n)
		}
	}
	return labels, nil
}

// valid checks a picture, with graphviz too where it is installed.
func valid(t interface {
	Helper()
	Fatalf(string, ...any)
}, text string) []string {
	t.Helper()
	labels, err := parse(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return labels
}

func TestGraphvizTakesThem(t *testing.T) {
	program, err := exec.LookPath("dot")
	if err != nil {
		t.Skip("graphviz is not installed")
	}
	for name, text := range pictures() {
		cmd := exec.Command(program, "-Tsvg")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "Warning") || strings.Contains(string(out), "Error") {
			t.Errorf("%s: %v\n%.400s", name, err, out)
		}
	}
}

func TestGolden(t *testing.T) {
	for name, text := range pictures() {
		t.Run(name, func(t *testing.T) {
			valid(t, text)
			file := "testdata/" + name + ".dot"
			if *rewrite {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil || string(want) != text {
				t.Errorf("%v: the picture has changed; run with -rewrite and look at the difference:\n%s", err, text)
			}
		})
	}
}
