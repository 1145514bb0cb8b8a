package repl

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// noControl is the answer where nobody can act on processes.
func noControl(what string) error {
	return message.Errorf(message.Unsupported, "this shell cannot %s a node: no launcher is here to do it; use the shell of `dmalloc up`", what)
}

func (s *Shell) kill(c *call) (result, error) {
	words, lasts, err := c.lasting()
	if err != nil {
		return result{}, err
	}
	id, err := parseID(words[0])
	if err != nil {
		return result{}, err
	}
	if s.opt.Control == nil {
		return result{}, noControl("kill")
	}
	if lost := s.loses(c, id); lost != "" {
		if err := s.confirm(c, "Without node "+id.String()+" "+lost+"."); err != nil {
			return result{}, err
		}
	}
	ctx, cancel := c.once()
	defer cancel()
	if err := s.opt.Control.Kill(ctx, id); err != nil {
		return result{}, err
	}
	return s.returning(ctx, id, "killed", lasts)
}

// returning has a node that was killed or frozen come back after a time, if there is one.
func (s *Shell) returning(ctx context.Context, id message.NodeID, what string, after time.Duration) (result, error) {
	if after == 0 {
		return onNode(id, what), nil
	}
	if err := s.opt.Control.Return(ctx, id, after); err != nil {
		return result{}, fmt.Errorf("node %s is %s, but nobody will bring it back: %w", id, what, err)
	}
	r := onNode(id, fmt.Sprintf("%s, for %v", what, after))
	r.fields = append(r.fields, field{"left_ms", after.Milliseconds()})
	return r, nil
}

// loses says what the death of a node costs, "" if no company would lose its majority. It looks only where
// somebody can be asked.
func (s *Shell) loses(c *call, id message.NodeID) string {
	if s.ask == nil || s.yes || c.flags["--yes"] {
		return ""
	}
	ctx, cancel := c.once()
	defer cancel()
	nodes, err := s.heap.Nodes(ctx)
	if err == nil && !slices.ContainsFunc(nodes, func(n client.Node) bool { return n.ID == id && n.State == "alive" }) {
		return "" // it counts for nothing now, or Kill will say that it is not there
	}
	companies, cerr := s.heap.Companies(ctx)
	if err != nil || cerr != nil {
		return "some company may lose its majority: the cluster did not say in time"
	}
	if lost := majoritiesLost(companies, id); len(lost) > 0 {
		return "company " + list(lost) + " loses its majority, and cannot be used until an owner is back"
	}
	return ""
}

// majoritiesLost lists the companies that have a majority with a live node and none without it.
func majoritiesLost(companies []client.Company, id message.NodeID) []message.CompanyID {
	var lost []message.CompanyID
	for _, x := range companies {
		if slices.Contains(x.Owners, id) && 2*x.Alive > len(x.Owners) && 2*(x.Alive-1) <= len(x.Owners) {
			lost = append(lost, x.ID)
		}
	}
	return lost
}

func onNode(id message.NodeID, what string) result {
	return result{text: "node " + id.String() + " " + what + "\n", fields: []field{{"node", id}}}
}

func (s *Shell) revive(c *call) (result, error) {
	id, err := parseID(c.args[0].text)
	if err != nil {
		return result{}, err
	}
	if s.opt.Control == nil {
		return result{}, noControl("revive")
	}
	if c.flags["--wipe"] {
		if err := s.confirm(c, "This throws away everything that node "+id.String()+" keeps on its disk."); err != nil {
			return result{}, err
		}
	}
	begin := s.opt.now()
	c.meter.set("waiting for node %s", id)
	if err := s.opt.Control.Revive(c.ctx, id, c.flags["--wipe"], c.meter.step); err != nil {
		return result{}, err
	}
	took := s.opt.now().Sub(begin).Round(time.Millisecond)
	return onNode(id, fmt.Sprintf("is back and has caught up, after %v", took)), nil
}

func (s *Shell) pause(c *call) (result, error) {
	return s.signal(c, "pause", "is frozen", Control.Pause)
}

func (s *Shell) resume(c *call) (result, error) {
	return s.signal(c, "resume", "goes on", Control.Resume)
}

func (s *Shell) signal(c *call, what, then string, do func(Control, context.Context, message.NodeID) error) (result, error) {
	words, lasts, err := c.lasting()
	if err != nil {
		return result{}, err
	}
	id, err := parseID(words[0])
	if err != nil {
		return result{}, err
	}
	if s.opt.Control == nil {
		return result{}, noControl(what)
	}
	if err := do(s.opt.Control, c.ctx, id); err != nil {
		return result{}, err
	}
	return s.returning(c.ctx, id, then, lasts)
}

func (s *Shell) nodes(c *call) (result, error) {
	nodes, err := s.heap.Nodes(c.ctx)
	if err != nil {
		return result{}, err
	}
	nodes = slices.Clone(some(nodes))
	r := result{columns: []string{"node", "state", "detector", "for", "pid", "address", "http", "memory", "cache", "leads", "owns"},
		right: []bool{true, false, false, true, true, false, false, true, true}, empty: "no nodes",
		show: func(column, cell string) string {
			if n, err := strconv.ParseUint(cell, 10, 64); err == nil && (column == "memory" || column == "cache") {
				return human(n)
			}
			return cell
		}}
	for i := range nodes {
		n := &nodes[i]
		n.Leads, n.Owns = some(n.Leads), some(n.Owns)
		pid, memory, kept, believed := "", "", "", ""
		if n.Detector != "" {
			believed = (time.Duration(n.DetectorMS) * time.Millisecond).Round(100 * time.Millisecond).String()
		}
		if n.Pid > 0 {
			pid = strconv.Itoa(n.Pid)
		}
		if n.Memory > 0 {
			memory = plain(n.Memory)
		}
		if n.Cache > 0 {
			kept = plain(n.Cache)
		}
		r.rows = append(r.rows, []string{n.ID.String(), n.State, n.Detector, believed, pid, n.Address, n.HTTP, memory, kept, list(n.Leads), list(n.Owns)})
	}
	r.fields = []field{{"nodes", nodes}}
	if slices.ContainsFunc(nodes, func(n client.Node) bool { return n.State != "alive" }) {
		if companies, err := s.heap.Companies(c.ctx); err == nil { // without it the nodes are shown all the same
			for _, x := range companies {
				r.note += lacking(x)
			}
			r.note = strings.TrimSuffix(r.note, "; ")
		}
	}
	return r, nil
}

