package web

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"dmalloc/message"
)

// A body may be megabytes of one string. What is here finds and decodes the members of an object where they
// stand, so that a request holds one copy of its body, and refuses what encoding/json would silently replace.

// checkJSON says whether the bytes are one JSON value whose strings are text. The shape is what error shows.
func checkJSON(b []byte, shape string) error {
	switch {
	case !json.Valid(b):
		return message.Errorf(message.InvalidArgument, "the body is not one JSON value; send %s", shape)
	case !utf8.Valid(b):
		return message.Errorf(message.InvalidArgument, "the body is not UTF-8; send bytes that are no text as base64")
	case halfPair(b):
		return message.Errorf(message.InvalidArgument, `the body has half of a surrogate pair, as \ud800, which is no character; send bytes that are no text as base64`)
	}
	return nil
}

// halfPair finds an escaped surrogate without its other half. b is valid JSON, so a backslash is in a string.
func halfPair(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return false
		}
		b = b[i:]
		if b[1] != 'u' {
			b = b[2:]
			continue
		}
		r, n := escaped(b)
		if r == utf8.RuneError && utf16.IsSurrogate(unit(b)) {
			return true
		}
		b = b[n:]
	}
}

// unit is the 16 bits that an escape \uXXXX at the beginning of b stands for.
func unit(b []byte) rune {
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return utf8.RuneError // not in valid JSON
	}
	return rune(n)
}

// escaped is the character that b begins with an escape \uXXXX of, or with two of a pair, and their length.
func escaped(b []byte) (rune, int) {
	r := unit(b)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if r = utf16.DecodeRune(r, unit(b[6:])); r != utf8.RuneError {
			return r, 12
		}
	}
	return utf8.RuneError, 6
}

// unquote decodes a JSON string that checkJSON has passed. The text takes the place of the string, and is never
// longer.
func unquote(s []byte) []byte {
	s = s[1 : len(s)-1]
	out := s[:0]
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(out, s...)
		}
		out = append(out, s[:i]...)
		s = s[i:]
		if s[1] == 'u' {
			r, n := escaped(s)
			out, s = utf8.AppendRune(out, r), s[n:]
			continue
		}
		c := s[1]
		if at := bytes.IndexByte([]byte("bfnrt"), c); at >= 0 {
			c = "\b\f\n\r\t"[at]
		}
		out, s = append(out, c), s[2:]
	}
}

// values walks over the JSON values in valid JSON.
type values struct{ left []byte }

const spaces = " \t\r\n"

// skip steps over spaces and the characters between values, and says whether a value follows.
func (v *values) skip() bool {
	v.left = bytes.TrimLeft(v.left, spaces+",:")
	return len(v.left) > 0 && v.left[0] != '}' && v.left[0] != ']'
}

// next takes the value that follows, whole.
func (v *values) next() []byte {
	n, depth := 0, 0
	for {
		switch v.left[n] {
		case '"':
			n += stringLength(v.left[n:])
		case '{', '[':
			depth++
			n++
		case '}', ']':
			depth--
			n++
		default:
			n++
			if depth > 0 {
				break
			}
			if end := bytes.IndexAny(v.left[n:], spaces+",]}"); end >= 0 { // a number or a word
				n += end
			} else {
				n = len(v.left)
			}
		}
		if depth == 0 {
			one := v.left[:n:n]
			v.left = v.left[n:]
			return one
		}
	}
}

// stringLength is the length of the JSON string at the beginning of b, with its quotes.
func stringLength(b []byte) int {
	for n := 1; ; n++ {
		n += bytes.IndexAny(b[n:], `"\`)
		if b[n] == '"' {
			return n + 1
		}
		n++ // what is escaped
	}
}

// elements are the values of an array, and false if it is none or has more than most.
func elements(array []byte, most int) (all [][]byte, ok bool) {
	if array[0] != '[' {
		return nil, false
	}
	for v := (values{array[1:]}); v.skip(); {
		if len(all) == most {
			return nil, false
		}
		all = append(all, v.next())
	}
	return all, true
}
