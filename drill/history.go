package drill

import (
	"fmt"
	"math"
	"strings"
	"time"

	"dmalloc/message"
)

// Space says what sort of thing a key names.
type Space uint8

const (
	Cells     Space = iota // some bytes of one allocation; the number is the allocation's in this run
	Registers              // the number is the register's
	Table                  // which addresses are allocated; the number is that of a group of overlapping ones
)

// Key names what is judged on its own.
type Key struct {
	Space Space
	ID    uint64
}

func (k Key) String() string {
	switch k.Space {
	case Cells:
		return fmt.Sprintf("cell %d", k.ID)
	case Registers:
		return fmt.Sprintf("register %d", k.ID)
	}
	return fmt.Sprintf("allocation table, part %d", k.ID)
}

// Action is what a call did.
type Action uint8

const (
	Read Action = iota
	Write
	Swap // compare and swap
	Add
	Malloc
	Free
	Peek // a read where the client has freed
	Sync // its node wrote back what it had absorbed, or gave the lease back
	Hold // its node was given a lease
	Loss // a node may have lost what it had absorbed; no client's call, but put in by losses
)

// Forever is when a call returns of which nobody heard again.
const Forever = math.MaxInt64

// Op is a call and how it ended. The outcome is nothing but what the heap said.
type Op struct {
	Key    Key
	Client int // an unknown write has one of its own (R2)
	Do     Action
	Addr   message.Addr // of a cell, of what is freed, and the answer of a malloc
	Size   uint64       // bytes: of a cell, of an allocation
	Arg    uint64       // what is written, swapped in or added
	Old    uint64       // what a swap expects
	Call   int64        // stamps of the recorder, in nanoseconds
	Return int64        // Forever if it is unknown

	Unknown bool         // it may have happened, now or later
	Code    message.Code // Done, or a refusal that is itself an answer, such as already_free
	Got     uint64       // what was there; 0 where nothing was ever written
	Swapped bool
	Tag     message.Tag // of the value of a register, where the answer told it; zero where not
	Torn    string      // what was there, where nobody can have written that
	Split   bool        // it is torn where one page ends and the next begins: each has one value
	Tail    uint64      // then that of the second page

	Back     bool           // holders may absorb writes, and this was called on Holder
	Holder   message.NodeID // whose leases the call may have used; whose loss it is
	Absorbed bool           // a write that went no further than to its holder
	Sure     bool           // a loss that came: what was not written back by then never will be
}

// changes says whether the call could leave a trace.
func (o Op) changes() bool {
	return o.Do == Write || o.Do == Swap || o.Do == Add || o.Do == Malloc || o.Do == Free
}

// group is what must be available together: a company, the registers, or allocation as a whole.
func (o Op) group() string {
	if o.Key.Space == Registers {
		return groupRegisters
	}
	if c, ok := o.Addr.Company(); ok && o.Do != Malloc {
		return "company " + c.String()
	}
	return groupMalloc
}

const (
	groupRegisters = "registers"
	groupMalloc    = "malloc"
)

// String is the call and its end on one line.
func (o Op) String() string {
	var b strings.Builder
	switch o.Do {
	case Read:
		fmt.Fprintf(&b, "read %s", o.Key)
	case Peek:
		fmt.Fprintf(&b, "read %s, which is freed", o.Addr)
	case Write:
		fmt.Fprintf(&b, "write %s %s", o.Key, value(o.Arg))
		if o.Absorbed {
			fmt.Fprintf(&b, ", which node %s absorbed", o.Holder)
		}
	case Swap:
		fmt.Fprintf(&b, "swap %s %s for %s", o.Key, value(o.Old), value(o.Arg))
	case Add:
		fmt.Fprintf(&b, "add %s %d", o.Key, o.Arg)
	case Malloc:
		fmt.Fprintf(&b, "malloc %d", o.Size)
	case Free:
		fmt.Fprintf(&b, "free %s (%d bytes)", o.Addr, o.Size)
	case Sync:
		fmt.Fprintf(&b, "node %s writes back %s", o.Holder, o.Key)
	case Hold:
		fmt.Fprintf(&b, "node %s takes a lease of %s", o.Holder, o.Key)
	case Loss:
		return fmt.Sprintf("node %s may lose what it has absorbed of %s", o.Holder, o.Key)
	}
	return b.String() + " -> " + o.outcome()
}

func (o Op) outcome() string {
	switch {
	case o.Unknown:
		return "unknown"
	case o.Code != message.Done:
		return o.Code.String()
	case o.Torn != "":
		return o.Torn
	}
	switch o.Do {
	case Read, Peek:
		return value(o.Got)
	case Add:
		return "it was " + value(o.Got)
	case Swap:
		if !o.Swapped {
			return "it is " + value(o.Got)
		}
		return "swapped"
	case Malloc:
		return o.Addr.String()
	}
	return "ok"
}

// line is String with who and when.
func (o Op) line() string {
	end := "never"
	if o.Return != Forever {
		end = seconds(o.Return)
	}
	return fmt.Sprintf("client %-3d %s to %s  %s", o.Client, seconds(o.Call), end, o)
}

func seconds(ns int64) string { return fmt.Sprintf("%.6f", time.Duration(ns).Seconds()) }

// valueSpare bits of a value are left for what is added to it.
const valueSpare = 8

// A value names its write (R4): the client and its number.
func makeValue(client int, number uint32) uint64 {
	return uint64(client+1)<<40 | uint64(number)<<valueSpare
}

// value is a value for people: c3.17 is the seventeenth of client 3; a small number is a sum.
func value(v uint64) string {
	if v>>40 == 0 {
		return fmt.Sprint(v)
	}
	s := fmt.Sprintf("c%d.%d", v>>40-1, uint32(v>>valueSpare))
	if sum := v & (1<<valueSpare - 1); sum > 0 {
		s += fmt.Sprintf("+%d", sum)
	}
	return s
}
