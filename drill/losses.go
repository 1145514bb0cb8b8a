package drill

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dmalloc/message"
)

// losses are what may have become of absorbed writes, as operations for the checker. One is put into the history of
// a key only if
//
//   - a node says that it has lost something, or its process has ended: a window (watch.go), and
//   - that is explained: the script stopped the process, or the time of a lease under which it had absorbed was over
//     then, for a node that is frozen or cut off does nothing wrong if it writes back too late, and
//   - the node had absorbed a write of the key that nothing shows to be in the log before the window.
//
// It begins with what explains it, for others may see that a lease is over long before its holder does, and ends with
// the window.
type losses struct {
	windows []window
	grants  []Grant
	done    []Done // what the script did
}

// slowestFlush is for how long after the end of a lease its holder may try to write back, before it says that this
// has failed.
const slowestFlush = 35 * time.Second

// lose puts the losses into the histories of cells.
func (e *Evidence) lose(keys []Key, parts map[Key][]Op) {
	for _, k := range keys {
		if k.Space != Cells {
			continue
		}
		if more := e.Losses.of(k, parts[k]); len(more) > 0 {
			parts[k] = append(parts[k], more...)
			sortByCall(parts[k])
		}
	}
}

// of are the losses of one key, given its calls by call.
func (l *losses) of(k Key, ops []Op) (out []Op) {
	type loss struct {
		node message.NodeID
		from int64
	}
	known := map[loss]int{} // windows share reasons
	add := func(w window, o Op, from, to int64) {
		i, some := known[loss{w.node, from}]
		if !some {
			known[loss{w.node, from}] = len(out)
			out = append(out, Op{Key: k, Do: Loss, Addr: o.Addr, Size: o.Size, Client: lossClient, Back: true, Holder: w.node, Call: min(from, to-1), Return: to})
			return
		}
		out[i].Return = max(out[i].Return, to)
	}
	if !slices.ContainsFunc(ops, func(o Op) bool { return o.Back && o.Do == Write && (o.Absorbed || o.Unknown) }) {
		return nil
	}
	here := l.leasesOf(k, ops)
	for _, w := range l.windows {
		for _, r := range l.reasons(here, w, ops) {
			for at := r.from; ; {
				open := unsettled(ops, w, at)
				if len(open) == 0 {
					break
				}
				from := max(at, open[0].Call)
				to, lost := decided(ops, open, w, from)
				if lost {
					add(w, open[0], from, to)
				}
				if to == w.to || !r.death {
					break // a lease that is over loses once; when a process died in its window, nobody knows
				}
				at = to + 1
			}
			if open := unsettled(ops, w, r.from); r.death && w.sure && len(open) > 0 {
				o := open[0]
				out = append(out, Op{Key: k, Do: Loss, Addr: o.Addr, Size: o.Size, Client: lossClient, Back: true, Holder: w.node, Call: w.from, Return: w.to, Sure: true})
			}
		}
	}
	return out
}

// lossClient is under whose name losses stand in a history.
const lossClient = 1 << 30

// unsettled are the writes that a window's node may have absorbed and not written back at a moment: since the last
// call before it that could be answered only when nothing of the key was at the node alone.
func unsettled(ops []Op, w window, at int64) (open []Op) {
	level := int64(-1)
	for _, o := range ops {
		if o.Return < at && o.levels(w.node) {
			level = max(level, o.Call)
		}
	}
	for _, o := range ops {
		if o.Holder == w.node && o.Do == Write && (o.Absorbed || o.Unknown) && o.Call < w.to && o.Return >= level {
			open = append(open, o)
		}
	}
	return open
}

// decided is when a loss had come at the latest, if it came: at the first call from then on that was answered when
// nothing was at the node alone any more. It was none if that call saw what had been absorbed last, or if the node
// itself could say that all was written back.
func decided(ops, open []Op, w window, from int64) (at int64, lost bool) {
	at, lost = w.to, true
	for _, o := range ops {
		if o.Call <= from || o.Call <= open[0].Return || o.Return >= at || !o.levels(w.node) {
			continue
		}
		at = o.Return
		lost = !o.sees(open) && !(o.Do == Sync && o.Return < w.from)
	}
	return at, lost
}

// sees says that a read saw the last of some writes.
func (o Op) sees(open []Op) bool {
	if o.Do != Read || o.Torn != "" {
		return false
	}
	i := slices.IndexFunc(open, func(x Op) bool { return x.Arg == o.Got })
	return i >= 0 && !slices.ContainsFunc(open, func(y Op) bool { return y.Arg != o.Got && y.Return > open[i].Call && y.Call < o.Return })
}

// reason is a moment from which on what is lost in a window could be lost.
type reason struct {
	from  int64
	death bool
}

// reasons are those for a window and a key.
func (l *losses) reasons(here []Grant, w window, ops []Op) (out []reason) {
	if w.died {
		if !slices.ContainsFunc(l.done, func(d Done) bool {
			return d.Command.stops(w.node) && int64(d.At) <= w.to && int64(d.Until) >= w.from
		}) {
			return nil
		}
		out = append(out, reason{w.from, true})
	}
	for _, g := range here {
		over := g.over()
		if g.Lease.Holder == w.node && over <= w.to && over >= w.from-int64(slowestFlush) &&
			slices.ContainsFunc(ops, func(o Op) bool { return o.Holder == w.node && o.Do == Write && g.Call <= o.Return && o.Call <= over }) {
			out = append(out, reason{over, false})
		}
	}
	return out
}

