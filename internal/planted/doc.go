// Package planted shows that tests find bugs: it runs the tests of a package once more, each with one bug
// planted, in a process of its own, and wants them to fail there.
//
//	go test -tags planted ──▶ TestPlantedBugsFail ──▶ Fail ──▶ the same program, -test.run ONE, DMALLOC_PLANT=BUG
//
// What a bug is and where it stands is its room's business: plant.go there, behind the build tag planted, and its
// plant_none.go, whose constants make the compiler leave the bug out of the product. This package is imported by
// tests alone. Bugs that need real processes to show are in cmd/dmalloc.
package planted

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Variable names the bug that a process has.
const Variable = "DMALLOC_PLANT"

// Bug is one, and a test that must fail with it, and does whenever it is run. Args are more options of the test.
type Bug struct {
	Name string
	Test string
	Args []string
}

// Init plants what the environment asks for. A package's test calls it from its init.
func Init(plant func(name string) bool) {
	if name := os.Getenv(Variable); name != "" && !plant(name) {
		panic(Variable + "=" + name + " is no planted bug of this package")
	}
}

// Fail runs each bug's test with the bug and without. All names must be there, each at least once.
func Fail(t *testing.T, names []string, bugs []Bug) {
	for _, n := range names {
		if !slices.ContainsFunc(bugs, func(b Bug) bool { return b.Name == n }) {
			t.Errorf("%s can be planted, and no test is named that finds it", n)
		}
	}
	clean := map[string]bool{}
	for _, b := range bugs {
		if !clean[b.Test] {
			clean[b.Test] = true
			t.Run("none/"+b.Test, func(t *testing.T) {
				if out, err := b.run(""); err != nil || !strings.Contains(out, "--- PASS: "+b.Test) {
					t.Errorf("%s does not pass without a bug: %v\n%s", b.Test, err, out)
				}
			})
		}
		t.Run(b.Name, func(t *testing.T) {
			out, err := b.run(b.Name)
			if err == nil || !strings.Contains(out, "--- FAIL: "+b.Test) {
				t.Fatalf("%s does not find %s: %v\n%s", b.Test, b.Name, err, out)
			}
			t.Log(first(out))
		})
	}
}

func (b Bug) run(name string) (string, error) {
	args := slices.Concat([]string{"-test.run", "^" + b.Test + "$", "-test.v", "-test.timeout", "60s"}, b.Args)
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s", Variable, name))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// first is the first line that says what went wrong.
func first(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "_test.go:") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
