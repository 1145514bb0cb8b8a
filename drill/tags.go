package drill

import (
	"fmt"

	"dmalloc/message"
)

// tags looks at what the answers said of registers besides their values. A tag names one write (R3 of package
// register) and a value does, too (R4), so in each register the two belong together: a second value under a tag
// means that replicas took the wrong one of two writes or will, and a second tag of a value that a write was done
// twice, after others that were done between. Both are wrong even in a run in which every read happened to
// see what it should.
func tags(ops []Op) []Finding {
	type tagged struct {
		key Key
		tag message.Tag
	}
	type valued struct {
		key   Key
		value uint64
	}
	byTag, byValue := map[tagged]Op{}, map[valued]Op{}
	var out []Finding
	told := map[Key]bool{} // one finding for each register is enough
	for _, o := range ops {
		v, ok := o.told()
		if !ok || told[o.Key] {
			continue
		}
		find := func(other Op, format string, args ...any) {
			told[o.Key] = true
			out = append(out, Finding{Check: Tagged, Key: o.Key.String(), Ops: []Op{other, o}, space: o.Key.Space, Text: fmt.Sprintf(format, args...)})
		}
		t, w := tagged{o.Key, o.Tag}, valued{o.Key, v}
		first, had := byTag[t]
		second, was := byValue[w]
		switch {
		case had && first.carried() != v:
			find(first, "%s and %s have one tag, %s: a tag must name one value", first, o, o.Tag)
		case was && second.Tag != o.Tag:
			find(second, "%s under the tag %s, and %s under %s: the write was done under two tags", second, second.Tag, o, o.Tag)
		}
		byTag[t], byValue[w] = o, o
	}
	return out
}

// told is the value whose tag the answer to a call on a register has told.
func (o Op) told() (uint64, bool) {
	if o.Key.Space != Registers || o.Unknown || o.Code != message.Done || o.Torn != "" || o.Tag.IsZero() {
		return 0, false
	}
	return o.carried(), true
}

func (o Op) carried() uint64 {
	if o.Do == Write {
		return o.Arg
	}
	return o.Got
}
