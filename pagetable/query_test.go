package pagetable

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"dmalloc/message"
)

func TestQueryRefuses(t *testing.T) {
	table := opened(t)
	table.Attach(1, newFake())
	for _, c := range []struct{ query, says string }{
		{"INSERT INTO extents (company, addr, size, state) VALUES (1, 2, 3, 'x')", "read-only"},
		{"DELETE FROM companies", "read-only"},
		{"UPDATE companies SET used = 0", "read-only"},
		{"CREATE TABLE t (x)", "read-only"},
		{"CREATE TEMP TABLE t (x)", "read-only"},
		{"CREATE TEMP VIEW v AS SELECT 1", "read-only"},
		{"DROP TABLE extents", "read-only"},
		{"WITH x AS (SELECT 1) DELETE FROM log", "read-only"},
		{"EXPLAIN DELETE FROM log", "read-only"},
		{"ATTACH 'somewhere' AS other", "not authorized"},
		{"DETACH main", "not authorized"},
		{"VACUUM", ""},
		{"VACUUM INTO 'somewhere'", ""},
		{"REINDEX", ""},
		{"ANALYZE", ""},
		{"BEGIN", "read-only"},
		{"BEGIN IMMEDIATE", "read-only"},
		{"SAVEPOINT s", "read-only"},
		{"COMMIT", ""},
		{"PRAGMA query_only = 0", "read-only"},
		{"PRAGMA writable_schema = 1", "read-only"},
		{"PRAGMA hard_heap_limit = 0", "read-only"},
		{"PRAGMA temp_store_directory = '/'", "read-only"},
		{"SELECT load_extension('x')", ""},
		{"SELECT * FROM pragma_journal_mode('x')", ""},
		{"CREATE VIRTUAL TABLE f USING fts3(x)", ""},
		{"SELECT none FROM extents", "no such column"},
		{"SELEKT 1", "syntax error"},
		{"SELECT 'open", "unrecognized token"},
		{"SELECT ?", "not enough args"},
		{"SELECT zeroblob(2000000)", "too big"},
		{"SELECT 1; SELECT 2", "one statement at a time"},
		{"SELECT 1; DELETE FROM log", "one statement at a time"},
		{"SELECT 1 /* ; */ ; -- and\n SELECT 2", "one statement at a time"},
		{"SELECT 1\x00", "zero byte"},
		{"", "empty"}, {" ;; -- nothing\n", "empty"}, {"/* open", "empty"},
		{strings.Repeat("x", maxValue+1), "at most"},
	} {
		_, err := table.Query(context.Background(), c.query, 0)
		if message.CodeOf(err) != message.InvalidArgument || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60q: %v; want invalid_argument with %q", c.query, err, c.says)
		}
	}
	if got := ask(t, table, "SELECT count(*) FROM sqlite_master WHERE name IN ('t', 'v', 'f')"); got[0] != "0" {
		t.Error("something was created")
	}
}

func TestQueryAllows(t *testing.T) {
	table := opened(t)
	for query, want := range map[string]string{
		"SELECT 1 AS x;":                                    `{"columns":["x"],"rows":[[1]]}`,
		"; SELECT ';' AS x; -- ;\n /* ; */ ;":               `{"columns":["x"],"rows":[[";"]]}`,
		"VALUES (NULL, 1.5, 'a\"b', x'00ff')":               `{"columns":["column1","column2","column3","column4"],"rows":[[null,1.5,"a\"b","x'00ff'"]]}`,
		"SELECT 9e999 AS a, -9e999 AS b":                    `{"columns":["a","b"],"rows":[["+Inf","-Inf"]]}`,
		"SELECT 9223372036854775807 AS a, 87960930226176 b": `{"columns":["a","b"],"rows":[["9223372036854775807",87960930226176]]}`,
		"SELECT CAST(x'ff' AS TEXT) AS a":                   "{\"columns\":[\"a\"],\"rows\":[[\"\ufffd\"]]}",
		"SELECT * FROM leases":                              `{"columns":["company","addr","size","mode","token","holder","session","length_ms","write_back","address"],"rows":[]}`,
		"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) AS s FROM n": `{"columns":["s"],"rows":[[6]]}`,
		"SELECT name FROM pragma_table_info('leases') WHERE cid = 0":                                              `{"columns":["name"],"rows":[["company"]]}`,
		"SELECT 1 AS [a;b], 2 AS `c;d`": `{"columns":["a;b","c;d"],"rows":[[1,2]]}`,
	} {
		rows, err := table.Query(context.Background(), query, 0)
		if err != nil {
			t.Errorf("%q: %v", query, err)
			continue
		}
		if got := string(message.JSON(rows)); got != want {
			t.Errorf("%q:\n got %s\nwant %s", query, got, want)
		}
	}
}

