package register

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"dmalloc/message"

	"github.com/anishathalye/porcupine"
)

// event is one operation of a history: what it was, what came of it and when. A write whose outcome is
// unknown never returns: it may take effect at any time after its call, or never.
type event struct {
	client    string
	register  message.RegisterID
	write     bool
	value     uint64 // unique for each write, 0 is what was never written
	call, ret int64  // ret 0: never returned
}

func (e event) String() string {
	verb, until := "reads", fmt.Sprint(e.ret)
	if e.write {
		verb = "writes"
	}
	if e.ret == 0 {
		until = "…"
	}
	return fmt.Sprintf("%5d-%-5s %s %s %d (%s)", e.call, until, e.client, verb, e.value, e.register)
}

// atomic is one register, as porcupine wants it: its state is the value.
var atomic = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		var order []message.RegisterID
		parts := map[message.RegisterID][]porcupine.Operation{}
		for _, o := range all {
			id := o.Input.(event).register
			if parts[id] == nil {
				order = append(order, id)
			}
			parts[id] = append(parts[id], o)
		}
		out := make([][]porcupine.Operation, len(order))
		for i, id := range order {
			out[i] = parts[id]
		}
		return out
	},
	Init: func() any { return uint64(0) },
	Step: func(state, input, _ any) (bool, any) {
		e := input.(event)
		if e.write {
			return true, e.value
		}
		return e.value == state.(uint64), state
	},
}

// linearizable judges a history. The checker's Unknown counts as a failure.
func linearizable(history []event) error {
	ops := make([]porcupine.Operation, len(history))
	for i, e := range history {
		ret := e.ret
		if ret == 0 {
			ret = 1 << 60
		}
		ops[i] = porcupine.Operation{ClientId: i, Input: e, Call: e.call, Return: ret}
	}
	if got := porcupine.CheckOperationsTimeout(atomic, ops, 20*time.Second); got != porcupine.Ok {
		return fmt.Errorf("the history is not linearizable: %s\n%s", got, tell(history))
	}
	return nil
}

func tell(history []event) string {
	var b strings.Builder
	for _, e := range history {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}

// Values are numbers of 8 bytes, and padding where they are to be large.
func encodeValue(n uint64, padding int) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), make([]byte, padding)...)
}

func decodeValue(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// groupsOf is the placement of the tests: every member keeps every register.
func groupsOf(c message.Registers) Groups {
	if c.Next == nil {
		return Groups{c.Members}
	}
	return Groups{c.Members, c.Next}
}

// The judge itself passes what is right and fails what is wrong, unknown outcomes too.
func TestJudge(t *testing.T) {
	w := func(v uint64, call, ret int64) event {
		return event{client: "w", write: true, value: v, call: call, ret: ret}
	}
	r := func(v uint64, call, ret int64) event { return event{client: "r", value: v, call: call, ret: ret} }
	for _, c := range []struct {
		name string
		h    []event
		ok   bool
	}{
		{"reads what was written", []event{w(1, 1, 2), r(1, 3, 4)}, true},
		{"reads the past", []event{w(1, 1, 2), r(0, 3, 4)}, false},
		{"new then old", []event{w(1, 1, 9), r(1, 2, 3), r(0, 4, 5)}, false},
		{"old then new", []event{w(1, 1, 9), r(0, 2, 3), r(1, 4, 5)}, true},
		{"unknown takes effect late", []event{w(1, 1, 0), w(2, 2, 3), r(2, 4, 5), r(1, 6, 7)}, true},
		{"unknown takes effect once", []event{w(1, 1, 0), r(1, 2, 3), w(2, 4, 5), r(1, 6, 7)}, false},
		{"unknown never", []event{w(1, 1, 0), r(0, 4, 5)}, true},
	} {
		if err := linearizable(c.h); (err == nil) != c.ok {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}
