package drill

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dmalloc/message"
)

// shape of a target: which calls are made to it.
type shape uint8

const (
	word     shape = iota // 8 bytes: read, write, swap, add
	counter               // 8 bytes: read, add 1
	span                  // some bytes across the end of a page: read, write; torn is seen
	register              // read, write
)

const (
	spanSize = 64
	// A register's value is padded to this size now and then: beyond 16 KiB it travels in another way.
	largeValue = 20 << 10
	mostOpen   = 3   // writes that are under way or of unknown outcome, at once on a key: the search doubles with each
	mostOps    = 800 // calls to a key until another takes its place
)

// target is a key that clients work on for a while.
type target struct {
	shape shape
	key   Key
	block message.Allocation // that the run allocated for it; none for a register
	addr  message.Addr       // of the cell
	seen  atomic.Uint64      // value that somebody saw last: what a swap expects

	visitors sync.WaitGroup // who reads it, though it is another client's (tended)
	leased   time.Time      // until when its client's lease lasts, where it tends it

	// Guarded by the keyring; of a target that is a client's own, by that client.
	ops, open, unknown int
}

func (t *target) width() int {
	if t.shape == span {
		return spanSize
	}
	return 8
}

// newCell places a cell in a new allocation: words where it begins, a span across the end of a page.
func newCell(s shape, number uint64, a message.Allocation) *target {
	t := &target{shape: s, key: Key{Cells, number}, block: a, addr: (a.Address + 7) &^ 7}
	if s == span {
		edge := (a.Address + spanSize/2 + message.PageSize - 1) / message.PageSize * message.PageSize
		t.addr = edge - spanSize/2
	}
	return t
}

// cellBytes is the least size of an allocation that newCell can place a cell in.
const cellBytes = message.PageSize + 2*spanSize

// fill writes a value all over a cell's bytes.
func fill(p []byte, v uint64) {
	for i := 0; i+8 <= len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], v)
	}
}

// decodeCell takes down what a cell's bytes hold.
func (o *Op) decodeCell(p []byte) {
	o.Got, o.Torn = decode(p)
	if half := len(p) / 2; o.Torn != "" && len(p) == spanSize {
		_, first := decode(p[:half])
		tail, second := decode(p[half:])
		o.Tail, o.Split = tail, first == "" && second == ""
	}
}

// decode is the value that a cell's bytes hold; torn says what they hold if it is not one value.
func decode(p []byte) (v uint64, torn string) {
	v = binary.LittleEndian.Uint64(p)
	for i := 8; i+8 <= len(p); i += 8 {
		if w := binary.LittleEndian.Uint64(p[i:]); w != v {
			return v, fmt.Sprintf("%s in bytes 0 to 7 and %s in bytes %d to %d", value(v), value(w), i, i+7)
		}
	}
	return v, ""
}

// registerValue is the text that a register holds for a value.
func registerValue(v uint64, size int) []byte {
	text := strconv.FormatUint(v, 10)
	return []byte(text + strings.Repeat(".", max(0, size-len(text))))
}

func decodeRegister(p []byte) (v uint64, torn string) {
	text := strings.TrimRight(string(p), ".")
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil || (len(p) != len(text) && len(p) != largeValue) {
		return 0, fmt.Sprintf("%d bytes that begin with %s", len(p), message.Quote(string(p[:min(len(p), 40)])))
	}
	return v, ""
}

// keyring holds the few targets that are hot, and all that were.
type keyring struct {
	mu      sync.Mutex
	slots   []slot
	retired []*target
}

// slot is a place for a target of a shape. It is empty until somebody makes one.
type slot struct {
	shape  shape
	t      *target
	making bool
}

func newKeyring() *keyring {
	r := &keyring{}
	for _, s := range []shape{word, word, counter, span, span, register, register, register} {
		r.slots = append(r.slots, slot{shape: s})
	}
	return r
}

// pick is the target of a slot. Without one the caller shall make it and give it to put, unless another
// already does: then it is nil and make is false. Calm says that only reads may be made now.
func (r *keyring) pick(i int) (t *target, calm, make bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.slots[i]
	if s.t == nil {
		make = !s.making
		s.making = true
		return nil, false, make
	}
	s.t.ops++
	if calm = s.t.open+s.t.unknown >= mostOpen; !calm {
		s.t.open++
	}
	return s.t, calm, false
}

// put fills a slot, or leaves it for the next to try if t is nil.
func (r *keyring) put(i int, t *target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slots[i].t, r.slots[i].making = t, false
}

// done ends what pick began, and retires a target that has had its share.
func (r *keyring) done(i int, t *target, calm, unknown bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !calm {
		t.open--
	}
	if unknown {
		t.unknown++
	}
	if r.slots[i].t == t && (t.ops >= mostOps || t.unknown >= mostOpen) {
		r.slots[i].t = nil
		r.retired = append(r.retired, t)
	}
}

// oldest takes out a target that retired long ago, if there are more than enough to read at the end. Nobody
// works on it any more.
func (r *keyring) oldest() *target {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.retired) <= mostRetired {
		return nil
	}
	t := r.retired[0]
	if t.open > 0 {
		return nil
	}
	r.retired = r.retired[1:]
	return t
}

// mostRetired is how many targets, besides the hot ones, are kept for the final reads.
const mostRetired = 256

// all lists every target that is still there. No client works any more.
func (r *keyring) all() []*target {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := append([]*target(nil), r.retired...)
	for _, s := range r.slots {
		if s.t != nil {
			out = append(out, s.t)
		}
	}
	return out
}
