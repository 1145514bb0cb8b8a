package repl

import (
	"encoding/csv"
	"io"
)

// listing says how things of which there may be many are printed.
type listing[T any] struct {
	name    string // of one; JSON's list has an s behind it
	columns []string
	right   []bool
	row     func(T) []string
}

// stream prints the things that each gives, and says how many there were. As a table or CSV they are
// printed as they come; JSON waits in a spool (P6).
func stream[T any](s *Shell, l listing[T], each func(do func(T) error) error) (r result, n int, err error) {
	var add func(T) error
	var end func() error
	switch s.output {
	case "json":
		sp := &spool{}
		r.fields = []field{{l.name + "s", sp}}
		defer func() {
			if err != nil {
				sp.close()
			}
		}()
		if _, err := io.WriteString(sp, "["); err != nil {
			return result{}, 0, err
		}
		add = func(x T) error {
			if n > 0 {
				if _, err := io.WriteString(sp, ","); err != nil {
					return err
				}
			}
			_, err := sp.Write(encode(x))
			return err
		}
		end = func() error { _, err := io.WriteString(sp, "]"); return err }
	case "csv":
		w := csv.NewWriter(s.con)
		if err := w.Write(l.columns); err != nil {
			return result{}, 0, err
		}
		r.printed = true
		add = func(x T) error { return w.Write(l.row(x)) }
		end = func() error { w.Flush(); return w.Error() }
	default:
		t := &growing{columns: l.columns, right: l.right, sh: s}
		r.printed = true
		add = func(x T) error { return t.add(l.row(x)) }
		end = func() error { err := t.end(); s.con.flush(); return err }
	}
	err = each(func(x T) error {
		if err := add(x); err != nil {
			return err
		}
		n++
		return nil
	})
	if e := end(); err == nil {
		err = e
	}
	if err != nil {
		return result{}, n, err
	}
	return r, n, nil
}

// growing is a table whose length nobody knows: the first page decides how wide the columns are.
type growing struct {
	sh      *Shell
	columns []string
	right   []bool
	rows    [][]string
	ws      []int
}

func (g *growing) add(row []string) error {
	if g.ws != nil {
		return pad(g.sh.con, row, g.ws, g.right)
	}
	g.rows = append(g.rows, row)
	if len(g.rows) == tablePage {
		return g.begin()
	}
	return nil
}

func (g *growing) begin() error {
	g.ws = widths(g.columns, g.rows)
	rows := g.rows
	g.rows = nil
	return writeTable(g.sh.con, g.columns, rows, g.right, g.sh.con.width(), g.sh.paint)
}

func (g *growing) end() error {
	if g.ws == nil && len(g.rows) > 0 {
		return g.begin()
	}
	return nil
}
