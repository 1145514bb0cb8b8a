package repl

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"dmalloc/client"
	"dmalloc/message"
)

// write is `w ADDRESS SIZE DATA` and `w ADDRESS FILE [SIZE]`.
func (s *Shell) write(c *call) (result, error) {
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	if !c.has {
		return s.writeFile(c, a)
	}
	size, err := parseSize(c.args[1].text, "a write")
	if err != nil {
		return result{}, err
	}
	if uint64(len(c.tail)) < size {
		return result{}, message.Errorf(message.InvalidArgument, "SIZE says %d bytes, but DATA has only %d; nothing was written", size, len(c.tail))
	}
	ctx, cancel := c.once()
	defer cancel()
	w, err := s.heap.Write(ctx, []byte(c.tail[:size]), a)
	if err != nil {
		return result{}, err
	}
	return written(a, size, w), nil
}

// written says that bytes were written, and whether some of them die with the node that holds a lease.
func written(a message.Addr, size uint64, w client.Written) result {
	r := result{text: fmt.Sprintf("wrote %d bytes at %s\n", size, a), fields: []field{{"address", a}, {"size", size}, {"index", w.Index}}}
	if w.WriteBack {
		r.text = fmt.Sprintf("wrote %d bytes at %s (write-back)\n", size, a)
		r.fields = append(r.fields, field{"write_back", true})
	}
	return r
}

