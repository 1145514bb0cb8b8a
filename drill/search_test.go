package drill

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"dmalloc/message"
)

// exactly is a cell as it really is: what the log has of its two pages, and what one holder has absorbed since, version by
// version. What of it the holder has written back by itself shows only when it is lost.
type exactly struct {
	log     [2]uint64
	pending []uint64
	holder  message.NodeID
}

func (c exactly) view() [2]uint64 {
	if n := len(c.pending); n > 0 {
		return [2]uint64{c.pending[n-1], c.pending[n-1]}
	}
	return c.log
}

func (c exactly) commit() exactly { return exactly{log: c.view()} }

// lose leaves of each page the version that was written back last; a word has one page.
func (c exactly) lose(word bool) (all []exactly) {
	for i := -1; i < len(c.pending); i++ {
		for j := -1; j < len(c.pending); j++ {
			out := exactly{log: c.log}
			if i >= 0 {
				out.log[0] = c.pending[i]
			}
			if j >= 0 {
				out.log[1] = c.pending[j]
			}
			if !word || i == j {
				all = append(all, out)
			}
		}
	}
	return all
}

// do is what a call may leave; nothing says that it cannot have ended so.
func (c exactly) do(o Op, word bool) []exactly {
	both := func(v uint64) []exactly { return []exactly{{log: [2]uint64{v, v}}} }
	if o.Do == Loss {
		if c.holder == o.Holder {
			return c.lose(word)
		}
		return []exactly{c}
	}
	if o.Do == Hold || (o.Do == Sync) == (c.holder == o.Holder) {
		c = c.commit()
	}
	now := c.view()
	switch o.Do {
	case Sync, Hold:
		return []exactly{c}
	case Read:
		seen := [2]uint64{o.Got, o.Got}
		if o.Split {
			seen[1] = o.Tail
		}
		if now == seen {
			return []exactly{c}
		}
	case Write:
		var all []exactly
		if o.Absorbed || o.Unknown {
			all = append(all, exactly{c.log, append(slices.Clone(c.pending), o.Arg), o.Holder})
		}
		if !o.Absorbed {
			all = append(all, both(o.Arg)...)
		}
		return all
	case Add:
		if o.Unknown || o.Got == now[0] {
			return both(now[0] + o.Arg)
		}
	case Swap:
		switch {
		case now[0] == o.Old && (o.Swapped || o.Unknown):
			return both(o.Arg)
		case o.Unknown:
			return []exactly{c}
		case now[0] != o.Old && !o.Swapped && o.Got == now[0]:
			return []exactly{c.commit()}
		}
	}
	return nil
}

// everyOrder says whether some order of the calls, with some outcome of each loss, is a story of concrete cells.
func everyOrder(c exactly, left []Op, word bool) bool {
	over, latest := true, int64(Forever) // latest: nothing comes before who returned then
	for _, o := range left {
		if !optional(o) {
			over = false
			latest = min(latest, o.Return)
		}
	}
	if over {
		return true
	}
	for i, o := range left {
		if o.Call > latest {
			continue
		}
		rest := slices.DeleteFunc(slices.Delete(slices.Clone(left), i, i+1), func(p Op) bool { return p.Do == Loss && !p.Sure && p.Return < o.Call })
		for _, next := range c.do(o, word) {
			if everyOrder(next, rest, word) {
				return true
			}
		}
	}
	return false
}

