package repl

import (
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"

	"dmalloc/message"
)

// dump is `d ADDRESS [FILE]` and `d net`.
func (s *Shell) dump(c *call) (result, error) {
	if c.args[0].text == "net" && !c.args[0].quoted {
		return s.dumpAll(c)
	}
	a, err := s.parseAddress(c.args[0])
	if err != nil {
		return result{}, err
	}
	x, err := s.lookup(c, a)
	if err != nil {
		return result{}, err
	}
	s.printed(x.Address)
	if len(c.args) > 1 {
		name := c.args[1].text
		if err := replaceFile(name, 0o666, func(f *os.File) error { return s.dumpText(c, f, x) }); err != nil {
			return result{}, err
		}
		return result{text: fmt.Sprintf("dumped %d bytes at %s into %s\n", x.Size, x.Address, escape(name, false)),
			fields: []field{{"address", x.Address}, {"size", x.Size}, {"file", name}}}, nil
	}
	switch s.output {
	case "table":
		return result{printed: true}, s.dumpText(c, s.con, x)
	case "csv":
		if _, err := io.WriteString(s.con, dumpHeader); err != nil {
			return result{}, err
		}
		return result{printed: true}, s.dumpCSV(c, x)
	}
	sp := &spool{}
	if err := s.dumpData(c, sp, x); err != nil {
		sp.close()
		return result{}, err
	}
	return result{fields: []field{{"address", x.Address}, {"size", x.Size}, {"blocks", blocks(x)}, {"data", sp}}}, nil
}

// dumpAll dumps every allocation in the order of addresses.
func (s *Shell) dumpAll(c *call) (result, error) {
	n := 0
	sp := &spool{} // used by JSON only
	if s.output == "csv" {
		if _, err := io.WriteString(s.con, dumpHeader); err != nil {
			return result{}, err
		}
	}
	err := s.each(c, filter{}, func(x message.Allocation) error {
		n++
		s.printed(x.Address)
		switch s.output {
		case "json":
			lead := byte(',')
			if n == 1 {
				lead = '['
			}
			_, _ = fmt.Fprintf(sp, `%c{"address":%s,"size":%d,"blocks":%s,"data":`, lead, encode(x.Address), x.Size, encode(blocks(x)))
			if err := s.dumpData(c, sp, x); err != nil {
				return err
			}
			_, err := io.WriteString(sp, "}")
			return err
		case "csv":
			return s.dumpCSV(c, x)
		}
		if n > 1 {
			_, _ = io.WriteString(s.con, "\n")
		}
		return s.dumpText(c, s.con, x)
	})
	if err != nil {
		sp.close()
		return result{}, err
	}
	if s.output == "json" {
		if n == 0 {
			_, _ = io.WriteString(sp, "[")
		}
		_, err = io.WriteString(sp, "]")
		return result{fields: []field{{"allocations", sp}}}, err
	}
	return result{printed: true, note: count(n, "allocation")}, nil
}

// dumpText writes an allocation for people.
func (s *Shell) dumpText(c *call, w io.Writer, x message.Allocation) error {
	if _, err := fmt.Fprintf(w, "%s: %d bytes, %s\n", x.Address, x.Size, blocksText(x.Blocks)); err != nil {
		return err
	}
	h := newHexdump(w, x.Address)
	if err := s.pieces(c, x.Address, x.Size, func(p []byte) error { _, err := h.Write(p); return err }); err != nil {
		return fmt.Errorf("dump %s: %w", x.Address, s.explain(c.ctx, err))
	}
	return h.end()
}

// dumpData writes an allocation's bytes as a JSON string of base64.
func (s *Shell) dumpData(c *call, w io.Writer, x message.Allocation) error {
	_, _ = io.WriteString(w, `"`)
	enc := base64.NewEncoder(base64.StdEncoding, w)
	if err := s.pieces(c, x.Address, x.Size, func(p []byte) error { _, err := enc.Write(p); return err }); err != nil {
		return fmt.Errorf("dump %s: %w", x.Address, s.explain(c.ctx, err))
	}
	if err := enc.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(w, `"`)
	return err
}

const dumpHeader = "address,size,offset,hex,text\n"

// dumpCSV writes a row for each 16 bytes: a row has no bound that a spreadsheet likes otherwise.
func (s *Shell) dumpCSV(c *call, x message.Allocation) error {
	w := csv.NewWriter(s.con)
	offset := 0
	err := s.pieces(c, x.Address, x.Size, func(p []byte) error { // pieces are multiples of a row, but for the last
		for len(p) > 0 {
			part := p[:min(perLine, len(p))]
			p = p[len(part):]
			text := ""
			if printable(string(part), false) {
				text = string(part)
			}
			if err := w.Write([]string{x.Address.String(), strconv.FormatUint(x.Size, 10), strconv.Itoa(offset), fmt.Sprintf("%x", part), text}); err != nil {
				return err
			}
			offset += len(part)
		}
		return nil
	})
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	return err
}
