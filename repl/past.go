package repl

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

const (
	pastLines  = 1000    // that are kept
	pastLength = 4096    // bytes of a line that is kept; longer ones hold data
	pastFile   = 4 << 20 // bytes of the file that are read
)

// past is the lines that were typed. An interactive shell keeps them in a file between runs.
type past struct {
	lines []string
	file  string // "" keeps nothing
}

// DefaultHistory is where an interactive shell keeps its lines: DMALLOC_HISTORY, or dmalloc/history in
// the user's directory of states. "" if there is no such place.
func DefaultHistory() string {
	if f := os.Getenv("DMALLOC_HISTORY"); f != "" {
		return f
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "dmalloc", "history")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "dmalloc", "history")
}

// loadPast reads the lines of earlier runs. A file that cannot be used means that nothing is kept.
func loadPast(file string) (*past, error) {
	p := &past{}
	if file == "" || file == os.DevNull {
		return p, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return p, err
	}
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return p, &os.PathError{Op: "keep history in", Path: file, Err: os.ErrInvalid}
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return p, err
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil { // lines hold data
		return p, err
	}
	if info, err := f.Stat(); err == nil && info.Size() > pastFile {
		if _, err := f.Seek(-pastFile, 2); err != nil {
			return p, err
		}
	}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, pastFile)
	total := 0
	for sc.Scan() {
		total++
		p.add(sc.Text())
	}
	p.file = file
	if total > 2*pastLines {
		return p, p.rewrite()
	}
	return p, sc.Err()
}

// rewrite leaves only the lines that are kept.
func (p *past) rewrite() error {
	text := strings.Join(p.lines, "\n") + "\n"
	return replaceFile(p.file, 0o600, func(f *os.File) error {
		_, err := f.WriteString(text)
		return err
	})
}

// add takes in a line. One that repeats the one before, or is long, is left out; it says whether it was kept.
func (p *past) add(line string) bool {
	line = strings.TrimSpace(line)
	if line == "" || len(line) > pastLength || !utf8.ValidString(line) || strings.ContainsAny(line, "\n\r\x00") {
		return false
	}
	if n := len(p.lines); n > 0 && p.lines[n-1] == line {
		return false
	}
	p.lines = append(p.lines, line)
	if len(p.lines) > pastLines {
		p.lines = append([]string(nil), p.lines[len(p.lines)-pastLines:]...)
	}
	if p.file != "" {
		if f, err := os.OpenFile(p.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err == nil {
			_, _ = f.WriteString(line + "\n") // a history that cannot be kept stops nobody's work
			_ = f.Close()
		}
	}
	return true
}
