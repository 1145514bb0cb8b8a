package company

// Memory is what a company takes of its owner's memory, in bytes.
type Memory struct {
	Pages  uint64 // that exist
	Left   uint64 // pages left to snapshots, ever: see page.Store.Left
	Tables uint64 // about what else is kept: allocations, free space, transactions, clients and their answers, leases
}

// What an item of each table takes, by the sizes of its types. Trees have room for twice as many as they must have.
const (
	recordBytes = 24
	freeBytes   = 64 // in three to four indexes
	tieBytes    = 160
	blockBytes  = 56
	clientBytes = 320
	answerBytes = 100 // of nearly all
	endBytes    = 150
	leaseBytes  = 160
	runBytes    = 120 // and 4 a block
)

// Memory counts. It takes as long as there are transactions that span companies, and runs, and no longer.
func (c *Company) Memory() Memory {
	m := Memory{Pages: c.pages.Resident(), Left: c.pages.Left()}
	m.Tables = recordBytes*uint64(c.records.Len()) + freeBytes*uint64(c.space.Len()) + tieBytes*uint64(c.ties.Len()) +
		clientBytes*uint64(len(c.clients.byID)) + answerBytes*uint64(c.clients.answers) + endBytes*uint64(c.ended.byAge.Len()) + leaseBytes*uint64(c.leases.Len()) + runBytes*uint64(c.runs.Len())
	c.runs.Ascend(func(x *run) bool {
		m.Tables += 4 * uint64(len(x.blocks))
		return true
	})
	c.ties.Ascend(func(t *tie) bool {
		m.Tables += blockBytes * uint64(len(t.blocks))
		return true
	})
	return m
}
