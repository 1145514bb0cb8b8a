package repl

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dmalloc/message"
)

// setting is a row of `set`.
type setting struct {
	name   string
	values []string // empty: a duration
	get    func(s *Shell) string
	set    func(s *Shell, value string)
}

// Words that say what happens after a command failed.
var afterErrors = []string{"go-on", "stop"}

func allSettings() []setting {
	switches := []string{"on", "off"}
	return []setting{
		{"output", outputs, func(s *Shell) string { return s.output }, func(s *Shell, v string) { s.output = v }},
		{"timeout", nil, func(s *Shell) string { return s.timeout.String() }, func(s *Shell, v string) { s.timeout, _ = time.ParseDuration(v) }},
		{"color", colours, func(s *Shell) string { return s.colour }, func(s *Shell, v string) { s.colour = v; s.con.setColour(v) }},
		{"errors", afterErrors, func(s *Shell) string { return afterErrors[bit(s.stop)] }, func(s *Shell, v string) { s.stop = v == afterErrors[1] }},
		{"yes", switches, func(s *Shell) string { return onOff(s.yes) }, func(s *Shell, v string) { s.yes = v == "on" }},
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// settingValues lists what a setting can be, for completion.
func settingValues(name string) []string {
	for _, x := range allSettings() {
		if x.name == name && x.values == nil {
			return []string{"5s", "10s", "1m"}
		}
		if x.name == name {
			return x.values
		}
	}
	return nil
}

// settings is `set`, `set NAME` and `set NAME VALUE`.
func (s *Shell) settings(c *call) (result, error) {
	r := result{columns: []string{"name", "value"}}
	if len(c.args) == 0 {
		for _, x := range allSettings() {
			r.rows = append(r.rows, []string{x.name, x.get(s)})
			r.fields = append(r.fields, field{x.name, x.get(s)})
		}
		return r, nil
	}
	var names []string
	for _, x := range allSettings() {
		if names = append(names, x.name); x.name != c.args[0].text {
			continue
		}
		if len(c.args) > 1 {
			value := c.args[1].text
			if err := x.judge(value); err != nil {
				return result{}, err
			}
			x.set(s, value)
		}
		return result{text: x.name + " " + x.get(s) + "\n", fields: []field{{"name", x.name}, {"value", x.get(s)}}}, nil
	}
	return result{}, message.Errorf(message.InvalidArgument, "%s is no setting; use %s", message.Quote(c.args[0].text), strings.Join(names, ", "))
}

func (x setting) judge(value string) error {
	if x.values != nil {
		return oneOf(x.name, value, x.values)
	}
	if d, err := time.ParseDuration(value); err != nil || d < time.Millisecond || d > maxTimeout {
		return message.Errorf(message.InvalidArgument, "%s cannot be %s; use a duration such as 500ms, 5s or 1m, from 1ms to %v", x.name, message.Quote(value), maxTimeout)
	}
	return nil
}

func (s *Shell) history(c *call) (result, error) {
	lines := s.past.lines
	if len(c.args) > 0 {
		n, err := parseCount(c.args[0].text)
		if err != nil {
			return result{}, err
		}
		lines = lines[max(0, len(lines)-n):]
	}
	r := result{fields: []field{{"lines", some(lines)}}, columns: []string{"line"}, empty: "nothing was typed yet"}
	for _, l := range lines {
		r.rows = append(r.rows, []string{l})
		r.text += escape(l, false) + "\n"
	}
	return r, nil
}

// longestSleep is in seconds: a script that waits longer has probably mistaken the unit.
const longestSleep = 3600

func (s *Shell) sleep(c *call) (result, error) {
	seconds, err := strconv.ParseFloat(c.args[0].text, 64)
	if err != nil || !(seconds >= 0 && seconds <= longestSleep) {
		return result{}, message.Errorf(message.InvalidArgument, "cannot sleep for %s; use a number of seconds from 0 to %d", message.Quote(c.args[0].text), longestSleep)
	}
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return result{fields: []field{{"seconds", seconds}}}, nil
	case <-c.ctx.Done():
		return result{}, c.ctx.Err()
	}
}

func (s *Shell) echo(c *call) (result, error) {
	return result{text: escape(c.tail, true) + "\n", fields: []field{{"text", c.tail}}}, nil
}

func (s *Shell) exit(*call) (result, error) {
	s.leaving = true
	return result{}, nil
}

// help is `h`, `h COMMAND`, `h errors` and `h CODE`.
func (s *Shell) help(c *call) (result, error) {
	all := verbs()
	if len(c.args) > 0 {
		if r, ok := helpErrors(c.args[0].text); ok {
			return r, nil
		}
		v, err := find(c.args[0].text)
		if err != nil {
			return result{}, noTopic(c.args[0].text, err)
		}
		all = []verb{*v}
	}
	type command struct {
		Name     string   `json:"name"`
		Aliases  []string `json:"aliases"`
		Usage    []string `json:"usage"`
		Does     string   `json:"does"`
		Each     []string `json:"each,omitempty"` // what each usage does
		More     string   `json:"more,omitempty"`
		Examples []string `json:"examples"`
	}
	var list []command
	r := result{columns: []string{"usage", "does"}}
	for i := range all {
		v := &all[i]
		list = append(list, command{v.name, some(v.aliases), v.usages(v.forms), v.does, v.each, v.more, v.examples})
		for j, u := range v.usages(v.forms) {
			does := v.does
			switch {
			case v.each != nil:
				does = v.each[j]
			case j > 0:
				does = "" // the line above says it
			}
			r.rows = append(r.rows, []string{u, does})
		}
	}
	r.fields = []field{{"commands", list}}
	if len(c.args) > 0 {
		r.text = all[0].page()
	} else {
		r.note = "`h COMMAND` shows examples; the beginning of a long command's name is enough"
	}
	return r, nil
}

// page is the help of one command.
func (v *verb) page() string {
	var b strings.Builder
	for i, u := range v.usages(v.forms) {
		fmt.Fprintf(&b, "%s\n", u)
		if v.each != nil {
			fmt.Fprintf(&b, "  %s\n", v.each[i])
		}
	}
	if v.each != nil {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "  %s\n", v.does)
	if v.more != "" {
		fmt.Fprintf(&b, "  %s\n", v.more)
	}
	if len(v.aliases) > 0 {
		fmt.Fprintf(&b, "  also: %s\n", strings.Join(v.aliases, ", "))
	}
	if lines := allowed(v.forms); len(lines) > 0 {
		b.WriteString("\n")
		for _, line := range lines {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	b.WriteString("\nexamples:\n")
	for _, e := range v.examples {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	return b.String()
}

// Markdown is the table of all commands, for the manual.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| command | does | for example |\n| --- | --- | --- |\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	code := func(words []string) string {
		out := make([]string, len(words))
		for i, w := range words {
			out[i] = "`" + cell.Replace(w) + "`"
		}
		return strings.Join(out, "<br>")
	}
	all := verbs()
	for i := range all {
		v := &all[i]
		does := cell.Replace(strings.TrimSpace(v.does + ". " + v.more))
		for j, says := range v.each {
			does += "<br>" + code(v.usages(v.forms[j:j+1])) + ": " + cell.Replace(says)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(append(v.usages(v.forms), v.aliases...)), does, code(v.examples))
	}
	return b.String()
}

// Examples are the lines that the manual shows, so that a test can run each.
func Examples() []string {
	var out []string
	all := verbs()
	for i := range all {
		out = append(out, all[i].examples...)
	}
	return out
}
