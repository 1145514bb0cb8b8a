package repl

import (
	"bytes"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// least is how narrow a column may be made to fit a terminal.
const least = 16

// writeTable prints rows below their header, in columns two blanks apart and no wider than width (0: any).
// paint may colour a cell; it is given the plain one.
func writeTable(w io.Writer, columns []string, rows [][]string, right []bool, width int, paint func(column, cell string) string) error {
	safe := make([][]string, len(rows))
	for i, row := range rows {
		safe[i] = make([]string, len(row)) // the writer keeps the slices it is given
		for j, cell := range row {
			safe[i][j] = escape(cell, false)
		}
	}
	fit(columns, safe, width)
	header := make([]string, len(columns))
	for i, c := range columns {
		header[i] = paint("", escape(c, false))
	}
	for _, row := range safe {
		for j, cell := range row {
			lines := strings.Split(cell, "\n")
			for k := range lines {
				if lines[k] != "" {
					lines[k] = paint(columns[j], lines[k])
				}
			}
			row[j] = strings.Join(lines, "\n")
		}
	}
	align := make(tw.Alignment, len(columns))
	for i := range align {
		align[i] = tw.AlignLeft
		if i < len(right) && right[i] {
			align[i] = tw.AlignRight
		}
	}
	var b bytes.Buffer
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{Borders: tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone}})),
		tablewriter.WithHeaderAutoFormat(tw.Off), // it would write FROM_MS in capitals
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone), // fit has broken the lines
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithAlignment(align),
		tablewriter.WithPadding(tw.Padding{Right: "  ", Overwrite: true}))
	t.Header(header)
	if err := t.Bulk(safe); err != nil {
		return err
	}
	if err := t.Render(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// widths measures each column.
func widths(columns []string, rows [][]string) []int {
	out := make([]int, len(columns))
	for j, c := range columns {
		out[j] = runewidth.StringWidth(c)
	}
	for _, row := range rows {
		for j, cell := range row {
			for line := range strings.SplitSeq(cell, "\n") {
				out[j] = max(out[j], runewidth.StringWidth(line))
			}
		}
	}
	return out
}

// fit breaks the cells of the widest columns into lines until all columns together are no wider than width.
func fit(columns []string, rows [][]string, width int) {
	for range columns {
		ws := widths(columns, rows)
		total, widest := 0, 0
		for j, w := range ws {
			total += w + 2
			if w > ws[widest] {
				widest = j
			}
		}
		if width <= 0 || total-2 <= width || ws[widest] <= least {
			return
		}
		room := max(least, ws[widest]-(total-2-width))
		for _, row := range rows {
			row[widest] = wrap(row[widest], room)
		}
	}
}

// wrap breaks a line after blanks, commas or semicolons where it can, anywhere where it must.
func wrap(s string, width int) string {
	var lines []string
	for runewidth.StringWidth(s) > width {
		cut, at, used := 0, 0, 0
		for i, r := range s {
			used += runewidth.RuneWidth(r)
			if used > width {
				break
			}
			at = i + len(string(r))
			if r == ' ' || r == ',' || r == ';' {
				cut = at
			}
		}
		if cut == 0 {
			cut = max(at, 1)
		}
		lines = append(lines, strings.TrimRight(s[:cut], " "))
		s = s[cut:]
	}
	return strings.Join(append(lines, s), "\n")
}

// pad writes one more row below a table that is already printed, in columns as wide as they were there.
func pad(w io.Writer, row []string, ws []int, right []bool) error {
	var b strings.Builder
	for j, cell := range row {
		cell = escape(cell, false)
		gap := strings.Repeat(" ", max(0, ws[j]-runewidth.StringWidth(cell)))
		if j < len(right) && right[j] {
			b.WriteString(gap + cell)
		} else {
			b.WriteString(cell + gap)
		}
		b.WriteString("  ")
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), " ")+"\n")
	return err
}
