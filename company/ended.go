package company

import (
	"github.com/google/btree"

	"dmalloc/message"
)

// MaxEnded is how many ended transactions are remembered. Beyond it the one that ended first is forgotten.
const MaxEnded = 1 << 18

// end is a transaction that is over here: aborted, dropped or finished. Until it expires, whatever of it
// comes late is refused (C5).
type end struct {
	txn    message.Txn
	clock  uint64 // the company's, when it ended
	number uint64 // orders those of one moment
}

type ended struct {
	byTxn *btree.BTreeG[end]
	byAge *btree.BTreeG[end]
	next  uint64
}

func newEnded() ended {
	return ended{
		byTxn: btree.NewG(treeDegree, func(a, b end) bool { return a.txn.Less(b.txn) }),
		byAge: btree.NewG(treeDegree, func(a, b end) bool { return a.number < b.number }),
	}
}

func (s *ended) has(txn message.Txn) bool { return s.byTxn.Has(end{txn: txn}) }

// add says whether it was not known.
func (s *ended) add(txn message.Txn, clock uint64) bool {
	if s.has(txn) {
		return false
	}
	if s.byTxn.Len() >= MaxEnded {
		s.forgetOldest()
	}
	x := end{txn, clock, s.next}
	s.next++
	s.byTxn.ReplaceOrInsert(x)
	s.byAge.ReplaceOrInsert(x)
	return true
}

func (s *ended) forgetOldest() {
	if x, ok := s.byAge.DeleteMin(); ok {
		s.byTxn.Delete(x)
	}
}

func (s *ended) expire(clock uint64) {
	for {
		x, ok := s.byAge.Min()
		if !ok || clock-x.clock <= expiry {
			return
		}
		s.forgetOldest()
	}
}
