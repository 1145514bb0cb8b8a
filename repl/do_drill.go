package repl

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmalloc/drill"
	"dmalloc/message"
)

// Dialer makes one more client of the cluster, which begins its requests at a node, or at any if that is
// NoNode. No two of them share what makes a retry harmless. Close is called once.
type Dialer func(ctx context.Context, node message.NodeID) (heap drill.Heap, close func(), err error)

const (
	maxScript = 16 << 20 // bytes of a script that is replayed
	maxDrill  = 7 * 24 * time.Hour
)

// drillOptions is what help says of OPTION.
func drillOptions() string {
	var words []string
	for _, o := range allDrillOptions() {
		words = append(words, o.name+" "+o.value+" ("+o.does+")")
	}
	return strings.Join(words, ", ")
}

// DrillOption is an option of drill, for a command line that has the same ones.
type DrillOption struct {
	Name string // without dashes
	Does string
}

// DrillOptions lists what drill takes.
func DrillOptions() []DrillOption {
	var out []DrillOption
	for _, o := range allDrillOptions() {
		out = append(out, DrillOption{strings.TrimPrefix(o.name, "--"), o.value + ": " + o.does})
	}
	return out
}

// CheckDrill says what is wrong with a drill command, before a cluster is started for it.
func CheckDrill(line string) error {
	cmd, err := parse(line)
	if err != nil {
		return err
	}
	q, err := parseDrill(&call{command: cmd})
	if err == nil {
		err = q.readScript()
	}
	return err
}

func drillVerbs() []verb {
	return []verb{
		{name: "drill", forms: []string{"[OPTION...]"}, run: (*Shell).drill, long: true,
			does:     "breaks the cluster by a seed while clients work, heals it, and says whether every promise was kept",
			more:     "Kinds of faults: " + drillKinds() + "; without --faults those that any cluster must bear. What was broken is printed as a script, which --replay and the shell itself run again. Nobody else may use the heap meanwhile. Ctrl-C heals and judges what there is.",
			examples: []string{"drill --seed 7 --for 2s --faults kill,pause --script faults.txt", "drill --replay faults.txt"}},
		{name: "verify", forms: []string{"[COMPANY]"}, run: (*Shell).verify, long: true,
			does:     "compares what the owners of each company hold, page by page at the same place of its log",
			more:     "Owners that are down or too far behind are named and not compared.",
			examples: []string{"verify", "verify 1"}},
	}
}

func drillKinds() string {
	var words []string
	for _, k := range drill.Kinds() {
		words = append(words, string(k))
	}
	return strings.Join(words, ", ")
}

// drillRequest is what `drill` is asked for.
type drillRequest struct {
	cfg                  drill.Config
	replay, script, html string
}

// drillOption is a row of what may stand behind `drill`.
type drillOption struct {
	name, value, does string
	set               func(q *drillRequest, value string) error
}

func allDrillOptions() []drillOption {
	return []drillOption{
		{"--seed", "N", "what the faults are drawn from; another one each time if it is not given", func(q *drillRequest, v string) (err error) {
			if q.cfg.Seed, err = strconv.ParseUint(v, 10, 64); err != nil {
				return message.Errorf(message.InvalidArgument, "%s is no seed; use a whole number from 0", message.Quote(v))
			}
			return nil
		}},
		{"--for", "TIME", "how long faults come; 30s if it is not given", func(q *drillRequest, v string) (err error) {
			if q.cfg.Length, err = time.ParseDuration(v); err != nil || q.cfg.Length < time.Second || q.cfg.Length > maxDrill {
				return message.Errorf(message.InvalidArgument, "%s is not how long a drill can be; use 1s to %v, such as 30s or 30m", message.Quote(v), maxDrill)
			}
			return nil
		}},
		{"--pace", "TIME", "the mean time between the beginnings of faults, whose lengths go with it; about 850ms if it is not given", func(q *drillRequest, v string) (err error) {
			if q.cfg.Pace, err = time.ParseDuration(v); err != nil || q.cfg.Pace <= 0 {
				return message.Errorf(message.InvalidArgument, "%s is no pace; use a time such as 500ms or 5s", message.Quote(v))
			}
			return nil
		}},
		{"--rate", "N", "how many calls each client makes in a second, at most; 200 if it is not given", func(q *drillRequest, v string) (err error) {
			q.cfg.Rate, err = parseCount(v)
			return err
		}},
		{"--faults", "LIST", "kinds of faults, with commas; kill:3 comes three times as often as others", func(q *drillRequest, v string) (err error) {
			q.cfg.Kinds, err = drill.ParseKinds(v)
			return err
		}},
		{"--clients", "K", "how many clients work; 4 if it is not given", func(q *drillRequest, v string) (err error) {
			q.cfg.Clients, err = parseCount(v)
			return err
		}},
		{"--leases", "on|off", "whether clients take leases, too; on if it is not given", func(q *drillRequest, v string) error {
			which := map[string]drill.Leasing{"on": drill.AnyLease, "off": drill.NoLeases}
			l, ok := which[v]
			if !ok {
				return message.Errorf(message.InvalidArgument, "%s is neither on nor off; leave --leases out, or use --leases off", message.Quote(v))
			}
			q.cfg.Leases = l
			return nil
		}},
		{"--stuck", "TIME", "within which every company and the registers must work when all is healed, or the drill fails; 10s if it is not given", func(q *drillRequest, v string) (err error) {
			if q.cfg.Stuck, err = time.ParseDuration(v); err != nil || q.cfg.Stuck <= 0 {
				return message.Errorf(message.InvalidArgument, "%s is no time to be back in; use one such as 5s", message.Quote(v))
			}
			return nil
		}},
		{"--replay", "FILE", "do what this script says instead", func(q *drillRequest, v string) error { q.replay = v; return nil }},
		{"--script", "FILE", "write what was done into this script", func(q *drillRequest, v string) error { q.script = v; return nil }},
		{"--html", "FILE", "write a picture of the counter-example into this page", func(q *drillRequest, v string) error { q.html = v; return nil }},
	}
}

