package lint

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "dmalloc"

// lines are the rooms from the innermost out. A room imports rooms of earlier lines, none of its own.
var lines = [][]string{
	{"message"},
	{"block", "page", "lease", "cache", "register", "ring", "election", "fault"},
	{"company", "dotgen", "health"},
	{"run"},       // the other side of a company
	{"directory"}, // has the shape of a company
	{"transport", "certs", "faultfs", "internal/quiet", "internal/planted", "internal/boottime", "internal/allocs"},
	{"client", "member", "owner", "quorum", "pagetable", "store", "mapped"},
	{"bench", "doctor", "drill", "job", "sysdump", "vm"},
	{"cluster"},
	{"repl", "web"},
	{"node"},
	{"sim"},
	{"cmd/dmalloc"},
}

// pureLines is how many of the lines, from the first on, hold the pure core.
const pureLines = 5

// heavy names the one room of each dependency, by the beginning of its import paths.
var heavy = []struct{ prefix, room string }{
	{"github.com/lni/dragonboat", "owner"},
	{"github.com/mattn/go-sqlite3", "pagetable"},
	{"github.com/chzyer/readline", "repl"},
	{"github.com/olekukonko/tablewriter", "repl"},
	{"github.com/emicklei/dot", "dotgen"},
	{"github.com/hashicorp/memberlist", "member"},
	{"github.com/tetratelabs/wazero", "job"},
	{"github.com/spf13/cobra", "cmd/dmalloc"},
	{"google.golang.org/grpc", "bench"},
	{"google.golang.org/protobuf", "bench"},
}

// impure are the imports, with all below them, that a pure room does without, and what it does instead.
var impure = []struct{ prefix, instead string }{
	{"os", "take the bytes as an argument and return those to keep"},
	{"net", "return the messages to send"},
	{"syscall", "leave the system to the rooms around"},
	{"C", "leave the system to the rooms around"},
	{"math/rand", "take random numbers as an argument"},
	{"crypto/rand", "take random numbers as an argument"},
	{"sync", "let one goroutine of the caller own the value"},
	{"context", "do not wait: return, and be called again"},
	{"log", "return an error, or a value that the caller prints"},
	{"database", "return rows"},
}

// locked are the pure rooms that may have a lock, because what they do is too small to be handed to one goroutine.
var locked = []string{"cache"}

// partlyPure is an import whose names are judged one by one.
type partlyPure struct {
	path    string
	allowed func(name string) bool
	instead string
}

// partly are the imports of which a pure room may use some names: types and constants.
var partly = []partlyPure{
	{"time", func(name string) bool {
		return !slices.Contains([]string{".", "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"}, name)
	}, "take the time as an argument"},
	{"net/http", func(name string) bool { return strings.HasPrefix(name, "Status") && name != "StatusText" }, "use no more of it than the numbers of statuses"},
}

// maxLines is the length of a file that is still read in one go.
const maxLines = 600

// rule looks at all of the source and complains about what breaks it.
type rule struct {
	name  string
	check func(all []source) []string
}

func rules() []rule {
	return []rule{
		{"arrows", arrows},
		{"pure", pure},
		{"heavy", heavyRooms},
		{"comment", comments},
		{"name", names},
		{"length", lengths},
	}
}

// lineOf is where a room stands in the list, -1 for nowhere.
func lineOf(room string) int {
	return slices.IndexFunc(lines, func(rooms []string) bool { return slices.Contains(rooms, room) })
}

