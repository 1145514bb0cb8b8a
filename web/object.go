package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"dmalloc/message"
)

// kind is what a field of a request's JSON object holds.
type kind int

const (
	count     kind = iota // a whole JSON number from 0 on, of 64 bits
	word                  // the same, or a string with it in decimal or in hexadecimal with 0x
	delta                 // a word that may be negative; it wraps around
	flag                  // true or false
	text                  // a string
	coded                 // a string with bytes in base64
	nodeIDs               // an array of counts, none twice
	addresses             // an array of what message.ParseJobAddress reads
	anything              // any JSON value
)

// kinds says of each how it is described, what an error calls it, and an example.
var kinds = [...]struct {
	schema        object
	name, example string
}{
	count:     {object{"type": "integer", "minimum": 0}, "a whole number from 0 to 18446744073709551615", "100"},
	word:      {object{"type": []string{"integer", "string"}, "minimum": 0, "pattern": "^([0-9]+|0[xX][0-9a-fA-F]+)$"}, "a whole number from 0 to 18446744073709551615", "100"},
	delta:     {object{"type": []string{"integer", "string"}, "pattern": "^(-?[0-9]+|0[xX][0-9a-fA-F]+)$"}, "a whole number from -9223372036854775808 to 18446744073709551615", "100"},
	flag:      {object{"type": "boolean"}, "true or false", "true"},
	text:      {object{"type": "string"}, "a string", `"text"`},
	coded:     {object{"type": "string", "contentEncoding": "base64"}, "a string with bytes in base64", `"Ynl0ZXM="`},
	nodeIDs:   {object{"type": "array", "items": object{"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": true}, "an array of the ids of nodes", "[0, 1, 2]"},
	addresses: {object{"type": "array", "items": object{"type": []string{"integer", "string"}}, "maxItems": message.MaxJobAddresses}, "an array of up to " + strconv.Itoa(message.MaxJobAddresses) + " addresses", `[1, "heap:0x500000001000"]`},
	anything:  {object{}, "any JSON value", "null"},
}

// Whether a field has to be there.
const (
	may  = false
	must = true
)

// field is one member of a request's JSON object.
type field struct {
	name  string
	kind  kind
	must  bool
	about string
}

// members are the values of an object by name, each the bytes that it has in the body.
type members map[string]json.RawMessage

// parseMembers reads a JSON object of the given fields. Unlike encoding/json it compares names by letter and
// refuses what stands there twice. The members are parts of b.
func parseMembers(b []byte, fields []field) (members, error) {
	if err := checkJSON(b, example(fields)); err != nil {
		return nil, err
	}
	b = bytes.TrimLeft(b, spaces)
	if b[0] != '{' {
		return nil, message.Errorf(message.InvalidArgument, "the body is not a JSON object; send %s", example(fields))
	}
	got := make(members, len(fields))
	for v := (values{b[1:]}); v.skip(); {
		name := string(unquote(v.next()))
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			return nil, message.Errorf(message.InvalidArgument, "%s is not known here; send %s", message.Quote(name), example(fields))
		}
		if got[name] != nil {
			return nil, message.Errorf(message.InvalidArgument, "%s stands there twice; send %s", message.Quote(name), example(fields))
		}
		v.skip()
		got[name] = v.next()
	}
	for _, f := range fields {
		if f.must && got[f.name] == nil {
			return nil, message.Errorf(message.InvalidArgument, "%q is missing; send %s", f.name, example(fields))
		}
	}
	return got, nil
}

// parseObject reads a JSON object of which each field is a number.
func parseObject(b []byte, fields []field) (map[string]uint64, error) {
	got, err := parseMembers(b, fields)
	if err != nil {
		return nil, err
	}
	out := make(map[string]uint64, len(fields))
	for i := range fields {
		if out[fields[i].name], err = fields[i].bits(got); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bits is the value of a count, a word or a delta.
func (f *field) bits(got members) (uint64, error) {
	v := got[f.name]
	s := string(v)
	if v[0] == '"' && f.kind != count {
		s = string(unquote(slices.Clone(v)))
	}
	n, ok := f.number(s)
	if !ok {
		return 0, f.wrong(v)
	}
	return n, nil
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

// string is the value of a text, decoded in its place. It is asked for once.
func (f *field) string(got members) ([]byte, error) {
	v := got[f.name]
	if v[0] != '"' {
		return nil, f.wrong(v)
	}
	return unquote(v), nil
}

// bytes is the value of a coded field. It is asked for once.
func (f *field) bytes(got members) ([]byte, error) {
	s, err := f.string(got)
	if err != nil {
		return nil, err
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Strict().Decode(out, s)
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "%q is not base64, with = at its end: %v", f.name, err)
	}
	return out[:n], nil
}

// nodes is the value of nodeIDs.
func (f *field) nodes(got members) ([]message.NodeID, error) {
	all, ok := elements(got[f.name], message.MaxNodes)
	if !ok {
		return nil, f.wrong(got[f.name])
	}
	var out []message.NodeID
	for _, e := range all {
		n, err := strconv.ParseUint(string(e), 10, 64)
		if err != nil {
			return nil, message.Errorf(message.InvalidArgument, "%s in %q is not a node; GET /v1/nodes lists their ids", shown(e), f.name)
		}
		id := message.NodeID(min(n, message.MaxNodes))
		switch {
		case id == message.MaxNodes:
			return nil, message.Errorf(message.NoSuchNode, "there is no node %d; GET /v1/nodes lists their ids", n)
		case slices.Contains(out, id):
			return nil, message.Errorf(message.InvalidArgument, "node %d stands in %q twice", n, f.name)
		}
		out = append(out, id)
	}
	if len(out) == 0 {
		return nil, message.Errorf(message.InvalidArgument, "%q is empty; name at least one node", f.name)
	}
	return out, nil
}

// addresses is the value of addresses.
func (f *field) addresses(got members) ([]message.JobAddress, error) {
	all, ok := elements(got[f.name], message.MaxJobAddresses)
	if !ok {
		return nil, f.wrong(got[f.name])
	}
	out := make([]message.JobAddress, len(all))
	for i, e := range all {
		s := string(e)
		if e[0] == '"' {
			s = string(unquote(e))
		}
		var err error
		if out[i], err = message.ParseJobAddress(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wrong says what a field must be and what stands there.
func (f *field) wrong(v []byte) error {
	return message.Errorf(message.InvalidArgument, "%q must be %s, not %s", f.name, kinds[f.kind].name, shown(v))
}

// shown is a JSON value as an error shows it.
func shown(v []byte) string {
	switch v[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return message.Quote(string(unquote(slices.Clone(v))))
	}
	if len(v) > 80 {
		return string(v[:80]) + "…"
	}
	return string(v)
}

// example is what an error shows. Bytes go as text in it, where both are taken.
func example(fields []field) string {
	if len(fields) == 0 {
		return "no body, or {}"
	}
	var b strings.Builder
	for i, f := range fields {
		if f.kind == coded {
			continue
		}
		b.WriteString([]string{"{", ", "}[min(i, 1)])
		b.WriteString(strconv.Quote(f.name) + ": " + kinds[f.kind].example)
	}
	return b.String() + "}"
}
