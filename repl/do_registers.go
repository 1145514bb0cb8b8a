package repl

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dmalloc/client"
	"dmalloc/message"
)

// registers is `reg` with one of its words. Each has a command's time for each call that it makes, but for
// spread, which takes what it needs.
func (s *Shell) registers(c *call) (result, error) {
	word := c.args[0].text
	do := map[string]func(*Shell, *call) (result, error){
		"r": (*Shell).readRegister, "w": (*Shell).writeRegister, "load": (*Shell).loadRegister, "ls": (*Shell).listRegisters,
		"at": (*Shell).registerAt, "who": (*Shell).registerPlace, "members": (*Shell).registerMembers, "spread": (*Shell).spread,
	}[word]
	r, err := do(s, c)
	r.fields = append([]field{{"do", word}}, r.fields...)
	return r, err
}

func parseRegister(w word) (uint64, error) {
	a, err := message.ParseAddr(w.text)
	if err != nil {
		return 0, message.Errorf(message.InvalidArgument, "%s is not a register's number: use decimal digits, or 0x and hexadecimal digits, up to 64 bits", message.Quote(w.text))
	}
	return uint64(a), nil
}

// fileWord is the word of a command that names a file.
func (c *call) fileWord(i int) (string, error) {
	w := c.args[i]
	if w.isNumber() {
		return "", c.usage("%s is a number; a file with such a name is written ./%s", message.Quote(w.text), w.text)
	}
	return w.text, nil
}

// readRegister is `reg r REGISTER [FILE]`.
func (s *Shell) readRegister(c *call) (result, error) {
	number, err := parseRegister(c.args[1])
	if err != nil {
		return result{}, err
	}
	name := ""
	if len(c.args) > 2 {
		if name, err = c.fileWord(2); err != nil {
			return result{}, err
		}
	}
	ctx, cancel := c.once()
	defer cancel()
	x, err := s.heap.ReadRegister(ctx, number)
	if err != nil {
		return result{}, err
	}
	if name == "" {
		return s.showRegister(number, x, field{"rounds", x.Rounds})
	}
	if err := WriteFile(name, x.Value); err != nil {
		return result{}, err
	}
	return result{text: fmt.Sprintf("read %d bytes of register %d into %s\n", len(x.Value), number, escape(name, false)),
		fields:  []field{{"addr", number}, {"size", len(x.Value)}, {"file", name}, {"tag", x.Tag}, {"rounds", x.Rounds}},
		columns: []string{"addr", "size", "file", "tag", "rounds"},
		rows:    [][]string{{plain(number), plain(len(x.Value)), name, wholeTag(x.Tag), plain(x.Rounds)}}}, nil
}

// registerAt is `reg at NODE REGISTER`.
func (s *Shell) registerAt(c *call) (result, error) {
	node, err := parseID(c.args[1].text)
	if err != nil {
		return result{}, err
	}
	number, err := parseRegister(c.args[2])
	if err != nil {
		return result{}, err
	}
	ctx, cancel := c.once()
	defer cancel()
	x, err := s.heap.RegisterAt(ctx, node, number)
	if err != nil {
		return result{}, err
	}
	return s.showRegister(number, x, field{"node", node})
}

// showRegister prints a value. What is not UTF-8 is base64 in JSON, and in CSV also what a terminal must not
// see (P4).
func (s *Shell) showRegister(number uint64, x client.Register, more field) (result, error) {
	text := string(x.Value)
	value, data := field{"value", text}, ""
	if !utf8.ValidString(text) {
		value = field{"data", x.Value}
	}
	cell := text
	if !printable(text, true) {
		cell, data = "", plain(string(encode(x.Value)))
		data = strings.Trim(data, `"`) // base64 needs none
	}
	r := result{fields: []field{{"addr", number}, value, {"tag", x.Tag}, more},
		columns: []string{"addr", "value", "data", "tag", more.name},
		rows:    [][]string{{plain(number), cell, data, wholeTag(x.Tag), plain(more.value)}}}
	switch {
	case s.output != "table":
		return r, nil
	case text == "":
		r.text, r.note = "\n", fmt.Sprintf("register %d holds a value of 0 bytes", number)
	case data == "":
		r.text = strings.TrimSuffix(text, "\n") + "\n"
	default:
		h := newOffsetDump(s.con)
		_, _ = h.Write(x.Value)
		r.printed = true
		return r, h.end()
	}
	return r, nil
}

