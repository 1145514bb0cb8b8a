package repl

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"dmalloc/client"
	"dmalloc/message"
)

const (
	freshFor    = 250 * time.Millisecond // how long names of live things are believed
	lookUpFor   = 200 * time.Millisecond // and how long Tab may wait for them
	mostOffered = 200
)

// live knows the names of what is there now: addresses, registers, jobs, nodes, companies. What cannot be learnt in time
// is what it was before.
type live struct {
	ctx  context.Context // of the shell
	heap Heap

	mu    sync.Mutex // guards what follows
	names map[string][]string
	at    map[string]time.Time
}

func newLive(ctx context.Context, heap Heap) *live {
	return &live{ctx: ctx, heap: heap, names: map[string][]string{}, at: map[string]time.Time{}}
}

// of lists the names that a token can stand for.
func (l *live) of(token string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at[token]) < freshFor {
		return l.names[token]
	}
	ctx, cancel := context.WithTimeout(l.ctx, lookUpFor)
	defer cancel()
	names, err := l.ask(ctx, token)
	if err == nil || len(names) > 0 {
		l.names[token] = names
	}
	l.at[token] = time.Now()
	return l.names[token]
}

// ask learns the names from the cluster. Beside an error there may be some.
func (l *live) ask(ctx context.Context, token string) (names []string, err error) {
	switch token {
	case "ADDRESS":
		table, err := l.heap.Table(ctx, 0, mostOffered)
		return named(table, func(a message.Allocation) string { return a.Address.String() }), err
	case "REGISTER":
		list, err := l.heap.ListRegisters(ctx, l.heap.Home(), 0, mostOffered)
		return named(list, func(e client.RegisterEntry) string { return strconv.FormatUint(e.Address, 10) }), err
	case "INPUT":
		list, err := l.heap.ListRegisters(ctx, l.heap.Home(), 0, mostOffered)
		names = named(list, func(e client.RegisterEntry) string { return message.JobAddress{Number: e.Address}.String() })
		more, aerr := l.ask(ctx, "ADDRESS")
		if err == nil {
			err = aerr
		}
		return append(names, more...), err
	case "JOB", "MODULE":
		if token == "JOB" {
			for _, b := range builtIns() {
				names = append(names, b.name)
			}
		}
		list, err := l.heap.Jobs(ctx)
		return append(names, named(list, func(j message.Job) string { return j.Name })...), err
	case "ID", "NODE", "A", "B", "COMPANY":
		d, err := l.heap.Directory(ctx)
		switch {
		case err != nil || d == nil:
			return nil, err
		case token == "COMPANY":
			return named(d.Companies, func(c message.Company) string { return c.ID.String() }), nil
		}
		return named(d.Present(), func(n message.Node) string { return n.ID.String() }), nil
	}
	return nil, nil
}

func named[T any](list []T, name func(T) string) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = name(x)
	}
	return out
}

// completer offers what can stand at the cursor: commands, live names, the words of a form, files.
type completer struct {
	live *live
}

// Do answers the library: what each candidate adds, and how much of it stands there already.
func (c *completer) Do(line []rune, pos int) ([][]rune, int) {
	if pos > len(line) {
		return nil, 0
	}
	before := string(line[:pos])
	start := wordStart(before)
	prefix := before[start:]
	for _, r := range prefix {
		if runewidth.RuneWidth(r) != 1 {
			return nil, 0 // the library panics when it lays out wide characters
		}
	}
	var out [][]rune
	for _, candidate := range c.candidates(before[:start], prefix) {
		rest, ok := strings.CutPrefix(candidate, prefix)
		if !ok || runewidth.StringWidth(candidate) > 70 {
			continue // and when a candidate is wider than the terminal
		}
		if out = append(out, []rune(rest)); len(out) == mostOffered {
			break
		}
	}
	return out, utf8.RuneCountInString(prefix)
}

// wordStart is where the last word of a line begins; after a blank that is the line's end.
func wordStart(s string) int {
	open := -1 // where a quoted word begins
	for i := 0; i < len(s); i++ {
		if (s[i] == '"' || s[i] == '\'') && (i == 0 || strings.IndexByte(blanks, s[i-1]) >= 0) {
			if end := closing(s[i:]); end > 0 {
				i += end
			} else {
				open = i
				break
			}
		}
	}
	if open >= 0 {
		return open
	}
	return strings.LastIndexAny(s, blanks) + 1
}

