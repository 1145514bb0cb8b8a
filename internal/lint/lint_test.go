package lint

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHouse(t *testing.T) {
	all, err := read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no Go file was found; the test must run in internal/lint")
	}
	for _, r := range rules() {
		for _, complaint := range r.check(all) {
			t.Errorf("%s: %s", r.name, complaint)
		}
	}
}

// tree makes a source tree of paths and texts.
func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// house is a tree that no rule complains about.
func house() map[string]string {
	return map[string]string{
		"message/doc.go":          "// Package message is said.\npackage message\n",
		"message/code.go":         "package message\nimport (\n\"net/http\"\n\"time\"\n)\nconst OK = http.StatusOK\nconst Second = time.Second\nfunc f(time clock) { time.Now() }\ntype clock struct{}\nfunc (clock) Now() {}\n",
		"message/code_test.go":    "package message\nimport (\n\"dmalloc/node\"\n\"os\"\n\"sync\"\n_ \"github.com/lni/dragonboat/v4\"\n)\nfunc g() { go node.Run(os.Args, sync.Mutex{}) }\n",
		"message/testdata/x.go":   "not Go at all",
		"company/doc.go":          "// Package company applies.\npackage company\nimport \"dmalloc/message\"\n",
		"owner/doc.go":            "// Package owner owns.\npackage owner\nimport (\n_ \"dmalloc/company\"\n_ \"dmalloc/owner/log\"\n_ \"github.com/lni/dragonboat/v4\"\n)\n",
		"owner/log/doc.go":        "// Package log keeps.\npackage log\nimport _ \"github.com/lni/dragonboat/v4/config\"\n",
		"node/doc.go":             "// Package node runs.\npackage node\nimport (\n\"sync\"\n_ \"dmalloc/owner\"\n)\nfunc f() { go f() }\nvar mu sync.Mutex\n",
		"cmd/dmalloc/main.go":     "// Command dmalloc starts it.\npackage main\nimport _ \"dmalloc/node\"\n",
		"internal/lint/doc.go":    "// Package lint judges.\npackage lint\n",
		".git/hook.go":            "not Go either",
		"other/go.mod":            "module other\n",
		"other/util/util.go":      "package util\n",
		"message/long_test.go":    "package message\n" + strings.Repeat("\n", 700),
		"pagetable/doc.go":        "// Package pagetable shows.\npackage pagetable\nimport _ \"github.com/mattn/go-sqlite3\"\n",
		"dotgen/doc.go":           "// Package dotgen draws.\npackage dotgen\nimport _ \"github.com/emicklei/dot\"\n",
		"election/doc.go":         "// Package election remembers.\npackage election\nimport \"time\"\nvar at = time.UnixMilli(0).UTC()\n",
		"internal/lint/x_test.go": "package lint\nimport _ \"dmalloc/node\"\n",
	}
}

