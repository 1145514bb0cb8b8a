package repl

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dmalloc/client"
	"dmalloc/message"
)

// faultVerbs are the commands that break links, disks, clocks and files, and heal them. Words that describe a fault
// are read by package fault, where it is known how many nodes there are.
func faultVerbs() []verb {
	return []verb{
		{name: "partition", forms: []string{"GROUPS [--for DURATION]"}, run: (*Shell).fault,
			does:     "cuts the links between groups of nodes",
			more:     "No frame passes from group to group; a node in none keeps all its links. A>B cuts one direction: nothing that A sends reaches B. " + outside,
			examples: []string{"partition 0,1|2", "partition 0>1", "partition 0|1|2 --for 5s"}},
		{name: "slow", forms: []string{"A B DURATION [--for DURATION]"}, run: (*Shell).fault,
			does:     "delays each frame between two nodes, in both directions",
			more:     outside,
			examples: []string{"slow 0 1 50ms", "slow 0 1 50ms --for 5s"}},
		{name: "drop", forms: []string{"A B PERCENT [--for DURATION]"}, run: (*Shell).fault,
			does:     "loses a share of the frames between two nodes, in both directions",
			more:     outside,
			examples: []string{"drop 0 1 10%", "drop 0 1 100% --for 5s"}},
		{name: "disk", forms: []string{"full ID [--for DURATION]", "slow ID DURATION [--for DURATION]"}, run: (*Shell).fault,
			does: "makes the disk of a node full or slow",
			each: []string{
				"nothing more can be written: the node ends, and starts again only once the disk is healed",
				"each sync takes longer",
			},
			more:     onlyWithDrills,
			examples: []string{"disk full 2", "disk slow 2 100ms", "disk slow 2 100ms --for 5s"}},
		{name: "clock", forms: []string{"ID OFFSET [--for DURATION]"}, run: (*Shell).fault,
			does:     "puts the clock of a node wrong",
			more:     "The clock of a node says how far its companies' clocks go on while it leads them, which ends the memory of clients and frees; when elections were; how old an unfinished transaction is. Waiting does not go by it, and nor do elections.",
			examples: []string{"clock 2 +2s", "clock 2 -500ms --for 5s"}},
		{name: "corrupt", forms: []string{"ID [--seed NUMBER] [--yes]"}, run: (*Shell).corrupt, long: true,
			does:     "flips bits in the kept files of a dead node, and says where",
			more:     "The node then refuses to start and says what is wrong; `revive ID --wipe` brings it back. The same seed does the same to the same files. An interactive shell asks first. " + onlyWithDrills,
			examples: []string{"corrupt 2", "corrupt 2 --seed 7"}},
		{name: "faults", forms: []string{""}, run: (*Shell).faults,
			does:     "the faults that last: number, words, and the time that is left; nodes that were killed or frozen have no number",
			examples: []string{"faults"}},
		{name: "heal", forms: []string{"[FAULT]", "disk [" + diskKinds + "]"}, run: (*Shell).heal,
			does:     "ends faults: all, one by its number, or those of a kind",
			more:     "What is dead stays dead (`revive`), what is frozen stays frozen (`resume`), and files stay as they are.",
			examples: []string{"heal", "heal 3", "heal partition", "heal disk full"}},
	}
}

const (
	outside        = "Faults last until `heal`, add up, are there again after `revive`, and end with the cluster: none is kept with --data. Clients are outside: what this shell and the launcher say to nodes is never cut, slow or lost. Where there is a topology, only its links can be troubled."
	onlyWithDrills = "A cluster that was started with --data refuses what can hurt the data, unless with --drills."
)

// fault begins what the verb and its words describe.
func (s *Shell) fault(c *call) (result, error) {
	words, lasts, err := c.lasting()
	if err != nil {
		return result{}, err
	}
	if s.opt.Control == nil {
		return result{}, noControl("break a link, disk or clock of")
	}
	f, err := s.opt.Control.Fault(c.ctx, c.verb.name+" "+strings.Join(words, " "), lasts)
	if err != nil {
		return result{}, err
	}
	r := result{text: fmt.Sprintf("fault %d: %s%s\n", f.ID, f.Fault, until(f)), fields: []field{{"id", f.ID}, {"kind", f.Kind}, {"fault", f.Fault}}}
	if f.LeftMS > 0 {
		r.fields = append(r.fields, field{"left_ms", f.LeftMS})
	}
	return r, nil
}

