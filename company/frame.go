package company

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"

	"dmalloc/message"
)

// A snapshot travels in frames: a length of 4 bytes, as many bytes, and 4 bytes CRC-32C over everything
// up to there, the frames before included. A frame of length 0 is the end, so its sum covers the whole.
// Nothing is looked at before its sum was right, and no length is believed beyond maxFrame.
const maxFrame = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func corrupt(format string, args ...any) error {
	return message.Errorf(message.Corrupt, "snapshot of a company: "+format, args...)
}

// writer encodes into frames. The first error stays.
type writer struct {
	w       io.Writer
	buf     []byte // the frame so far, behind 4 bytes for its length
	sum     uint32
	written int64
	err     error
}

func newWriter(w io.Writer) *writer { return &writer{w: w, buf: make([]byte, 4, maxFrame+8)} }

func (w *writer) bytes(p []byte) {
	for len(p) > 0 && w.err == nil {
		n := copy(w.buf[len(w.buf):4+maxFrame], p)
		w.buf = w.buf[:len(w.buf)+n]
		p = p[n:]
		if len(w.buf) == 4+maxFrame {
			w.flush()
		}
	}
}

func (w *writer) num(values ...uint64) {
	var scratch [binary.MaxVarintLen64]byte
	for _, v := range values {
		w.bytes(binary.AppendUvarint(scratch[:0], v))
	}
}

func (w *writer) text(s string) {
	w.num(uint64(len(s)))
	w.bytes([]byte(s))
}

func (w *writer) txn(t message.Txn) {
	w.bytes(t.Client[:])
	w.num(t.Seq)
}

func (w *writer) flush() {
	if w.err != nil {
		return
	}
	binary.LittleEndian.PutUint32(w.buf, uint32(len(w.buf)-4))
	w.sum = crc32.Update(w.sum, castagnoli, w.buf)
	n, err := w.w.Write(binary.LittleEndian.AppendUint32(w.buf, w.sum))
	w.written, w.err = w.written+int64(n), err
	w.buf = w.buf[:4]
}

// end writes what is left and the last frame.
func (w *writer) end() (int64, error) {
	if len(w.buf) > 4 {
		w.flush()
	}
	w.flush()
	return w.written, w.err
}

// reader decodes from frames. The first error stays, and everything after it reads as zero.
type reader struct {
	r     io.Reader
	frame []byte // what is left of it
	buf   []byte
	sum   uint32
	ended bool
	err   error
}

func newReader(r io.Reader) *reader { return &reader{r: r, buf: make([]byte, 4+maxFrame+4)} }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = corrupt(format, args...)
	}
}

// next reads a frame.
func (r *reader) next() {
	r.frame = nil
	if r.err != nil || r.ended {
		r.fail("it ends in the middle")
		return
	}
	if _, err := io.ReadFull(r.r, r.buf[:4]); err != nil {
		r.fail("it is cut off: %v", err)
		return
	}
	n := binary.LittleEndian.Uint32(r.buf)
	if n > maxFrame {
		r.fail("a frame says it has %d bytes, %d are possible", n, maxFrame)
		return
	}
	if _, err := io.ReadFull(r.r, r.buf[4:4+n+4]); err != nil {
		r.fail("it is cut off: %v", err)
		return
	}
	r.sum = crc32.Update(r.sum, castagnoli, r.buf[:4+n])
	if r.sum != binary.LittleEndian.Uint32(r.buf[4+n:]) {
		r.fail("its bytes were altered: the checksum differs")
		return
	}
	r.frame, r.ended = r.buf[4:4+n], n == 0
}

// bytes fills p.
func (r *reader) bytes(p []byte) {
	for len(p) > 0 {
		if len(r.frame) == 0 {
			if r.next(); r.err != nil {
				clear(p)
				return
			}
			continue
		}
		n := copy(p, r.frame)
		p, r.frame = p[n:], r.frame[n:]
	}
}

func (r *reader) byte() byte {
	var b [1]byte
	r.bytes(b[:])
	return b[0]
}

// num reads a varint of minimal length that is at most most.
func (r *reader) num(most uint64, name string) uint64 {
	var v uint64
	for i := 0; ; i++ {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		if i == binary.MaxVarintLen64-1 && b > 1 {
			r.fail("%s does not fit in 64 bits", name)
			return 0
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if i > 0 && i+1 != (bits.Len64(v)+6)/7 {
				r.fail("%s is longer than it need be", name)
			}
			break
		}
	}
	if v > most {
		r.fail("%s is %d, at most %d is possible", name, v, most)
	}
	if r.err != nil {
		return 0
	}
	return v
}

func (r *reader) text(most uint64, name string) string {
	p := make([]byte, r.num(most, name))
	r.bytes(p)
	return string(p)
}

func (r *reader) txn() (t message.Txn) {
	r.bytes(t.Client[:])
	t.Seq = r.num(1<<64-1, "number of a transaction")
	if t.IsZero() {
		r.fail("a transaction has no name")
	}
	return t
}

// end reads the last frame.
func (r *reader) end() error {
	if r.err == nil && len(r.frame) > 0 {
		r.fail("something follows its end")
	}
	if !r.ended {
		r.next()
	}
	if r.err == nil && !r.ended {
		r.fail("something follows its end")
	}
	return r.err
}
