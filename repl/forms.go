package repl

import (
	"math"
	"sort"
	"strings"

	"dmalloc/message"
)

// token is one part of a form.
type token struct {
	text     string // ADDRESS, on|off, net, --yes
	optional bool
	many     bool // one or more of them, as NODE...; no word but flags and a tail can follow
}

// tokens reads a form.
func tokens(form string) []token {
	fields := strings.Fields(form)
	out := make([]token, len(fields))
	for i, f := range fields {
		bare := strings.TrimSuffix(strings.TrimPrefix(f, "["), "]")
		text := strings.TrimSuffix(bare, "...")
		out[i] = token{text: text, optional: bare != f, many: text != bare}
	}
	return out
}

func (t token) isFlag() bool { return strings.HasPrefix(t.text, "--") }

// isTail says whether the token is the rest of the line.
func (t token) isTail() bool {
	return t.text == "DATA" || t.text == "QUERY" || t.text == "TEXT" || t.text == "JSON"
}

// words lists what the token stands for if that is a word itself: net, or on and off.
func (t token) words() []string {
	if t.text != strings.ToLower(t.text) {
		return nil
	}
	return strings.Split(t.text, "|")
}

// accepts says whether so many words can fill the form. Literal tokens must match; a choice is judged by
// the verb, which can say what it allows.
func accepts(form string, args []word, tail bool) bool {
	least, most := 0, 0
	mayTail, mustTail := false, false
	for _, t := range tokens(form) {
		switch {
		case t.isFlag():
			continue
		case t.isTail():
			mayTail, mustTail = true, !t.optional
			continue
		}
		if w := t.words(); len(w) == 1 && (most >= len(args) || args[most].text != w[0]) {
			return false
		}
		most++
		if !t.optional {
			least++
		}
		if t.many {
			most = math.MaxInt
		}
	}
	return least <= len(args) && len(args) <= most && (tail && mayTail || !tail && !mustTail)
}

// fitting are the forms that the words may be meant for: those that begin with the first word itself, or else
// those that begin with no word of their own.
func (v *verb) fitting(args []word) []string {
	if len(args) == 0 {
		return v.forms
	}
	var named, free []string
	for _, form := range v.forms {
		switch ownWord(form) {
		case "":
			free = append(free, form)
		case args[0].text:
			named = append(named, form)
		}
	}
	if named != nil {
		return named
	}
	return free
}

// ownWord is the word of its own that a form begins with, "" if it begins with a value or a choice.
func ownWord(form string) string {
	if ts := tokens(form); len(ts) > 0 {
		if words := ts[0].words(); len(words) == 1 && !ts[0].isFlag() {
			return words[0]
		}
	}
	return ""
}

// check takes the flags out of a command's words and says whether the rest fits one of the verb's forms.
func (c *command) check() (flags map[string]bool, err error) {
	known := map[string]bool{}
	for _, form := range c.verb.forms {
		for _, t := range tokens(form) {
			if t.isFlag() {
				known[t.text] = true
			}
		}
	}
	flags = map[string]bool{}
	var rest []word
	for _, w := range c.args {
		if len(known) > 0 && !w.quoted && strings.HasPrefix(w.text, "--") {
			if !known[w.text] {
				return nil, c.usage("%s is no option of %s", message.Quote(w.text), c.verb.name)
			}
			flags[w.text] = true
			continue
		}
		rest = append(rest, w)
	}
	c.args = rest
	for _, form := range c.verb.fitting(c.args) {
		if accepts(form, c.args, c.has) {
			return flags, nil
		}
	}
	return nil, c.misfit()
}

// misfit says what is wrong with the number of words.
func (c *command) misfit() error {
	n, most, name := len(c.args), 0, c.verb.name
	forms := c.verb.fitting(c.args)
	if len(forms) == 0 {
		return c.usage("%s is nothing that %s does", message.Quote(c.args[0].text), name)
	}
	if own := ownWord(forms[0]); own != "" && n > 0 {
		name += " " + own
	}
	for _, form := range forms {
		k := 0
		for _, t := range tokens(form) {
			if !t.isFlag() {
				k++
			}
		}
		most = max(most, k)
	}
	switch {
	case most == 0:
		return c.usage("%s takes nothing behind it", name)
	case n >= most:
		return c.usage("too many words for %s", name)
	default:
		return c.usage("something is missing for %s", name)
	}
}

// usage is an error that ends with the forms that may be meant and what their tokens may be, on lines of their own.
func (c *command) usage(format string, args ...any) error {
	e := message.Errorf(message.InvalidArgument, format, args...)
	forms := c.verb.fitting(c.args)
	if len(forms) == 0 {
		forms = c.verb.forms
	}
	e.Text += "\nusage: " + strings.Join(c.verb.usages(forms), ", or ")
	for _, line := range allowed(forms) {
		e.Text += "\n  " + line
	}
	return e
}

// usages are forms of the verb with its name.
func (v *verb) usages(forms []string) []string {
	out := make([]string, len(forms))
	for i, f := range forms {
		out[i] = strings.TrimSpace(v.name + " " + f)
	}
	return out
}

// allowed explains the tokens of forms, each once.
func allowed(forms []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, f := range forms {
		for _, t := range tokens(f) {
			if about := values[t.text]; about != "" && !seen[t.text] {
				seen[t.text] = true
				out = append(out, t.text+": "+about)
			}
		}
	}
	return out
}

// find takes a name, an alias, or the beginning of exactly one name of more than one letter.
func find(name string) (*verb, error) {
	all := verbs()
	var begin []string
	for i := range all {
		v := &all[i]
		if v.name == name {
			return v, nil
		}
		for _, a := range v.aliases {
			if a == name {
				return v, nil
			}
		}
		if len(v.name) > 1 && name != "" && strings.HasPrefix(v.name, name) {
			begin = append(begin, v.name)
		}
	}
	switch len(begin) {
	case 1:
		return find(begin[0])
	case 0:
		return nil, unknown(name, all)
	}
	sort.Strings(begin)
	return nil, message.Errorf(message.InvalidArgument, "%s could be %s; write more of it", message.Quote(name), strings.Join(begin, ", "))
}

// unknown is the error for a word that is no command.
func unknown(name string, all []verb) error {
	var names []string
	for i := range all {
		names = append(append(names, all[i].name), all[i].aliases...)
	}
	e := message.Errorf(message.InvalidArgument, "%s is not a command", message.Quote(name))
	if near := nearest(strings.ToLower(name), names); near != "" {
		e.Text += "; did you mean " + near + "?"
	} else {
		e.Text += "; `h` lists the commands"
	}
	return e
}

// nearest is the candidate with the least distance to a word, "" if none resembles it.
func nearest(word string, candidates []string) string {
	best, least := "", 3
	if len(word) > 40 {
		return ""
	}
	for _, c := range candidates {
		if d := distance(word, c); d < least && d < max(len(word), len(c)) {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their neighbour to make a into b.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