// wholeTag is a tag in full; its String has the writer's first digits only.
func wholeTag(t message.Tag) string { return fmt.Sprintf("%d.%s.%d", t.TS, t.Writer, t.Op) }

// writeRegister is `reg w REGISTER TEXT`.
func (s *Shell) writeRegister(c *call) (result, error) {
	number, err := parseRegister(c.args[1])
	if err != nil {
		return result{}, err
	}
	if c.tail == "" {
		return result{}, c.usage("TEXT is missing; an empty value is written with `reg load` from an empty file")
	}
	if len(c.tail) > message.MaxData {
		return result{}, message.Errorf(message.InvalidArgument, "a value of %d bytes for register %d; the most is %d, and nothing was written", len(c.tail), number, message.MaxData)
	}
	return s.putRegister(c, number, []byte(c.tail))
}

// loadRegister is `reg load REGISTER FILE`.
func (s *Shell) loadRegister(c *call) (result, error) {
	number, err := parseRegister(c.args[1])
	if err != nil {
		return result{}, err
	}
	name, err := c.fileWord(2)
	if err != nil {
		return result{}, err
	}
	value, err := readWhole(name, "a register", message.MaxData)
	if err != nil {
		return result{}, err
	}
	return s.putRegister(c, number, value)
}

func (s *Shell) putRegister(c *call, number uint64, value []byte) (result, error) {
	ctx, cancel := c.once()
	defer cancel()
	tag, err := s.heap.WriteRegister(ctx, number, value)
	if err != nil {
		return result{}, err
	}
	return result{text: fmt.Sprintf("wrote %d bytes to register %d\n", len(value), number),
		fields:  []field{{"addr", number}, {"size", len(value)}, {"tag", tag}},
		columns: []string{"addr", "size", "tag"},
		rows:    [][]string{{plain(number), plain(len(value)), wholeTag(tag)}}}, nil
}

// listRegisters is `reg ls [NODE]`.
func (s *Shell) listRegisters(c *call) (result, error) {
	node := s.heap.Home()
	if len(c.args) > 1 {
		var err error
		if node, err = parseID(c.args[1].text); err != nil {
			return result{}, err
		}
	}
	tag := message.Tag.String
	if s.output == "csv" {
		tag = wholeTag
	}
	l := listing[client.RegisterEntry]{name: "register", columns: []string{"addr", "size", "tag"}, right: []bool{true, true},
		row: func(e client.RegisterEntry) []string { return []string{plain(e.Address), plain(e.Size), tag(e.Tag)} }}
	var bytes uint64
	r, n, err := stream(s, l, func(do func(client.RegisterEntry) error) error {
		return s.eachRegister(c, node, func(e client.RegisterEntry) error {
			bytes += e.Size
			return do(e)
		})
	})
	r.fields = append([]field{{"node", node}}, r.fields...)
	if err == nil && s.output == "table" {
		r.note = fmt.Sprintf("%s on node %s, %d bytes", count(n, "register"), node, bytes)
	}
	return r, err
}

// eachRegister gives every register that a node stores, page by page, each page with a deadline of its own.
func (s *Shell) eachRegister(c *call, node message.NodeID, do func(client.RegisterEntry) error) error {
	given := 0
	for from := uint64(0); ; {
		page, err := s.registerPage(c, node, from)
		if err != nil {
			return err
		}
		last := from
		for i, e := range page {
			if e.Address < last || i > 0 && e.Address == last {
				return message.Errorf(message.Internal, "node %s listed register %d behind register %d", node, e.Address, last)
			}
			last = e.Address
			if err := do(e); err != nil {
				return err
			}
		}
		if len(page) < tablePage || last == math.MaxUint64 {
			return nil
		}
		from = last + 1
		given += len(page)
		c.meter.set("%s", count(given, "register"))
	}
}