// drillWords are what a word of `drill` can be, behind what stands before it: an option that is not given yet, or a
// value of the one before.
func drillWords(before, prefix string) []string {
	words := strings.Fields(before)
	last := words[len(words)-1]
	var out []string
	all := allDrillOptions()
	if at := slices.IndexFunc(all, func(o drillOption) bool { return o.name == last }); at >= 0 {
		switch {
		case all[at].value == "FILE":
			return files(prefix)
		case last == "--leases":
			out = append(out, "on", "off")
		case last == "--faults":
			done := prefix[:strings.LastIndexByte(prefix, ',')+1] // kinds before the one that is typed
			for _, k := range drill.Kinds() {
				out = append(out, done+string(k))
			}
		}
		return out
	}
	for _, o := range all {
		if !slices.Contains(words, o.name) {
			out = append(out, o.name+" ")
		}
	}
	return out
}

// parseDrill reads what stands behind `drill`: pairs of an option and its value, or --option=value.
func parseDrill(c *call) (drillRequest, error) {
	q := drillRequest{cfg: drill.Config{Seed: rand.Uint64N(1 << 32)}}
	all := allDrillOptions()
	given := map[string]bool{}
	for i := 0; i < len(c.args); i++ {
		name, value, joined := strings.Cut(c.args[i].text, "=")
		at := slices.IndexFunc(all, func(o drillOption) bool { return o.name == name })
		if at < 0 {
			return q, c.usage("%s is no option of drill", message.Quote(name))
		}
		if given[name] {
			return q, c.usage("%s is given twice", name)
		}
		given[name] = true
		if !joined {
			if i++; i == len(c.args) {
				return q, c.usage("a value is missing behind %s", name)
			}
			value = c.args[i].text
		}
		if err := all[at].set(&q, value); err != nil {
			return q, err
		}
	}
	if q.replay != "" && (given["--faults"] || given["--for"] || given["--pace"]) {
		return q, c.usage("--replay takes faults and length from its file; leave --faults, --for and --pace out")
	}
	return q, nil
}

// readScript reads what is to be replayed.
func (q *drillRequest) readScript() error {
	if q.replay == "" {
		return nil
	}
	text, err := readWhole(q.replay, "a script", maxScript)
	if err == nil {
		q.cfg.Script, err = drill.ParseScript(string(text))
	}
	if err == nil && len(q.cfg.Script) == 0 {
		err = message.Errorf(message.InvalidArgument, "%s holds no command", message.Quote(q.replay))
	}
	return err
}

// drill is the command of that name.
func (s *Shell) drill(c *call) (result, error) {
	q, err := parseDrill(c)
	if err != nil {
		return result{}, err
	}
	if s.opt.Control == nil || s.opt.Dialer == nil {
		return result{}, message.Errorf(message.Unsupported, "this shell cannot drill the cluster: no launcher is here to kill and revive nodes; use the shell of `dmalloc up`, or `dmalloc drill`")
	}
	if err := q.readScript(); err != nil {
		return result{}, err
	}
	if err := s.describe(c, &q.cfg); err != nil {
		return result{}, err
	}
	c.meter.set("seed %d", q.cfg.Seed)
	res, err := drill.Run(c.ctx, drill.Cluster{Faults: drillFaults{s, c}, View: s.heap, Dial: drill.Dial(s.opt.Dialer), Verify: s.agree, Holding: s.holding}, q.cfg,
		func(line string) { c.meter.set("seed %d: %s", q.cfg.Seed, line) })
	if err != nil {
		return result{}, err
	}
	return drilled(&q, res)
}

