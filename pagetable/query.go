package pagetable

import (
	"context"
	"database/sql"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/mattn/go-sqlite3"

	"dmalloc/message"
)

const (
	defaultRows = 10000   // of an answer, unless the caller says otherwise
	maxBytes    = 8 << 20 // of an answer, roughly; beyond both the answer is cut and says More
	maxValue    = 1 << 20 // bytes of one value, or of one query
)

// Query answers one statement that reads, from what is noted up to now. limit bounds the rows; 0 means 10000.
// Integers come as int64, or as text where a JSON number would lose digits; blobs as x'…' and infinities
// as text.
func (t *Table) Query(ctx context.Context, query string, limit int) (message.Rows, error) {
	if limit <= 0 {
		limit = defaultRows
	}
	query, err := single(query)
	if err != nil {
		return message.Rows{}, err
	}
	ctx, release, err := t.acquire(ctx)
	if err != nil {
		return message.Rows{}, err
	}
	defer release()
	if err := t.flush(ctx); err != nil {
		return message.Rows{}, err
	}
	rows, err := t.db.query(ctx, query, limit)
	if err != nil {
		if ctx.Err() != nil {
			return message.Rows{}, t.interrupted(ctx)
		}
		return message.Rows{}, refused(err)
	}
	return rows, nil
}

// interrupted says why ctx, which acquire made, has ended.
func (t *Table) interrupted(ctx context.Context) error {
	if t.closing.Err() != nil {
		return closed()
	}
	return ended(ctx)
}

// refused hands on SQLite's words.
func refused(err error) error {
	words := err.Error()
	if e, ok := err.(sqlite3.Error); ok && (e.Code == sqlite3.ErrAuth || e.Code == sqlite3.ErrReadonly) {
		words += ": the page table is read-only, a query may only SELECT; use m, f and w to change the heap"
	}
	return message.Errorf(message.InvalidArgument, "the query was refused: %s", strings.ToValidUTF8(words, "�"))
}

func (d *database) query(ctx context.Context, query string, limit int) (message.Rows, error) {
	out := message.Rows{Columns: []string{}, Rows: [][]any{}}
	rows, err := d.reads.QueryContext(ctx, query)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return out, err
	}
	for _, c := range columns {
		out.Columns = append(out.Columns, strings.ToValidUTF8(c, "�"))
	}
	size := 0
	for rows.Next() {
		if len(out.Rows) >= limit || size > maxBytes {
			out.More = true
			return out, nil
		}
		row, bytes, err := scan(rows, len(columns))
		if err != nil {
			return out, err
		}
		out.Rows = append(out.Rows, row)
		size += bytes
	}
	return out, rows.Err()
}

func scan(rows *sql.Rows, n int) ([]any, int, error) {
	row, to := make([]any, n), make([]any, n)
	for i := range row {
		to[i] = &row[i]
	}
	if err := rows.Scan(to...); err != nil {
		return nil, 0, err
	}
	size := 0
	for i := range row {
		row[i] = plain(row[i])
		size += 16
		if s, ok := row[i].(string); ok {
			size += len(s)
		}
	}
	return row, size, nil
}

// plain makes a value one that JSON can carry without loss.
func plain(v any) any {
	const exact = 1 << 53 // integers up to here survive a reader that keeps numbers as floats
	switch v := v.(type) {
	case int64:
		if v > exact || v < -exact {
			return strconv.FormatInt(v, 10)
		}
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case []byte:
		return "x'" + hex.EncodeToString(v) + "'"
	case string:
		return strings.ToValidUTF8(v, "�")
	}
	return v
}

// restrict makes a connection one that can only read what is in the database, in bounded pieces.
func restrict(c *sqlite3.SQLiteConn) error {
	for limit, most := range map[int]int{
		sqlite3.SQLITE_LIMIT_LENGTH:              maxValue,
		sqlite3.SQLITE_LIMIT_SQL_LENGTH:          maxValue,
		sqlite3.SQLITE_LIMIT_COLUMN:              500,
		sqlite3.SQLITE_LIMIT_EXPR_DEPTH:          200,
		sqlite3.SQLITE_LIMIT_COMPOUND_SELECT:     100,
		sqlite3.SQLITE_LIMIT_ATTACHED:            0,
		sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
	} {
		c.SetLimit(limit, most)
	}
	c.RegisterAuthorizer(authorize)
	return nil
}

// recursive is SQLITE_RECURSIVE, which the driver does not name.
const recursive = 33

// authorize is asked for each thing that a statement would do. What is not known to read is refused; so are
// transactions, which would hold back every flush, and ATTACH, which opens files.
func authorize(action int, name, arg, _ string) int {
	switch action {
	case sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, recursive:
		return sqlite3.SQLITE_OK
	case sqlite3.SQLITE_FUNCTION:
		if arg != "load_extension" {
			return sqlite3.SQLITE_OK
		}
	case sqlite3.SQLITE_PRAGMA:
		switch name {
		case "table_info", "table_xinfo", "table_list", "index_list", "index_info":
			return sqlite3.SQLITE_OK
		}
	}
	return sqlite3.SQLITE_DENY
}
