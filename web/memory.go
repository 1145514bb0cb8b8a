package web

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"dmalloc/client"
	"dmalloc/message"
)

// written is the answer to a write. Index is the log index of its last piece; WriteBack says that some of it was
// only absorbed by the node that holds a lease.
type written struct {
	Address   message.Addr `json:"address"`
	Size      uint64       `json:"size"`
	Index     uint64       `json:"index"`
	WriteBack bool         `json:"write_back,omitempty"`
}

// swapped is the answer to compare-and-swap. The 64 bits are a string, for a JSON number holds only 53.
type swapped struct {
	Address message.Addr `json:"address"`
	Swapped bool         `json:"swapped"`
	Current uint64       `json:"current,string"` // what stands there now, or what stood there if nothing was swapped
}

// added is the answer to fetch-add: what stood there before.
type added struct {
	Address message.Addr `json:"address"`
	Old     uint64       `json:"old,string"`
}

// room is how many bytes an allocation has from a on.
func (c *call) room(a message.Addr) (uint64, error) {
	ctx, cancel := c.context()
	defer cancel()
	x, err := c.s.cfg.Heap.Lookup(ctx, a)
	if err != nil {
		return 0, err
	}
	if a < x.Address || uint64(a-x.Address) >= x.Size {
		return 0, message.Errorf(message.NotAllocated, "%s is in no allocation; GET /v1/allocations lists them", a)
	}
	return x.Size - uint64(a-x.Address), nil
}

func outOfBounds(what string, n uint64, a message.Addr, room uint64) error {
	return message.Errorf(message.OutOfBounds, "a %s of %d bytes at %s ends past its allocation, which has %d bytes from there on", what, n, a, room)
}

func (c *call) read() error {
	a, err := c.address()
	if err != nil {
		return err
	}
	var size uint64
	given := c.query.Get("size")
	if given != "" {
		if size, err = message.ParseSize(given); err != nil {
			return err
		}
		if size == 0 {
			return message.Errorf(message.InvalidArgument, "a read of 0 bytes at %s; read at least one", a)
		}
	}
	if given != "" && size <= message.MaxData && c.r.Method == http.MethodGet {
		switch err := c.readShort(a, size); message.CodeOf(err) {
		case message.OutOfBounds, message.NotAllocated: // what is there says more
		default:
			return err
		}
	}
	room, err := c.room(a)
	if err != nil {
		return err
	}
	if given == "" {
		size = room
	}
	if size > room {
		return outOfBounds("read", size, a, room)
	}
	c.ofBytes(size)
	if c.r.Method == http.MethodHead {
		c.answer.WriteHeader(http.StatusOK)
		return nil
	}
	return c.stream(a, size)
}

// readShort sends what one message brings, or what this node keeps under a lease, without asking first what is there.
func (c *call) readShort(a message.Addr, size uint64) error {
	release, err := c.slot(int(size))
	if err != nil {
		return err
	}
	defer release()
	p := make([]byte, size)
	if err := c.readPiece(p, a); err != nil {
		return err
	}
	c.ofBytes(size)
	_, err = c.answer.Write(p)
	return err
}

func (c *call) ofBytes(size uint64) {
	c.answer.Header().Set("Content-Type", "application/octet-stream")
	c.answer.Header().Set("Content-Length", strconv.FormatUint(size, 10))
}

// stream sends bytes piece by piece. The status waits for the first piece, which may still fail.
func (c *call) stream(a message.Addr, size uint64) error {
	n := int(min(size, message.MaxData))
	release, err := c.slot(n)
	if err != nil {
		return err
	}
	defer release()
	for buffer := make([]byte, n); size > 0; {
		piece := buffer[:min(size, uint64(len(buffer)))]
		if err := c.readPiece(piece, a); err != nil {
			return err
		}
		if _, err := c.answer.Write(piece); err != nil {
			return err
		}
		a, size = a+message.Addr(len(piece)), size-uint64(len(piece))
	}
	return nil
}

func (c *call) readPiece(p []byte, a message.Addr) error {
	ctx, cancel := c.context()
	defer cancel()
	return c.s.cfg.Heap.ReadAt(ctx, p, a)
}

