package web

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"
)

// What checkJSON passes is read as encoding/json reads it, and what it refuses encoding/json refuses or changes.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{"a":"\u00e9\ud83d\ude00\n\\\"\/","b":[1,{"x":"]}"},"[\""],"c":-1.5e3}`, ` { "a" : {} , "b":null,"c":[ ] } `, `{"a":"\ud800"}`,
		`{"a":"\\ud800"}`, `{"a":"\ud83d\u0041"}`, `{"\u0061":1,"b":"�\ufffd"}`, "{\"a\":\"\xc3\"}", `{}`, `[{}]`, `"\u0000"`} {
		f.Add([]byte(s))
	}
	fields := []field{{"a", anything, may, ""}, {"b", anything, may, ""}, {"c", anything, may, ""}}
	f.Fuzz(func(t *testing.T, b []byte) {
		var plain map[string]json.RawMessage
		plainErr := json.Unmarshal(b, &plain)
		got, err := parseMembers(slices.Clone(b), fields)
		if err != nil {
			if err := checkJSON(b, ""); err == nil && plainErr == nil && plain != nil && len(plain) == 0 {
				t.Errorf("%q is refused", b)
			}
			return
		}
		if plainErr != nil || len(got) != len(plain) {
			t.Fatalf("%q: %d members; encoding/json has %d, %v", b, len(got), len(plain), plainErr)
		}
		for name, v := range got {
			if !bytes.Equal(v, plain[name]) {
				t.Errorf("%q: %s is %q; want %q", b, name, v, plain[name])
			}
			var s *string
			if v[0] == '"' {
				if err := json.Unmarshal(v, &s); err != nil || string(unquote(slices.Clone(v))) != *s {
					t.Errorf("%q is read as %q", v, unquote(slices.Clone(v)))
				}
			}
			var array []json.RawMessage
			if all, ok := elements(v, len(v)); ok != (v[0] == '[') {
				t.Errorf("%q is an array: %v", v, ok)
			} else if ok && (json.Unmarshal(v, &array) != nil || !slices.EqualFunc(all, array, func(x []byte, y json.RawMessage) bool { return bytes.Equal(x, y) })) {
				t.Errorf("%q has the elements %q", v, all)
			}
		}
	})
}

// A string with half of a pair is what encoding/json would silently replace.
func FuzzHalfPairs(f *testing.F) {
	for _, s := range []string{`\ud800`, `\udbff\udfff`, `\udc00\ud800`, `\\ud800`, `\\\ud800x`, `\ufffd`, `\uD83D\uDE00\ud83d`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := []byte(`"` + s + `"`)
		var plain string
		if !utf8.Valid(b) || json.Unmarshal(b, &plain) != nil {
			return
		}
		// Each character that stands for itself or is escaped as U+FFFD is meant; more of them were put in.
		meant := bytes.Count(b, []byte("\ufffd"))
		for rest := b; ; {
			i := bytes.IndexByte(rest, '\\')
			if i < 0 {
				break
			}
			if rest = rest[i:]; rest[1] == 'u' && bytes.EqualFold(rest[2:6], []byte("fffd")) {
				meant++
			}
			rest = rest[2:]
		}
		if found := bytes.Count([]byte(plain), []byte("\ufffd")); halfPair(b) != (found > meant) {
			t.Errorf("%s: half a pair: %v; %d of %d replacements were meant", b, halfPair(b), meant, found)
		}
	})
}
