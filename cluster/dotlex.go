package cluster

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"dmalloc/message"
)

// Kinds of tokens besides the single characters {, }, [, ], =, ;, : and the comma.
const (
	end   rune = -1 - iota // of the text
	word                   // an id, a number or a quoted string
	line                   // --
	arrow                  // ->
)

// kindNames are for errors.
var kindNames = map[rune]string{end: "the end of the file", word: "a name or number", line: "--", arrow: "->"}

type token struct {
	kind         rune
	text         string
	quoted       bool
	line, column int
}

// keyword compares as DOT does: in either case, and never with a quoted word.
func (t token) keyword(k string) bool {
	return t.kind == word && !t.quoted && strings.EqualFold(t.text, k)
}

func (t token) String() string {
	if t.kind == word {
		return message.Quote(t.text)
	}
	return kindName(t.kind)
}

func kindName(kind rune) string {
	if s, ok := kindNames[kind]; ok {
		return s
	}
	return string(kind)
}

// lexer cuts DOT into tokens and knows where it is.
type lexer struct {
	name, text   string
	pos          int
	line, column int
}

// at is the error for a place in the text.
func (l *lexer) at(t token, format string, args ...any) error {
	return message.Errorf(message.InvalidArgument, "%s:%d:%d: %s", l.name, t.line, t.column, fmt.Sprintf(format, args...))
}

// step goes over n bytes.
func (l *lexer) step(n int) {
	for _, r := range l.text[l.pos : l.pos+n] {
		if r == '\n' {
			l.line, l.column = l.line+1, 1
		} else {
			l.column++
		}
	}
	l.pos += n
}

func (l *lexer) here(kind rune) token { return token{kind: kind, line: l.line, column: l.column} }

// space skips white space and comments.
func (l *lexer) space() error {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch {
		case strings.ContainsRune(" \t\r\n\f\v", rune(rest[0])):
			l.step(1)
		case l.pos == 0 && strings.HasPrefix(rest, "\ufeff"):
			l.step(len("\ufeff"))
		case strings.HasPrefix(rest, "//"), rest[0] == '#' && l.column == 1:
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.step(n)
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return l.at(l.here(end), "a comment begins with /* and does not end")
			}
			l.step(n + 4)
		default:
			return nil
		}
	}
	return nil
}

// scan reads the next token.
func (l *lexer) scan() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	t := l.here(end)
	if l.pos == len(l.text) {
		return t, nil
	}
	rest := l.text[l.pos:]
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		t.kind = line
		l.step(2)
	case strings.HasPrefix(rest, "->"):
		t.kind = arrow
		l.step(2)
	case strings.IndexByte("{}[]=;:,", c) >= 0:
		t.kind = rune(c)
		l.step(1)
	case c == '"':
		return l.quoted(t)
	case c == '<':
		return t, l.at(t, "HTML strings are not read: use a quoted one")
	default:
		n := 0
		for n < len(rest) && wordByte(rest[n], n == 0) {
			n++
		}
		if n == 0 {
			r, _ := utf8.DecodeRuneInString(rest)
			return t, l.at(t, "the character %q is not part of a graph", r)
		}
		t.kind, t.text = word, rest[:n]
		l.step(n)
	}
	return t, nil
}

// wordByte says what a word consists of: letters, digits, _ and . as in 1.5, a sign in front, and any
// byte beyond ASCII.
func wordByte(c byte, first bool) bool {
	return c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf || first && c == '-'
}

// quoted reads a string. In DOT only \" is an escape; a backslash before the end of a line joins lines.
func (l *lexer) quoted(t token) (token, error) {
	var b strings.Builder
	rest := l.text[l.pos:]
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '"':
			t.kind, t.text, t.quoted = word, b.String(), true
			l.step(i + 1)
			return t, nil
		case strings.HasPrefix(rest[i:], `\"`):
			i++
			b.WriteByte('"')
		case strings.HasPrefix(rest[i:], "\\\n"):
			i++
		default:
			b.WriteByte(rest[i])
		}
	}
	return t, l.at(t, "a quoted string begins here and does not end")
}

// advance takes the next token.
func (p *dotParser) advance() (err error) {
	p.next, err = p.scan()
	return err
}

// expect goes over a token of a kind.
func (p *dotParser) expect(kind rune) error {
	if p.next.kind != kind {
		return p.at(p.next, "%s where %s should stand", p.next, kindName(kind))
	}
	return p.advance()
}
