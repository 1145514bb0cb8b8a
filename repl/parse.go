package repl

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"dmalloc/message"
)

// maxLine bounds a line, so that a stream without newlines cannot fill the memory.
const maxLine = 8 << 20

// word is a piece of a line. One that was quoted is never a number, a flag or `_`.
type word struct {
	text   string
	quoted bool
}

// command is a line that was understood as far as its words go.
type command struct {
	name string // as typed
	verb *verb  // nil: an empty line or a comment
	args []word
	tail string // the rest of the line, verbatim, for forms that end in DATA, QUERY or TEXT
	has  bool   // whether the form ends in such a tail, empty or not
}

// checkLine refuses bytes that cannot be part of a command.
func checkLine(line string) error {
	switch {
	case len(line) > maxLine:
		return tooLong()
	case strings.IndexByte(line, 0) >= 0:
		return message.Errorf(message.InvalidArgument, "the line holds a NUL byte at position %d and was not run; write binary data from a file", strings.IndexByte(line, 0)+1)
	case !utf8.ValidString(line):
		return message.Errorf(message.InvalidArgument, "the line is not valid UTF-8 and was not run; write binary data from a file")
	}
	return nil
}

func tooLong() error {
	return message.Errorf(message.InvalidArgument, "the line is longer than %d bytes and was not run; write large data from a file", maxLine)
}

// parse reads a line. Its error is about words and quotes; whether the words make sense is the verb's to say.
func parse(line string) (command, error) {
	rest := strings.TrimLeft(line, blanks)
	if rest == "" || rest[0] == '#' {
		return command{}, nil
	}
	first, rest, err := nextWord(rest)
	if err != nil {
		return command{}, err
	}
	c := command{name: first.text}
	if c.verb, err = find(first.text); err != nil {
		return c, err
	}
	for {
		if c.verb.tailNow(c.args) {
			c.has = true
			if rest != "" {
				c.tail = rest[1:] // what separates it is one blank
			}
			return c, nil
		}
		rest = strings.TrimLeft(rest, blanks)
		if rest == "" {
			return c, nil
		}
		var w word
		if w, rest, err = nextWord(rest); err != nil {
			return c, err
		}
		c.args = append(c.args, w)
	}
}

// blanks separate words.
const blanks = " \t"

// nextWord cuts a word off a string that does not begin with a blank. A word that begins with a quote ends
// with the same quote; inside double quotes \" and \\ stand for " and \. A quote that begins a word and
// is never closed is an error here; inside a word it is a character like any other.
func nextWord(s string) (word, string, error) {
	if s[0] != '"' && s[0] != '\'' {
		end := strings.IndexAny(s, blanks)
		if end < 0 {
			end = len(s)
		}
		return word{text: s[:end]}, s[end:], nil
	}
	end := closing(s)
	if end < 0 {
		return word{}, "", message.Errorf(message.InvalidArgument, "the quote before %s is not closed", message.Quote(s[1:]))
	}
	text, rest := s[1:end], s[end+1:]
	if rest != "" && !strings.ContainsAny(rest[:1], blanks) {
		return word{}, "", message.Errorf(message.InvalidArgument, "a blank is missing after the quoted %s", message.Quote(text))
	}
	if s[0] == '"' {
		text = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(text)
	}
	return word{text: text, quoted: true}, rest, nil
}

// closing is the place of the quote that closes the one s begins with, or -1.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return i
		case s[i] == '\\' && s[0] == '"':
			i++
		}
	}
	return -1
}

// Split cuts what -c was given into its commands: at newlines, and at each ';' outside quotes. A quote opens only at
// the beginning of a word and only if it is closed in the same command line, so that "it's" needs no care.
func Split(s string) []string {
	var (
		out   []string
		start int
	)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ';' || c == '\n':
			out = append(out, s[start:i])
			start = i + 1
		case c == '"' || c == '\'':
			if i == start || strings.IndexByte(blanks, s[i-1]) >= 0 {
				line, _, _ := strings.Cut(s[i:], "\n")
				if end := closing(line); end > 0 {
					i += end
				}
			}
		}
	}
	return append(out, s[start:])
}

