package drill

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"dmalloc/message"
)

// allocations makes a history of clients that allocate and free at few addresses, by calls that overlap. Every
// answer is right, but for one in wrong, one free in silent has none, of which one in later happens later or never,
// and one free in hasty comes before its malloc returned.
func allocations(dice *rand.Rand, calls, wrong, silent, later, hasty int) []Op {
	type pending struct {
		op   Op
		ends int64
	}
	var (
		live    []extent
		open    []pending
		ops     []Op
		late    []Op
		clients = 100
		born    = map[extent]int64{}
	)
	now := int64(0)
	end := func(p pending) { p.op.Return = p.ends; ops = append(ops, p.op) }
	for n := 0; n < calls; {
		now++
		for i := 0; i < len(open); i++ {
			if open[i].ends < now*10 {
				end(open[i])
				open = append(open[:i], open[i+1:]...)
				i--
			}
		}
		if len(open) == 3 || dice.IntN(3) == 0 {
			continue
		}
		n++
		// The call takes effect now; it was called a little before and returns a little later.
		o := Op{Key: Key{Space: Table}, Client: len(open), Call: now*10 - int64(dice.IntN(3)), Addr: message.Addr(dice.IntN(12) * 8), Size: uint64(1+dice.IntN(3)) * 8, Do: Malloc, Code: message.Done}
		if dice.IntN(2) == 0 && len(live) > 0 {
			e := live[dice.IntN(len(live))]
			o.Do, o.Addr, o.Size = Free, e.addr, e.size
			if born[e] > o.Call && dice.IntN(hasty) != 0 {
				continue
			}
		}
		next, ok := tableStep(live, o)
		if !ok && dice.IntN(wrong) != 0 {
			continue
		}
		silently := o.Do == Free && dice.IntN(silent) == 0
		switch {
		case silently && dice.IntN(later) == 0: // it happens later, or never
			late = append(late, o)
		default:
			live = next
		}
		if len(late) > 0 && dice.IntN(20) == 0 {
			if after, ok := tableStep(live, late[0]); ok {
				live = after
			}
			late = late[1:]
		}
		returns := now*10 + int64(dice.IntN(25))
		if o.Do == Malloc {
			born[extent{o.Addr, o.Size}] = returns
		}
		if silently {
			clients++
			o.Unknown, o.Client, o.Return = true, clients, Forever
			ops = append(ops, o)
			continue
		}
		open = append(open, pending{o, returns})
	}
	for _, p := range open {
		end(p)
	}
	return byCall(ops)
}

func byCall(ops []Op) []Op {
	for i := range ops { // stamps are strict
		ops[i].Call = ops[i].Call*1000 + int64(i)
		if ops[i].Return != Forever {
			ops[i].Return = ops[i].Return*1000 + 500 + int64(i)
		}
	}
	sortByCall(ops)
	return ops
}

// A history is legal if and only if its pieces are.
func TestPiecesJudgeAsTheWhole(t *testing.T) {
	legal, illegal := 0, 0
	compare := func(t interface {
		Log(...any)
		Fatalf(string, ...any)
	}, ops []Op) {
		want := porcupine.CheckOperationsTimeout(tableModel(), operations(ops), 200*time.Millisecond)
		if want == porcupine.Unknown {
			return // too hard for the whole
		}
		got, _, _ := judge(Table, ops, time.Now().Add(10*time.Second))
		if got != want {
			for _, o := range ops {
				t.Log(o.line())
			}
			t.Fatalf("the whole is %s, its pieces %s", want, got)
		}
		if want == porcupine.Ok {
			legal++
		} else {
			illegal++
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		compare(t, allocations(dice, rapid.IntRange(1, 180).Draw(t, "calls"), rapid.SampledFrom([]int{8, 100, 1 << 30}).Draw(t, "wrong"), rapid.SampledFrom([]int{5, 30, 1 << 30}).Draw(t, "silent"), rapid.SampledFrom([]int{2, 1 << 30}).Draw(t, "later"), rapid.IntRange(1, 5).Draw(t, "hasty")))
	})
	for seed := range uint64(200) { // how many of those were illegal is by chance: these often are
		compare(t, allocations(rand.New(rand.NewPCG(seed, 0)), 20, 8, 1<<30, 1<<30, 1))
	}
	if legal < 10 || illegal < 10 {
		t.Errorf("%d were legal and %d not, which proves little", legal, illegal)
	}
}

// A long history is cut into short pieces, also where some frees had no answer, as those of a drill: nobody else
// frees what they are about.
func TestPiecesAreShort(t *testing.T) {
	ops := allocations(rand.New(rand.NewPCG(1, 1)), 20_000, 1<<30, 200, 1<<30, 1<<30)
	longest := 0
	all := pieces(ops)
	for _, p := range all {
		longest = max(longest, len(p))
	}
	if longest > 20*enough {
		t.Errorf("a piece of %d calls", longest)
	}
	t.Logf("%d pieces of at most %d calls", len(all), longest)
	begin := time.Now()
	if got, _, _ := judge(Table, ops, time.Now().Add(time.Minute)); got != porcupine.Ok {
		t.Error(got)
	}
	t.Log(time.Since(begin))
}