// Each rule complains about what breaks it, and only that rule.
func TestRulesFire(t *testing.T) {
	for _, broken := range []struct {
		rule, path, text string
		says             string
	}{
		{"arrows", "message/x.go", "package message\nimport _ \"dmalloc/company\"\n", "message/x.go: imports dmalloc/company, which is not further in"},
		{"arrows", "node/x.go", "//go:build planted\n\npackage node\nimport _ \"dmalloc/cmd/dmalloc\"\n", "not further in"},
		{"arrows", "company/x.go", "package company\nimport _ \"dmalloc/dotgen\"\n", "stands beside it"},
		{"arrows", "company/x.go", "package company\nimport _ \"dmalloc/nowhere\"\n", "not further in"},
		{"arrows", "internal/lint/x.go", "package lint\nimport _ \"dmalloc/message\"\n", "not further in"},
		{"arrows", "attic/doc.go", "// Package attic is new.\npackage attic\n", "the room attic stands on no line"},
		{"pure", "company/x.go", "package company\nfunc f() { go f() }\n", "go statement"},
		{"pure", "company/x.go", "package company\nimport _ \"os\"\n", "imports os"},
		{"pure", "company/x.go", "package company\nimport _ \"os/exec\"\n", "imports os/exec"},
		{"pure", "company/x.go", "package company\nimport _ \"net\"\n", "imports net"},
		{"pure", "company/x.go", "package company\nimport _ \"sync/atomic\"\n", "imports sync/atomic"},
		{"pure", "company/x.go", "package company\nimport _ \"math/rand/v2\"\n", "imports math/rand/v2"},
		{"pure", "company/x.go", "package company\nimport _ \"crypto/rand\"\n", "imports crypto/rand"},
		{"pure", "company/x.go", "package company\nimport _ \"context\"\n", "imports context"},
		{"pure", "company/x.go", "package company\nimport _ \"log/slog\"\n", "imports log/slog"},
		{"pure", "company/x.go", "package company\nimport \"net/http\"\nvar c = http.Get\n", "uses net/http.Get"},
		{"pure", "company/x.go", "package company\nimport \"time\"\nvar now = time.Now\n", "uses time.Now"},
		{"pure", "company/x.go", "package company\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }\n", "uses time.Sleep"},
		{"pure", "company/x.go", "package company\nimport . \"time\"\nvar now = Now()\n", "uses time.."},
		{"pure", "page/doc.go", "// Package page keeps.\npackage page\nimport _ \"sync\"\n", "page is pure"},
		{"pure", "cache/doc.go", "// Package cache keeps.\npackage cache\nimport _ \"sync\"\nfunc f() { go f() }\n", "go statement"},
		{"pure", "cache/doc.go", "// Package cache keeps.\npackage cache\nimport (\n\"sync\"\n\"time\"\n)\nvar now, mu = time.Now, sync.Mutex{}\n", "uses time.Now"},
		{"pure", "directory/doc.go", "// Package directory knows.\npackage directory\nimport _ \"os\"\n", "directory is pure"},
		{"heavy", "node/x.go", "package node\nimport _ \"github.com/lni/dragonboat/v4/config\"\n", "whose one room is owner"},
		{"heavy", "node/x.go", "package node\nimport _ \"github.com/mattn/go-sqlite3\"\n", "pagetable"},
		{"heavy", "node/x.go", "package node\nimport _ \"github.com/chzyer/readline\"\n", "repl"},
		{"heavy", "node/x.go", "package node\nimport _ \"github.com/olekukonko/tablewriter/tw\"\n", "repl"},
		{"heavy", "node/x.go", "package node\nimport _ \"github.com/emicklei/dot\"\n", "dotgen"},
		{"heavy", "node/x.go", "package node\nimport _ \"github.com/hashicorp/memberlist\"\n", "member"},
		{"heavy", "node/x.go", "package node\nimport _ \"github.com/tetratelabs/wazero\"\n", "job"},
		{"heavy", "node/x.go", "package node\nimport _ \"github.com/spf13/cobra\"\n", "cmd/dmalloc"},
		{"heavy", "node/x.go", "package node\nimport _ \"google.golang.org/grpc/codes\"\n", "whose one room is bench"},
		{"heavy", "node/x.go", "package node\nimport _ \"google.golang.org/protobuf/proto\"\n", "whose one room is bench"},
		{"comment", "client/client.go", "// Package client is not in doc.go.\npackage client\n", "client: no package comment in doc.go"},
		{"comment", "client/doc.go", "// Something else.\npackage client\n", "client: no package comment"},
		{"comment", "client/doc.go", "//go:build linux\n\npackage client\n", "client: no package comment"},
		{"comment", "cmd/dmalloc/main.go", "package main\n", "cmd/dmalloc: no package comment"},
		{"name", "node/util/doc.go", "// Package util has everything.\npackage util\n", "package util says nothing"},
		{"name", "node/x_test.go", "package utils_test\n", "package utils says nothing"},
		{"length", "node/x.go", "package node\n" + strings.Repeat("\n", 600), "has 601 lines"},
	} {
		files := house()
		files[broken.path] = broken.text
		all, err := read(tree(files))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules() {
			got := strings.Join(r.check(all), "\n")
			if (r.name == broken.rule) != (got != "") || r.name == broken.rule && !strings.Contains(got, broken.says) {
				t.Errorf("%s with %q: %s says %q; want %s to say %q", broken.path, broken.text, r.name, got, broken.rule, broken.says)
			}
		}
	}
}

func TestGoodHouse(t *testing.T) {
	all, err := read(tree(house()))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(house())-4 {
		t.Errorf("%d of %d files were read; 4 are not to be looked at", len(all), len(house()))
	}
	for _, r := range rules() {
		for _, complaint := range r.check(all) {
			t.Errorf("%s: %s", r.name, complaint)
		}
	}
	if _, err := read(tree(map[string]string{"node/x.go": "package"})); err == nil {
		t.Error("a file that does not parse is not reported")
	}
}