// leasesOf are the leases of a key under which a write may have been absorbed and be lost at their end. It is not where
// another lease of the same node had taken the place of one before: then all that was absorbed under that one had been
// written back.
func (l *losses) leasesOf(k Key, ops []Op) (out []Grant) {
	var here []Grant
	for _, g := range l.grants {
		if g.covers(k, ops[0].Addr) {
			here = append(here, g)
		}
	}
	replaced := func(g Grant) bool {
		return slices.ContainsFunc(here, func(n Grant) bool {
			return n.Lease.Holder == g.Lease.Holder && n.Lease.Token > g.Lease.Token && n.Return <= g.over()
		})
	}
	for _, g := range here {
		if g.Lease.Mode == "w" && !replaced(g) {
			out = append(out, g)
		}
	}
	return out
}

// over is the earliest moment at which the leader may have ended a lease by itself: one whose clock is fast waits for the
// length at least.
func (g Grant) over() int64 { return g.Call + int64(g.Lease.LengthMS)*int64(time.Millisecond) }

// levels says whether the call was answered when nothing of its key was only at a node: that node had written back,
// as it does before it asks for a lease, too, or another was asked.
func (o Op) levels(n message.NodeID) bool {
	switch {
	case o.Unknown || o.Do == Loss || o.Do == Peek:
		return false
	case o.Holder != n:
		return o.Do != Sync
	}
	return o.Do == Sync || o.Do == Hold || o.Do == Swap || o.Do == Add || o.Do == Write && !o.Absorbed
}

func (g Grant) covers(k Key, a message.Addr) bool {
	return g.Key == k || g.Lease.Address <= a && a < g.Lease.Address+message.Addr(g.Lease.Size)
}

// stops says whether the command ends a node's process, or may.
func (c Command) stops(n message.NodeID) bool {
	return (c.Verb == "kill" || c.Verb == "disk full" || c.Verb == "corrupt" || c.Verb == "node remove") && c.Who[0].Node == n
}

// Absorbed is what became of the writes that holders absorbed.
type Absorbed struct {
	Writes int                    `json:"writes"`         // absorbed
	Synced int                    `json:"synced"`         // of them, later known to be in the log: synced, given back, or seen elsewhere
	Lost   map[message.NodeID]int `json:"lost,omitempty"` // seen to be lost, by holder
}

// absorbed counts what became of all writes that were.
func (e *Evidence) absorbed() *Absorbed {
	keys, parts := split(e.Ops)
	e.lose(keys, parts)
	a := &Absorbed{Lost: map[message.NodeID]int{}}
	for _, k := range keys {
		if k.Space == Cells {
			a.tell(parts[k])
		}
	}
	return a
}

// tell adds what became of one key's writes.
func (a *Absorbed) tell(ops []Op) {
	var gone []Op // losses
	for _, o := range ops {
		if o.Do == Loss {
			gone = append(gone, o)
		}
	}
	last := map[message.NodeID]int64{} // the last call that shows that a node has written back
	shown := func(n message.NodeID) int64 {
		at, known := last[n]
		if !known {
			at = -1
			for _, o := range ops {
				if o.levels(n) {
					at = max(at, o.Call)
				}
			}
			last[n] = at
		}
		return at
	}
	lost := map[int]bool{}
	for _, l := range gone {
		for _, i := range missing(ops, l) {
			if !lost[i] {
				lost[i] = true
				a.Lost[l.Holder]++
			}
		}
	}
	for i, o := range ops {
		if !o.Absorbed {
			continue
		}
		a.Writes++
		if !lost[i] && o.Return < shown(o.Holder) {
			a.Synced++
		}
	}
}

// missing are the absorbed writes that the looks during a loss, and the first one after it, show to be lost: they see
// what was there before them. Where one sees a later write, or one at the same time, it shows nothing.
func missing(ops []Op, l Op) (lost []int) {
	for _, look := range ops {
		if look.Do != Read || look.Code != message.Done || look.Split || look.Call < l.Call {
			continue
		}
		if seen, known := written(ops, look.Got); known {
			for i, o := range ops {
				if o.Absorbed && o.Holder == l.Holder && o.Call > seen && o.Return < min(look.Call, l.Return) {
					lost = append(lost, i)
				}
			}
		}
		if look.Call > l.Return {
			break
		}
	}
	return lost
}

// written is when a value had been written; 0 for what is there from the beginning.
func written(ops []Op, v uint64) (at int64, known bool) {
	if v == 0 {
		return 0, true
	}
	i := slices.IndexFunc(ops, func(o Op) bool { return (o.Do == Write || o.Do == Swap) && o.Arg == v && !o.Unknown })
	if i < 0 {
		return 0, false // a sum
	}
	return ops[i].Return, true
}

func (a *Absorbed) String() string {
	total := 0
	var words []string
	for _, n := range slices.SortedFunc(maps.Keys(a.Lost), func(a, b message.NodeID) int { return cmp.Compare(a, b) }) {
		total += a.Lost[n]
		words = append(words, fmt.Sprintf("node %s: %d", n, a.Lost[n]))
	}
	text := fmt.Sprintf("%s absorbed, %d of them seen to be written back, %d to be lost", count(a.Writes, "write"), a.Synced, total)
	if total > 0 {
		text += " (" + strings.Join(words, ", ") + ")"
	}
	return text
}
