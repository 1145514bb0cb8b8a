package lease

import "dmalloc/message"

const (
	// MaxLeases is how many leases a company has at most.
	MaxLeases = 1 << 16
	// MaxPage is the end of what a lease can cover: pages of a window.
	MaxPage = message.WindowSize / message.PageSize
)

// Lease is the right of a node, in one session, to keep copies of pages. Pages are counted from the beginning of
// the company's window.
type Lease struct {
	First     uint64 // page
	Pages     uint64
	Exclusive bool
	WriteBack bool // an exclusive one whose holder may keep writes to itself
	Node      message.NodeID
	Session   uint64 // of the node: grows with each start of its process
	Token     uint64
	Length    uint64 // milliseconds
}

// End is the first page behind it.
func (l Lease) End() uint64 { return l.First + l.Pages }

// Touches says whether it has one of the pages.
func (l Lease) Touches(first, pages uint64) bool { return l.First < first+pages && first < l.End() }

// Covers says whether it has all of the pages.
func (l Lease) Covers(first, pages uint64) bool { return l.First <= first && first+pages <= l.End() }

// Message is the lease as people see it. How much of its time is left is for the leader to say.
func (l Lease) Message(company message.CompanyID, base message.Addr) message.Lease {
	mode := "r"
	if l.Exclusive {
		mode = "w"
	}
	return message.Lease{Company: company, Address: base + message.Addr(l.First*message.PageSize), Size: l.Pages * message.PageSize, Mode: mode,
		Token: l.Token, Holder: l.Node, Session: l.Session, LengthMS: l.Length, WriteBack: l.WriteBack}
}

// weaker says whether l gives its holder less than old.
func (l Lease) weaker(old Lease) bool {
	return old.Exclusive && !l.Exclusive || old.WriteBack && !l.WriteBack
}

// possible says whether there can be such a lease, its token aside.
func (l Lease) possible() bool {
	return l.Pages > 0 && l.First < MaxPage && l.Pages <= MaxPage-l.First && l.Length > 0 && l.Length <= message.MaxLease &&
		l.Node < message.MaxNodes && (l.Exclusive || !l.WriteBack)
}
