package pagetable

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/mattn/go-sqlite3"

	"dmalloc/message"
)

// heapLimit bounds SQLite's memory in this process, so that a query that sorts the world fails instead of
// the node. About 40 bytes an extent of it are the view.
const heapLimit = 512 << 20

// database is SQLite with one connection that writes and one that cannot (P5). Both see one database in
// memory, which lives in SQLite's memdb file system: `:memory:` would be another one on each connection.
type database struct {
	writes, reads *sql.DB
	writer        *sql.Conn
	stmts         map[string]*sql.Stmt // of the writer, prepared when first needed
}

var databases atomic.Uint64 // names them: those of one process share names

// connector opens connections of a kind.
type connector struct {
	driver *sqlite3.SQLiteDriver
	dsn    string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

func openDatabase() (d *database, err error) {
	name := fmt.Sprintf("file:/pagetable-%d-%d?vfs=memdb", os.Getpid(), databases.Add(1))
	d = &database{
		writes: open(name+"&_journal_mode=MEMORY&_synchronous=OFF", nil),
		reads:  open(name+"&_query_only=1", restrict),
		stmts:  map[string]*sql.Stmt{},
	}
	defer func() {
		if err != nil {
			_ = d.Close()
		}
	}()
	ctx := context.Background()
	if d.writer, err = d.writes.Conn(ctx); err != nil {
		return d, err
	}
	if _, err = d.writer.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA hard_heap_limit = %d;", heapLimit)); err != nil {
		return d, err
	}
	return d, d.reads.Ping()
}

// open makes a pool of exactly one connection, which stays.
func open(dsn string, hook func(*sqlite3.SQLiteConn) error) *sql.DB {
	db := sql.OpenDB(connector{&sqlite3.SQLiteDriver{ConnectHook: hook}, dsn})
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	db.SetConnMaxLifetime(0)
	db.SetConnMaxIdleTime(0)
	return db
}

// Close ends both connections; the database goes with the last one.
func (d *database) Close() error {
	errs := []error{d.reads.Close()}
	for _, s := range d.stmts {
		errs = append(errs, s.Close())
	}
	if d.writer != nil {
		errs = append(errs, d.writer.Close())
	}
	return errors.Join(append(errs, d.writes.Close())...)
}

// size is how many bytes the database takes, 0 if it does not say. What a query takes besides is gone when it ends.
func (d *database) size() uint64 {
	var pages, each int64
	row := func(pragma string, n *int64) error {
		return d.writer.QueryRowContext(context.Background(), pragma).Scan(n)
	}
	if errors.Join(row("PRAGMA page_count", &pages), row("PRAGMA page_size", &each)) != nil {
		return 0
	}
	return uint64(pages * each)
}

// batch is a transaction that remembers the first error, so that whoever writes rows need not look.
// Statements run without the caller's context, which would cost a goroutine each; check looks at it.
type batch struct {
	d    *database
	done bool
	err  error
}

func (d *database) begin(ctx context.Context) (*batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, err := d.writer.ExecContext(context.Background(), "BEGIN")
	return &batch{d: d}, err
}

// exec runs one of the statements of schema.go.
func (b *batch) exec(statement string, args ...any) {
	if b.err != nil {
		return
	}
	s := b.d.stmts[statement]
	if s == nil {
		if s, b.err = b.d.writer.PrepareContext(context.Background(), statement); b.err != nil {
			return
		}
		b.d.stmts[statement] = s
	}
	_, b.err = s.Exec(args...)
}

func (b *batch) check(ctx context.Context) {
	if b.err == nil {
		b.err = ctx.Err()
	}
}

func (b *batch) commit(ctx context.Context) error {
	b.check(ctx)
	if b.err == nil {
		if _, b.err = b.d.writer.ExecContext(context.Background(), "COMMIT"); b.err == nil {
			b.done = true
		}
	}
	return b.err
}

// rollback does nothing after a commit. SQLite may have rolled back by itself, so its error says nothing.
func (b *batch) rollback() {
	if !b.done {
		_, _ = b.d.writer.ExecContext(context.Background(), "ROLLBACK")
	}
}

// number makes a number SQLite's, whose integers have a sign. Nothing that is counted here comes near the end.
func number(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

func text(a message.Addr) string { return fmt.Sprintf("0x%012x", uint64(a)) }

// node is NULL for nobody.
func node(n message.NodeID) any {
	if n == message.NoNode {
		return nil
	}
	return int64(n)
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
