package drill

import (
	"testing"

	"dmalloc/message"
)

func TestTags(t *testing.T) {
	const a, b = 1 << 40, 2 << 40
	one, two := message.Tag{TS: 1, Writer: message.ClientID{1}, Op: 1}, message.Tag{TS: 1, Writer: message.ClientID{1}, Op: 2}
	under := func(tag message.Tag, o Op) Op { o.Tag = tag; return o }
	unknown := under(one, w(aRegister, a, 1, 0))
	for _, c := range []struct {
		name string
		ops  []Op
		want int
	}{
		{"each its own", []Op{under(one, w(aRegister, a, 1, 2)), under(one, r(aRegister, a, 3, 4)), under(two, w(aRegister, b, 5, 6)), under(two, r(aRegister, b, 7, 8))}, 0},
		{"nothing was told", []Op{w(aRegister, a, 1, 2), r(aRegister, a, 3, 4), w(aRegister, b, 5, 6)}, 0},
		{"never written", []Op{r(aRegister, 0, 1, 2), r(Key{Registers, 2}, 0, 1, 2)}, 0},
		{"two registers", []Op{under(one, w(aRegister, a, 1, 2)), under(one, w(Key{Registers, 2}, b, 1, 2))}, 0},
		{"not heard of", []Op{unknown, under(one, w(aRegister, b, 3, 4))}, 0},
		{"two writes under one tag", []Op{under(one, w(aRegister, a, 1, 2)), under(one, w(aRegister, b, 3, 4))}, 1},
		{"two reads of one tag", []Op{under(one, r(aRegister, a, 1, 2)), under(one, r(aRegister, b, 3, 4)), under(one, r(aRegister, a, 5, 6))}, 1},
		{"a write that was done again", []Op{under(one, w(aRegister, a, 1, 2)), under(two, r(aRegister, a, 3, 4))}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := tags(c.ops)
			if len(got) != c.want {
				t.Fatalf("found %v", got)
			}
			for _, f := range got {
				if f.Check != Tagged || f.Key != aRegister.String() || len(f.Ops) != 2 {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// The answers' tags are taken down.
func TestTagsAreRecorded(t *testing.T) {
	w := newWorld(3, correct)
	w.tags = true
	res := drillWorld(t, w, testConfig())
	reads, writes := 0, 0
	for _, o := range res.History.Ops {
		if _, ok := o.told(); ok && o.Do == Read {
			reads++
		} else if ok {
			writes++
		}
	}
	if !res.OK() || reads == 0 || writes == 0 {
		t.Errorf("%d reads and %d writes with a tag\n%s", reads, writes, res.Story())
	}
}
