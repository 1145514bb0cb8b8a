package transport

import (
	"bufio"
	"encoding/binary"
	"io"
	"sync"
)

// mostLent is the largest body whose memory is used again. Few are larger: an entry of a company's log is half of it.
const mostLent = 8 << 20

// bodies are memory for long frames that nobody keeps once they are dispatched. Those who copy a large company's log
// would else make garbage as fast as they copy.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// readFrame reads one frame of at most bound bytes, into memory of its own. A long one that is to be used up at once
// may be put into lent memory; done gives that back.
func readFrame(r *bufio.Reader, bound int, lend bool) (frame, error) {
	head, err := r.Peek(lengthSize)
	if err != nil {
		return frame{}, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n < headSize || uint64(n) > uint64(bound) {
		return frame{}, malformed("length %d is not in %d..%d", n, headSize, bound)
	}
	if _, err := r.Discard(lengthSize); err != nil {
		return frame{}, err
	}
	if !lend || n < attachFrom || n > mostLent {
		b, err := readBody(r, int(n), nil)
		if err != nil {
			return frame{}, err
		}
		return parseFrame(b)
	}
	body := bodies.Get().(*[]byte)
	if *body, err = readBody(r, int(n), *body); err != nil {
		return frame{}, err
	}
	f, err := parseFrame(*body)
	f.body = body
	return f, err
}

// nextFrame is readFrame, but a short frame that has come as a whole stays where it was read: it is valid until the next one is
// read. Most frames are short, and most of what they say is used up at once.
func nextFrame(r *bufio.Reader, bound int, lend bool) (frame, error) {
	head, err := r.Peek(lengthSize)
	if err != nil {
		return frame{}, err
	}
	n := int64(binary.LittleEndian.Uint32(head))
	if n < headSize || n >= attachFrom || n > int64(bound) || int64(r.Buffered()) < lengthSize+n {
		return readFrame(r, bound, lend)
	}
	b, err := r.Peek(lengthSize + int(n))
	if err != nil {
		return frame{}, err
	}
	if _, err := r.Discard(len(b)); err != nil {
		return frame{}, err
	}
	f, err := parseFrame(b[lengthSize:len(b):len(b)])
	f.passing = true
	return f, err
}

// done gives lent memory back: nothing may point into the frame any more.
func (f *frame) done() {
	if f.body != nil {
		bodies.Put(f.body)
		*f = frame{}
	}
}

// readBody reads n bytes, into have if they fit there. Memory follows the bytes that came, not the length that was
// promised (T1).
func readBody(r io.Reader, n int, have []byte) ([]byte, error) {
	const atOnce = 2 << 20
	var b []byte
	if n <= cap(have) {
		b = have[:n]
	} else {
		b = make([]byte, min(n, atOnce))
	}
	if n, err := io.ReadFull(r, b); err != nil {
		if plantedTorn && n >= headSize {
			return b, nil
		}
		return nil, err
	}
	for len(b) < n {
		have := len(b)
		more := make([]byte, min(n, 4*have))
		copy(more, b)
		if _, err := io.ReadFull(r, more[have:]); err != nil {
			return nil, err
		}
		b = more
	}
	return b, nil
}
