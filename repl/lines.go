package repl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// LineReader gives the lines of a person at a terminal. One goroutine uses it, but for the two writers
// and SetPrompt, which any may use.
type LineReader interface {
	ReadLine() (string, error)           // io.EOF: the user leaves; errInterrupted: Ctrl-C, with what stood in the line
	Ask(question string) (string, error) // a line that is not remembered
	SetPrompt(prompt string)
	Remember(line string) // for arrow-up
	Stdout() io.Writer    // what is printed through these does not mangle the prompt
	Stderr() io.Writer
	Close() error
}

// errInterrupted is Ctrl-C at the prompt.
var errInterrupted = errors.New("interrupted")

// lines gives the lines of a pipe, a file or a string, each as soon as it is there. It reads no further
// ahead than its buffer. A last line needs no newline; a \r before a newline belongs to the newline.
type lines struct {
	r *bufio.Reader
}

func newLines(r io.Reader) *lines { return &lines{bufio.NewReaderSize(r, 1<<16)} }

// next returns a line without its newline, io.EOF after the last, or a *message.Error for a line that is
// too long: that line is then passed over.
func (l *lines) next() (string, error) {
	var line []byte
	long := false
	for {
		part, err := l.r.ReadSlice('\n')
		if !long {
			line = append(line, part...)
		}
		if len(line) > maxLine+2 {
			long, line = true, nil
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return "", fmt.Errorf("read commands: %w", err)
		case long:
			return "", tooLong()
		case err != nil && len(line) == 0:
			return "", io.EOF
		}
		return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
	}
}
