package repl

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"dmalloc/message"
)

// field is one member of a JSON answer. A *spool holds JSON that is already encoded.
type field struct {
	name  string
	value any
}

// result is what a command found, in the three forms it can be printed in.
type result struct {
	fields  []field                          // JSON: what stands between "ok" and "ms"
	text    string                           // table: printed as it is; "" where the columns are the table
	columns []string                         // CSV, and the table without a text; none: made from the fields
	right   []bool                           // columns of numbers
	rows    [][]string                       // of plain text; what a terminal must not see is escaped on the way out
	show    func(column, cell string) string // table: how a cell is shown to people; nil: as it is
	note    string                           // table and CSV: said about the result on standard error
	empty   string                           // table: said if there are no rows
	printed bool                             // the command printed its rows itself, as they came
	bad     *message.Error                   // the command did its work, and what it found makes it a failed one
}

// encode is JSON without HTML's escapes and without a newline.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		// Only a float that is no number can get here, from SQL; show it as text.
		return encode(fmt.Sprint(v))
	}
	return harmlessJSON(bytes.TrimRight(b.Bytes(), "\n"))
}

// harmlessJSON escapes the characters that JSON allows in a string, but a terminal acts on (P4). They stand
// nowhere else.
func harmlessJSON(line []byte) []byte {
	if printable(string(line), false) {
		return line
	}
	var b bytes.Buffer
	for _, r := range string(line) {
		switch {
		case harmless(r, false):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// milliseconds rounds a duration for people.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*100) / 100
}

// writeJSON prints the one line of a command that succeeded (P1).
func writeJSON(w io.Writer, cmd string, r result, took time.Duration) error {
	if _, err := fmt.Fprintf(w, `{"cmd":%s,"ok":%t`, encode(cmd), r.bad == nil); err != nil {
		return err
	}
	if r.bad != nil {
		r.fields = append([]field{{"error", failureOf(r.bad)}}, r.fields...)
	}
	for _, f := range r.fields {
		if _, err := fmt.Fprintf(w, ",%s:", encode(f.name)); err != nil {
			return err
		}
		if s, ok := f.value.(*spool); ok {
			if err := s.writeTo(w); err != nil {
				return err
			}
		} else if _, err := w.Write(encode(f.value)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, ",\"ms\":%s}\n", encode(milliseconds(took)))
	return err
}

// failure is an error as JSON shows it.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func failureOf(e *message.Error) failure {
	return failure{e.Code.String(), strings.NewReplacer("\n  ", "; ", "\n", "; ").Replace(e.Error())}
}

// writeErrorJSON prints the one line of a command that failed (P1).
func writeErrorJSON(w io.Writer, cmd string, e *message.Error, took time.Duration) error {
	_, err := fmt.Fprintf(w, "{\"cmd\":%s,\"ok\":false,\"error\":%s,\"ms\":%s}\n",
		encode(cmd), encode(failureOf(e)), encode(milliseconds(took)))
	return err
}

// writeCSV prints a header and the rows.
func writeCSV(w io.Writer, r result) error {
	columns, rows := r.columns, r.rows
	if len(columns) == 0 {
		var row []string
		for _, f := range r.fields {
			columns, row = append(columns, f.name), append(row, plain(f.value))
		}
		rows = [][]string{row}
	}
	if len(columns) == 0 {
		return nil
	}
	c := csv.NewWriter(w)
	if err := c.Write(columns); err != nil {
		return err
	}
	if err := c.WriteAll(rows); err != nil {
		return err
	}
	return c.Error()
}

// plain shows a value without quotes: as a cell of a table, or one of CSV.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []message.Block:
		return blocksText(v)
	case fmt.Stringer:
		return v.String()
	}
	return strings.Trim(string(encode(v)), `"`)
}

// list shows numbers as 0,1,2.
func list[T fmt.Stringer](xs []T) string {
	out := make([]string, len(xs))
	for i, x := range xs {
		out[i] = x.String()
	}
	return strings.Join(out, ",")
}

// blocksText shows blocks as "company 1 on 0,1,2"; several with their sizes.
func blocksText(blocks []message.Block) string {
	out := make([]string, len(blocks))
	for i, b := range blocks {
		out[i] = "company " + b.Company.String() + " on " + list(b.Nodes)
		if len(blocks) > 1 {
			out[i] = strconv.FormatUint(b.Size, 10) + " in " + out[i]
		}
	}
	return strings.Join(out, "; ")
}

// some makes nil an empty list, so that JSON says [] and not null.
func some[T any](xs []T) []T {
	if xs == nil {
		return []T{}
	}
	return xs
}

// count shows a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}
