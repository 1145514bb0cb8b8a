package repl

import (
	"strconv"

	"dmalloc/message"
)

// memory is a row for each node that says what it holds.
func (s *Shell) memory(c *call) (result, error) {
	nodes, err := s.heap.Nodes(c.ctx)
	if err != nil {
		return result{}, err
	}
	type row struct {
		Node message.NodeID `json:"node"`
		message.MemoryUse
	}
	all := []row{}
	r := result{columns: []string{"node", "resident", "limit", "pages", "heap_limit", "cache", "cache_limit"}, empty: "no node answers",
		show: func(column, cell string) string {
			if n, err := strconv.ParseUint(cell, 10, 64); err == nil && column != "node" {
				return human(n)
			}
			return cell
		}}
	rest := func(name string) bool { return name != "pages" && name != "cache" }
	for _, p := range (message.MemoryUse{}).Parts() {
		if rest(p.Name) {
			r.columns = append(r.columns, p.Name)
		}
	}
	for range r.columns {
		r.right = append(r.right, true)
	}
	for _, n := range nodes {
		u := n.MemoryUse
		if u == nil {
			continue
		}
		all = append(all, row{n.ID, *u})
		cells := []string{n.ID.String(), plain(u.Resident), plain(u.Limit), plain(u.Pages), plain(u.HeapLimit), plain(u.Cache), plain(u.CacheLimit)}
		for _, p := range u.Parts() {
			if rest(p.Name) {
				cells = append(cells, plain(p.Bytes))
			}
		}
		r.rows = append(r.rows, cells)
		if u.Full() {
			r.note += "node " + n.ID.String() + " takes more than it is to stay within; "
		}
	}
	if r.note != "" {
		r.note = r.note[:len(r.note)-2]
	}
	r.fields = []field{{"memory", all}}
	return r, nil
}
