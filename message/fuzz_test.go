package message

import (
	"encoding/json"
	"testing"
)

// What people write for addresses, sizes and tags is refused, or means the same when it is written again.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"0x500000001000", "87960930226176", "1MiB", "4k", "reg:1", "heap:0x500000001000", "18446744073709551616", "-1", "1e3", "",
		`{"ts":1,"writer":"00112233445566778899aabbccddeeff","op":2}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseAddr(s); err == nil {
			if b, err := ParseAddr(a.String()); err != nil || a != b {
				t.Errorf("%q is %v, then %v %v", s, a, b, err)
			}
		}
		if n, err := ParseSize(s); err == nil {
			if m, err := ParseSize(FormatSize(n)); err != nil || n != m {
				t.Errorf("%q is %d, then %d %v", s, n, m, err)
			}
		}
		if a, err := ParseJobAddress(s); err == nil {
			if b, err := ParseJobAddress(a.String()); err != nil || a != b {
				t.Errorf("%q is %v, then %v %v", s, a, b, err)
			}
		}
		var one, two Tag
		if json.Unmarshal([]byte(s), &one) == nil {
			if err := json.Unmarshal(JSON(one), &two); err != nil || one != two {
				t.Errorf("%q is %v, then %v %v", s, one, two, err)
			}
		}
	})
}