// writeFile writes a file piece by piece. It asks first whether the file fits, so that nothing changes if not.
func (s *Shell) writeFile(c *call, a message.Addr) (result, error) {
	name := c.args[1].text
	f, err := openRegular(name)
	if err != nil {
		return result{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return result{}, fileError("read", name, err)
	}
	size := uint64(info.Size())
	if size == 0 {
		return result{}, message.Errorf(message.InvalidArgument, "%s is empty; there is nothing to write", message.Quote(name))
	}
	if len(c.args) > 2 {
		want, err := parseSize(c.args[2].text, "a write")
		if err != nil {
			return result{}, err
		}
		if want > size {
			return result{}, message.Errorf(message.InvalidArgument, "SIZE says %d bytes, but %s has only %d; nothing was written", want, message.Quote(name), size)
		}
		size = want
	}
	if err := s.fits(c, a, size, "write"); err != nil {
		return result{}, err
	}
	w, err := s.copyIn(c, f, a, size)
	if err != nil {
		return result{}, err
	}
	return written(a, size, w), nil
}

// fits refuses a transfer that leaves its allocation.
func (s *Shell) fits(c *call, a message.Addr, size uint64, what string) error {
	x, err := s.lookup(c, a)
	if err != nil {
		return err
	}
	if room := x.Size - uint64(a-x.Address); size > room {
		return message.Errorf(message.OutOfBounds, "a %s of %d bytes at %s ends past its allocation: %s has %d bytes, %d from there on",
			what, size, a, x.Address, x.Size, room)
	}
	return nil
}

func (s *Shell) lookup(c *call, a message.Addr) (message.Allocation, error) {
	ctx, cancel := c.once()
	defer cancel()
	return s.heap.Lookup(ctx, a)
}

// copyIn copies size bytes of a file into the heap.
func (s *Shell) copyIn(c *call, f *os.File, a message.Addr, size uint64) (all client.Written, err error) {
	var mu sync.Mutex // guards all
	moved := c.counter(size)
	err = spread(size, func(at uint64, p []byte) error {
		if _, err := io.ReadFull(io.NewSectionReader(f, int64(at), int64(len(p))), p); err != nil {
			return message.Errorf(message.InvalidArgument, "the file ended or failed after %d of %d bytes, which are written: %v", at, size, err)
		}
		ctx, cancel := c.step(size)
		defer cancel()
		w, err := s.heap.Write(ctx, p, a+message.Addr(at))
		mu.Lock()
		all.Index, all.WriteBack = max(all.Index, w.Index), all.WriteBack || w.WriteBack
		mu.Unlock()
		switch {
		case err == nil:
			moved(len(p))
			return nil
		case at == 0:
			return err
		}
		return fmt.Errorf("the first %d of %d bytes are written, then: %w", at, size, s.explain(c.ctx, err))
	})
	return all, err
}

// copyOut copies size bytes of the heap into a file.
func (s *Shell) copyOut(c *call, a message.Addr, f *os.File, name string, size uint64) error {
	moved := c.counter(size)
	return spread(size, func(at uint64, p []byte) error {
		ctx, cancel := c.step(size)
		defer cancel()
		if err := s.heap.ReadAt(ctx, p, a+message.Addr(at)); err != nil {
			return err
		}
		if _, err := f.WriteAt(p, int64(at)); err != nil {
			return fileError("write", name, err)
		}
		moved(len(p))
		return nil
	})
}

// counter tells the meter how much of size bytes has been moved, each time that more has.
func (c *call) counter(size uint64) func(n int) {
	var moved atomic.Uint64
	return func(n int) { c.meter.set("%s of %s", human(moved.Add(uint64(n))), human(size)) }
}

// human shows a size roughly.
func human(n uint64) string {
	switch {
	case n >= 10<<30:
		return strconv.FormatUint(n>>30, 10) + " GiB"
	case n >= 10<<20:
		return strconv.FormatUint(n>>20, 10) + " MiB"
	case n >= 10<<10:
		return strconv.FormatUint(n>>10, 10) + " KiB"
	}
	return strconv.FormatUint(n, 10) + " bytes"
}

// pieces reads a range piece by piece and gives each to do, which must not keep it.
func (s *Shell) pieces(c *call, a message.Addr, size uint64, do func([]byte) error) error {
	return relay(size, func(done uint64, p []byte) error {
		ctx, cancel := c.step(size)
		defer cancel()
		return s.heap.ReadAt(ctx, p, a+message.Addr(done))
	}, func(done uint64, p []byte) error {
		if err := do(p); err != nil {
			return err
		}
		c.meter.set("%s of %s", human(done+uint64(len(p))), human(size))
		return nil
	})
}

// read is `r ADDRESS SIZE` and `r ADDRESS FILE [SIZE]`.
func (s *Shell) read(c *call) (result, error) {
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	if !c.args[1].isNumber() {
		return s.readFile(c, a)
	}
	if len(c.args) > 2 {
		return result{}, c.usage("%s is a size, so nothing can follow it; a file with such a name is written ./%s", message.Quote(c.args[1].text), c.args[1].text)
	}
	size, err := parseSize(c.args[1].text, "a read")
	if err != nil {
		return result{}, err
	}
	if size > piece { // before anything is printed
		if err := s.fits(c, a, size, "read"); err != nil {
			return result{}, err
		}
	}
	switch {
	case s.output != "table":
		return s.readEncoded(c, a, size)
	case size > piece:
		h := newHexdump(s.con, a)
		err := s.pieces(c, a, size, func(p []byte) error { _, err := h.Write(p); return err })
		if err == nil {
			err = h.end()
		}
		return result{printed: true}, err
	}
	p := make([]byte, size)
	ctx, cancel := c.once()
	defer cancel()
	if err := s.heap.ReadAt(ctx, p, a); err != nil {
		return result{}, err
	}
	if text := string(p); printable(text, true) {
		if text[len(text)-1] != '\n' {
			text += "\n"
		}
		return result{text: text}, nil
	}
	h := newHexdump(s.con, a)
	_, _ = h.Write(p)
	return result{printed: true}, h.end()
}

// readEncoded reads for JSON and CSV: the bytes as base64.
func (s *Shell) readEncoded(c *call, a message.Addr, size uint64) (result, error) {
	sp := &spool{}
	_, _ = io.WriteString(sp, `"`)
	enc := base64.NewEncoder(base64.StdEncoding, sp)
	err := s.pieces(c, a, size, func(p []byte) error { _, err := enc.Write(p); return err })
	if err == nil {
		err = enc.Close()
	}
	if err == nil {
		_, err = io.WriteString(sp, `"`)
	}
	if err != nil {
		sp.close()
		return result{}, err
	}
	r := result{fields: []field{{"address", a}, {"size", size}, {"data", sp}}}
	if s.output == "csv" { // base64 needs no quotes but those it has
		_, _ = fmt.Fprintf(s.con, "address,size,data\n%s,%d,", a, size)
		err = sp.writeTo(s.con)
		_, _ = io.WriteString(s.con, "\n")
		r.printed = true
	}
	return r, err
}

// readFile reads from the address to the end of the allocation, or SIZE bytes, into a file.
func (s *Shell) readFile(c *call, a message.Addr) (result, error) {
	name := c.args[1].text
	var size uint64
	var err error
	if len(c.args) > 2 {
		if size, err = parseSize(c.args[2].text, "a read"); err != nil {
			return result{}, err
		}
	}
	x, err := s.lookup(c, a)
	if err != nil {
		return result{}, err
	}
	room := x.Size - uint64(a-x.Address)
	if size == 0 {
		size = room
	}
	if size > room {
		return result{}, message.Errorf(message.OutOfBounds, "a read of %d bytes at %s ends past its allocation: %s has %d bytes, %d from there on; the file was not touched",
			size, a, x.Address, x.Size, room)
	}
	err = replaceFile(name, 0o666, func(f *os.File) error {
		return s.copyOut(c, a, f, name, size)
	})
	if err != nil {
		return result{}, err
	}
	return result{text: fmt.Sprintf("read %d bytes into %s\n", size, escape(name, false)), fields: []field{{"address", a}, {"size", size}, {"file", name}}}, nil
}
