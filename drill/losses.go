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
	for _, w := range l.windows {
		var loss Op
		for _, from := range l.reasons(k, w, ops) {
			if open := unsettled(ops, w, from); len(open) > 0 && (loss.Do != Loss || from < loss.Call) {
				o := open[0]
				loss = Op{Key: k, Do: Loss, Addr: o.Addr, Size: o.Size, Client: lossClient, Back: true, Holder: w.node, Call: min(max(from, o.Call), w.to-1), Return: w.to}
			}
		}
		if loss.Do == Loss {
			out = append(out, loss)
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

// reasons are the moments from which on what is lost in a window could be lost.
func (l *losses) reasons(k Key, w window, ops []Op) (from []int64) {
	if w.died {
		if !slices.ContainsFunc(l.done, func(d Done) bool {
			return d.Command.stops(w.node) && int64(d.At) <= w.to && int64(d.Until) >= w.from
		}) {
			return nil
		}
		from = append(from, w.from)
	}
	for _, g := range l.grants {
		// A leader whose clock is fast waits for the length at least.
		over := g.Call + int64(g.Lease.LengthMS)*int64(time.Millisecond)
		if g.Lease.Holder == w.node && g.Lease.Mode == "w" && over <= w.to && over >= w.from-int64(slowestFlush) && g.covers(k, ops[0].Addr) &&
			slices.ContainsFunc(ops, func(o Op) bool { return o.Holder == w.node && o.Do == Write && g.Call <= o.Return && o.Call <= over }) {
			from = append(from, over)
		}
	}
	return from
}

// levels says whether the call was answered when nothing of its key was only at a node: that node had written back,
// or another was asked.
func (o Op) levels(n message.NodeID) bool {
	switch {
	case o.Unknown || o.Do == Loss || o.Do == Peek:
		return false
	case o.Holder != n:
		return o.Do != Sync
	}
	return o.Do == Sync || o.Do == Swap || o.Do == Add || o.Do == Write && !o.Absorbed
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