// describe fills in what the cluster is.
func (s *Shell) describe(c *call, cfg *drill.Config) error {
	ctx, cancel := c.once()
	defer cancel()
	d, err := s.heap.Directory(ctx)
	if err != nil {
		return err
	}
	for _, n := range d.Present() {
		cfg.IDs = append(cfg.IDs, n.ID)
	}
	cfg.Next = message.NodeID(len(d.Nodes))
	if ms, ever := d.Settings.Patience(); ever {
		cfg.ReplaceAfter = time.Duration(ms) * time.Millisecond
	}
	cfg.Nodes, cfg.Companies, cfg.Replicas = len(cfg.IDs), max(0, len(d.Companies)-1), d.Settings.Replicas
	cfg.WriteBack = d.Settings.WriteBack
	if r := d.Registers.Replicas; r > 0 {
		cfg.Replicas = min(cfg.Replicas, r)
	}
	return nil
}

// drillFaults has the lines of a script done by the shell's own commands.
type drillFaults struct {
	s *Shell
	c *call
}

// Do runs a line as the shell would, but prints and asks nothing.
func (f drillFaults) Do(ctx context.Context, line string) error {
	cmd, err := parse(line)
	if err != nil {
		return err
	}
	if cmd.verb == nil || cmd.verb.name != cmd.name {
		return message.Errorf(message.InvalidArgument, "%s is no command of this shell", message.Quote(line))
	}
	flags, err := cmd.check()
	if err != nil {
		return err
	}
	flags["--yes"] = true // the seed is not asked
	_, err = cmd.verb.run(f.s, &call{command: cmd, ctx: ctx, flags: flags, sh: f.s, meter: f.c.meter})
	return err
}

// holding is what a node says of itself as a holder of leases.
func (s *Shell) holding(ctx context.Context, n message.NodeID) (drill.Holding, error) {
	a, err := s.heap.Ask(ctx, n, message.New(message.STATUS))
	if err != nil {
		return drill.Holding{}, err
	}
	var is message.NodeStatus
	if err := json.Unmarshal(a.Data, &is); err != nil {
		return drill.Holding{}, fmt.Errorf("read the status of node %s: %w", n, err)
	}
	return drill.Holding{Session: is.Incarnation<<32 | is.Boot, Lost: is.Cache.Lost}, nil
}

// agree is verify as a drill asks for it, when all is healed: all owners are there, and equal.
func (s *Shell) agree(ctx context.Context) error {
	for {
		all, err := s.heap.Verify(ctx, 0, true)
		missing := ""
		for _, v := range all {
			if v.Wrong != "" {
				return message.Errorf(message.Broken, "%s", v.Wrong)
			}
			if missing == "" {
				missing = v.Missing
			}
		}
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			if err == nil {
				err = message.Errorf(message.Unavailable, "%s", missing)
			}
			return err
		}
	}
}

// drilled shows how a drill went, and keeps what was asked to be kept.
func drilled(q *drillRequest, res *drill.Result) (result, error) {
	r := result{columns: []string{"verdict", "seed", "operations", "unknown", "faults", "longest_unavailable_ms"},
		fields: []field{{"verdict", res.Verdict}, {"seed", res.Seed}, {"operations", res.Operations}, {"unknown", res.Unknown},
			{"faults", res.Faults}, {"longest_unavailable_ms", res.LongestMS}, {"unavailable", res.Where}, {"leases", res.Leases}, {"planned", res.Planned}, {"back_ms", res.BackMS}, {"findings", some(res.Findings)}}}
	if res.Absorbed != nil {
		r.fields = append(r.fields, field{"absorbed", res.Absorbed})
	}
	var faults []string
	for k, n := range res.Faults {
		faults = append(faults, fmt.Sprintf("%s:%d", k, n))
	}
	slices.Sort(faults)
	r.rows = [][]string{{res.Verdict, plain(res.Seed), plain(res.Operations), plain(res.Unknown), strings.Join(faults, " "), plain(res.LongestMS)}}
	r.text = res.Story()
	if example := res.Example(); example != nil {
		lines := []string{}
		for _, o := range example.Ops {
			lines = append(lines, o.String())
		}
		r.fields = append(r.fields, field{"example", lines})
	}
	if err := keepDrill(q, res, &r); err != nil {
		return r, err
	}
	if !res.OK() {
		r.bad = message.Errorf(message.Broken, "the drill failed: %s", res.Findings[0])
	}
	return r, nil
}

// keepDrill writes the script and the picture into their files, or prints the script.
func keepDrill(q *drillRequest, res *drill.Result, r *result) error {
	if q.script != "" {
		if err := WriteFile(q.script, []byte(res.Script())); err != nil {
			return err
		}
		r.fields = append(r.fields, field{"script", q.script})
		r.text += "the script of its faults is in " + escape(q.script, false) + "\n"
	} else {
		r.fields = append(r.fields, field{"lines", strings.Split(strings.TrimSuffix(res.Script(), "\n"), "\n")})
		r.text += "what was done to the cluster, to be done again by drill --replay:\n" + res.Script()
	}
	if q.html == "" {
		return nil
	}
	var page strings.Builder
	if err := res.WriteHTML(&page); err != nil {
		return fmt.Errorf("draw the picture: %w", err)
	}
	if err := WriteFile(q.html, []byte(page.String())); err != nil {
		return err
	}
	r.fields = append(r.fields, field{"html", q.html})
	r.text += "the picture is in " + escape(q.html, false) + "\n"
	return nil
}
