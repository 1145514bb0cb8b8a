package pagetable

// Addresses are kept once, as numbers; their text is computed when somebody looks. Nothing is declared as
// a boolean or a date, because the driver would turn such columns into other types.
const schema = `
CREATE TABLE companies (
	id          INTEGER PRIMARY KEY,
	base        TEXT NOT NULL,
	"limit"     TEXT NOT NULL,
	capacity    INTEGER NOT NULL,
	used        INTEGER NOT NULL,
	leader      INTEGER,           -- NULL while nobody leads
	term        INTEGER NOT NULL,
	applied     INTEGER NOT NULL,  -- index of the last log entry that this node's replica holds
	epoch       INTEGER NOT NULL,  -- of the directory
	here        INTEGER NOT NULL,  -- 1: owned now, 0: was
	log_dropped INTEGER NOT NULL   -- lines that no longer are in the log
);
CREATE TABLE owners (
	company INTEGER NOT NULL,
	node    INTEGER NOT NULL,
	replica INTEGER NOT NULL,
	joining INTEGER NOT NULL,
	PRIMARY KEY (company, replica)
) WITHOUT ROWID;
CREATE TABLE nodes (
	id          INTEGER PRIMARY KEY,
	host        TEXT NOT NULL,
	address     TEXT NOT NULL,
	http        TEXT NOT NULL,
	boot        INTEGER NOT NULL,
	incarnation INTEGER NOT NULL
);
CREATE TABLE extents (
	company      INTEGER NOT NULL,
	addr         INTEGER NOT NULL,
	size         INTEGER NOT NULL,
	state        TEXT NOT NULL,
	home         TEXT,             -- first address of the allocation that this is a block of
	home_company INTEGER,
	txn          TEXT,             -- client/seq
	address      TEXT AS (printf('0x%012x', addr)),
	PRIMARY KEY (company, addr)
) WITHOUT ROWID;
CREATE TABLE spans (               -- the block lists of allocations over several companies
	home    INTEGER NOT NULL,
	alloc   INTEGER NOT NULL,
	n       INTEGER NOT NULL,
	addr    INTEGER NOT NULL,
	size    INTEGER NOT NULL,
	company INTEGER NOT NULL,
	behind  INTEGER NOT NULL,
	PRIMARY KEY (home, alloc, n)
) WITHOUT ROWID;
CREATE TABLE log (
	seq       INTEGER PRIMARY KEY, -- in the order in which this node learnt of them
	company   INTEGER NOT NULL,
	idx       INTEGER NOT NULL,
	n         INTEGER NOT NULL,    -- how-manieth line of that entry
	actor     INTEGER,
	operation TEXT NOT NULL,
	addr      INTEGER NOT NULL,
	size      INTEGER NOT NULL,
	address   TEXT AS (printf('0x%012x', addr)),
	line      TEXT AS ('S' || ifnull(actor, '?') || ' ' || operation || iif(addr = 0, '', ' ' || printf('0x%x', addr)))
);
CREATE INDEX log_company ON log (company, seq);
CREATE TABLE leases (
	company    INTEGER NOT NULL,
	addr       INTEGER NOT NULL,
	size       INTEGER NOT NULL,  -- bytes, whole pages
	mode       TEXT NOT NULL,     -- r shared, w exclusive
	token      INTEGER NOT NULL,
	holder     INTEGER NOT NULL,
	session    INTEGER NOT NULL,  -- a process of the holder
	length_ms  INTEGER NOT NULL,  -- what is left of it only the leader knows
	write_back INTEGER NOT NULL,
	address    TEXT AS (printf('0x%012x', addr)),
	PRIMARY KEY (company, token)
) WITHOUT ROWID;
CREATE VIEW blocks AS
	SELECT printf('0x%012x', alloc) AS allocation, n, printf('0x%012x', addr) AS address, addr, size, company,
		printf('0x%012x', behind) AS behind
	FROM spans
	UNION ALL
	SELECT address, 0, address, addr, size, company, address
	FROM extents e WHERE state IN ('allocated', 'freeing')
		AND NOT EXISTS (SELECT 1 FROM spans s WHERE s.home = e.company AND s.alloc = e.addr);
CREATE VIEW allocations AS
	SELECT address, addr, ifnull((SELECT sum(size) FROM spans s WHERE s.home = e.company AND s.alloc = e.addr), size) AS size,
		company, state, max(1, (SELECT count(*) FROM spans s WHERE s.home = e.company AND s.alloc = e.addr)) AS blocks
	FROM extents e WHERE state IN ('allocated', 'freeing');
`

// The statements of a flush, prepared once.
const (
	sqlClearExtents = `DELETE FROM extents WHERE company = ?`
	sqlClearSpans   = `DELETE FROM spans WHERE home = ?`
	sqlDropExtent   = `DELETE FROM extents WHERE company = ? AND addr = ?`
	sqlDropSpans    = `DELETE FROM spans WHERE home = ? AND alloc = ?`
	sqlPutExtent    = `INSERT OR REPLACE INTO extents (company, addr, size, state, home, home_company, txn) VALUES (?, ?, ?, ?, ?, ?, ?)`
	sqlPutSpan      = `INSERT OR REPLACE INTO spans (home, alloc, n, addr, size, company, behind) VALUES (?, ?, ?, ?, ?, ?, ?)`
	sqlPutLine      = `INSERT OR REPLACE INTO log (seq, company, idx, n, actor, operation, addr, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	sqlTrimLog      = `DELETE FROM log WHERE company = ? AND seq < ?`
	sqlPutCompany   = `INSERT OR REPLACE INTO companies (id, base, "limit", capacity, used, leader, term, applied, epoch, here, log_dropped) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlClearNodes   = `DELETE FROM nodes`
	sqlPutNode      = `INSERT OR REPLACE INTO nodes (id, host, address, http, boot, incarnation) VALUES (?, ?, ?, ?, ?, ?)`
	sqlClearOwners  = `DELETE FROM owners`
	sqlClearLeases  = `DELETE FROM leases WHERE company = ?`
	sqlDropLease    = `DELETE FROM leases WHERE company = ? AND token = ?`
	sqlPutLease     = `INSERT OR REPLACE INTO leases (company, addr, size, mode, token, holder, session, length_ms, write_back) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlPutOwner     = `INSERT OR REPLACE INTO owners (company, node, replica, joining) VALUES (?, ?, ?, ?)`
)