// lasting takes the value of --for, which is the last word, from the words.
func (c *call) lasting() (words []string, lasts time.Duration, err error) {
	need := 0
	for _, t := range tokens(c.verb.fitting(c.args)[0]) {
		if !t.isFlag() && !t.optional {
			need++
		}
	}
	for _, w := range c.args {
		words = append(words, w.text)
	}
	if c.flags["--for"] != (len(words) > need) {
		return nil, 0, c.usage("%s takes --for and a duration behind the rest, or neither", c.verb.name)
	}
	if !c.flags["--for"] {
		return words, 0, nil
	}
	if lasts, err = time.ParseDuration(words[need]); err != nil || lasts <= 0 {
		return nil, 0, message.Errorf(message.InvalidArgument, "%s is not how long a fault can last: use a number above 0 with its unit, such as 5s", message.Quote(words[need]))
	}
	return words[:need], lasts, nil
}

// until says when a fault ends by itself.
func until(f client.Fault) string {
	if f.LeftMS == 0 {
		return ""
	}
	return fmt.Sprintf(", for another %v", time.Duration(f.LeftMS)*time.Millisecond)
}

func (s *Shell) faults(c *call) (result, error) {
	if s.opt.Control == nil {
		return result{}, noControl("break or heal")
	}
	all, err := s.opt.Control.Faults(c.ctx)
	if err != nil {
		return result{}, err
	}
	r := faultTable("faults", all)
	r.empty = "no faults"
	return r, nil
}

func (s *Shell) heal(c *call) (result, error) {
	if s.opt.Control == nil {
		return result{}, noControl("heal")
	}
	var words []string
	for _, w := range c.args {
		words = append(words, w.text)
	}
	ended, err := s.opt.Control.Heal(c.ctx, strings.Join(words, " "))
	if err != nil {
		return result{}, err
	}
	r := faultTable("healed", ended)
	r.empty = "nothing to heal"
	return r, nil
}

// faultTable shows faults under a name.
func faultTable(name string, all []client.Fault) result {
	r := result{fields: []field{{name, some(all)}}, columns: []string{"id", "fault", "left_ms"}, right: []bool{true, false, true}}
	for _, f := range all {
		left := ""
		if f.LeftMS > 0 {
			left = plain(f.LeftMS)
		}
		id := ""
		if f.ID != 0 {
			id = plain(f.ID)
		}
		r.rows = append(r.rows, []string{id, f.Fault, left})
	}
	return r
}

func (s *Shell) corrupt(c *call) (result, error) {
	id, err := parseID(c.args[0].text)
	if err != nil {
		return result{}, err
	}
	if c.flags["--seed"] != (len(c.args) > 1) {
		return result{}, c.usage("corrupt takes --seed and a number behind it, or neither")
	}
	seed := uint64(0)
	if c.flags["--seed"] {
		if seed, err = strconv.ParseUint(c.args[1].text, 10, 64); err != nil || seed == 0 {
			return result{}, message.Errorf(message.InvalidArgument, "%s is not a seed: use a whole number from 1", message.Quote(c.args[1].text))
		}
	}
	if s.opt.Control == nil {
		return result{}, noControl("corrupt the files of")
	}
	if err := s.confirm(c, "This damages the kept files of node "+id.String()+"."); err != nil {
		return result{}, err
	}
	ctx, cancel := c.once()
	defer cancel()
	d, err := s.opt.Control.Corrupt(ctx, id, seed)
	if err != nil {
		return result{}, err
	}
	r := result{fields: []field{{"node", id}, {"seed", d.Seed}, {"flips", some(d.Flips)}}, columns: []string{"file", "offset", "bit"}, right: []bool{false, true, true},
		note: fmt.Sprintf("%s flipped in the files of node %s, with seed %d", count(len(d.Flips), "bit"), id, d.Seed)}
	for _, f := range d.Flips {
		r.rows = append(r.rows, []string{f.File, plain(f.Offset), plain(f.Bit)})
	}
	return r, nil
}
