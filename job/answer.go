package job

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"dmalloc/message"
)

const maxStderr = 4 << 10 // bytes of a module's complaints that are kept: the last

// asResult is JSON as it is, and any other text as a JSON string. Nothing is null.
func asResult(b []byte) (json.RawMessage, error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return json.RawMessage("null"), nil
	}
	if !json.Valid(b) {
		b, _ = json.Marshal(strings.ToValidUTF8(string(b), "\uFFFD")) // a string always encodes
	}
	if len(b) > message.MaxJobResult {
		return nil, tooMuch()
	}
	return append(json.RawMessage(nil), b...), nil
}

func tooMuch() error {
	return message.Errorf(message.JobFailed, "its result has more than the %s that a result may have; let it keep large results in registers or heap blocks",
		message.FormatSize(message.MaxJobResult))
}

// stdout keeps what a module prints, and ends the job if that is too much.
type stdout struct {
	bytes.Buffer
	stopped func(error)
}

func (w *stdout) Write(p []byte) (int, error) {
	if w.Len()+len(p) > message.MaxJobResult {
		err := tooMuch()
		w.stopped(err)
		return 0, err
	}
	return w.Buffer.Write(p)
}

// tail keeps the last bytes of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[max(0, len(p)-maxStderr):]...)
	if over := len(t.b) - maxStderr; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String is what is kept, at most most bytes of it, without half a character at its start.
func (t *tail) String(most int) string {
	b := t.b[max(0, len(t.b)-most):]
	for len(b) > 0 && !utf8.RuneStart(b[0]) {
		b = b[1:]
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "\uFFFD"))
}

// cut shortens a text to most bytes and says so.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
