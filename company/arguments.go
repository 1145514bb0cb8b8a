package company

import (
	"dmalloc/message"
)

// arguments refuses what no state could do. What a request means must not depend on when it is asked
// here, so this looks at the message and at the company's settings only.
func (c *Company) arguments(m *message.Message) *Result {
	switch m.Op {
	case message.MALLOC:
		if m.Size == 0 {
			return wrong("0 bytes cannot be allocated; ask for at least 1")
		}
	case message.FREE, message.DUMP:
		return c.addressed(m)
	case message.WRITE:
		if n := len(m.Data); n == 0 || n > message.MaxData || uint64(n) != m.Size {
			return wrong("a write at %s of size %d carries %d bytes; carry as many as the size says, 1 to %d", m.Address, m.Size, n, message.MaxData)
		}
		return c.addressed(m)
	case message.READ:
		if m.Size == 0 || m.Size > message.MaxData {
			return wrong("a read of %d bytes at %s; read 1 to %d at once", m.Size, m.Address, message.MaxData)
		}
		return c.addressed(m)
	case message.CAS, message.ADD:
		if m.Address%8 != 0 {
			return wrong("%s works on the 8 bytes at an address that is a multiple of 8; %s is none", m.Op, m.Address)
		}
		return c.addressed(m)
	case message.LEASE:
		return c.leasable(m)
	case message.RELEASE:
		if m.Token == 0 && (m.Final == message.NoNode || m.Value == 0) {
			return wrong("RELEASE names no lease: say its token, or a node and its session for all of them")
		}
	case message.EXPIRE:
		if m.Token == 0 {
			return wrong("EXPIRE names no lease: say its token")
		}
	case message.RUN, message.CLAIM, message.SETTLE:
		return c.runnable(m)
	case message.RESERVE, message.COMMIT, message.CONFIRM, message.ABORT, message.OUTCOME, message.DROP, message.FINISH:
		return c.transactional(m)
	}
	return nil
}

func wrong(format string, args ...any) *Result {
	r := refuse(message.InvalidArgument, format, args...)
	return &r
}

func (c *Company) addressed(m *message.Message) *Result {
	if c.inside(m.Address) {
		return nil
	}
	r := refuse(message.NotAllocated, "%s is in no allocation: those of company %s lie from %s to %s; list them with t", m.Address, c.cfg.ID, c.cfg.first(), c.cfg.Limit-1)
	return &r
}

// leasable judges what a LEASE says of its holder and its length.
func (c *Company) leasable(m *message.Message) *Result {
	switch {
	case m.Final >= message.MaxNodes || m.Value == 0:
		return wrong("a lease at %s for node %s in session %d: only a node can hold one, in the session that it is in", m.Address, m.Final, m.Value)
	case m.Length > message.MaxLease:
		return wrong("a lease of %d ms at %s; at most %d are possible", m.Length, m.Address, message.MaxLease)
	case m.Flags&(message.Exclusive|message.WriteBack) == message.WriteBack:
		return wrong("a lease at %s to read with write-back; ask for one to write", m.Address)
	}
	return c.addressed(m)
}

func (c *Company) transactional(m *message.Message) *Result {
	if m.Txn.IsZero() {
		return wrong("%s names no transaction", m.Op)
	}
	switch m.Op {
	case message.RESERVE:
		if m.Size == 0 {
			return wrong("0 bytes cannot be reserved for transaction %s; ask for at least 1", m.Txn)
		}
		if m.Value == 0 || m.Value > message.MaxCompany || m.Value == uint64(c.cfg.ID) {
			return wrong("company %d cannot be the home of what company %s reserves for transaction %s; name another one, 1 to %d", m.Value, c.cfg.ID, m.Txn, message.MaxCompany)
		}
	case message.CONFIRM:
		if m.Address == 0 {
			return wrong("CONFIRM of transaction %s does not name the address of the allocation", m.Txn)
		}
	case message.COMMIT:
		return c.committable(m)
	}
	return nil
}

// committable judges the block list of a COMMIT: whole pages in every block but the last, one block a
// company, no sum that overflows.
func (c *Company) committable(m *message.Message) *Result {
	if n := len(m.Blocks); n == 0 || n >= message.MaxBlocks {
		return wrong("transaction %s names %d blocks besides the home's; 1 to %d are possible", m.Txn, n, message.MaxBlocks-1)
	}
	if m.Value == 0 || m.Value%message.PageSize != 0 || m.Value > message.WindowSize {
		return wrong("transaction %s has a home block of %d bytes; it takes whole pages of %d", m.Txn, m.Value, message.PageSize)
	}
	seen := map[message.CompanyID]bool{c.cfg.ID: true}
	sum := m.Value
	for i, b := range m.Blocks {
		if seen[b.Company] || b.Company == 0 || b.Company > message.MaxCompany {
			return wrong("transaction %s has block %d in company %s; each block takes a company of its own, 1 to %d", m.Txn, i+1, b.Company, message.MaxCompany)
		}
		seen[b.Company] = true
		if b.Size == 0 || b.Size > message.WindowSize || b.Size%message.PageSize != 0 && i < len(m.Blocks)-1 {
			return wrong("transaction %s has %d bytes in block %d; all but the last take whole pages of %d", m.Txn, b.Size, i+1, message.PageSize)
		}
		if b.Behind == 0 || b.Behind%message.Alignment != 0 {
			return wrong("transaction %s has block %d behind %s; name the address that RESERVE answered", m.Txn, i+1, b.Behind)
		}
		sum += b.Size
	}
	if sum != m.Size {
		return wrong("transaction %s allocates %d bytes but its blocks hold %d", m.Txn, m.Size, sum)
	}
	return nil
}