func (s *Shell) registerPage(c *call, node message.NodeID, from uint64) ([]client.RegisterEntry, error) {
	ctx, cancel := c.once()
	defer cancel()
	return s.heap.ListRegisters(ctx, node, from, tablePage)
}

// registerPlace is `reg who REGISTER`.
func (s *Shell) registerPlace(c *call) (result, error) {
	number, err := parseRegister(c.args[1])
	if err != nil {
		return result{}, err
	}
	ctx, cancel := c.once()
	defer cancel()
	p, err := s.heap.RegisterPlace(ctx, number)
	if err != nil {
		return result{}, err
	}
	r := result{fields: []field{{"addr", number}, {"shard", p.Shard}, {"epoch", p.Epoch}, {"nodes", some(p.Nodes)}},
		columns: []string{"addr", "shard", "epoch", "nodes", "next"},
		right:   []bool{true, true, true},
		rows:    [][]string{{plain(number), plain(p.Shard), plain(p.Epoch), list(p.Nodes), list(p.Next)}}}
	if len(p.Next) > 0 {
		r.fields = append(r.fields, field{"next", p.Next})
	}
	return r, nil
}

// registerMembers is `reg members`.
func (s *Shell) registerMembers(c *call) (result, error) {
	ctx, cancel := c.once()
	defer cancel()
	m, err := s.heap.RegisterMembers(ctx)
	if err != nil {
		return result{}, err
	}
	r := result{fields: []field{{"epoch", m.Epoch}, {"replicas", m.Replicas}, {"members", some(m.Members)}},
		columns: []string{"epoch", "replicas", "members", "next"},
		right:   []bool{true, true},
		rows:    [][]string{{plain(m.Epoch), strconv.Itoa(m.Replicas), list(m.Members), list(m.Next)}}}
	if len(m.Next) > 0 {
		r.fields = append(r.fields, field{"next", m.Next})
	}
	return r, nil
}

// spread is `reg spread NODE...`. Nodes may also be given as tables show them: 0,1,2.
func (s *Shell) spread(c *call) (result, error) {
	var nodes []message.NodeID
	for _, w := range c.args[1:] {
		for text := range strings.SplitSeq(w.text, ",") {
			id, err := parseID(text)
			if err != nil {
				return result{}, err
			}
			if slices.Contains(nodes, id) {
				return result{}, message.Errorf(message.InvalidArgument, "node %s is named twice; name each node once", id)
			}
			nodes = append(nodes, id)
		}
	}
	if err := s.known(c, nodes); err != nil {
		return result{}, err
	}
	if err := s.move(c, nodes); err != nil {
		return result{}, err
	}
	return result{text: "registers are kept on nodes " + list(nodes) + "\n", fields: []field{{"nodes", nodes}},
		columns: []string{"nodes"}, rows: [][]string{{list(nodes)}}}, nil
}

// move changes the members. The move takes what it needs, but has a command's time to begin: the directory may have
// no majority.
func (s *Shell) move(c *call, nodes []message.NodeID) error {
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	late := time.AfterFunc(s.timeout, func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	c.meter.set("asking the directory")
	err := s.heap.SpreadRegisters(ctx, nodes, func(text string) {
		late.Stop()
		c.meter.step(text)
	})
	if err != nil && c.ctx.Err() == nil && ctx.Err() != nil {
		return message.Errorf(message.Timeout, "the move did not begin within %v; whether it will is not known: `reg members` shows it", s.timeout)
	}
	return err
}

// known refuses nodes that the directory does not have.
func (s *Shell) known(c *call, nodes []message.NodeID) error {
	ctx, cancel := c.once()
	defer cancel()
	d, err := s.heap.Directory(ctx)
	if err != nil {
		return err
	}
	for _, id := range nodes {
		if d.Node(id) == nil {
			return message.Errorf(message.NoSuchNode, "there is no node %s; nodes are 0 to %d", id, len(d.Nodes)-1)
		}
	}
	return nil
}