// write takes a body of known length, or one that fits into a piece: otherwise what is too long would be found
// out only after its first pieces were written (W1).
func (c *call) write() error {
	a, err := c.address()
	if err != nil {
		return err
	}
	if _, err := c.key(); err != nil {
		return err
	}
	length, most := c.r.ContentLength, c.s.cfg.Limits.Body
	switch {
	case length == 0:
		return message.Errorf(message.InvalidArgument, "a write of 0 bytes at %s; send at least one byte as the body", a)
	case length > most:
		return tooLarge(most)
	}
	room, err := c.room(a)
	if err != nil {
		return err
	}
	if length > 0 && uint64(length) > room {
		return outOfBounds("write", uint64(length), a, room)
	}
	n := min(most, message.MaxData)
	if length > 0 {
		n = min(n, length)
	}
	release, err := c.slot(int(n))
	if err != nil {
		return err
	}
	defer release()
	if length < 0 {
		return c.writeUnknown(a, room, make([]byte, n))
	}
	return c.writeKnown(a, uint64(length), make([]byte, n))
}

// writeUnknown writes a body that did not tell its length, if it fits into the buffer.
func (c *call) writeUnknown(a message.Addr, room uint64, buffer []byte) error {
	body := c.upload(c.s.cfg.Limits.Body)
	n, err := io.ReadFull(body, buffer)
	switch err {
	case nil:
		var more [1]byte
		k, err := io.ReadFull(body, more[:])
		if k > 0 {
			return &failure{http.StatusLengthRequired, "length_required", "a body over " + message.FormatSize(uint64(len(buffer))) + " needs a Content-Length, so that nothing is written if it does not fit; nothing was written"}
		}
		if err != io.EOF {
			return bodyError(err)
		}
	case io.EOF:
		return message.Errorf(message.InvalidArgument, "a write of 0 bytes at %s; send at least one byte as the body", a)
	case io.ErrUnexpectedEOF:
	default:
		return bodyError(err)
	}
	if uint64(n) > room {
		return outOfBounds("write", uint64(n), a, room)
	}
	w, err := c.writePiece(buffer[:n], a, 0)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, written{a, uint64(n), w.Index, w.WriteBack})
}

// writeKnown writes a body of the given length piece by piece.
func (c *call) writeKnown(a message.Addr, length uint64, buffer []byte) error {
	body := c.upload(int64(length))
	var done uint64
	all := written{Address: a, Size: length}
	for done < length {
		p := buffer[:min(uint64(len(buffer)), length-done)]
		body.resume()
		_, err := io.ReadFull(body, p)
		if err != nil {
			err = bodyError(err)
		} else {
			var w client.Written
			w, err = c.writePiece(p, a+message.Addr(done), done)
			all.Index, all.WriteBack = max(all.Index, w.Index), all.WriteBack || w.WriteBack
		}
		if err != nil {
			return c.partly(err, done, length)
		}
		done += uint64(len(p))
	}
	return c.json(http.StatusOK, all)
}

// partly says how much of a write stands when its rest failed.
func (c *call) partly(err error, done, length uint64) error {
	if done == 0 {
		return err
	}
	f := c.s.judge(err)
	return &failure{f.status, f.code, fmt.Sprintf("the first %d of %d bytes are written, then: %s", done, length, f.text)}
}

// writePiece writes one piece. Under an Idempotency-Key each is a request of its own, named by where it stands
// in the body and by its bytes.
func (c *call) writePiece(p []byte, a message.Addr, offset uint64) (client.Written, error) {
	var sum [sha256.Size]byte
	if key, _ := c.key(); key != "" {
		sum = sha256.Sum256(p)
	}
	heap, err := c.heap(offset, len(p), sum)
	if err != nil {
		return client.Written{}, err
	}
	ctx, cancel := c.context()
	defer cancel()
	return heap.Write(ctx, p, a)
}

// word reads what an operation on 8 bytes needs, and runs it.
func (c *call) word(run func(ctx context.Context, heap Heap, a message.Addr, v map[string]uint64) (any, error)) error {
	a, err := c.address()
	if err != nil {
		return err
	}
	if a%8 != 0 {
		return message.Errorf(message.InvalidArgument, "%s is not a multiple of 8, which the address of 8 bytes to swap or add to must be", a)
	}
	v, err := c.object()
	if err != nil {
		return err
	}
	arguments := make([]any, len(c.route.body))
	for i, f := range c.route.body {
		arguments[i] = v[f.name]
	}
	heap, err := c.heap(arguments...)
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	out, err := run(ctx, heap, a, v)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

func (c *call) compareAndSwap() error {
	return c.word(func(ctx context.Context, heap Heap, a message.Addr, v map[string]uint64) (any, error) {
		current, ok, err := heap.CompareAndSwap(ctx, a, v["old"], v["new"])
		return swapped{a, ok, current}, err
	})
}

func (c *call) fetchAdd() error {
	return c.word(func(ctx context.Context, heap Heap, a message.Addr, v map[string]uint64) (any, error) {
		old, err := heap.FetchAdd(ctx, a, v["delta"])
		return added{a, old}, err
	})
}
