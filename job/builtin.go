package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"dmalloc/message"
)

// builtin is a job that every node knows. It touches data by its task alone, as a module does.
type builtin struct {
	name, help string
	run        func(ctx context.Context, t *task) (any, error) // the answer is encoded as JSON
}

func builtins() []builtin {
	return []builtin{
		{"count", "bytes, lines and words, of each address and of all", count},
		{"grep", `lines that match {"pattern":"RE2"}, at most {"max":100}, with their addresses`, grep},
		{"sha256", "SHA-256 of each address, and of all one after the other", sum256},
		{"sum", `sum of the numbers, which are {"as":"text"} (registers' default), or words of 8 bytes "u64" (heap blocks' default), "i64" or "f64"`, sum},
	}
}

// Builtin says whether every node knows a job of this name.
func Builtin(name string) bool { return Help(name) != "" }

// Builtins names the jobs that every node knows, in order.
func Builtins() []string {
	var names []string
	for _, b := range builtins() {
		names = append(names, b.name)
	}
	return names
}

// Help is one line about a built-in, empty for what is none.
func Help(name string) string {
	for _, b := range builtins() {
		if b.name == name {
			return b.help
		}
	}
	return ""
}

func runBuiltin(ctx context.Context, t *task) ([]byte, error) {
	for _, b := range builtins() {
		if b.name != t.request.Job {
			continue
		}
		answer, err := b.run(ctx, t)
		if err != nil {
			return nil, err
		}
		out, err := json.Marshal(answer)
		if err != nil {
			return nil, &message.Error{Code: message.Internal, Text: "encode the answer of " + b.name, Err: err}
		}
		return out, nil
	}
	return nil, message.Errorf(message.NoSuchJob, "there is no built-in of this name; there are %s", fmt.Sprint(Builtins()))
}

// arguments reads a built-in's arguments into v. What it does not know is refused, for it would be
// silently ignored.
func (t *task) arguments(v any) error {
	if len(t.request.Args) == 0 || string(t.request.Args) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(t.request.Args))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return message.Errorf(message.InvalidArgument, "its arguments cannot be understood: %v; use %s", err, Help(t.request.Job))
	}
	return nil
}