const count = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n %s) "

func TestQueryIsBounded(t *testing.T) {
	table := opened(t)
	forever := fmt.Sprintf(count, "") // rows without end, cut after some
	for _, c := range []struct {
		query       string
		limit, rows int
		more        bool
	}{
		{forever + "SELECT i FROM n", 3, 3, true},
		{forever + "SELECT i FROM n", 0, defaultRows, true},
		{fmt.Sprintf(count, "WHERE i < 3") + "SELECT i FROM n", 3, 3, false},
		{forever + "SELECT zeroblob(500000) FROM n", 0, 9, true}, // each is a million digits: cut by bytes
	} {
		rows, err := table.Query(context.Background(), c.query, c.limit)
		if err != nil || len(rows.Rows) != c.rows || rows.More != c.more {
			t.Errorf("%s, limit %d: %d rows, more %v, %v; want %d, %v", c.query, c.limit, len(rows.Rows), rows.More, err, c.rows, c.more)
		}
	}
}

// A query that would never end is interrupted, in the midst of one step, and the next one works.
func TestQueryEndsWithItsContext(t *testing.T) {
	table := opened(t)
	endless := fmt.Sprintf(count, "") + "SELECT count(*) FROM n"
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := table.Query(ctx, endless, 0); message.CodeOf(err) != message.Timeout {
		t.Errorf("after its deadline: %v; want timeout", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	time.AfterFunc(5*time.Millisecond, cancel)
	if _, err := table.Query(ctx, endless, 0); message.CodeOf(err) != message.Canceled {
		t.Errorf("after it was given up: %v; want canceled", err)
	}
	if got := ask(t, table, "SELECT 1"); len(got) != 1 {
		t.Error("the next query does not work")
	}
}

func TestCloseEndsQueries(t *testing.T) {
	table, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() {
		_, err := table.Query(context.Background(), fmt.Sprintf(count, "")+"SELECT count(*) FROM n", 0)
		result <- err
	}()
	for len(table.busy) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := table.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; message.CodeOf(err) != message.Unavailable {
		t.Errorf("a query during Close: %v; want unavailable", err)
	}
	if _, err := table.Query(context.Background(), "SELECT 1", 0); message.CodeOf(err) != message.Unavailable {
		t.Errorf("a query after Close: %v; want unavailable", err)
	}
	table.Changed(1, []message.Addr{1}, nil) // and nothing breaks
	table.Run(context.Background())
	if err := table.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// Whatever is asked: the answer is JSON or a refusal, and what single cuts out is one statement again.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"SELECT 1", "SELECT ';'; ;", "a;b", "--;\n;", "/*;*/ 'a''b;'", "[;];", "\"\"\";\"", "`;", ";", "SELECT 1;--"} {
		f.Add(s)
	}
	table := opened(f)
	f.Fuzz(func(t *testing.T, s string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		rows, err := table.Query(ctx, s, 10)
		if err == nil {
			if _, err := json.Marshal(rows); err != nil {
				t.Errorf("%q: the answer is no JSON: %v", s, err)
			}
		} else if c := message.CodeOf(err); c != message.InvalidArgument && c != message.Timeout {
			t.Errorf("%q: %v", s, err)
		}
		if one, err := single(s); err == nil {
			if again, err := single(one); err != nil || again != one {
				t.Errorf("single(%q) = %q; of that it makes %q, %v", s, one, again, err)
			}
		}
	})
}

func TestPlain(t *testing.T) {
	for _, v := range []any{int64(math.MinInt64), math.NaN(), math.Inf(1), []byte(nil), "\xff", nil, 1.5} {
		if _, err := json.Marshal(plain(v)); err != nil {
			t.Errorf("%v: %v", v, err)
		}
	}
}
