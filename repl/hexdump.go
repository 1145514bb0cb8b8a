package repl

import (
	"bytes"
	"fmt"
	"io"

	"dmalloc/message"
)

// perLine is how many bytes a line of a hex dump shows.
const perLine = 16

// hexdump writes bytes as `hexdump -C` does, with heap addresses (or offsets): hexadecimal, then text; lines that repeat
// the one before become a single *, and the end address closes the dump.
type hexdump struct {
	w       io.Writer
	at      message.Addr
	offsets bool   // at counts from the beginning of what is dumped, and is no address
	pending []byte // begins a line that is not yet full
	before  []byte // the last line printed or passed over
	starred bool
	err     error
}

func newHexdump(w io.Writer, at message.Addr) *hexdump { return &hexdump{w: w, at: at} }

// newOffsetDump dumps what lies nowhere in the heap.
func newOffsetDump(w io.Writer) *hexdump { return &hexdump{w: w, offsets: true} }

func (h *hexdump) where() string {
	if h.offsets {
		return fmt.Sprintf("%08x", uint64(h.at))
	}
	return h.at.String()
}

// Write adds the next bytes of the dump.
func (h *hexdump) Write(p []byte) (int, error) {
	n := len(p)
	if len(h.pending) > 0 {
		k := min(perLine-len(h.pending), len(p))
		h.pending = append(h.pending, p[:k]...)
		p = p[k:]
		if len(h.pending) < perLine {
			return n, h.err
		}
		h.line(h.pending)
		h.pending = h.pending[:0]
	}
	for ; len(p) >= perLine; p = p[perLine:] {
		h.line(p[:perLine])
	}
	h.pending = append(h.pending, p...)
	return n, h.err
}

// end prints what is left, and where the dump ends.
func (h *hexdump) end() error {
	if len(h.pending) > 0 {
		h.show(h.pending)
		h.at += message.Addr(len(h.pending))
		h.pending = nil
	}
	h.print("%s\n", h.where())
	return h.err
}

func (h *hexdump) line(p []byte) {
	switch {
	case !bytes.Equal(p, h.before):
		h.show(p)
		h.before = append(h.before[:0], p...)
		h.starred = false
	case !h.starred:
		h.print("*\n")
		h.starred = true
	}
	h.at += perLine
}

func (h *hexdump) show(p []byte) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s ", h.where())
	for i := range perLine {
		if i%8 == 0 {
			b.WriteByte(' ')
		}
		if i < len(p) {
			fmt.Fprintf(&b, "%02x ", p[i])
		} else {
			b.WriteString("   ")
		}
	}
	b.WriteString(" |")
	for _, c := range p {
		if c < ' ' || c > '~' {
			c = '.'
		}
		b.WriteByte(c)
	}
	b.WriteString("|\n")
	h.print("%s", b.Bytes())
}

func (h *hexdump) print(format string, args ...any) {
	if h.err == nil {
		_, h.err = fmt.Fprintf(h.w, format, args...)
	}
}
