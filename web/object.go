package web

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"dmalloc/message"
)

// kind is what a field of a request's JSON object holds. All end as 64 bits.
type kind int

const (
	count kind = iota // a whole JSON number from 0 on
	word              // the same, or a string with it in decimal or in hexadecimal with 0x
	delta             // a word that may be negative; it wraps around
)

// field is one member of a request's JSON object. All are required.
type field struct {
	name  string
	kind  kind
	about string
}

// parseObject reads a JSON object that has exactly the given fields. Unlike encoding/json it compares names
// by letter and refuses what stands there twice.
func parseObject(b []byte, fields []field) (map[string]uint64, error) {
	if !json.Valid(b) {
		return nil, message.Errorf(message.InvalidArgument, "the body is not one JSON value; send %s", example(fields))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, message.Errorf(message.InvalidArgument, "the body is not a JSON object; send %s", example(fields))
	}
	got := make(map[string]uint64, len(fields))
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, message.Errorf(message.InvalidArgument, "the body cannot be read: %v", err)
		}
		key, _ := name.(string)
		f := findField(fields, key)
		if f == nil {
			return nil, message.Errorf(message.InvalidArgument, "%s is not known here; send %s", message.Quote(key), example(fields))
		}
		if _, twice := got[key]; twice {
			return nil, message.Errorf(message.InvalidArgument, "%s stands there twice; send %s", message.Quote(key), example(fields))
		}
		v, err := d.Token()
		if err != nil {
			return nil, message.Errorf(message.InvalidArgument, "the body cannot be read: %v", err)
		}
		if got[key], err = f.value(v); err != nil {
			return nil, err
		}
	}
	for _, f := range fields {
		if _, ok := got[f.name]; !ok {
			return nil, message.Errorf(message.InvalidArgument, "%q is missing; send %s", f.name, example(fields))
		}
	}
	return got, nil
}

func findField(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

// value turns a JSON token into 64 bits.
func (f *field) value(t json.Token) (uint64, error) {
	switch t := t.(type) {
	case json.Number:
		if n, ok := f.number(t.String()); ok {
			return n, nil
		}
		return 0, f.wrong(t.String())
	case string:
		if f.kind != count {
			if n, ok := f.number(t); ok {
				return n, nil
			}
		}
		return 0, f.wrong(message.Quote(t))
	case bool:
		return 0, f.wrong(strconv.FormatBool(t))
	case json.Delim:
		return 0, f.wrong(map[json.Delim]string{'{': "an object", '[': "an array"}[t])
	}
	return 0, f.wrong("null")
}

func (f *field) number(s string) (uint64, bool) {
	if f.kind == delta && strings.HasPrefix(s, "-") {
		n, err := strconv.ParseInt(s, 10, 64)
		return uint64(n), err == nil
	}
	base := 10
	if f.kind != count && len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") {
		s, base = s[2:], 16
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil
}

func (f *field) wrong(got string) error {
	if len(got) > 80 {
		got = got[:80] + "…"
	}
	least := "0"
	if f.kind == delta {
		least = "-9223372036854775808"
	}
	return message.Errorf(message.InvalidArgument, "%q must be a whole number from %s to 18446744073709551615, not %s", f.name, least, got)
}

// example is what an error shows.
func example(fields []field) string {
	if len(fields) == 0 {
		return "no body, or {}"
	}
	var b strings.Builder
	for i, f := range fields {
		b.WriteString([]string{"{", ", "}[min(i, 1)])
		b.WriteString(strconv.Quote(f.name) + ": " + strconv.Itoa(100+i))
	}
	return b.String() + "}"
}
