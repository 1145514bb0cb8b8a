package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dmalloc/repl"
)

const commandsHead = "# The shell's commands\n\nWritten by `dmalloc docs commands`; the same table feeds `h`, completion and hints.\n\n"

// The manual is what the program's own table says: go run ./cmd/dmalloc docs commands.
func TestCommandsDocument(t *testing.T) {
	const file = "../../docs/commands.md"
	want := commandsHead + repl.Markdown()
	if os.Getenv("DMALLOC_REWRITE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the table says (%v); run DMALLOC_REWRITE=1 go test ./cmd/dmalloc -run %s", file, err, t.Name())
	}
}

// session runs lines on a cluster of its own and returns what was said.
func session(t *testing.T, nodes string, lines []string) (out, errs string) {
	t.Helper()
	dir := t.TempDir()
	for name, size := range map[string]int{"photo.png": 3000, "a name with blanks": 9000, "123": 5000} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "up", "-q", "-n", nodes, "-o", "json")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "NO_COLOR=1")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // what failed stands in the answers
	return stdout.String(), stderr.String()
}

func failed(t *testing.T, out, errs string, want int) {
	t.Helper()
	answers := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range answers {
		if !strings.Contains(line, `"ok":true`) {
			t.Errorf("%s\n%s", line, errs)
		}
	}
	if len(answers) < want {
		t.Errorf("%d answers to %d commands\n%s", len(answers), want, errs)
	}
}

// The tour of the README does what it says.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```dmalloc\n")
	tour, _, ended := strings.Cut(rest, "```")
	if !ok || !ended {
		t.Fatal("the README has no tour")
	}
	commands := 0
	for _, line := range strings.Split(tour, "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			commands++
		}
	}
	out, errs := session(t, "5", strings.Split(tour, "\n"))
	failed(t, out, errs, commands)
}

// Every example that h shows works as it stands, given a heap of one page at the first address, the files
// that it names, and nodes in the state that it expects.
func TestHelpExamples(t *testing.T) {
	before := map[string]string{"revive 2": "kill 2", "revive 2 --wipe --yes": "kill 2", "resume 1": "pause 1",
		"disk full 2": "kill 2", "corrupt 2": "kill 2", "corrupt 2 --seed 7": "kill 2",
		"release 0x500000001000": "lease 0x500000001000 w", "release _": "lease _ w"}
	after := map[string]string{"kill 2": "revive 2", "kill 2 --yes": "revive 2", "pause 1": "resume 1", "set output json": "set output json",
		"disk full 2": "heal; revive 2", "corrupt 2": "revive 2 --wipe --yes", "corrupt 2 --seed 7": "revive 2 --wipe --yes",
		"kill 2 --for 5s": "revive 2", "pause 1 --for 5s": "resume 1", "partition 0,1|2": "heal", "partition 0>1": "heal", "partition 0|1|2 --for 5s": "heal"}
	lines := []string{"m 12k"}
	var last []string
	count := 1
	for _, example := range repl.Examples() {
		switch {
		case example == "exit" || example == "quit" || strings.HasPrefix(example, "echo") || strings.HasPrefix(example, "set output") || example == "heal 3" || strings.HasPrefix(example, "recover"):
			continue // they end the session, print no answer, or need the number of a fault that lasts, or a company that has lost its majority
		case strings.HasPrefix(example, "f "):
			last = append(last, "m 100", example)
			count += 2
			continue
		case strings.HasPrefix(example, "cas _") || strings.HasPrefix(example, "add _") || strings.Contains(example, " _"):
			lines = append(lines, "m 12k")
			count++
		}
		if b := before[example]; b != "" {
			lines = append(lines, b)
			count++
		}
		lines = append(lines, example)
		count++
		if a := after[example]; a != "" {
			then := repl.Split(a)
			lines = append(lines, then...)
			count += len(then)
		}
	}
	out, errs := session(t, "3", append(lines, last...))
	failed(t, out, errs, count)
}