// within says whether an import path is the prefix or lies below it.
func within(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

func arrows(all []source) (complaints []string) {
	unknown := map[string]bool{}
	for _, s := range all {
		line := lineOf(s.room)
		if line < 0 && s.room != "internal/lint" && !unknown[s.room] {
			unknown[s.room] = true
			complaints = append(complaints, fmt.Sprintf("%s: the room %s stands on no line; give it its place in lines, internal/lint/rules_test.go, outside of everything it imports", s.path, s.room))
		}
		if s.test || (line < 0 && s.room != "internal/lint") {
			continue
		}
		for _, imported := range s.imports() {
			if !within(imported, module) {
				continue
			}
			room := roomOf(strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"))
			switch to := lineOf(room); {
			case room == s.room || to >= 0 && to < line:
			case to == line:
				complaints = append(complaints, fmt.Sprintf("%s: imports %s, which stands beside it; move what both need further in, or have a room further out connect them", s.path, imported))
			default:
				complaints = append(complaints, fmt.Sprintf("%s: imports %s, which is not further in; own a small interface here and let a room further out hand in what has it", s.path, imported))
			}
		}
	}
	return complaints
}

func pure(all []source) (complaints []string) {
	for _, s := range all {
		if line := lineOf(s.room); s.test || line < 0 || line >= pureLines {
			continue
		}
		complain := func(what, instead string) {
			complaints = append(complaints, fmt.Sprintf("%s: %s, but %s is pure; %s", s.path, what, s.room, instead))
		}
		for _, spec := range s.file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if i := slices.IndexFunc(partly, func(p partlyPure) bool { return p.path == imported }); i >= 0 {
				p := partly[i]
				for _, name := range s.used(spec, imported) {
					if !p.allowed(name) {
						complain("uses "+imported+"."+name, p.instead)
					}
				}
				continue
			}
			for _, p := range impure {
				if within(imported, p.prefix) && !(p.prefix == "sync" && slices.Contains(locked, s.room)) {
					complain("imports "+imported, p.instead)
				}
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				complain("has a go statement", "return what is to be done, and let the caller decide where it runs")
			}
			return true
		})
	}
	return complaints
}

// used lists the names of an imported package that the file mentions; "." stands for all of a dot import.
func (s *source) used(spec *ast.ImportSpec, imported string) (names []string) {
	local := path.Base(imported)
	if spec.Name != nil {
		local = spec.Name.Name
	}
	if local == "." {
		return []string{"."}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			// A name that the file itself declares has an object; a package has none.
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && x.Obj == nil {
				names = append(names, sel.Sel.Name)
			}
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func heavyRooms(all []source) (complaints []string) {
	for _, s := range all {
		if s.test {
			continue
		}
		for _, imported := range s.imports() {
			for _, h := range heavy {
				if within(imported, h.prefix) && s.room != h.room {
					complaints = append(complaints, fmt.Sprintf("%s: imports %s, whose one room is %s; ask that room for what is needed, through an interface of this one", s.path, imported, h.room))
				}
			}
		}
	}
	return complaints
}

func comments(all []source) (complaints []string) {
	has, seen := map[string]bool{}, map[string]bool{}
	var directories []string
	for _, s := range all {
		if s.test {
			continue
		}
		dir := path.Dir(s.path)
		if !seen[dir] {
			seen[dir] = true
			directories = append(directories, dir)
		}
		text := s.file.Doc.Text()
		if path.Base(s.path) == commentFile(&s) && strings.TrimSpace(text) != "" && (s.file.Name.Name == "main" || strings.HasPrefix(text, "Package "+s.file.Name.Name+" ")) {
			has[dir] = true
		}
	}
	for _, dir := range directories {
		if !has[dir] {
			complaints = append(complaints, fmt.Sprintf("%s: no package comment in doc.go (main.go of a command); say there what the room is for, draw it, and name its invariants, beginning with \"Package NAME \"", dir))
		}
	}
	return complaints
}

func commentFile(s *source) string {
	if s.file.Name.Name == "main" {
		return "main.go"
	}
	return "doc.go"
}

func names(all []source) (complaints []string) {
	for _, s := range all {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if name == "util" || name == "utils" || slices.Contains(strings.Split(s.path, "/"), "util") {
			complaints = append(complaints, fmt.Sprintf("%s: package %s says nothing; put each function where it is used, or into a room with a name of its own", s.path, name))
		}
	}
	return complaints
}

func lengths(all []source) (complaints []string) {
	for _, s := range all {
		if !s.test && s.lines > maxLines {
			complaints = append(complaints, fmt.Sprintf("%s: has %d lines, over %d; split it by idea, so that each file's name says what is in it", s.path, s.lines, maxLines))
		}
	}
	return complaints
}