// story plays a few calls of a concrete cell, each at the moment 160 * its place, and lets them take longer than that.
func story(t *rapid.T, word bool) (ops []Op) {
	var c exactly
	value := func(i int) uint64 { return uint64(i) << valueSpare }
	n := rapid.IntRange(2, 7).Draw(t, "calls")
	for i := 1; i <= n; i++ {
		o := Op{Key: aCell, Client: i, Back: true, Holder: message.NodeID(rapid.IntRange(1, 2).Draw(t, "node"))}
		o.Call = int64(160*i-rapid.IntRange(1, 400).Draw(t, "before"))*16 + int64(i)
		o.Return = int64(160*i+rapid.IntRange(0, 400).Draw(t, "after"))*16 + int64(i)
		kinds := []Action{Read, Read, Write, Write, Write, Loss, Loss, Sync, Hold}
		if word {
			kinds = append(kinds, Swap, Swap, Add)
		}
		o.Do = rapid.SampledFrom(kinds).Draw(t, "do")
		o.Sure = o.Do == Loss && rapid.Bool().Draw(t, "sure")
		unknown := o.changes() && rapid.IntRange(0, 4).Draw(t, "unknown") == 0
		if o.Do == Write && (len(c.pending) == 0 || c.holder == o.Holder || rapid.Bool().Draw(t, "elsewhere")) {
			o.Absorbed = rapid.IntRange(0, 3).Draw(t, "through") > 0
		}
		o.Arg = value(i)
		seen := c.view()
		switch o.Do {
		case Read:
			o.Got = seen[0]
			if seen[0] != seen[1] {
				o.Torn, o.Split, o.Tail = "two values", true, seen[1]
			}
		case Add:
			o.Arg, o.Got = 1, seen[0]
		case Swap:
			o.Old, o.Got = value(rapid.IntRange(0, i).Draw(t, "old")), seen[0]
			if rapid.Bool().Draw(t, "fits") {
				o.Old = seen[0]
			}
			o.Swapped = o.Old == seen[0]
		}
		may := c.do(o, word)
		if len(may) == 0 {
			t.Fatalf("%s cannot come after %v", o, c)
		}
		next := rapid.SampledFrom(may).Draw(t, "outcome")
		if unknown {
			o.Unknown, o.Return, o.Absorbed, o.Swapped, o.Got = true, Forever, false, false, 0
		}
		if !(unknown && rapid.Bool().Draw(t, "never")) {
			c = next
		}
		ops = append(ops, o)
	}
	if rapid.Bool().Draw(t, "spoilt") {
		o := &ops[rapid.IntRange(0, n-1).Draw(t, "which")]
		switch {
		case o.Do == Read && o.Split && rapid.Bool().Draw(t, "behind"):
			o.Tail = value(rapid.IntRange(0, n).Draw(t, "tail"))
		case o.Do == Read:
			o.Got = value(rapid.IntRange(0, n).Draw(t, "got"))
			o.Torn, o.Split = "", false
		case o.Do == Loss:
			o.Holder = 3 - o.Holder
		case o.Do == Write && !o.Unknown:
			o.Absorbed = !o.Absorbed
		case !o.Unknown:
			o.Return = o.Call + 1
		}
	}
	sortByCall(ops)
	return ops
}

// The search says of small histories what trying every order of a concrete cell says.
func TestSearchAgainstEveryOrder(t *testing.T) {
	said := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			word := rapid.Bool().Draw(t, "word")
			ops := story(t, word)
			want := everyOrder(exactly{}, ops, word)
			said[want]++
			if got := searched(t, ops); got != want {
				for _, o := range ops {
					t.Logf("%d to %d by node %d: %s", o.Call, o.Return, o.Holder, o)
				}
				t.Fatalf("the search says %v, every order %v", got, want)
			}
		}
	})
	t.Log(said)
	if said[true] < 100 || said[false] < 100 {
		t.Errorf("%d legal histories and %d others show little", said[true], said[false])
	}
}

// However hard a history is, the search ends, and says what was too much.
func TestSearchEnds(t *testing.T) {
	hard := func(clients, rounds int) (ops []Op) {
		n := 0
		for i := range rounds {
			for c := range clients {
				n++
				o := absorbed(message.NodeID(1+c%2), uint64(n)<<valueSpare, int64(100*i+1), int64(100*i+99))
				o.Call, o.Return = o.Call+int64(c), o.Return+int64(c)
				ops = append(ops, o, by(1, r(aCell, uint64(n)<<valueSpare, int64(100*(i+1)+c), 0)))
				last := &ops[len(ops)-1]
				last.Unknown, last.Return = false, int64(100*rounds+1000)*1000+int64(n)
			}
			ops = append(ops, note(message.NodeID(1+i%2), Loss, int64(100*i+50), int64(100*(i+1)+60)))
		}
		sortByCall(ops)
		return ops
	}
	for _, x := range []struct{ clients, rounds int }{{3, 4}, {6, 3}, {12, 2}, {40, 2}} {
		t.Run(fmt.Sprintf("%d writers", x.clients), func(t *testing.T) {
			begin := time.Now()
			said, why := searchLosses(hard(x.clients, x.rounds), time.Now().Add(time.Hour))
			t.Logf("%s %q after %v", said, why, time.Since(begin))
			if said == porcupine.Unknown && why == "" || x.clients > 20 && said != porcupine.Unknown {
				t.Error("it does not say what was too much")
			}
		})
	}
}