// isNumber says whether a word is meant as a number, a good one or not: then it is not a file's name.
func (w word) isNumber() bool {
	s := w.text
	if w.quoted || s == "" || !strings.ContainsRune("0123456789+-.", rune(s[0])) {
		return false
	}
	if _, err := message.ParseSize(strings.TrimLeft(s, "+-")); err == nil {
		return true
	}
	_, err := strconv.ParseFloat(s, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return true
	}
	_, err = strconv.ParseInt(s, 0, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// parseSize reads a size that must not be zero.
func parseSize(w, what string) (uint64, error) {
	n, err := message.ParseSize(w)
	if err == nil && n == 0 {
		return 0, message.Errorf(message.InvalidArgument, "%s of 0 bytes; the least is 1", what)
	}
	return n, err
}

// parseAddress reads an address: hexadecimal with 0x, decimal, or `_` for the last one printed; +N goes
// N bytes on.
func (s *Shell) parseAddress(w word) (message.Addr, error) {
	base, offset, plus := strings.Cut(w.text, "+")
	a := s.last
	if base == "_" && !w.quoted {
		if !s.hasLast {
			return 0, message.Errorf(message.InvalidArgument, "_ is the last address that m, t or d printed, and none was printed yet")
		}
	} else {
		var err error
		if a, err = message.ParseAddr(base); err != nil {
			return 0, err
		}
	}
	if !plus {
		return a, nil
	}
	n, err := message.ParseSize(offset)
	if err != nil {
		var hex message.Addr
		if hex, err = message.ParseAddr(offset); err != nil {
			return 0, message.Errorf(message.InvalidArgument, "%s is not an offset: use a number of bytes such as 16, 4k or 0x10", message.Quote(offset))
		}
		n = uint64(hex)
	}
	if uint64(a)+n < n {
		return 0, message.Errorf(message.InvalidArgument, "%s lies behind the end of all addresses", message.Quote(w.text))
	}
	return a + message.Addr(n), nil
}

// parseID reads the number of a node.
func parseID(w string) (message.NodeID, error) {
	n, err := strconv.ParseUint(w, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n >= message.MaxNodes:
		return 0, message.Errorf(message.NoSuchNode, "node %s does not exist; `nodes` lists those that do", message.Quote(w))
	case err != nil:
		return 0, message.Errorf(message.InvalidArgument, "%s is not a node's id: use a number as `nodes` shows it", message.Quote(w))
	}
	return message.NodeID(n), nil
}

// parseCompany reads the number of a company.
func parseCompany(w string) (message.CompanyID, error) {
	n, err := strconv.ParseUint(w, 10, 32)
	if err != nil || n > message.MaxCompany {
		return 0, message.Errorf(message.InvalidArgument, "%s is not a company's id: use a number as `companies` shows it", message.Quote(w))
	}
	return message.CompanyID(n), nil
}

// parseCount reads how many of something are wanted.
func parseCount(w string) (int, error) {
	n, err := strconv.ParseUint(w, 10, 31)
	if err != nil || n == 0 {
		return 0, message.Errorf(message.InvalidArgument, "%s is not a count: use a whole number from 1", message.Quote(w))
	}
	return int(n), nil
}

// parseWord64 reads an operand of cas and add: decimal, with a sign or not, or hexadecimal with 0x.
func parseWord64(w string) (uint64, error) {
	if n, err := strconv.ParseUint(w, 0, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseInt(w, 0, 64)
	if err != nil {
		return 0, message.Errorf(message.InvalidArgument, "%s is not a number of 64 bits: use decimal digits, or 0x and hexadecimal digits", message.Quote(w))
	}
	return uint64(n), nil
}
