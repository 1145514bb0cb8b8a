package dotgen

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emicklei/dot"
)

// maxLine is how many characters of a line are shown; the rest is cut.
const maxLine = 200

// quote makes lines of text a quoted DOT string that shows exactly them. DOT itself knows only \" as an
// escape, but labels read \N, \l and the like, and entities such as &lt;, wherever they come from.
func quote(lines ...string) dot.Literal {
	var b strings.Builder
	b.WriteByte('"')
	for i, line := range lines {
		if i > 0 {
			b.WriteString(`\n`)
		}
		shown := 0
		for rest := line; rest != ""; shown++ {
			if shown == maxLine {
				b.WriteString("…")
				break
			}
			r, n := utf8.DecodeRuneInString(rest)
			b.WriteString(escaped(r, n, rest[:n]))
			rest = rest[n:]
		}
	}
	b.WriteByte('"')
	return dot.Literal(b.String())
}

// escaped is how a label spells a character that was read from n bytes.
func escaped(r rune, n int, bytes string) string {
	switch {
	case r == utf8.RuneError && n == 1: // no UTF-8, which graphviz would refuse
		return `\\x` + strconv.FormatUint(uint64(bytes[0]), 16)
	case r == '"':
		return `\"`
	case r == '\\':
		return `\\`
	case r == '&':
		return "&amp;"
	case r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r):
		return bytes
	}
	word := strconv.QuoteRune(r) // '\n', '\x1b', '\u202e'
	return strings.ReplaceAll(word[1:len(word)-1], `\`, `\\`)
}
