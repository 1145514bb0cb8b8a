package repl

import (
	"fmt"
	"time"

	"dmalloc/message"
)

// memberVerbs are the commands by which nodes come and go.
func memberVerbs() []verb {
	return []verb{
		{name: "node", forms: []string{"add [HOST]", "remove ID"}, run: (*Shell).member, long: true,
			does: "adds a node, or drains one and lets it go",
			each: []string{
				"starts another node, on the next free slot of the hostfile or on HOST; ready when it takes part",
				"moves what the node holds to the others, ends its process and deletes its files; its number is not used again",
			},
			more:     "Companies move to a new node by themselves, two at a time; `companies` shows it. Ctrl-C ends the waiting only: a node that leaves goes on leaving, and `node remove ID` waits for it again. Where there is no launcher, `dmalloc node --join HOST:PORT` adds a node.",
			examples: []string{"node add", "node remove 3"}},
		recoverVerb(),
	}
}

// member is `node` with one of its words.
func (s *Shell) member(c *call) (result, error) {
	do := map[string]func(*Shell, *call) (result, error){"add": (*Shell).addNode, "remove": (*Shell).removeNode}[c.args[0].text]
	if do == nil {
		return result{}, c.usage("%s is none of add, remove", message.Quote(c.args[0].text))
	}
	if s.opt.Control == nil {
		return result{}, message.Errorf(message.Unsupported, "this shell cannot %s a node: no launcher is here to do it; use the shell of `dmalloc up`, or `dmalloc node --join HOST:PORT` on the machine that shall run one more", c.args[0].text)
	}
	r, err := do(s, c)
	r.fields = append([]field{{"action", c.args[0].text}}, r.fields...)
	return r, err
}

func (s *Shell) addNode(c *call) (result, error) {
	host := ""
	if len(c.args) > 1 {
		host = c.args[1].text
	}
	begin := s.opt.now()
	c.meter.set("starting a node")
	n, err := s.opt.Control.AddNode(c.ctx, host, c.meter.step)
	if err != nil {
		return result{}, err
	}
	took := s.opt.now().Sub(begin).Round(time.Millisecond)
	return result{text: fmt.Sprintf("node %s takes part at %s, after %v; companies move to it now\n", n.ID, escape(n.Address, false), took),
		fields: []field{{"node", n.ID}, {"address", n.Address}, {"http", n.HTTP}, {"host", n.Host}, {"pid", n.Pid}}}, nil
}

func (s *Shell) removeNode(c *call) (result, error) {
	id, err := parseID(c.args[1].text)
	if err != nil {
		return result{}, err
	}
	begin := s.opt.now()
	c.meter.set("telling node %s to leave", id)
	last := ""
	r, err := s.opt.Control.RemoveNode(c.ctx, id, func(text string) {
		if text != last {
			c.meter.step(text)
		}
		last = text
	})
	if err != nil && c.ctx.Err() != nil { // the waiting was canceled, and nothing else
		s.con.say(grey, "note: "+err.Error())
	}
	if err != nil {
		return result{}, err
	}
	took := s.opt.now().Sub(begin).Round(time.Millisecond)
	return result{text: fmt.Sprintf("node %s has left after %v; of %s it was an owner\n", id, took, shares(r.Of)),
		fields: []field{{"node", id}, {"moved", r.Of}}, note: r.Note}, nil
}

// shares counts the companies that a node owned, the directory too.
func shares(n int) string {
	switch n {
	case 0:
		return "no company"
	case 1:
		return "1 company"
	}
	return fmt.Sprintf("%d companies", n)
}
