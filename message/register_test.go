package message

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func drawTag(t *rapid.T, name string) Tag {
	few := rapid.Uint64Range(0, 3)
	return Tag{TS: few.Draw(t, name+" ts"), Writer: ClientID{0: byte(few.Draw(t, name+" writer"))}, Op: few.Draw(t, name+" op")}
}

func TestTagOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawTag(t, "a"), drawTag(t, "b"), drawTag(t, "c")
		if a.Compare(b) != -b.Compare(a) || (a.Compare(b) == 0) != (a == b) {
			t.Fatalf("%v and %v: %d, %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%v <= %v <= %v, but not the first and the last", a, b, c)
		}
		var m Message
		m.SetTag(a)
		var back Tag
		if text := JSON(a); m.Tag() != a || json.Unmarshal(text, &back) != nil || back != a {
			t.Fatalf("%v comes back as %v, %v", a, m.Tag(), back)
		}
	})
	if s := string(JSON(Tag{TS: 3, Writer: ClientID{0xab}, Op: 1})); s != `{"ts":3,"writer":"ab000000000000000000000000000000","op":1}` {
		t.Error(s)
	}
	for _, bad := range []string{`{"ts":1,"writer":"xy","op":1}`, `{"ts":1,"writer":"ab","op":1}`, `{"ts":-1}`, `7`} {
		if err := json.Unmarshal([]byte(bad), new(Tag)); err == nil {
			t.Errorf("%s is taken for a tag", bad)
		}
	}
}

func TestJobAddress(t *testing.T) {
	for text, want := range map[string]JobAddress{
		"1": {Number: 1}, "0x500000001000": {Heap: true, Number: 0x500000001000}, "reg:0x500000001000": {Number: 0x500000001000},
		"heap:0x500000001000": {Heap: true, Number: 0x500000001000}, "18446744073709551615": {Number: 1<<64 - 1}, "reg:7": {Number: 7},
	} {
		got, err := ParseJobAddress(text)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
		var back JobAddress
		if err := json.Unmarshal(JSON(got), &back); err != nil || back != want {
			t.Errorf("%s comes back from %s as %+v, %v", text, JSON(got), back, err)
		}
	}
	for _, bad := range []string{"", "x", "-1", "reg:", "heap:1", "job:1", "18446744073709551616"} {
		if a, err := ParseJobAddress(bad); CodeOf(err) != InvalidArgument {
			t.Errorf("%q is %+v, %v", bad, a, err)
		}
	}
	for _, bad := range []string{"", "a b", "../x", "-x", ".x", string(make([]byte, 65))} {
		if CheckJobName(bad) == nil {
			t.Errorf("%q is a name", bad)
		}
	}
	if CheckJobName("word-count_2.1") != nil {
		t.Error("word-count_2.1 is no name")
	}
}
