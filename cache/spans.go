package cache

import (
	"cmp"
	"slices"
)

// span is the addresses from from up to, and without, to.
type span struct{ from, to uint64 }

// spans are sorted, and no two touch.
type spans []span

// add returns the spans with another one. The old ones are not changed.
func (s spans) add(x span) spans {
	out := make(spans, 0, len(s)+1)
	i := 0
	for ; i < len(s) && s[i].to < x.from; i++ {
		out = append(out, s[i])
	}
	for ; i < len(s) && s[i].from <= x.to; i++ {
		x = span{min(x.from, s[i].from), max(x.to, s[i].to)}
	}
	return append(append(out, x), s[i:]...)
}

// remove returns the spans without the addresses of x.
func (s spans) remove(x span) (out spans) {
	for _, y := range s {
		if y.from < min(y.to, x.from) {
			out = append(out, span{y.from, min(y.to, x.from)})
		}
		if max(y.from, x.to) < y.to {
			out = append(out, span{max(y.from, x.to), y.to})
		}
	}
	return out
}

// bytes is how many addresses are in the spans.
func (s spans) bytes() (n uint64) {
	for _, x := range s {
		n += x.to - x.from
	}
	return n
}

// sorted is what add keeps.
func (s spans) sorted() bool {
	for i, x := range s {
		if x.from >= x.to || i > 0 && s[i-1].to >= x.from {
			return false
		}
	}
	return true
}

// join sorts spans and makes one of those that touch.
func join(all []span) (out spans) {
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, x := range all {
		if last := len(out) - 1; last >= 0 && out[last].to >= x.from {
			out[last].to = max(out[last].to, x.to)
		} else {
			out = append(out, x)
		}
	}
	return out
}
