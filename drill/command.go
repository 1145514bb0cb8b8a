package drill

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmalloc/message"
)

// longestFault bounds every duration in a command: a longer one is a mistaken unit.
const longestFault = time.Hour

// Role says how a victim is chosen when the fault comes.
type Role string

const (
	Leader Role = "leader" // of a company
	Backup Role = "backup" // another owner of it
	Any    Role = "any"    // some node
	Newest Role = "newest" // the node that came last
	Same   Role = ""       // who was chosen under this number before
)

// Who is a node in a command: a number, or in a plan a victim that is chosen when the fault comes, written
// @leader:2#5 (victim 5 is the leader of company 2) and from then on @#5.
type Who struct {
	Node    message.NodeID
	Victim  int // from 1; 0 means that Node is meant
	Role    Role
	Company message.CompanyID
}

// Node makes a Who of a number.
func nodeWho(n message.NodeID) Who { return Who{Node: n} }

func (w Who) String() string {
	switch {
	case w.Victim == 0:
		return w.Node.String()
	case w.Role == Leader || w.Role == Backup:
		return fmt.Sprintf("@%s:%s#%d", w.Role, w.Company, w.Victim)
	}
	return fmt.Sprintf("@%s#%d", w.Role, w.Victim)
}

func parseWho(s string) (Who, error) {
	if !strings.HasPrefix(s, "@") {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n >= message.MaxNodes {
			return Who{}, message.Errorf(message.InvalidArgument, "%s is not a node; use its number, as nodes shows it", message.Quote(s))
		}
		return nodeWho(message.NodeID(n)), nil
	}
	bad := message.Errorf(message.InvalidArgument, "%s is not a victim; use @leader:COMPANY#N, @backup:COMPANY#N, @any#N, @newest#N or @#N", message.Quote(s))
	role, number, ok := strings.Cut(s[1:], "#")
	victim, err := strconv.Atoi(number)
	if !ok || err != nil || victim < 1 {
		return Who{}, bad
	}
	role, company, of := strings.Cut(role, ":")
	w := Who{Victim: victim, Role: Role(role)}
	switch w.Role {
	case Leader, Backup:
		c, err := strconv.ParseUint(company, 10, 32)
		if err != nil || c > message.MaxCompany {
			return Who{}, bad
		}
		w.Company = message.CompanyID(c)
	case Any, Newest, Same:
		if of {
			return Who{}, bad
		}
	default:
		return Who{}, bad
	}
	return w, nil
}

// Command is one line of a script, as the shell takes it.
type Command struct {
	Verb   string        // a row of forms
	Who    []Who         // the nodes it names, in order
	Groups [][]Who       // of a partition; of reg spread one, the nodes that keep registers from then on
	Rest   bool          // the last group is everybody else; only in plans
	OneWay bool          // the first group does not reach the second, the other way is open
	Amount time.Duration // of slow, disk slow and clock; negative only for clock
	Lose   int           // percent that drop loses
	Wipe   bool          // revive without the node's files
	For    time.Duration // the fault ends by itself after this long; 0 means that it stays
}

type operand uint8

const (
	aNode operand = iota
	theGroups
	theNodes // one word, with commas
	aTime
	aShift
	aPercent
)

// form is what follows a verb.
type form struct {
	verb     string
	operands []operand
	timed    bool // takes --for
}

func forms() []form {
	return []form{
		{"kill", []operand{aNode}, true},
		{"revive", []operand{aNode}, false},
		{"pause", []operand{aNode}, true},
		{"resume", []operand{aNode}, false},
		{"partition", []operand{theGroups}, true},
		{"slow", []operand{aNode, aNode, aTime}, true},
		{"drop", []operand{aNode, aNode, aPercent}, true},
		{"disk full", []operand{aNode}, true},
		{"disk slow", []operand{aNode, aTime}, true},
		{"corrupt", []operand{aNode}, false},
		{"clock", []operand{aNode, aShift}, true},
		{"reg spread", []operand{theNodes}, false},
		{"node add", nil, false},
		{"node remove", []operand{aNode}, false},
		{"heal", nil, false},
	}
}

func formOf(verb string) (form, bool) {
	all := forms()
	i := slices.IndexFunc(all, func(f form) bool { return f.verb == verb })
	if i < 0 {
		return form{}, false
	}
	return all[i], true
}

// String is the line.
func (c Command) String() string {
	words := []string{c.Verb}
	f, _ := formOf(c.Verb)
	who := c.Who
	for _, o := range f.operands {
		switch o {
		case aNode:
			if len(who) > 0 {
				words, who = append(words, who[0].String()), who[1:]
			}
		case theGroups, theNodes:
			words = append(words, c.groups())
		case aTime:
			words = append(words, c.Amount.String())
		case aShift:
			words = append(words, signed(c.Amount))
		case aPercent:
			words = append(words, strconv.Itoa(c.Lose)+"%")
		}
	}
	if c.Wipe {
		words = append(words, "--wipe")
	}
	if c.For > 0 {
		words = append(words, "--for", c.For.String())
	}
	return strings.Join(words, " ")
}

func signed(d time.Duration) string {
	if d < 0 {
		return d.String()
	}
	return "+" + d.String()
}