// candidates lists what a word that begins with prefix can be, behind the words before it; each ends as it
// would be typed on.
func (c *completer) candidates(before, prefix string) []string {
	if strings.TrimLeft(before, blanks) == "" {
		var names []string
		all := verbs()
		for i := range all {
			names = append(names, all[i].name+" ")
		}
		return names
	}
	cmd, err := parse(before)
	if err != nil || cmd.verb == nil || cmd.has {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	offer := func(names ...string) {
		for _, n := range names {
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	for _, form := range cmd.verb.fitting(cmd.args) {
		t, ok := next(form, cmd.args)
		switch {
		case !ok:
		case t.text == "FILE":
			offer(files(prefix)...)
		case t.text == "OPTION":
			offer(drillWords(before, prefix)...)
		case t.text == "COMMAND":
			all := verbs()
			for i := range all {
				offer(all[i].name)
			}
			offer(errorsTopic)
			for _, e := range message.Explanations() {
				offer(e.Code)
			}
		case t.text == "NAME":
			offer("output ", "timeout ", "color ", "errors ", "yes ")
		case t.text == "VALUE":
			offer(settingValues(cmd.args[0].text)...)
		case t.words() != nil:
			for _, w := range t.words() {
				offer(w + " ")
			}
		default:
			for _, name := range c.live.of(t.text) {
				offer(name + " ")
			}
		}
		for _, t := range tokens(form) {
			if t.isFlag() && strings.HasPrefix(prefix, "-") {
				offer(t.text + " ")
			}
		}
	}
	return out
}

// next is the token that comes behind the words of a form; none if they do not fit it.
func next(form string, args []word) (token, bool) {
	i := 0
	for _, t := range tokens(form) {
		if t.isFlag() {
			continue
		}
		for i < len(args) && strings.HasPrefix(args[i].text, "--") {
			args = append(append([]word{}, args[:i]...), args[i+1:]...)
		}
		if i == len(args) || t.many {
			return t, true
		}
		if w := t.words(); len(w) == 1 && args[i].text != w[0] {
			return token{}, false
		}
		i++
	}
	return token{}, false
}

// files lists the files that begin with what was typed, in quotes if that is how it begins.
func files(prefix string) []string {
	quote := ""
	if prefix != "" && (prefix[0] == '"' || prefix[0] == '\'') {
		quote, prefix = prefix[:1], prefix[1:]
	}
	dir, base := filepath.Split(prefix)
	from := dir
	if from == "" {
		from = "."
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || name[0] == '.' && base == "" || !printable(name, false) || strings.ContainsAny(name, `"'\`) {
			continue
		}
		if quote == "" && strings.ContainsAny(name, blanks) {
			continue // it needs quotes from its beginning on
		}
		switch {
		case e.IsDir():
			name += "/"
		default:
			name += quote + " "
		}
		out = append(out, quote+dir+name)
	}
	sort.Strings(out)
	return out
}

// hinter paints, in grey behind the cursor, what can still be typed.
type hinter struct {
	width  func() int
	prompt func() string
	shown  func() bool // without colour a hint would look as if it was typed
}

// Paint returns the line as it is shown. The cursor goes back over what was added.
func (h *hinter) Paint(line []rune, pos int) []rune {
	if pos != len(line) || len(line) == 0 || !h.shown() {
		return line
	}
	hint := hintFor(string(line))
	room := h.width() - 1 - runewidth.StringWidth(plainText(h.prompt())) - runewidth.StringWidth(string(line)) - strings.Count(string(line), "\t")*4
	n := runewidth.StringWidth(hint)
	if n == 0 || n > room {
		return line // over the edge the library would lose the cursor
	}
	shown := grey + hint + reset + "\x1b[" + strconv.Itoa(n) + "D"
	return append(append([]rune{}, line...), []rune(shown)...)
}

// hintFor is what forms of the command expect behind a line.
func hintFor(line string) string {
	if !strings.HasSuffix(line, " ") || strings.TrimSpace(line) == "" {
		return ""
	}
	cmd, err := parse(line)
	if err != nil || cmd.verb == nil || cmd.has && (cmd.tail != "" || cmd.verb.name == "w") {
		return ""
	}
	var hints []string
	for _, form := range cmd.verb.fitting(cmd.args) {
		if rest := remaining(form, cmd.args); rest != "" {
			hints = append(hints, rest)
		}
	}
	return strings.Join(hints, " | ")
}

// remaining is the part of a form that is still to come.
func remaining(form string, args []word) string {
	fields := strings.Fields(form)
	for i, t := range tokens(form) {
		switch {
		case len(args) == 0 && !t.optional || len(args) == 0 && fields[i][0] == '[':
			return strings.Join(fields[i:], " ")
		case len(args) == 0: // the value of an optional flag that stands there
			return t.text
		case t.isFlag() && args[0].text != t.text:
			return strings.Join(fields[i:], " ")
		case t.many:
			for len(args) > 0 && (args[0].quoted || !strings.HasPrefix(args[0].text, "--")) {
				args = args[1:]
			}
			if len(args) == 0 {
				return strings.Join(append([]string{"[" + t.text + "...]"}, fields[i+1:]...), " ")
			}
			continue
		}
		if w := t.words(); len(w) == 1 && args[0].text != w[0] || t.text == "FILE" && args[0].isNumber() || t.text == "SIZE" && !args[0].isNumber() {
			return ""
		}
		args = args[1:]
	}
	return ""
}
