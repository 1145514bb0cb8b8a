package election

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dmalloc/message"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories print into testdata")

// A story is paragraphs: comments and one command, a line of dashes, and what it prints.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h := New()
			var now []string
			for _, p := range strings.Split(strings.TrimSpace(string(b)), "\n\n") {
				now = append(now, play(t, h, p))
				if err := h.Check(); err != nil {
					t.Errorf("after %s: %v", p, err)
				}
			}
			text := strings.Join(now, "\n\n") + "\n"
			if *rewrite {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if text != string(b) {
				t.Errorf("%s has changed; run with -rewrite and look at the difference:\n%s", file, text)
			}
		})
	}
}

// play runs one paragraph and returns it with its output.
func play(t *testing.T, h *History, p string) string {
	head, _, _ := strings.Cut(p, "\n----")
	for line := range strings.Lines(head) {
		if !strings.HasPrefix(line, "#") {
			return head + "\n----\n" + strings.TrimRight(run(t, h, strings.Fields(line)), "\n")
		}
	}
	return head
}

func run(t *testing.T, h *History, words []string) string {
	arg := map[string]int64{}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		arg[name] = n
	}
	leader := message.NoNode
	if n, ok := arg["leader"]; ok {
		leader = message.NodeID(n)
	}
	company := message.CompanyID(arg["company"])
	m := message.New(message.WHOISLEADER)
	m.Company, m.Final, m.Term, m.Source, m.Target = company, leader, uint64(arg["term"]), 8, 9
	switch words[0] {
	case "observe":
		if !h.Observe(company, uint64(arg["term"]), leader, arg["at"]) {
			return "nothing new\n" + h.String()
		}
		return h.String()
	case "whois":
		leader, term, ok := h.WhoIs(company)
		return fmt.Sprintf("%s in term %d, %v", leader, term, ok)
	case "leaders":
		return list(h.Leaders())
	case "history":
		if _, ok := arg["company"]; ok {
			return list(h.History(company, company))
		}
		return list(h.History())
	case "WHOISLEADER":
		m.Final, m.Term = message.NoNode, 0
	case "LEADER_OK":
		m.Op = message.LEADEROK
	case "LEADER_AGAIN":
		m.Op = message.LEADERAGAIN
	default:
		t.Fatalf("no command %q", words[0])
	}
	if a := h.Step(m, arg["at"]); a != nil {
		return strings.TrimSpace(fmt.Sprintf("%s term %d %s", a, a.Term, a.Text))
	}
	return h.String()
}

func list(all []message.Tenure) string {
	if len(all) == 0 {
		return "none"
	}
	var b strings.Builder
	for _, t := range all {
		fmt.Fprintf(&b, "company %s: %s\n", t.Company, line(t))
	}
	return b.String()
}
