package repl

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"dmalloc/client"
	"dmalloc/message"
)

// sql runs a query that it does not understand.
func (s *Shell) sql(c *call) (result, error) {
	if strings.TrimSpace(c.tail) == "" {
		return result{}, c.usage("something is missing for sql")
	}
	found, err := s.heap.SQL(c.ctx, c.tail)
	if err != nil {
		return result{}, err
	}
	r := result{columns: found.Columns, empty: "no rows"}
	r.fields = []field{{"columns", some(found.Columns)}, {"rows", some(found.Rows)}}
	if found.More {
		r.fields = append(r.fields, field{"more", true})
		r.note = fmt.Sprintf("only the first %d rows are shown; narrow the query for the rest", len(found.Rows))
	}
	r.right = make([]bool, len(found.Columns))
	for _, row := range found.Rows {
		cells := make([]string, len(found.Columns))
		for i := range min(len(cells), len(row)) {
			cells[i] = plain(row[i])
			switch row[i].(type) {
			case int64, float64, uint64, int:
				r.right[i] = true
			}
		}
		r.rows = append(r.rows, cells)
	}
	return r, nil
}

// logDefault is how many operations are shown unless a count is given.
const logDefault, logMost = 20, 100_000

func (s *Shell) log(c *call) (result, error) {
	company, count, all := message.CompanyID(0), logDefault, true
	var err error
	if len(c.args) > 0 {
		all = false
		if company, err = parseCompany(c.args[0].text); err != nil {
			return result{}, err
		}
	}
	if len(c.args) > 1 {
		if count, err = parseCount(c.args[1].text); err != nil {
			return result{}, err
		}
		if count > logMost {
			return result{}, message.Errorf(message.InvalidArgument, "%d operations are too many at once; the most is %d", count, logMost)
		}
	}
	lines, err := s.heap.Log(c.ctx, company, all, count)
	if err != nil {
		return result{}, err
	}
	type entry struct {
		message.LogLine
		Line string `json:"line"`
	}
	entries := make([]entry, len(lines))
	r := result{columns: []string{"company", "index", "operation", "size"}, right: []bool{true, true, false, true}, empty: "nothing has happened yet"}
	for i, l := range lines {
		entries[i] = entry{l, l.String()}
		size := ""
		if l.Size > 0 {
			size = plain(l.Size)
		}
		r.rows = append(r.rows, []string{l.Company.String(), plain(l.Index), entries[i].Line, size})
	}
	r.fields = []field{{"log", entries}}
	return r, nil
}

func (s *Shell) trace(c *call) (result, error) {
	if len(c.args) > 0 {
		on, err := parseSwitch("trace", c.args[0].text)
		if err != nil {
			return result{}, err
		}
		s.tracing = on
	}
	return result{text: "trace " + onOff(s.tracing) + "\n", fields: []field{{"trace", onOff(s.tracing)}}}, nil
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func parseSwitch(name, word string) (bool, error) {
	if err := oneOf(name, word, []string{"on", "off"}); err != nil {
		return false, err
	}
	return word == "on", nil
}

// traced prints an event: when, what, from where to where, how large it is on the wire. Any goroutine may
// call it.
func (s *Shell) traced(e client.Event) {
	text := e.Note
	if m := e.Message; m != nil {
		text = m.String()
		if b, err := m.Append(nil); err == nil {
			text += ", " + strconv.Itoa(len(b)) + " B"
		}
		if e.Note != "" {
			text += " (" + e.Note + ")"
		}
	}
	s.con.say(grey, fmt.Sprintf("%9.3f ms  %s", float64(e.After.Microseconds())/1000, text))
}

// stats shows each node's operations, the stages they pass, and its counters.
func (s *Shell) stats(c *call) (result, error) {
	nodes, err := s.heap.Stats(c.ctx)
	if err != nil {
		return result{}, err
	}
	nodes = slices.Clone(some(nodes))
	slices.SortStableFunc(nodes, func(a, b message.NodeStats) int { return cmp.Compare(a.Node, b.Node) })
	r := result{fields: []field{{"stats", nodes}}, columns: []string{"node", "kind", "name", "count", "p50_us", "p99_us", "max_us"},
		right: []bool{true, false, false, true, true, true, true}, empty: "nothing was counted yet"}
	for _, n := range nodes {
		latencies := func(kind string, of map[string]message.Latency) {
			for _, name := range slices.Sorted(maps.Keys(of)) {
				if l := of[name]; l.Count > 0 {
					r.rows = append(r.rows, []string{n.Node.String(), kind, name, plain(l.Count), micro(l.P50), micro(l.P99), micro(l.Max)})
				}
			}
		}
		latencies("operation", n.Operations)
		latencies("stage", n.Stages)
		for _, x := range n.Counters {
			if x.Value > 0 {
				r.rows = append(r.rows, []string{n.Node.String(), "counter", x.Name, plain(x.Value), "", "", ""})
			}
		}
		if percent, ok := oneRound(n.Counters); ok {
			r.rows = append(r.rows, []string{n.Node.String(), "share", "register_reads_one_round_percent", percent, "", "", ""})
		}
	}
	return r, nil
}

// oneRound is how many of a hundred reads of registers took one round only, because the quorum agreed; false
// where there were no reads.
func oneRound(counters []message.Counter) (percent string, ok bool) {
	var reads, fast uint64
	for _, x := range counters {
		switch x.Name {
		case "register_reads":
			reads = x.Value
		case "register_reads_one_round":
			fast = x.Value
		}
	}
	if reads == 0 {
		return "", false
	}
	return strconv.FormatFloat(100*float64(fast)/float64(reads), 'f', 1, 64), true
}

func micro(us float64) string { return strconv.FormatFloat(us, 'f', 1, 64) }
