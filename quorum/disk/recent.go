package disk

import (
	"sync/atomic"

	"dmalloc/message"
)

const (
	recentPlaces = 8192 // a power of two
	recentMost   = 512  // bytes of a value that is worth a place: at most 4 MiB in all
)

// recent has small values that were read from a segment, so that to read them again costs no system call. Each register
// has one place, and the last one read has it. A value is right for as long as its tag is the one in the index, for
// under one tag there is one value (R3 of package register): so nothing has to be taken out, and no lock is taken.
type recent struct {
	places [recentPlaces]atomic.Pointer[remembered]
	bytes  atomic.Int64
}

// remembered is never changed.
type remembered struct {
	id    message.RegisterID
	tag   message.Tag
	value []byte
}

func (r *recent) place(id message.RegisterID) *atomic.Pointer[remembered] {
	h := (id.Address ^ uint64(id.Space)<<56) * 0x9e3779b97f4a7c15
	return &r.places[h>>32%recentPlaces]
}

// get is a copy of an entry's value.
func (r *recent) get(e entry) ([]byte, bool) {
	m := r.place(e.id).Load()
	if m == nil || m.id != e.id || m.tag != e.tag {
		return nil, false
	}
	return append(make([]byte, 0, len(m.value)), m.value...), true
}

// put remembers an entry's value.
func (r *recent) put(e entry, value []byte) {
	if len(value) > recentMost {
		return
	}
	m := &remembered{e.id, e.tag, append([]byte(nil), value...)}
	if old := r.place(e.id).Swap(m); old != nil {
		r.bytes.Add(-int64(len(old.value)))
	} else {
		r.bytes.Add(rememberedBytes)
	}
	r.bytes.Add(int64(len(value)))
}

// rememberedBytes is about what a place takes besides the value.
const rememberedBytes = 96