func (s *Shell) companies(c *call) (result, error) {
	companies, err := s.heap.Companies(c.ctx)
	if err != nil {
		return result{}, err
	}
	companies = slices.Clone(some(companies))
	r := result{columns: []string{"company", "base", "limit", "owners", "alive", "leader", "term", "used", "capacity", "allocations"},
		right: []bool{true, false, false, false, true, true, true, true, true, true}, empty: "no companies"}
	for i := range companies {
		x := &companies[i]
		x.Owners = some(x.Owners)
		row := []string{x.ID.String(), x.Base.String(), x.Limit.String(), list(x.Owners), strconv.Itoa(x.Alive), leader(x.Leader), plain(x.Term), plain(x.Used), plain(x.Capacity), plain(x.Allocations)}
		if x.ID == 0 { // it holds no memory
			row[1], row[2], row[7], row[8], row[9] = "directory", "", "", "", ""
		}
		r.rows = append(r.rows, row)
		for _, m := range x.Moves {
			r.note += moving(x.ID, m)
		}
		r.note += lacking(*x)
	}
	r.note = strings.TrimSuffix(r.note, "; ")
	// Scripts iterate over the companies of the heap; the directory stands beside them.
	i := slices.IndexFunc(companies, func(x client.Company) bool { return x.ID == 0 })
	if i < 0 {
		r.fields = []field{{"companies", companies}}
		return r, nil
	}
	directory := companies[i]
	r.fields = []field{{"companies", some(slices.Delete(companies, i, i+1))}, {"directory", directory}}
	return r, nil
}

// lacking says that a company has fewer live owners than it should.
func lacking(x client.Company) string {
	if x.Missing == 0 {
		return ""
	}
	name := "company " + x.ID.String()
	if x.ID == 0 {
		name = "the directory"
	}
	return fmt.Sprintf("%s is under-replicated: %d of %d owners are alive; ", name, x.Alive, x.Alive+x.Missing)
}

// moving says what a change of a company's owners is about.
func moving(id message.CompanyID, m client.Moving) string {
	if m.Leaving {
		return fmt.Sprintf("node %s leaves company %s; ", m.Node, id)
	}
	return fmt.Sprintf("node %s joins company %s, at entry %d of %d; ", m.Node, id, m.Applied, m.Of)
}

func (s *Shell) leaders(c *call) (result, error) {
	tenures, err := s.heap.Elections(c.ctx)
	if err != nil {
		return result{}, err
	}
	r := result{fields: []field{{"leaders", some(tenures)}}, columns: []string{"company", "term", "leader", "from", "to", "gap_ms"},
		right: []bool{true, true, true, false, false, true}, empty: "no elections were seen"}
	for _, t := range tenures {
		to, gap := "", ""
		if t.ToMS != 0 {
			to = plain(t.ToMS)
		}
		if t.GapMS > 0 {
			gap = plain(t.GapMS)
		}
		r.rows = append(r.rows, []string{t.Company.String(), plain(t.Term), t.Leader.String(), plain(t.FromMS), to, gap})
	}
	r.show = func(column, cell string) string {
		ms, err := strconv.ParseInt(cell, 10, 64)
		if err == nil && (column == "from" || column == "to") {
			return time.UnixMilli(ms).Format("2006-01-02 15:04:05.000")
		}
		return cell
	}
	return r, nil
}

func (s *Shell) lead(c *call) (result, error) {
	company, err := parseCompany(c.args[0].text)
	if err != nil {
		return result{}, err
	}
	node, err := parseID(c.args[1].text)
	if err != nil {
		return result{}, err
	}
	if err := s.heap.Lead(c.ctx, company, node); err != nil {
		return result{}, err
	}
	return result{text: fmt.Sprintf("node %s leads company %s\n", node, company), fields: []field{{"company", company}, {"node", node}}}, nil
}

func (s *Shell) graph(c *call) (result, error) {
	name, what := c.args[0].text, "allocations"
	if len(c.args) > 1 {
		what = c.args[1].text
	}
	if err := oneOf("the picture", what, strings.Split(graphKinds, "|")); err != nil {
		return result{}, err
	}
	if s.opt.Grapher == nil {
		return result{}, message.Errorf(message.Unsupported, "this shell cannot draw; use the shell of `dmalloc up`")
	}
	dot, err := s.opt.Grapher(c.ctx, what)
	if err != nil {
		return result{}, err
	}
	if err := WriteFile(name, []byte(dot)); err != nil {
		return result{}, err
	}
	return result{text: fmt.Sprintf("%s drawn into %s\n", what, escape(name, false)), fields: []field{{"file", name}, {"what", what}, {"size", len(dot)}}}, nil
}
