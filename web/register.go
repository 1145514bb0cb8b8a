package web

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dmalloc/client"
	"dmalloc/message"
)

const (
	// maxWrite bounds the body of a write: the largest value, each byte escaped as \u0000, and the rest.
	maxWrite = 6*message.MaxData + 4<<10
	// spreadTime is what a move of registers gets, which copies those that change their place.
	spreadTime = 10 * time.Minute
)

// register is a register's value: as text where it is one, else in base64.
type register struct {
	Address uint64      `json:"addr"`
	Value   *string     `json:"value,omitempty"`
	Data    *[]byte     `json:"data,omitempty"`
	Tag     message.Tag `json:"tag"`
}

// tagged is the answer to a write.
type tagged struct {
	Address uint64      `json:"addr"`
	Tag     message.Tag `json:"tag"`
}

// registerPage is a part of what a node stores. Next is where to go on, and absent at the end.
type registerPage struct {
	Node      message.NodeID         `json:"node"`
	Registers []client.RegisterEntry `json:"registers"`
	Next      *uint64                `json:"next,omitempty"`
}

// spread is the answer when the registers are where they shall be.
type spread struct {
	Nodes []message.NodeID `json:"nodes"`
	MS    int64            `json:"ms"` // how long it took
}

// registerAddress is the register in the path.
func (c *call) registerAddress() (uint64, error) {
	a, err := message.ParseAddr(c.vars[0])
	return uint64(a), err
}

func (c *call) readRegister() error {
	address, err := c.registerAddress()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	got, err := c.s.cfg.Heap.ReadRegister(ctx, address)
	if err != nil {
		return err
	}
	return c.register(got)
}

// register answers with a register. What is large waits for a slot before it is encoded.
func (c *call) register(got client.Register) error {
	out := register{Address: got.Address, Tag: got.Tag}
	isText := utf8.Valid(got.Value)
	release, err := c.slot(encodedSize(got.Value, isText))
	if err != nil {
		return err
	}
	defer release()
	if isText {
		s := string(got.Value)
		out.Value = &s
	} else {
		out.Data = &got.Value
	}
	return c.json(http.StatusOK, out)
}

// encodedSize is about how many bytes a value has in JSON.
func encodedSize(value []byte, isText bool) int {
	n := len(value)
	if !isText {
		return n / 3 * 4
	}
	for _, b := range value {
		if b < ' ' || b == '<' || b == '>' || b == '&' {
			n += 5
		}
	}
	return n
}

func (c *call) writeRegister() error {
	if err := c.unkeyed(); err != nil {
		return err
	}
	got, release, err := c.members()
	if err != nil {
		return err
	}
	defer release()
	fields := c.route.body
	address, err := fields[0].bits(got)
	if err != nil {
		return err
	}
	if (got["value"] == nil) == (got["data"] == nil) {
		return message.Errorf(message.InvalidArgument, `a write takes "value", a string, or "data", the bytes in base64: one of them; send %s`, example(fields))
	}
	var value []byte
	if got["value"] != nil {
		value, err = fields[1].string(got)
	} else {
		value, err = fields[2].bytes(got)
	}
	if err != nil {
		return err
	}
	if len(value) > message.MaxData {
		return &failure{http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the value has %d bytes, and a register holds up to %s; write less, or use the heap", len(value), message.FormatSize(message.MaxData))}
	}
	ctx, cancel := c.context()
	defer cancel()
	tag, err := c.s.cfg.Heap.WriteRegister(ctx, address, value)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, tagged{address, tag})
}

func (c *call) storedRegister() error {
	address, err := c.registerAddress()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	got, err := c.s.cfg.Heap.RegisterAt(ctx, c.s.cfg.Node, address)
	if err == nil {
		return c.register(got)
	}
	if message.CodeOf(err) != message.NotWritten {
		return err
	}
	place, other := c.s.cfg.Heap.RegisterPlace(ctx, address)
	if other != nil {
		return err // true as well, without the place
	}
	return message.Errorf(message.NotWritten, "%s", c.absence(place))
}

// absence says why this node stores nothing of a register, and who does.
func (c *call) absence(place client.RegisterPlace) string {
	keepers := slices.Concat(place.Nodes, place.Next)
	slices.Sort(keepers)
	keepers = slices.Compact(keepers)
	why := "is none of its replicas, which are on"
	if slices.Contains(keepers, c.s.cfg.Node) {
		why = "has nothing of it; its replicas are on"
	}
	words := make([]string, len(keepers))
	for i, n := range keepers {
		words[i] = n.String()
	}
	return fmt.Sprintf("node %s stores nothing of register %d: it %s nodes %s; GET /read/%d asks a quorum of them",
		c.s.cfg.Node, place.Address, why, strings.Join(words, ", "), place.Address)
}

func (c *call) listRegisters() error {
	limit, err := c.number("limit", defaultPage, 1, maxPage)
	if err != nil {
		return err
	}
	node, err := c.number("node", uint64(c.s.cfg.Node), 0, message.MaxNodes-1)
	if err != nil {
		return err
	}
	var from message.Addr
	if v := c.query.Get("from"); v != "" {
		if from, err = message.ParseAddr(v); err != nil {
			return err
		}
	}
	ctx, cancel := c.context()
	defer cancel()
	ask := min(limit+1, maxPage) // one more shows whether there is a next page
	rows, err := c.s.cfg.Heap.ListRegisters(ctx, message.NodeID(node), uint64(from), int(ask))
	if err != nil {
		return err
	}
	out := registerPage{Node: message.NodeID(node), Registers: list(rows)}
	switch n := uint64(len(rows)); {
	case n > limit:
		out.Registers, out.Next = out.Registers[:limit], &rows[limit].Address
	case n == ask && rows[n-1].Address < math.MaxUint64: // the largest page has no room for one more
		next := rows[n-1].Address + 1
		out.Next = &next
	}
	return c.json(http.StatusOK, out)
}

func (c *call) registerPlace() error {
	address, err := c.registerAddress()
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	place, err := c.s.cfg.Heap.RegisterPlace(ctx, address)
	if err != nil {
		return err
	}
	place.Nodes = list(place.Nodes)
	return c.json(http.StatusOK, place)
}

func (c *call) registerMembers() error {
	ctx, cancel := c.context()
	defer cancel()
	all, err := c.s.cfg.Heap.RegisterMembers(ctx)
	if err != nil {
		return err
	}
	all.Members = list(all.Members)
	return c.json(http.StatusOK, all)
}

func (c *call) spreadRegisters() error {
	if err := c.unkeyed(); err != nil {
		return err
	}
	got, release, err := c.members()
	if err != nil {
		return err
	}
	defer release()
	nodes, err := c.route.body[0].nodes(got)
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	begin := time.Now()
	err = c.s.cfg.Heap.SpreadRegisters(ctx, nodes, func(string) {}) // HTTP has nowhere to show progress
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, spread{nodes, time.Since(begin).Milliseconds()})
}
