package lint

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// source is one Go file.
type source struct {
	path  string // from the root of the repository, with slashes
	room  string
	test  bool
	lines int
	file  *ast.File
}

// roomOf is the room that a directory belongs to: its first word, or two below cmd and internal.
func roomOf(dir string) string {
	words := strings.Split(dir, "/")
	if len(words) > 1 && (words[0] == "cmd" || words[0] == "internal") {
		return words[0] + "/" + words[1]
	}
	return words[0]
}

func (s *source) imports() []string {
	all := make([]string, len(s.file.Imports))
	for i, spec := range s.file.Imports {
		all[i], _ = strconv.Unquote(spec.Path.Value) // the parser has judged it
	}
	return all
}

// read parses every Go file of a tree, whatever its build tags say. testdata, hidden directories and other
// modules are not looked at.
func read(tree fs.FS) (all []source, err error) {
	files := token.NewFileSet()
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (d.Name() == "testdata" || d.Name() == "vendor" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || isModule(tree, name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		b, err := fs.ReadFile(tree, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's file that has gone since the directory was read
		}
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(files, name, b, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{path: name, room: roomOf(path.Dir(name)), test: strings.HasSuffix(name, "_test.go"), lines: bytes.Count(b, []byte("\n")), file: f})
		return nil
	})
	return all, err
}

func isModule(tree fs.FS, dir string) bool {
	_, err := fs.Stat(tree, path.Join(dir, "go.mod"))
	return err == nil
}
