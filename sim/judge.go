package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// kind is what an operation does to 8 bytes.
type kind uint8

const (
	reads kind = iota
	writes
	swaps // if the word is old
	adds
	reverts // the word has again what the log has, because its newer value is lost with a holder
)

// record is one operation of the history: what was asked, what came of it and when. One of unknown outcome
// never returns: it may take effect at any time after its call, or never.
type record struct {
	about     string // the word, counter or register
	client    string
	kind      kind
	old, in   uint64
	out       uint64 // what was read; of swaps and adds, what was there before
	yes       bool   // swaps: it was done
	call, ret int64  // ret 0: never returned
}

func (r record) what() string {
	switch r.kind {
	case writes:
		return fmt.Sprintf("write %d to %s", r.in, r.about)
	case swaps:
		return fmt.Sprintf("replace %d by %d in %s", r.old, r.in, r.about)
	case adds:
		return fmt.Sprintf("add %d to %s", r.in, r.about)
	case reverts:
		return fmt.Sprintf("go back to %d in %s", r.in, r.about)
	}
	return "read " + r.about
}

func (r record) String() string {
	switch {
	case r.ret == 0:
		return r.what() + ", which nobody knows the end of"
	case r.kind == writes, r.kind == reverts:
		return r.what() + ", done"
	case r.kind == swaps && !r.yes:
		return fmt.Sprintf("%s, which had %d", r.what(), r.out)
	case r.kind == swaps:
		return r.what() + ", done"
	}
	return fmt.Sprintf("%s, which had %d", r.what(), r.out)
}

func (w *world) keep(r record) { w.history = append(w.history, r) }

// atomic is 8 bytes, as porcupine wants them: the state is their value.
var atomic = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, _ any) (bool, any) {
		s, r := state.(uint64), input.(*record)
		known := r.ret != 0
		switch r.kind {
		case writes, reverts:
			return true, r.in
		case swaps:
			if known && (r.yes != (s == r.old) || !r.yes && r.out != s) {
				return false, state
			}
			if s == r.old {
				return true, r.in
			}
			return true, state
		case adds:
			return !known || r.out == s, s + r.in
		}
		return r.out == s, state
	},
}

// judgeTime is how long one history may be judged. Longer means that nobody knows, which is a failure.
const judgeTime = 20 * time.Second

// judge checks that each word, counter and register behaved as if one operation had been done after the
// other (S1, S2). One thread does it, so that a history costs what it costs wherever it is played.
func (w *world) judge() {
	var names []string
	parts := map[string][]porcupine.Operation{}
	for i := range w.history {
		r := &w.history[i]
		ret := r.ret
		if ret == 0 {
			ret = 1 << 60
		}
		if parts[r.about] == nil {
			names = append(names, r.about)
		}
		parts[r.about] = append(parts[r.about], porcupine.Operation{ClientId: i, Input: r, Call: r.call, Return: ret})
	}
	slices.Sort(names)
	for _, name := range names {
		if got := porcupine.CheckOperationsTimeout(atomic, parts[name], judgeTime); got != porcupine.Ok {
			check := "S2"
			if name[0] == 'r' {
				check = "S1"
			}
			w.fail(check, name, "the %d operations on %s cannot have been done one after the other: %s", len(parts[name]), name, got)
		}
	}
}

// sums checks the counters (S6): what was acknowledged is there once, and what is there was asked for.
func (w *world) sums(final map[*cell]uint64) {
	for _, x := range w.shared {
		if !x.counter {
			continue
		}
		if got := final[x]; got < x.added || got > x.added+x.maybeAdded {
			w.fail("S6", x.name, "%s is %d; acknowledged additions make %d, those of unknown outcome %d more", x.name, got, x.added, x.maybeAdded)
		}
	}
}