func (c Command) groups() string {
	groups := make([]string, len(c.Groups))
	for i, g := range c.Groups {
		names := make([]string, len(g))
		for j, w := range g {
			names[j] = w.String()
		}
		groups[i] = strings.Join(names, ",")
	}
	if c.Rest {
		groups = append(groups, "@rest")
	}
	if c.OneWay {
		return strings.Join(groups, ">")
	}
	return strings.Join(groups, "|")
}

// ParseCommand reads one line.
func ParseCommand(line string) (Command, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return Command{}, message.Errorf(message.InvalidArgument, "an empty line is no fault; use kill, pause, partition, … or heal")
	}
	verb, rest := words[0], words[1:]
	if (verb == "disk" || verb == "reg" || verb == "node") && len(rest) > 0 {
		verb, rest = verb+" "+rest[0], rest[1:]
	}
	f, ok := formOf(verb)
	if !ok {
		return Command{}, message.Errorf(message.InvalidArgument, "%s is not a fault; use kill, revive, pause, resume, partition, slow, drop, disk full, disk slow, corrupt, clock, reg spread, node add, node remove or heal", message.Quote(verb))
	}
	c := Command{Verb: verb}
	rest, err := c.options(f, rest)
	if err != nil {
		return Command{}, err
	}
	if len(rest) != len(f.operands) {
		return Command{}, message.Errorf(message.InvalidArgument, "%s takes %d words, %s has %d", verb, len(f.operands), message.Quote(line), len(rest))
	}
	for i, o := range f.operands {
		if err := c.operand(o, rest[i]); err != nil {
			return Command{}, err
		}
	}
	if len(c.Who) == 2 && c.Who[0] == c.Who[1] {
		return Command{}, message.Errorf(message.InvalidArgument, "%s %s: a node has no link to itself; name two nodes", verb, c.Who[0])
	}
	return c, nil
}

// options takes --wipe and --for out of the words.
func (c *Command) options(f form, words []string) ([]string, error) {
	var rest []string
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "--wipe" && f.verb == "revive" && !c.Wipe:
			c.Wipe = true
		case words[i] == "--for" && f.timed && c.For == 0 && i+1 < len(words):
			i++
			d, err := parseTime(words[i])
			if err != nil {
				return nil, err
			}
			c.For = d
		case strings.HasPrefix(words[i], "--"):
			return nil, message.Errorf(message.InvalidArgument, "%s cannot stand there in %s; --for TIME ends what can end by itself, --wipe goes with revive", message.Quote(words[i]), f.verb)
		default:
			rest = append(rest, words[i])
		}
	}
	return rest, nil
}

func (c *Command) operand(o operand, s string) (err error) {
	switch o {
	case aNode:
		var w Who
		w, err = parseWho(s)
		c.Who = append(c.Who, w)
	case theGroups:
		err = c.parseGroups(s)
	case theNodes:
		err = c.parseNodes(s)
	case aTime:
		c.Amount, err = parseTime(s)
	case aShift:
		c.Amount, err = parseShift(s)
	case aPercent:
		n, e := strconv.Atoi(strings.TrimSuffix(s, "%"))
		if e != nil || !strings.HasSuffix(s, "%") || n < 1 || n > 100 {
			return message.Errorf(message.InvalidArgument, "%s is not a part to lose; use 1%% to 100%%", message.Quote(s))
		}
		c.Lose = n
	}
	return err
}

func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > longestFault {
		return 0, message.Errorf(message.InvalidArgument, "%s is not a time; use one such as 50ms or 5s, up to %v", message.Quote(s), longestFault)
	}
	return d, nil
}

func parseShift(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d == 0 || d.Abs() > longestFault || (s[0] != '+' && s[0] != '-') {
		return 0, message.Errorf(message.InvalidArgument, "%s is not a shift of a clock; use +2s or -2s, up to %v", message.Quote(s), longestFault)
	}
	return d, nil
}

func (c *Command) parseGroups(s string) error {
	bad := func(why string) error {
		return message.Errorf(message.InvalidArgument, "%s cannot be cut: %s; use 0,1|2,3,4, or 0>1 for one way", message.Quote(s), why)
	}
	parts := strings.Split(s, "|")
	if strings.Contains(s, ">") {
		c.OneWay = true
		parts = strings.Split(s, ">")
	}
	if len(parts) < 2 || c.OneWay && len(parts) != 2 {
		return bad("it is not clear what from what")
	}
	seen := map[Who]bool{}
	for i, p := range parts {
		if p == "@rest" && i == len(parts)-1 {
			c.Rest = true
			break
		}
		group, err := parseGroup(p, seen)
		if err != nil {
			return err
		}
		if group == nil {
			return bad("a node is named twice")
		}
		c.Groups = append(c.Groups, group)
	}
	return nil
}

// parseNodes reads who shall keep the registers.
func (c *Command) parseNodes(s string) error {
	group, err := parseGroup(s, map[Who]bool{})
	if err == nil && group == nil {
		err = message.Errorf(message.InvalidArgument, "%s names a node twice; name each once", message.Quote(s))
	}
	c.Groups = [][]Who{group}
	return err
}

// parseGroup reads nodes with commas between them. It is nil if one of them was seen before.
func parseGroup(s string, seen map[Who]bool) ([]Who, error) {
	var group []Who
	for name := range strings.SplitSeq(s, ",") {
		w, err := parseWho(name)
		if err != nil {
			return nil, err
		}
		if seen[w] {
			return nil, nil
		}
		seen[w] = true
		group = append(group, w)
	}
	return group, nil
}
