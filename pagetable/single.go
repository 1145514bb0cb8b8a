package pagetable

import (
	"strings"

	"dmalloc/message"
)

// single cuts out the statement, and refuses what is not exactly one. The driver would run each of several
// and answer only the last, even if that is a comment, and would take a zero byte for the end.
func single(query string) (string, error) {
	if len(query) > maxValue {
		return "", message.Errorf(message.InvalidArgument, "the query has %d bytes, at most %d are allowed", len(query), maxValue)
	}
	if i := strings.IndexByte(query, 0); i >= 0 {
		return "", message.Errorf(message.InvalidArgument, "the query has a zero byte at %d; remove it", i)
	}
	begin, end, closed := -1, -1, false
	for i := 0; i < len(query); {
		n := blank(query[i:])
		switch {
		case n > 0:
			i += n
		case query[i] == ';':
			closed = begin >= 0
			i++
		case closed:
			return "", message.Errorf(message.InvalidArgument, "one statement at a time: %s follows the first", message.Quote(query[i:]))
		default:
			if begin < 0 {
				begin = i
			}
			i += word(query[i:])
			end = i
		}
	}
	if begin < 0 {
		return "", message.Errorf(message.InvalidArgument, "the query is empty; try: SELECT * FROM extents LIMIT 10")
	}
	return query[begin:end], nil
}

// blank is the length of the white space or comment that s begins with.
func blank(s string) int {
	switch {
	case strings.IndexByte(" \t\n\r\f", s[0]) >= 0:
		return 1
	case strings.HasPrefix(s, "--"):
		return to(s, 2, "\n")
	case strings.HasPrefix(s, "/*"):
		return to(s, 2, "*/")
	}
	return 0
}

// word is the length of the quoted thing or single byte that s begins with. A doubled quote ends one quoted
// thing and begins the next, which comes to the same.
func word(s string) int {
	switch s[0] {
	case '\'', '"', '`':
		return to(s, 1, s[:1])
	case '[':
		return to(s, 1, "]")
	}
	return 1
}

// to is the length of s up to and with end, looked for from a place on; all of s where there is none.
func to(s string, from int, end string) int {
	if i := strings.Index(s[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(s)
}
